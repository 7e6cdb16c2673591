"""Data sets of Hugging Face's `datasets`: saved with `save_to_disk`, as parquet files, or by their name on the hub."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dkvb.errors import DkvbError, NotHere, UsageError, some
from dkvb.recipe import Data
from dkvb.sources.assembly import Features, Images, feature_source, image_source
from dkvb.sources.base import FeatureSource, ImageSource, UnreadableImage, digest
from dkvb.sources.class_ids import Labels, as_read
from dkvb.sources.columns import FEATURES, IMAGES, chosen, label_column, split_of, usual
from dkvb.sources.images import indices, read_image
from dkvb.sources.numeric import rows_of_lists, scaled
from dkvb.sources.remarks import Remarks

if TYPE_CHECKING:
    from PIL import Image

HOLDS = (
    "a folder of save_to_disk, a parquet file or a folder of such, or a name on the hub (user/name or user/name:config)"
)
FILES = {".parquet": "parquet", ".arrow": "arrow"}
BLOCK = 8192


def open_images(data: Data) -> ImageSource:
    """Images of the column that holds some (`data.x_column`, else by type), with the names of a ClassLabel as classes.

    Images stay encoded in the library's Arrow files and are decoded when they are asked for. Splits called train and
    test; without a test split that has labels, validation is taken, else `data.test` of every class is set aside.

    Raises:
        UsageError: `datasets` is not installed, nothing lies at the path, or there is no such column or split.
        NotHere: a name on the hub that cannot be reached from here.
        DkvbError: labels are missing or out of range, or classes cannot be learned.
    """
    remarks = Remarks()
    splits = _splits(data, remarks)
    x, y = _columns(splits[0], data, _is_image, IMAGES, "images")
    parts = [Images(split.labels(y), indices(len(split.rows)), split.images(x, data.exif_rotate)) for split in splits]
    files = [split.files for split in splits]
    return image_source(parts, _names(splits[0].rows.features[y]), data, lambda: digest(_stamps(files)), remarks)


def open_features(data: Data) -> FeatureSource:
    """Features of the column that holds lists of numbers (`data.x_column`, else by its usual names, else the only one).

    Raises:
        as `open_images`, and DkvbError where the lists differ in length or hold what is no number.
    """
    remarks = Remarks()
    splits = _splits(data, remarks)
    x, y = _columns(splits[0], data, _is_vector, FEATURES, "lists of numbers")
    parts = [Features(split.labels(y), split.vectors(x, data)) for split in splits]
    return feature_source(parts, _names(splits[0].rows.features[y]), data, remarks)


@dataclass(frozen=True)
class _Split:
    name: str
    rows: Any
    """A `datasets.Dataset`."""
    where: str

    def labels(self, column: str) -> Labels:
        return as_read(_arrow(self.rows, column).to_numpy(), self.where)

    def images(self, column: str, exif_rotate: bool) -> Callable[[int], Image.Image]:
        import datasets

        encoded = self.rows.select_columns([column])
        if isinstance(encoded.features[column], datasets.Image):
            encoded = encoded.cast_column(column, datasets.Image(decode=False))
        return _Encoded(encoded, column, exif_rotate, self.name)

    def vectors(self, column: str, data: Data) -> np.ndarray:
        """(N, D) float32, filled block by block."""
        batches = self.rows.select_columns([column]).with_format("arrow").iter(batch_size=BLOCK)
        where = f"{self.where}, column '{column}'"
        x = rows_of_lists((batch[column] for batch in batches), len(self.rows), where)
        return scaled(x, "int" in str(self.rows.features[column].feature.dtype), data, where)

    @property
    def files(self) -> list[str]:
        """The Arrow files that hold the rows."""
        return [file["filename"] for file in self.rows.cache_files]


@dataclass(frozen=True)
class _Encoded:
    """Row to image of a column of encoded images."""

    rows: Any
    column: str
    exif_rotate: bool
    split: str

    def __call__(self, row: int) -> Image.Image:
        cell = self.rows[row][self.column]
        id = f"{self.split} {row}"
        if isinstance(cell, dict):
            cell = cell["bytes"] if cell.get("bytes") is not None else cell["path"] and Path(cell["path"])
        if cell is None:
            raise UnreadableImage(id, "there is no image in this row")
        return read_image(cell, id=id, exif_rotate=self.exif_rotate)


def _splits(data: Data, remarks: Remarks) -> list[_Split]:
    """The training split and, where there is one with labels, the test split."""
    held = _load(data.path)
    names = list(held)
    train = _split_named(names, data.train, "train") if data.train is not None else None
    train = train or next((name for name in names if split_of(name) == "train"), names[0] if len(names) == 1 else None)
    if train is None:
        raise UsageError(f"{data.path} has the splits {', '.join(names)}; say which is for training: train in [data].")
    if isinstance(data.test, str):
        test: str | None = _split_named(names, data.test, "test")
    else:
        test = _test(held, train, data, remarks)
    return [_Split(name, held[name], f"{data.path}, split {name}") for name in (train, test) if name is not None]


def _test(held: Mapping[str, Any], train: str, data: Data, remarks: Remarks) -> str | None:
    """The split called test, else validation, that has labels; says which are left."""
    found, unused = None, []
    for name in sorted((name for name in held if name != train), key=lambda name: split_of(name) != "test"):
        if found is None and split_of(name) in ("test", "validation"):
            if not _unlabelled(held[name], data):
                found = name
                continue
            remarks.notes.append(f"split '{name}' ({len(held[name]):,} rows) has no labels: not used")
        else:
            unused.append(f"'{name}'")
    if found is not None and split_of(found) == "validation":
        remarks.notes.append(f"split '{found}' is the test set")
    if unused:
        remarks.notes.append(f"split {some(unused)} is not used; train and test in [data] choose others")
    return found


def _arrow(rows: Any, column: str) -> Any:
    return rows.select_columns([column]).with_format("arrow")[:][column]


def _split_named(names: list[str], wanted: str, key: str) -> str:
    if wanted in names:
        return wanted
    if (last := Path(wanted).name) in names:  # a recipe's path from the root on, where a folder has a split's name
        return last
    raise UsageError(f"There is no split '{wanted}' (data.{key}); there are {', '.join(names)}.")


def _unlabelled(rows: Any, data: Data) -> bool:
    """Whether a split has -1 for every label, as the hub's test splits have whose labels are kept back."""
    y = label_column(rows.column_names, data.y_column, data.path)
    return set(rows.unique(y)) <= {-1, None}


