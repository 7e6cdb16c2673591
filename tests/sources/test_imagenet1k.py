"""ImageNet-1k: class names from its own files, and every refusal."""

from __future__ import annotations

import json
import shutil

from dkvb.errors import DkvbError, UsageError
from dkvb.recipe import Data
from dkvb.sources.opening import open_source
from source_files import imagenet, refused, save


def test_imagenet_classes_bear_human_names(tmp_path):
    root = imagenet(tmp_path)
    source = open_source(Data(source="imagenet1k", path=str(root)))
    named = ["tench", "crane (n02012849)", "crane (n03126707)"]
    assert source.classes == named
    assert source.splits["test"].labels.tolist() == [0, 1, 2]
    assert source.splits["test"].ids[0] == "val/n01440764/ILSVRC2012_val_1.JPEG"
    index = {"0": ["n01440764", "a_fish"], "1": ["n02012849", "crane"], "2": ["n03126707", "lifter"]}
    (root / "imagenet_class_index.json").write_text(json.dumps(index))
    assert open_source(Data(source="imagenet1k", path=str(root))).classes == ["a fish", "crane", "lifter"]
    (root / "LOC_synset_mapping.txt").write_text("n01440764 tench, Tinca tinca\nn02012849 crane\nn03126707 crane\n")
    assert open_source(Data(source="imagenet1k", path=str(root))).classes == named
    (root / "LOC_synset_mapping.txt").write_text("n01440764\n")
    refused(DkvbError, "LOC_synset_mapping.txt cannot be read", "imagenet1k", root)
    (root / "LOC_synset_mapping.txt").unlink()
    (root / "imagenet_class_index.json").unlink()
    save(root / "train" / "n99999999" / "0.JPEG")
    assert open_source(Data(source="imagenet1k", path=str(root))).classes == [*named, "n99999999"]


def test_imagenet_refusals(tmp_path):
    root = imagenet(tmp_path / "i")
    shutil.rmtree(root / "val")
    refused(UsageError, "no val/ folder", "imagenet1k", root)
    save(root / "val" / "flat.JPEG")
    refused(UsageError, "sort its images into val/<wnid>", "imagenet1k", root)
    refused(UsageError, "needs data.path", "imagenet1k", None)
