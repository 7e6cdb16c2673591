"""Class names in every source: UTF-8 or refused by name, and names that a person would call one are doubted."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest

from dkvb import from_arrays
from dkvb.errors import DkvbError
from dkvb.recipe import Data
from dkvb.sources.checks import check_classes, check_names, folded
from dkvb.sources.opening import open_source
from dkvb.sources.text import read_lines
from dkvb.sources.vggface2 import identity_names
from source_files import cifar10, imagenet, refused, save

ALIKE = [
    ("cat", "Cat"),
    ("cat", "cat "),
    (" cat", "cat"),
    ("hot dog", "hot  dog"),
    ("hot dog", "hot\u00a0dog"),
    ("caf\u00e9", "cafe\u0301"),
    ("\ufb01sh", "fish"),
    ("\uff23at", "cat"),
    ("Stra\u00dfe", "STRASSE"),
    ("zero\u200bwidth", "zerowidth"),
]


@pytest.mark.parametrize("pair", ALIKE)
def test_names_that_a_person_would_call_one_are_doubted(pair: tuple[str, str]) -> None:
    doubts: list[str] = []
    check_names(["ant", *pair, "bee"], "here", doubts)
    assert len(doubts) == 1
    assert doubts[0].startswith(f"here: the classes {pair[0]!a}, {pair[1]!a} differ only in spaces, case")


def test_names_that_differ_are_not() -> None:
    doubts: list[str] = []
    check_names(
        ["cat", "cats", "caf\u00e9", "cafe", "hotdog", "hot dog", "1", "01", "\u043c\u0430\u043a"], "here", doubts
    )
    assert doubts == []
    assert folded(" Hot\tDOG ") == "hot dog"


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (["a", "b", "a"], "the class name a stands for several classes"),
        (["a", " "], "class 1 has an empty name"),
        (["a", b"caf\xe9".decode("utf-8", "surrogateescape")], r"the name b'caf\\xe9' is not UTF-8"),
        (["a", "\ud800"], r"\\\\ud800' is not UTF-8"),
    ],
)
def test_names_that_cannot_be_used(names: list[str], says: str) -> None:
    with pytest.raises(DkvbError, match=f"^here: {says}|^here.*{says}"):
        check_names(names, "here", [])


def test_a_caller_without_a_list_of_doubts_has_them_as_notes() -> None:
    labels = {"train": np.array([0, 1]), "test": np.array([0, 1])}
    notes: list[str] = []
    check_classes(["cat", "CAT"], labels, "here", notes)
    assert "'cat', 'CAT'" in notes[0]
    notes, doubts = [], []
    check_classes(["cat", "CAT"], labels, "here", notes, doubts)
    assert (notes, len(doubts)) == ([], 1)


def test_doubts_come_with_the_source_of_features(tmp_path: Path) -> None:
    y = np.array(["cat", "Cat"] * 5)
    np.savez(tmp_path / "train.npz", x=np.random.default_rng(0).standard_normal((10, 3)), y=y)
    source = open_source(Data(source="features", path=str(tmp_path)))
    assert source.classes == ["Cat", "cat"]
    assert "'Cat', 'cat' differ only" in source.doubts[0]
    np.savez(tmp_path / "train.npz", x=np.ones((10, 3)), y=np.array([b"cat", b"k\xe4fer"] * 5))
    refused(DkvbError, r"train.npz: the name b'k\\xe4fer' \(row 1\) is not UTF-8", "features", tmp_path)


def test_names_of_cifar(tmp_path: Path) -> None:
    base = cifar10(tmp_path)
    names = [b"c%d" % place for place in range(10)]
    (base / "batches.meta").write_bytes(pickle.dumps({b"label_names": [*names[:9], b"C0"]}, 2))
    source = open_source(Data(source="cifar10", path=str(tmp_path)))
    assert "'c0', 'C0' differ only" in source.doubts[0]
    (base / "batches.meta").write_bytes(pickle.dumps({b"label_names": [*names[:9], b"caf\xe9"]}, 2))
    refused(DkvbError, r"batches.meta in .*the name b'caf\\xe9' is not UTF-8", "cifar10", tmp_path)
    (base / "batches.meta").write_bytes(pickle.dumps({b"label_names": 3}, 2))
    refused(DkvbError, "batches.meta in .* its names are no list", "cifar10", tmp_path)


def test_files_that_name_identities_and_synsets(tmp_path: Path) -> None:
    (tmp_path / "identity_meta.csv").write_bytes(b'Class_ID, Name\nn000001, "Ren\xe9"\n')
    with pytest.raises(DkvbError, match=r"identity_meta.csv: line 2 \(b'n000001, \"Ren\\xe9\"'\) is not UTF-8"):
        identity_names(tmp_path, [])
    (tmp_path / "identity_meta.csv").write_text('\ufeffClass_ID, Name\nn000001, "René"\n', encoding="utf-8")
    assert identity_names(tmp_path, []) == {"n000001": "René"}
    root = imagenet(tmp_path / "i")
    (root / "LOC_synset_mapping.txt").write_bytes(b"n01440764 t\xeanche, fish\n")
    refused(DkvbError, r"LOC_synset_mapping.txt: line 1 \(b'n01440764 t\\xeanche", "imagenet1k", root)
    (root / "LOC_synset_mapping.txt").unlink()
    index = json.dumps({"0": ["n01440764", "tench"]}).encode().replace(b"tench", b"t\xeanch")
    (root / "imagenet_class_index.json").write_bytes(index)
    refused(DkvbError, r"imagenet_class_index.json: line 1 .*is not UTF-8", "imagenet1k", root)


def test_lines_are_what_stands_between_their_ends(tmp_path: Path) -> None:
    # other characters that Python calls ends of lines are parts of a name
    (tmp_path / "classes.txt").write_bytes("a\u2028b\r\n c \n\n".encode())
    assert read_lines(tmp_path / "classes.txt") == ["a\u2028b", " c "]


def test_names_that_look_alike_are_doubted_in_every_source(tmp_path: Path) -> None:
    x, y = np.eye(8, dtype=np.float32), np.array(["cat", "CAT"] * 4)
    for row, name in enumerate(y):
        save(tmp_path / "photos" / "train" / str(name) / f"{row}.png", row)
    np.savez(tmp_path / "train.npz", x=x, y=y)
    sources = [
        from_arrays(x, y),
        open_source(Data(source="folder", path=str(tmp_path / "photos"))),
        open_source(Data(source="features", path=str(tmp_path), train="train.npz")),
    ]
    for source in sources:
        (doubt,) = source.doubts
        assert "the classes 'CAT', 'cat' differ only in spaces, case" in doubt
        assert not [note for note in source.notes if "differ only" in note]
