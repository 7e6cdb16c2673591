"""Which files of a folder are features and labels of which split, told by their names, and what is left over."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dkvb.errors import DkvbError, UsageError, some
from dkvb.recipe import Data
from dkvb.sources.entries import hidden
from dkvb.sources.file_roles import with_roles
from dkvb.sources.parts import HELD_OUT, TEST, TRAIN, Named, check_whole, named, pair, tells
from dkvb.sources.remarks import SYSTEM, Remarks

DEPTH = 4
"""Levels of folders that are looked through."""

ENDINGS = (".npy", ".npz", ".parquet", ".txt", ".csv", ".json")

SHARDS = "img_emb"
"""clip-retrieval's folder of features, beside `metadata`."""


@dataclass(frozen=True)
class Pieces:
    """The files of one split in order: each with its labels, or with None where it holds them itself."""

    files: list[tuple[Path, Path | None]]

    def where(self) -> Path:
        """The file, or the folder of several."""
        return self.files[0][0] if len(self.files) == 1 else Path(os.path.commonpath([file for file, _ in self.files]))


@dataclass(frozen=True)
class Found:
    """What a folder of features holds."""

    train: Pieces
    test: Pieces | None
    names: Path | None
    """The file of class names."""


def find_features(root: Path, data: Data, holds: str, remarks: Remarks) -> Found:
    """The files of both splits below `root`, and of `data.train` and `data.test` where they are paths.

    Raises:
        UsageError: no features at all, more than one reading, or a path that is not there.
        DkvbError: parts that are missing or left over.
    """
    chosen = {
        split: _path(root, given, f"data.{split}")
        for split, given in (("train", data.train), ("test", data.test))
        if isinstance(given, str)
    }
    files = with_roles(_walk(root, chosen, remarks), data.y_column)
    files = _shards_only(files, root, remarks)
    names = [file for file in files if file.role == "names"]
    taken = _splits([file for file in files if file.role in ("features", "labels", "both")], chosen, root, remarks)
    for file in files:
        if file.role is None:
            remarks.pass_over(f"neither features nor labels by name ({file.path.suffix})", _shown(file, root))
    if not any(file.role != "labels" for file in taken["train"]):
        _refuse_none(root, taken, holds)
    train = _pieces(taken["train"], root, remarks)
    test = _pieces(taken["test"], root, remarks) if taken["test"] else None
    if len(names) > 1:
        raise UsageError(f"{names[0].path} and {names[1].path} both list classes; which is meant? Take one out.")
    return Found(train, test, names[0].path if names else None)


def in_words(found: Found, root: Path) -> str | None:
    """What is used for what, in a line; None where train.npz and test.npz alone say it themselves."""
    plain = [file.name for of in (found.train, found.test) if of for file, _ in of.files]
    if plain in (["train.npz"], ["train.npz", "test.npz"]) and not found.names:
        return None
    said = [
        f"{split}: {_listed([file for file, _ in of.files], root)}"
        + (f" with labels of {_listed(labels, root)}" if (labels := [file for _, file in of.files if file]) else "")
        for split, of in (("train", found.train), ("test", found.test))
        if of
    ]
    return "; ".join([*said, *([f"class names: {_below(found.names, root)}"] if found.names else [])])


def _listed(files: Sequence[Path], root: Path) -> str:
    if len(files) == 1:
        return _below(files[0], root)
    return f"{_below(files[0], root)} … {files[-1].name} ({len(files)} files)"


def _below(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)


def _shown(file: Named, root: Path) -> str:
    return _below(file.path, root)


def _path(root: Path, given: str, setting: str) -> Path:
    path = Path(given).expanduser()
    for candidate in (root / path, path):
        if candidate.exists():
            return candidate
    raise UsageError(f"{setting} {given} does not exist, neither below {root} nor by itself.")


def _walk(root: Path, chosen: dict[str, Path], remarks: Remarks) -> list[Named]:
    """Every file that may be meant; others are counted."""
    found: dict[Path, Named] = {}
    for top in dict.fromkeys([root, *(path if path.is_dir() else path.parent for path in chosen.values())]):
        # a file that is named elsewhere says nothing of what lies beside it
        counted = top == root or (top in chosen.values() and not top.is_relative_to(root))
        _look_through(top, root, chosen, found, remarks if counted else Remarks())
    return list(found.values())


def _look_through(top: Path, root: Path, chosen: dict[str, Path], found: dict[Path, Named], remarks: Remarks) -> None:
    """Add the files below `top` to those that were found."""
    for here, folders, files in os.walk(top, followlinks=True):
        depth = len(Path(here).relative_to(top).parts)
        others = [
            name
            for name in folders
            if not hidden(name)
            and not any(path.is_relative_to(Path(here, name)) for path in chosen.values())
            and not (depth < DEPTH and tells(name))
        ]
        folders[:] = sorted(name for name in folders if not hidden(name) and name not in others)
        if others:
            remarks.pass_over("in a folder of another name", f"{_below(Path(here, others[0]), root)}/", len(others))
        for name in sorted(files):
            path = Path(here, name)
            if hidden(name):
                remarks.pass_over(SYSTEM, _below(path, root))
            elif path.suffix.lower() not in ENDINGS:
                remarks.pass_over(f"no features or labels ({path.suffix or 'no extension'})", _below(path, root))
            else:
                found.setdefault(path, named(path, top))