def _columns(
    split: _Split, data: Data, fits: Callable[[Any], bool], names: tuple[str, ...], holds: str
) -> tuple[str, str]:
    """The columns of images or features, and of labels."""
    import datasets

    features: Mapping[str, Any] = split.rows.features
    labels = [name for name, kind in features.items() if isinstance(kind, datasets.ClassLabel)]
    y = label_column(features, data.y_column or (labels[0] if len(labels) == 1 else None), split.where)
    if data.x_column is not None:
        x = chosen(features, data.x_column, "x_column", split.where)
        if not fits(features[x]):
            raise UsageError(f"{split.where}: the column '{x}' ({features[x]}) does not hold {holds}. {_other(holds)}")
        return x, y
    fitting = [name for name, kind in features.items() if name != y and fits(kind)]
    found = usual(fitting, names) or (fitting[0] if len(fitting) == 1 else None)
    if found is None:
        has = ", ".join(f"{name} ({type(kind).__name__})" for name, kind in features.items())
        several = f"several columns that hold {holds} ({', '.join(fitting)})" if fitting else f"no column with {holds}"
        fix = "say which: x_column in [data]." if fitting else _other(holds)
        raise UsageError(f"{split.where} has {several}; its columns are {has}. {fix[0].upper()}{fix[1:]}")
    return found, y


