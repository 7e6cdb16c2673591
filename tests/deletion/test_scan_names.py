"""The scan finds ids and file names of erased samples in every kind of file."""

from __future__ import annotations

import html
import json
from pathlib import Path
from typing import Any

import numpy as np
import polars
import pytest

from dkvb.deletion.needles import Needles
from dkvb.deletion.scan import scan
from dkvb.deletion.sought import named

NAMES = ["cat/portrait-1.png", "cat/портрет & co.png", "dog/portrait-2.png"]


def _strings(path: Path, text: str) -> None:
    np.save(path, np.array(["other/file.png", text]))


def _parquet(path: Path, text: str) -> None:
    polars.DataFrame({"file": [f"x{i}.png" for i in range(50)] + [text]}).write_parquet(path)


PLANTED: dict[str, Any] = {
    "a.csv": lambda path, text: path.write_text(f"file,class\nphotos/{text},dog\n", encoding="utf-8"),
    "a.json": lambda path, text: path.write_text(json.dumps({"x": text})),
    "a.html": lambda path, text: path.write_text(f"<td>{html.escape(text)}</td>", encoding="utf-8"),
    "a.npy": _strings,
    "a.parquet": _parquet,
}


@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize("name", PLANTED)
def test_the_scan_finds_a_planted_name(name: str, place: int, tmp_path: Path) -> None:
    needles = named(NAMES[:2], NAMES[2:], b"0" * 16)
    folder = tmp_path / "planted"
    folder.mkdir()
    PLANTED[name](folder / name, NAMES[2])
    assert scan([folder], needles).named == {}
    PLANTED[name](folder / name, NAMES[place])
    found = scan([folder], needles)
    assert (found.named, found.found, found.names) == ({str(folder / name): 1}, {}, 2)


def test_a_file_that_is_called_like_a_purged_sample_is_found(tmp_path: Path) -> None:
    needles = named(NAMES[:2], NAMES[2:], b"0" * 16)
    (tmp_path / "planted").mkdir()
    (tmp_path / "planted" / "portrait-1.png").touch()
    assert scan([tmp_path / "planted"], needles).named == {str(tmp_path / "planted" / "portrait-1.png"): 1}


def test_names_that_stay_and_parts_of_longer_names_are_not_looked_for() -> None:
    needles = named(["cat/portrait-1.png", "a/b.png", "cat/same.jpeg"], ["wild/same.jpeg", "dog/x.png"], b"1" * 16)
    assert needles.names == {0, 2}, "a/b.png is too short"
    assert needles.found_in(b"see cat/portrait-1.png.") == {0}
    assert needles.found_in(b"see cat/portrait-1.pngx or bobcat/portrait-10.png") == set()
    assert needles.found_in(b"same.jpeg") == set(), "a sample that stays is called so"
    assert needles.found_in(b"cat/same.jpeg") == {2}
    assert len(Needles.none().names) == 0
