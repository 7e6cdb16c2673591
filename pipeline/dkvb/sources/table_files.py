"""Parquet, Arrow and CSV files of columns, read some rows at a time where the format allows it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dkvb.errors import DkvbError

if TYPE_CHECKING:
    import polars as pl

KINDS = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".arrow": "arrow",
    ".feather": "arrow",
    ".ipc": "arrow",
    ".csv": "csv",
    ".tsv": "csv",
}
"""Ending of a file's name -> its format."""

BLOCK = 65536
"""Rows read together."""


@dataclass(frozen=True)
class TableFile:
    """One file of columns."""

    path: Path

    @property
    def kind(self) -> str:
        return KINDS[self.path.suffix.lower()]

    @cached_property
    def schema(self) -> dict[str, pl.DataType]:
        """Column name -> type; of a CSV file, as its first rows say."""
        with self._reading():
            return dict(self._scan(None).collect_schema())

    @cached_property
    def rows(self) -> int:
        import polars as pl

        with self._reading():
            return int(self._scan([]).select(pl.len()).collect().item())

    def blocks(self, columns: Sequence[str], real: bool = False) -> Iterator[pl.DataFrame]:
        """Some columns, a block of rows after the other; text is not parsed more than once, so that a CSV file is one
        block.

        Args:
            real: of a CSV file, read these columns as float32; else as text.

        Raises:
            DkvbError: the file is damaged, or holds what is no number.
        """
        scan = self._scan(columns if real else [])
        step = max(self.rows, 1) if self.kind == "csv" or self._stream else BLOCK
        for start in range(0, self.rows, step):
            with self._reading():
                block = scan.select(columns).slice(start, step).collect()
            yield block

    def column(self, name: str) -> np.ndarray:
        """(rows,) of one column: numbers, or objects where it is text or lacks some."""
        import polars as pl

        read = pl.concat([block[name] for block in self.blocks([name])]) if self.rows else pl.Series([], dtype=pl.Int64)
        if isinstance(read.dtype, pl.Categorical | pl.Enum):
            read = read.cast(pl.String)
        return read.to_numpy() if read.dtype.is_numeric() else np.array(read.to_list(), object)

    @cached_property
    def _stream(self) -> bool:
        """Whether an Arrow file is of the streaming format, which has no table of contents."""
        if self.kind != "arrow":
            return False
        with open(self.path, "rb") as file:
            return file.read(6) != b"ARROW1"

    def _scan(self, real: Sequence[str] | None) -> pl.LazyFrame:
        """The file, nothing read yet. Of a CSV file: columns in `real` as float32, all others as text; None to look at
        what they hold."""
        import polars as pl

        if self.kind == "parquet":
            return pl.scan_parquet(self.path)
        if self._stream:
            return pl.read_ipc_stream(self.path).lazy()
        if self.kind == "arrow":
            return pl.scan_ipc(self.path)
        separator = "\t" if self.path.suffix.lower() == ".tsv" else ","
        if real is None:
            return pl.scan_csv(self.path, separator=separator, infer_schema_length=1000)
        types = dict.fromkeys(real, pl.Float32)
        return pl.scan_csv(self.path, separator=separator, infer_schema_length=0, schema_overrides=types)

    @contextmanager
    def _reading(self) -> Iterator[None]:
        import polars as pl

        try:
            yield
        except (OSError, pl.exceptions.PolarsError) as error:
            reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise DkvbError(
                f"{self.path} cannot be read as {self.kind} ({reason}); mend it, or copy it again."
            ) from None
