"""Labels as people keep them: the values they are read as, what is said of it, and what is refused."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from dkvb.errors import DkvbError, UsageError
from dkvb.sources.label_files import class_names, label_values
from dkvb.sources.labels import column_labels, read_labels, renumber, together
from dkvb.sources.remarks import Remarks

READ = {
    "integers": (np.array([2, 0, 1], np.uint8), "from-0", [2, 0, 1], None, None),
    "from 1": (np.array([3, 1, 2]), "from-1", [2, 0, 1], None, "label 1 is class 0"),
    "sparse": (
        np.array([40, -7, 40, 9]),
        "sparse",
        [2, 0, 2, 1],
        ["-7", "9", "40"],
        "3 different labels from -7",
    ),
    "whole floats": (np.array([2.0, 0.0]), "from-0", [2, 0], None, "all of them whole numbers"),
    "whole floats from 1": (np.array([2.0, 1.0]), "from-1", [1, 0], None, "label 1 is class 0"),
    "booleans": (np.array([True, False]), "from-0", [1, 0], None, "False is class 0 and True class 1"),
    "a column": (np.array([[1], [0]]), "from-0", [1, 0], None, r"shape (2, 1) are taken as (2,)"),
    "one-hot": (np.eye(3)[[2, 0]], "from-0", [2, 0], ["0", "1", "2"], "are one-hot"),
    "one-hot booleans": (np.eye(3)[[1, 0]] > 0, "from-0", [1, 0], ["0", "1", "2"], "are one-hot"),
    "names": (np.array(["dog", "cat", "dog"]), "from-0", [1, 0, 1], ["cat", "dog"], None),
    "numbers as names": (np.array(["10", "9"]), "from-0", [0, 1], ["10", "9"], None),
    "bytes": (np.array(["ä", "b"]).astype("U1").view(np.ndarray), "from-0", [1, 0], ["b", "ä"], None),
    "UTF-8 bytes": (np.array(["ä".encode(), b"b"]), "from-0", [1, 0], ["b", "ä"], None),
    "objects": (np.array(["dog", "cat"], object), "from-0", [1, 0], ["cat", "dog"], None),
}


@pytest.mark.parametrize("kind", READ)
def test_labels_are_read_and_what_is_not_plain_is_said(kind: str) -> None:
    values, how, y, classes, said = READ[kind]
    remarks = Remarks()
    found, named = read_labels(values, "y.npy", how, remarks)
    assert (found.tolist(), found.dtype, named) == (y, np.int64, classes)
    assert bool(remarks.notes) == bool(said)
    assert said is None or (said in remarks.notes[-1] and "y.npy" in remarks.notes[-1])


@pytest.mark.parametrize(
    ("values", "how", "message"),
    [
        (np.array([1, 0]), "from-1", r"1 rows have less than 1 \(row 1 has 0\)"),
        (np.array([0.0, 1.5]), "from-0", r"row 1 has 1.5"),
        (np.array([0.0, np.nan]), "from-0", "1 rows have no label .row 1 is NaN"),
        (np.array([[1, 1, 0], [0, 1, 0]]), "from-0", "row 0 has 2 ones among 3"),
        (np.array([[0.5, 0.5], [0, 1]]), "from-0", "row 0 has 0 ones among 2"),
        (np.array([[0, 0], [0, 1]]), "from-0", "row 0 has 0 ones"),
        (np.array([[-1, 1], [0, 1]]), "from-0", "1 rows are not one-hot"),
        (np.array([["a", "b"]]), "from-0", r"shape \(1, 2\)"),
        (np.array([2**63], np.uint64), "from-0", "9223372036854775808 is beyond 64 bits"),
        (np.array(["a", " "]), "from-0", "1 rows have no label .row 1 is empty"),
        (np.array([b"ok", b"caf\xe9"]), "from-0", r"the name b'caf\\xe9' \(row 1\) is not UTF-8"),
        (np.array(["a", None], object), "from-0", "1 rows have no label .the first: 1"),
        (np.array(["a", 1], object), "from-0", "of the types int, str"),
        (np.array([1j]), "from-0", "labels are complex128"),
    ],
)
def test_what_is_no_label_is_refused(values: np.ndarray, how: str, message: str) -> None:
    with pytest.raises(DkvbError, match=f"^y.npy.*{message}"):
        read_labels(values, "y.npy", how, Remarks())


@pytest.mark.parametrize("values", [np.array(["a", "b"]), np.eye(2)])
@pytest.mark.parametrize("how", ["from-1", "sparse"])
def test_a_setting_for_numbers_is_refused_for_others(values: np.ndarray, how: str) -> None:
    with pytest.raises(UsageError, match=f'data.labels is "{how}".*leave the setting out'):
        read_labels(values, "y.npy", how, Remarks())


def test_labels_are_renumbered_by_name() -> None:
    assert renumber(np.array([0, 1, 0]), ["cat", "dog"], ["ant", "dog", "cat"], "test").tolist() == [2, 1, 2]
    with pytest.raises(DkvbError, match="test: no training samples for class 'eel'"):
        renumber(np.array([0]), ["eel"], ["ant"], "test")


def test_labels_of_several_files_must_be_of_one_kind() -> None:
    joined = together([("a", np.array(["x"])), ("b", np.array(["long"]))])
    assert joined.tolist() == ["x", "long"]
    with pytest.raises(DkvbError, match="b has labels of another kind .names. than a .integers"):
        together([("a", np.array([1])), ("b", np.array(["1"]))])


CATEGORIES = {
    "pandas": lambda pd, path: pd.DataFrame({"label": pd.Categorical(["b", "a", "b"], ["b", "a"])}).to_parquet(path),
    "pandas numbers": lambda pd, path: pd.DataFrame({"label": pd.Categorical([7, 3, 7], [7, 3])}).to_parquet(path),
    "polars": lambda pd, path: pl.DataFrame({"label": ["b", "a", "b"]}, {"label": pl.Categorical}).write_parquet(path),
    "polars enum": lambda pd, path: pl.DataFrame(
        {"label": ["b", "a", "b"]}, {"label": pl.Enum(["b", "a"])}
    ).write_parquet(path),
}


@pytest.mark.parametrize("kind", CATEGORIES)
def test_categories_are_what_they_stand_for(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "bottleneck", None)  # a folder of these tests is called as a library of pandas'
    pytest.importorskip("pyarrow")
    pd = pytest.importorskip("pandas")
    CATEGORIES[kind](pd, tmp_path / "y.parquet")
    values = label_values(tmp_path / "y.parquet", None)
    assert values.tolist() == ([7, 3, 7] if "numbers" in kind else ["b", "a", "b"])
    y, classes = read_labels(values, "y", "sparse" if "numbers" in kind else "from-0", Remarks())
    assert (y.tolist(), classes) == ([1, 0, 1], ["3", "7"] if "numbers" in kind else ["a", "b"])


def test_a_column_without_a_label_or_of_another_kind_is_refused() -> None:
    for column, says in (
        (pl.Series("label", ["a", None]), "1 rows have no label"),
        (pl.Series("label", [b"\xff"]), r"b'\\xff' .row 0. is not UTF-8"),
        (pl.Series("label", [2**64 - 1], pl.UInt64), "beyond 64 bits"),
        (pl.Series("label", [[1], [1, 2]]), "List.Int64.; labels must be"),
    ):
        with pytest.raises(DkvbError, match=says):
            column_labels(column, "t.parquet")
    assert column_labels(pl.Series("label", [[0, 1], [1, 0]]), "t").tolist() == [[0, 1], [1, 0]]


@pytest.mark.parametrize(
    ("name", "text", "values"),
    [
        ("y.txt", "2\r\n0\n1\n\n", [2, 0, 1]),
        ("y.txt", "\ufeffdog\ncat\n", ["dog", "cat"]),
        ("y.txt", "1.0\n2e0\n", [1.0, 2.0]),
        ("y.csv", "label\n1\n0\n", [1, 0]),
        ("y.csv", "1\n0\n", [1, 0]),
        ("y.csv", "species\n1\n0\n", [1, 0]),
        ("y.csv", "dog\ncat\n", ["dog", "cat"]),
        ("y.csv", 'id,label\n5,"a, b"\n6,c\n', ["a, b", "c"]),
    ],
)
def test_labels_of_text_files(tmp_path: Path, name: str, text: str, values: list) -> None:
    (tmp_path / name).write_bytes(text.encode())
    assert label_values(tmp_path / name, None).tolist() == values


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("y.txt", b"dog\ncaf\xe9\n", r"line 2 \(b'caf\\xe9'\) is not UTF-8"),
        ("y.csv", b"label\ncaf\xe9\n", r"line 2 \(b'caf\\xe9'\) is not UTF-8"),
        ("y.csv", b"a,b\n1,2\n", "no column named label .*it has a, b.*data.y_column"),
        ("y.csv", b"label,b\n1\n", "line 2 has 1 cells and the first 2"),
    ],
)
def test_text_files_that_cannot_be_read(tmp_path: Path, name: str, text: bytes, says: str) -> None:
    (tmp_path / name).write_bytes(text)
    with pytest.raises(DkvbError, match=rf"{name}.*{says}"):
        label_values(tmp_path / name, None)


def test_class_names_of_every_kind_of_file(tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_text("cat\nhot dog\n", encoding="utf-8")
    np.save(tmp_path / "classes.npy", np.array(["cat", "hot dog"]))
    assert class_names(tmp_path / "classes.txt") == class_names(tmp_path / "classes.npy") == ["cat", "hot dog"]
    for text in ('["cat", "hot dog"]', '{"hot dog": 1, "cat": 0}', '{"1": "hot dog", "0": "cat"}'):
        (tmp_path / "classes.json").write_text(text, encoding="utf-8")
        assert class_names(tmp_path / "classes.json") == ["cat", "hot dog"]
    for text, says in (("[1]", "list of names"), ('{"a": 1}', "must be 0 to 0"), ("[", "not valid JSON")):
        (tmp_path / "classes.json").write_text(text, encoding="utf-8")
        with pytest.raises(DkvbError, match=f"classes.json.*{says}"):
            class_names(tmp_path / "classes.json")
    (tmp_path / "classes.txt").write_bytes("Stadtb\xe4r\n".encode("cp1252"))
    with pytest.raises(DkvbError, match=r"classes.txt: line 1 \(b'Stadtb\\xe4r'\) is not UTF-8"):
        class_names(tmp_path / "classes.txt")
