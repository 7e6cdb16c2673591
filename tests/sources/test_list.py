"""Lists of images in CSV, JSON and JSON lines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pytest

from dkvb.errors import DkvbError, UsageError
from dkvb.recipe import Data
from dkvb.sources.base import ImageSource
from dkvb.sources.listed import open_list
from source_files import refused, save

ROWS = [(f"images/{i}.png", ("cat", "ant")[i % 2]) for i in range(6)]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for i in range(6):
        save(tmp_path / f"images/{i}.png", i)
    return tmp_path


def opened(path: Path, **options: Any) -> ImageSource:
    return open_list(Data(source="list", path=str(path), **options))


def held(source: ImageSource) -> dict[str, tuple[str, int]]:
    """Id -> name of the class and shade of the image, over both splits."""
    return {
        split.ids[row]: (source.classes[split.labels[row]], split.read(row).getpixel((0, 0))[0])
        for split in source.splits.values()
        for row in range(len(split))
    }


def write(path: Path, records: list[dict[str, Any]]) -> Path:
    if path.suffix in (".csv", ".tsv"):
        pl.DataFrame(records).write_csv(path, separator="\t" if path.suffix == ".tsv" else ",")
    elif path.suffix == ".json":
        path.write_text(json.dumps(records))
    else:
        path.write_text("\n".join(map(json.dumps, records)))
    return path


@pytest.mark.parametrize("name", ["list.csv", "list.tsv", "list.json", "list.jsonl", "list.ndjson"])
def test_every_form_holds_the_same(name: str, root: Path) -> None:
    path = write(root / name, [{"file_name": path, "label": label} for path, label in ROWS])
    source = opened(path, test=0.34)
    assert source.classes == ["ant", "cat"]
    assert held(source) == {path: (label, i) for i, (path, label) in enumerate(ROWS)}
    assert "split off 34% of every class (2 of 6)" in source.notes[0]
    assert opened(path, test=0.34).fingerprint == source.fingerprint
    save(root / "images/0.png", 77, size=9)
    assert opened(path, test=0.34).fingerprint != source.fingerprint


def test_forms_of_other_programs(root: Path) -> None:
    wanted = {path: (label, i) for i, (path, label) in enumerate(ROWS)}
    (root / "bare.csv").write_text("\n".join(f"{path}, {label}" for path, label in ROWS))
    assert held(opened(root / "bare.csv", test=0.34)) == wanted
    (root / "by_path.json").write_text(json.dumps(dict(ROWS)))
    assert held(opened(root / "by_path.json", test=0.34)) == wanted
    frame = pd.DataFrame(ROWS, columns=["Path", "Class"])
    (root / "columns.json").write_text(json.dumps(frame.to_dict("list")))
    assert held(opened(root / "columns.json", test=0.34)) == wanted
    frame.to_csv(root / "pandas.csv")
    assert held(opened(root / "pandas.csv", test=0.34)) == wanted
    frame.assign(Class=[i % 2 for i in range(6)]).to_csv(root / "numbers.csv")
    assert opened(root / "numbers.csv", test=0.34).classes == ["0", "1"]


def test_train_and_test_by_file_or_by_column(root: Path) -> None:
    words = ["train"] * 4 + ["test"] * 2
    records = [{"path": path, "label": label, "split": word} for (path, label), word in zip(ROWS, words, strict=True)]
    source = opened(write(root / "all.csv", records))
    assert list(source.splits["train"].ids) == [path for path, _ in ROWS[:4]]
    assert list(source.splits["test"].ids) == [path for path, _ in ROWS[4:]]
    assert source.splits["test"].read(1).getpixel((0, 0)) == (5, 0, 0)
    (root / "all.csv").unlink()
    for name, part in (("train.csv", ROWS[:4]), ("val.csv", ROWS[4:])):
        write(root / name, [{"path": path, "label": label} for path, label in part])
    assert held(opened(root)) == held(source)
    assert opened(root).notes == ["validation files are the test set (val.csv)"]
    assert held(opened(root / "train.csv", test="val.csv")) == held(source)


def test_missing_images_are_named_or_left_to_be_recorded(root: Path) -> None:
    records = [{"path": path, "label": label} for path, label in [*ROWS, ("images/gone.png", "cat"), ("no.png", "ant")]]
    path = write(root / "list.csv", records)
    said = refused(DkvbError, r"2 of 8 images are not there", "list", path)
    assert str(root / "images/gone.png") in said
    assert "paths are relative to the list" in said
    source = opened(path, on_bad="skip", test=0.25)
    split = next(split for split in source.splits.values() if "no.png" in split.ids)
    with pytest.raises(DkvbError, match=r"no\.png cannot be read as an image: the file is missing"):
        split.read(list(split.ids).index("no.png"))


def test_refusals_and_doubts(root: Path) -> None:
    double = [{"path": path, "label": label} for path, label in [*ROWS, ROWS[0]]]
    assert opened(write(root / "double.csv", double), test=0.34).doubts == [
        "double.csv lists 1 images more than once (images/0.png)"
    ]
    plain = [{"a": path, "b": label} for path, label in ROWS]
    refused(UsageError, r"no column named label.*\(it has a, b\)", "list", write(root / "a.csv", plain))
    refused(DkvbError, "no column named path.*x_column", "list", root / "a.csv", y_column="b")
    assert len(held(opened(root / "a.csv", x_column="a", y_column="b", test=0.34))) == 6
    blank = [{"path": path, "label": label if i else ""} for i, (path, label) in enumerate(ROWS)]
    refused(DkvbError, r"1 rows have no label \(the first: 0\)", "list", write(root / "blank.csv", blank))
    (root / "ragged.csv").write_text("path,label\nimages/0.png,cat,more\n")
    refused(DkvbError, "row 2 has 3 cells where the first has 2", "list", root / "ragged.csv")
    (root / "broken.jsonl").write_text('{"path": "images/0.png"\n')
    refused(DkvbError, "cannot be read as a list of images", "list", root / "broken.jsonl")
    (root / "empty.csv").write_text("")
    refused(DkvbError, "lists nothing", "list", root / "empty.csv")
    refused(UsageError, "does not exist", "list", root / "nowhere.csv")
