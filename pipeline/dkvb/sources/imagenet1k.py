"""ImageNet-1k as its users keep it: `train/<wnid>` and `val/<wnid>`, val being the test split."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from pathlib import Path

from dkvb.errors import DkvbError, UsageError
from dkvb.recipe import Data
from dkvb.sources.base import ImageSource
from dkvb.sources.checks import check_names, data_folder
from dkvb.sources.folder import open_tree
from dkvb.sources.layout import Layout
from dkvb.sources.remarks import Remarks
from dkvb.sources.text import read_lines, read_text

HOLDS = "a folder of train/<wnid>/<image> and val/<wnid>/<image>"


MAPPING, INDEX = "LOC_synset_mapping.txt", "imagenet_class_index.json"


def open_imagenet1k(data: Data) -> ImageSource:
    """Labels follow the sorted wnids; classes bear the human names of a mapping file in the root, else those that timm
    knows.

    The 1.28 million files are listed once, with progress, and the listing is remembered until a directory changes.

    Raises:
        UsageError: the path, train/ or val/ is missing, or val/ is not sorted into class folders.
        DkvbError: a class without training images, or a mapping file that cannot be read.
    """
    root = data_folder("imagenet1k", data.path, HOLDS)
    for split in ("train", "val"):
        if not (root / split).is_dir():
            raise UsageError(f"{root} has no {split}/ folder; the source 'imagenet1k' needs {HOLDS}.")
        if not any(entry.is_dir() for entry in (root / split).iterdir()):
            raise UsageError(f"{root / split} has no class folders; sort its images into {split}/<wnid>/.")
    layout = Layout(root, root / "train", root / "val")
    source = open_tree(layout, Remarks(), remember=True, exif_rotate=data.exif_rotate)
    classes = human_names(source.classes, wordnet_names(root))
    check_names(classes, root, [])  # ImageNet's own cardigan and Cardigan are told apart by their wnids
    return dataclasses.replace(source, classes=classes)


def wordnet_names(root: Path) -> dict[str, str]:
    """Human name by wnid, the first of its synonyms, from a mapping file in `root`, else from timm's list of all
    1,000."""
    try:
        if (root / MAPPING).is_file():
            lines = read_lines(root / MAPPING)
            pairs = [line.strip().split(" ", 1) for line in lines if line.strip()]
            return {wnid: names.split(",")[0].strip() for wnid, names in pairs}
        if (root / INDEX).is_file():
            listed = json.loads(read_text(root / INDEX))
            return {str(wnid): str(name).replace("_", " ") for wnid, name in listed.values()}
    except (ValueError, AttributeError, TypeError) as error:
        name = MAPPING if (root / MAPPING).is_file() else INDEX
        raise DkvbError(
            f"{root / name} cannot be read ({error}); mend it, or remove it to have classes named by wnid."
        ) from None
    from timm.data import ImageNetInfo

    known = ImageNetInfo()
    return {wnid: known.label_name_to_description(wnid).split(",")[0].strip() for wnid in known.label_names()}


def human_names(wnids: list[str], names: dict[str, str]) -> list[str]:
    """A unique name for each wnid, the wnid itself where there is none: ImageNet's two cranes and two maillots are told
    apart by theirs."""
    plain = [names.get(wnid, wnid) for wnid in wnids]
    count = Counter(plain)
    return [f"{name} ({wnid})" if count[name] > 1 else name for name, wnid in zip(plain, wnids, strict=True)]
