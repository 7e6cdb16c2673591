"""Leak check: planted leaks are found and counted exactly, and none is seen where there is none."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from dkvb.embedding.leaks import describe, find_leaks
from dkvb.records.embed import Leaks
from dkvb.sources.contents import content_hash

CLASSES = ["ant", "bee", "cat", "dog"]


def contents(*numbers: int) -> np.ndarray:
    """A hash for each number: equal for equal numbers."""
    rows = [content_hash(np.array([number], np.float32)) for number in numbers]
    return np.frombuffer(b"".join(rows), np.uint8).reshape(-1, 16)


def check(train: list[tuple[int, int]], test: list[tuple[int, int]], **options) -> Leaks:
    """Rows given as (content, label)."""
    splits = {"train": train, "test": test}
    hashes = {split: contents(*(content for content, _ in rows)) for split, rows in splits.items()}
    labels = {split: np.array([label for _, label in rows], np.int64) for split, rows in splits.items()}
    return find_leaks(hashes, labels, CLASSES, **options)


def test_no_leak_is_seen_where_there_is_none():
    leaks = check([(i, i % 4) for i in range(40)], [(100 + i, i % 4) for i in range(12)])
    assert leaks == Leaks(any=False, rows={"train": 40, "test": 12})
    assert not leaks.any
    assert describe(leaks) == "no leaks: train and test share no content, and none stands under two classes."


def test_shared_rows_and_contents_are_counted():
    # content 1 three times in train and twice in test, content 3 once in each
    leaks = check([(1, 0), (2, 1), (1, 0), (3, 2), (1, 0)], [(9, 0), (1, 0), (3, 2), (1, 0)])
    assert (leaks.shared, leaks.shared_contents, leaks.across_classes, leaks.duplicates) == (3, 2, 0, 2)
    assert leaks.examples["shared"] == [("train row 0", "test row 1"), ("train row 3", "test row 2")]
    assert leaks.examples["duplicates"] == [("train row 0", "train row 2")]
    assert leaks.any
    assert (
        "3 of 4 test rows (75.0%; 2 distinct contents) are in train as well, such as train row 0 and test row 1"
        in describe(leaks)
    )


def test_contents_under_several_labels_are_counted_within_and_across_splits():
    # 1: within train; 2: across the splits; 3: within test; 4: thrice in one class only
    train, test = [(1, 0), (1, 3), (2, 1), (4, 1), (4, 1), (4, 1)], [(2, 2), (3, 0), (3, 1), (5, 0)]
    ids = {"train": [f"a/{i}" for i in range(6)], "test": [f"b/{i}" for i in range(4)]}
    leaks = check(train, test, ids=ids)
    assert (leaks.shared, leaks.shared_contents, leaks.across_classes, leaks.duplicates) == (1, 1, 3, 3)
    assert leaks.examples["across_classes"] == [
        ("a/0 (ant)", "a/1 (dog)"),
        ("a/2 (bee)", "b/0 (cat)"),
        ("b/1 (ant)", "b/2 (bee)"),
    ]
    assert leaks.examples["shared"] == [("a/2", "b/0")]
    assert "3 contents stand under more than one class, such as a/0 (ant) and a/1 (dog)" in describe(leaks)


def test_duplicates_of_one_class_are_told_but_are_no_leak():
    leaks = check([(1, 0), (1, 0), (2, 1)], [(3, 0)])
    assert not leaks.any
    assert leaks.duplicates == 1
    assert describe(leaks).endswith("; 1 training row repeats another, such as train row 0 and train row 1.")


def test_at_most_five_examples_and_json():
    leaks = check([(i, 0) for i in range(50)], [(i, 1) for i in range(49, -1, -1)])
    assert (leaks.shared, leaks.across_classes) == (50, 50)
    assert leaks.examples["shared"] == [(f"train row {i}", f"test row {49 - i}") for i in range(5)]
    plain = json.loads(json.dumps(leaks.model_dump(mode="json")))
    assert plain["any"] is True
    assert plain["rows"] == {"train": 50, "test": 50}
    assert plain["examples"]["shared"][0] == ["train row 0", "test row 49"]


def test_planted_leaks_among_many_rows():
    rng = np.random.default_rng(0)
    train = rng.integers(0, 256, (300_000, 16), dtype=np.uint8)
    test = rng.integers(0, 256, (50_000, 16), dtype=np.uint8)
    labels = {"train": rng.integers(0, 3, len(train)), "test": rng.integers(0, 3, len(test))}
    from_train, in_test = rng.choice(len(train), 700, replace=False), rng.choice(len(test), 700, replace=False)
    test[in_test], labels["test"][in_test] = train[from_train], labels["train"][from_train]
    twins = rng.choice(np.setdiff1d(np.arange(len(train)), from_train), (2, 90), replace=False)
    train[twins[1]], labels["train"][twins[1]] = train[twins[0]], labels["train"][twins[0]]
    labels["train"][twins[1][:31]] = 3
    leaks = find_leaks({"train": train, "test": test}, labels, CLASSES)
    assert (leaks.shared, leaks.shared_contents, leaks.across_classes, leaks.duplicates) == (700, 700, 31, 90)


def test_byte_strings_do_as_well_and_empty_splits_pass():
    rows = [content_hash(np.array([i])) for i in (1, 2, 1)]
    leaks = find_leaks(
        {"train": rows, "test": rows[:1]}, {"train": np.zeros(3, int), "test": np.zeros(1, int)}, CLASSES
    )
    assert (leaks.shared, leaks.duplicates) == (1, 1)
    assert not find_leaks({"train": [], "test": []}, {"train": np.zeros(0, int), "test": np.zeros(0, int)}, CLASSES).any
    with pytest.raises(ValueError, match="16 bytes"):
        find_leaks({"train": [b"short"]}, {"train": np.zeros(1, int)}, CLASSES)
    with pytest.raises(ValueError, match="3 hashes and labels"):
        find_leaks({"train": rows}, {"train": np.zeros(2, int)}, CLASSES)
    with pytest.raises(ValueError, match=r"\(N, 16\)"):
        find_leaks({"train": np.zeros((2, 8), np.uint8)}, {"train": np.zeros(2, int)}, CLASSES)


def test_a_content_hash_tells_pixels_mode_and_size_apart():
    grey = Image.new("L", (4, 6), 7)
    others = [
        Image.new("L", (6, 4), 7),
        Image.new("L", (4, 6), 8),
        Image.new("RGB", (4, 6), (7, 7, 7)),
        Image.new("L", (2, 12), 7),
    ]
    red, blue = Image.new("P", (4, 6)), Image.new("P", (4, 6))
    red.putpalette([255, 0, 0] * 256)
    blue.putpalette([0, 0, 255] * 256)
    hashes = [content_hash(image) for image in (grey, *others, red, blue)]
    assert len(set(hashes)) == len(hashes)
    assert content_hash(grey.copy()) == hashes[0]
    assert {len(one) for one in hashes} == {16}


def test_a_feature_row_is_hashed_by_its_float32_values():
    row = np.arange(5) / 4
    assert content_hash(row) == content_hash(row.astype(np.float16)) == content_hash(np.stack([row, row], 1)[:, 0])
    assert content_hash(row) != content_hash(row + 1)