def _shards_only(files: list[Named], root: Path, remarks: Remarks) -> list[Named]:
    """Of clip-retrieval's output, img_emb and metadata: text_emb and what else it writes is not used."""
    if not any(file.path.parent.name == SHARDS for file in files):
        return files
    if rivals := [file for file in files if file.role == "both" and file.path.parent.name not in (SHARDS, "metadata")]:
        raise UsageError(
            f"{root} can be read as {_shown(rivals[0], root)} or as {SHARDS} with metadata; move one of them elsewhere,"
            " or name the one that is meant with data.train."
        )
    kept = []
    for file in files:
        if (file.path.parent.name, file.path.suffix) in ((SHARDS, ".npy"), ("metadata", ".parquet")):
            kept.append(replace(file, role="features" if file.path.parent.name == SHARDS else "labels"))
        elif file.role == "names":
            kept.append(file)
        else:
            remarks.pass_over(f"beside {SHARDS} and metadata", _shown(file, root))
    return kept


def _splits(files: list[Named], chosen: dict[str, Path], root: Path, remarks: Remarks) -> dict[str, list[Named]]:
    """The files of train and of test."""
    taken: dict[str, list[Named]] = {"train": [], "test": []}
    for split, path in chosen.items():
        taken[split] = _chosen(path, files)
    given = {file.path for of in taken.values() for file in of}
    rest = [file for file in files if file.path not in given and file.path.is_relative_to(root)]
    trained = [file for file in rest if file.split in TRAIN]
    plain = [file for file in rest if file.split is None]
    tests = [file for file in rest if file.split in TEST]
    others = [file for file in rest if file.split in HELD_OUT]
    if "train" not in chosen:
        taken["train"], trained, plain = (trained, [], plain) if trained else (plain, [], [])
    if "test" not in chosen:
        first = tests[0].split if tests else others[0].split if others else None
        if not tests and len({file.split for file in others}) > 1:
            words = some(sorted({str(file.split) for file in others}))
            raise UsageError(f"{root}: which of {words} is the test set? Name it with data.test.")
        taken["test"], tests, others = (tests, [], others) if tests else (others, [], [])
        for file in others:
            remarks.pass_over(f"of a held-out set beside {first}", _shown(file, root))
        others = []
    for file in (*trained, *plain, *tests, *others):
        remarks.pass_over("part of neither train nor test", _shown(file, root))
    return taken


def _chosen(path: Path, files: list[Named]) -> list[Named]:
    """The files that data.train or data.test means; of one file of features, with its labels beside it."""
    if path.is_dir():
        return [file for file in files if file.path.is_relative_to(path)]
    own = next((file for file in files if file.path == path), None)
    if own is None or own.role in ("labels", "names", None):
        raise UsageError(f"{path} is no file of features; give .npy, .npz, .parquet, or a folder of them.")
    if own.role == "both":
        return [own]
    beside = [file for file in files if file.role == "labels" and file.path.parent == path.parent]
    for fits in (
        [file for file in beside if (file.key, file.split) == (own.key, own.split)],
        [file for file in beside if file.split == own.split],
        beside,
    ):
        if len(fits) == 1:
            return [own, fits[0]]
    raise DkvbError(
        f"{path} needs one file of labels beside it, and there are {len(beside)}"
        f" ({some([file.path.name for file in beside]) or 'none'}); name it like the features."
    )


def _pieces(files: list[Named], root: Path, remarks: Remarks) -> Pieces:
    """Parts in order, paired with their labels."""
    whole = [file for file in files if file.role == "both"]
    features = [file for file in files if file.role == "features"]
    labels = [file for file in files if file.role == "labels"]
    if whole and features:
        raise UsageError(
            f"{root} can be read as {_listed([file.path for file in whole], root)}, which holds labels, or as"
            f" {_listed([file.path for file in features], root)} with labels beside it; move one elsewhere, or name"
            " the one that is meant with data.train or data.test."
        )
    if whole:
        for file in labels:
            remarks.pass_over("labels beside files that hold their own", _shown(file, root))
        check_whole(whole)
        unnumbered = [file for file in whole if file.number is None and not file.in_folder]
        if unnumbered and len(whole) > 1:
            raise UsageError(
                f"{root} can be read as one set of {some([_shown(file, root) for file in whole])}, or as one of them"
                " alone; number those that belong together, or name the one that is meant with data.train or"
                " data.test."
            )
        return Pieces([(file.path, None) for file in sorted(whole, key=lambda file: file.order)])
    if not features or not labels:
        there, lacks = (features, "labels") if features else (labels, "features")
        raise DkvbError(
            f"{_listed([file.path for file in there], root)} in {root} has no {lacks}: it needs one of each per shard,"
            f" such as {'labels.npy' if features else 'features.npy'} beside it, named alike."
        )
    check_whole(features)
    return Pieces([(x.path, y.path) for x, y in pair(features, labels)])


def _refuse_none(root: Path, taken: dict[str, list[Named]], holds: str) -> None:
    if tests := [file for file in taken["test"] if file.role != "labels"]:
        raise UsageError(
            f"{root} has features of a test set ({_shown(tests[0], root)}) and none to train on; name them"
            " train…, or give data.train."
        )
    if labels := [*taken["train"], *taken["test"]]:
        raise DkvbError(
            f"{root} has labels ({_shown(labels[0], root)}) and no features; the source 'features' needs {holds}."
        )
    raise UsageError(f"{root} has neither train.npz nor img_emb; the source 'features' needs {holds}.")