def _other(holds: str) -> str:
    other = ("huggingface-features", "embeddings") if holds == "images" else ("huggingface", "images")
    return f'For {other[1]}, set source = "{other[0]}" in [data].'


def _is_image(kind: Any) -> bool:
    import datasets

    encoded = isinstance(kind, dict) and "bytes" in kind
    return isinstance(kind, datasets.Image) or encoded or getattr(kind, "dtype", None) in ("binary", "large_binary")


def _is_vector(kind: Any) -> bool:
    import datasets

    lists = (datasets.Sequence, getattr(datasets, "List", datasets.Sequence), getattr(datasets, "LargeList", list))
    inner = getattr(kind, "feature", None) if isinstance(kind, lists) else None
    return str(getattr(inner, "dtype", "")).startswith(("float", "int", "uint"))


def _names(kind: Any) -> list[str] | None:
    """Names of a ClassLabel."""
    names = getattr(kind, "names", None)
    return [str(name) for name in names] if names else None


def _stamps(files: list[list[str]]) -> Iterator[str]:
    """What tells files apart: of those in the library's cache the path there, which holds the version or the time of
    what they were made from; of others name, size in bytes and modification time (ns)."""
    import datasets

    cache = Path(datasets.config.HF_DATASETS_CACHE)
    for path in (Path(name) for of_split in files for name in of_split):
        status = path.stat()
        if path.is_relative_to(cache):
            yield f"{path.relative_to(cache).as_posix()}\0{status.st_size}"
        else:
            yield f"{path.name}\0{status.st_size}\0{status.st_mtime_ns}"


def _load(path: str | None) -> Mapping[str, Any]:
    """Split name -> Dataset.

    Raises:
        UsageError, NotHere, DkvbError: as `open_images`.
    """
    if path is None:
        raise UsageError(f"The source 'huggingface' needs data.path: set it to {HOLDS}.")
    try:
        import datasets
    except ImportError:
        raise UsageError(
            "The source 'huggingface' needs Hugging Face's datasets: pip install 'dkvb[huggingface]'."
        ) from None
    if not sys.stderr.isatty():
        datasets.disable_progress_bars()
    here = Path(path)
    if here.is_absolute() and not here.exists():
        raise UsageError(f"data.path {path} does not exist; set it to {HOLDS} (or pass --data-root).")
    try:
        held = _read(datasets, here) if here.exists() else _fetched(datasets, path)
    except (DkvbError, MemoryError):
        raise
    except Exception as error:  # the library's readers raise nearly anything on what they cannot read
        reason = str(error).strip() or type(error).__name__
        raise DkvbError(f"{path} cannot be read with datasets ({reason}); give {HOLDS}.") from None
    return held if isinstance(held, dict) else {"train": held}


def _read(datasets: Any, path: Path) -> Any:
    if (path / "dataset_dict.json").is_file() or (path / "state.json").is_file():
        return datasets.load_from_disk(str(path))
    if path.is_file():
        if path.suffix.lower() not in FILES:
            raise UsageError(f"data.path {path} is no file that datasets reads ({', '.join(FILES)}); give {HOLDS}.")
        return datasets.load_dataset(FILES[path.suffix.lower()], data_files=str(path))
    if not any(path.iterdir()):
        raise UsageError(f"data.path {path} is empty; give {HOLDS}.")
    return datasets.load_dataset(str(path))


def _fetched(datasets: Any, name: str) -> Any:
    """A data set of the hub, from the library's cache or over the network."""
    repository, _, config = name.partition(":")
    try:
        return datasets.load_dataset(repository, config or None)
    except (OSError, datasets.exceptions.DatasetsError) as error:
        raise NotHere(
            f"{name} is neither a path nor in the cache of datasets, and it cannot be had from the hub"
            f" ({type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else 'no answer'})."
            f' Check the name; or where there is a network, load_dataset("{name}").save_to_disk("folder"), and set'
            " data.path to that folder."
        ) from None
