"""An audit as a table of numbers: a row for each method, kind of model and measure."""

from __future__ import annotations

from collections.abc import Sequence

import polars

from dkvb.records.audit import Audit

SCHEMA = {
    "data": polars.String,
    "seed": polars.Int64,
    "forget": polars.String,
    "method": polars.String,
    "label": polars.String,
    "model": polars.String,
    "rival": polars.Boolean,
    "models": polars.Int64,
    "oracles": polars.Int64,
    "settings": polars.String,
    "measure": polars.String,
    "value": polars.Float64,
    "low": polars.Float64,
    "high": polars.Float64,
    "null": polars.Float64,
    "null_low": polars.Float64,
    "null_high": polars.Float64,
    "nothing": polars.Float64,
    "direction": polars.String,
    "separates": polars.Float64,
    "seconds": polars.Float64,
    "seconds_choosing": polars.Float64,
    "flops": polars.Int64,
    "bytes": polars.Int64,
    "missing": polars.String,
}
"""`missing` says why there is no value: the method failed, or the measure could not be taken."""

OF_MEASURE = ("value", "low", "high", "null", "null_low", "null_high", "nothing", "direction", "separates")
OF_ENTRY = (
    *("seed", "method", "label", "model", "rival", "models", "settings"),
    *("seconds", "seconds_choosing", "flops", "bytes"),
)


def frame(audits: Sequence[Audit]) -> polars.DataFrame:
    """All measures of some audits, those that are missing as well, with empty cells for numbers."""
    rows: list[dict[str, object]] = []
    for audit in audits:
        shared = {"data": audit.name, "oracles": audit.oracles, "forget": ", ".join(audit.forget_names)}
        for entry in audit.entries:
            mine = shared | {name: getattr(entry, name) for name in OF_ENTRY}
            for name, of in entry.measures.items():
                rows.append(mine | {"measure": name} | {column: getattr(of, column) for column in OF_MEASURE})
            rows += [mine | {"measure": name, "missing": why} for name, why in entry.left_out.items()]
            if entry.error is not None:
                rows.append(mine | {"missing": entry.error})
    return polars.DataFrame(rows, schema=SCHEMA)
