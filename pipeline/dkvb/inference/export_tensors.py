"""The tensors of an export: their shapes and types by the file's header, before room is made for them; then their
numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import safetensors.numpy
from safetensors import safe_open

from dkvb.inference.export_config import BINDING, ExportConfig, Shapes
from dkvb.workspace import tensors

FLOAT, BOOL = "F32", "BOOL"


def expected(shapes: Shapes) -> dict[str, tuple[str, list[int]]]:
    """Name -> type and shape."""
    codebooks, pairs, dim = shapes.codebooks, shapes.pairs, shapes.dim
    return {
        "projection": (FLOAT, [codebooks, shapes.width, dim]),
        "keys": (FLOAT, [codebooks, pairs, dim]),
        "values": (FLOAT, [codebooks, pairs, shapes.classes]),
        "centre": (FLOAT, [codebooks, dim]),
        "allowed": (BOOL, [codebooks, pairs]),
        "unused": (BOOL, [codebooks, pairs]),
    }


def read_header(file: Path, config: ExportConfig, mend: str) -> str | None:
    """Compare names, types and shapes with the config; the hash of the config that the tensors belong to, None where
    they were written before there was one.

    Raises:
        ValueError: says what does not agree.
        DamagedArtifact: the file cannot be read.
    """
    with tensors.reading(file, mend), safe_open(file, framework="numpy") as opened:
        names = set(opened.keys())
        for name, (kind, shape) in expected(config.shapes).items():
            if name not in names:
                raise ValueError(f"{file.name} has no {name}")
            there = opened.get_slice(name)
            if (there.get_dtype(), there.get_shape()) != (kind, shape):
                raise ValueError(
                    f"{name} is {there.get_dtype()} {there.get_shape()} in {file.name}, and by config.json it is"
                    f" {kind} {shape}"
                )
        if config.hashed and (more := sorted(names - set(expected(config.shapes)))):
            raise ValueError(f"{file.name} has {more[0]}, which belongs to no export")
        return (opened.metadata() or {}).get(BINDING)


def read(file: Path, config: ExportConfig, mend: str) -> dict[str, np.ndarray]:
    """Name -> array, whose numbers are those of a model.

    Raises:
        ValueError: says what cannot be.
        DamagedArtifact, DkvbError: the file cannot be read.
    """
    with tensors.reading(file, mend):
        arrays = safetensors.numpy.load_file(file)
    if wrong := next(impossible(arrays), None):
        raise ValueError(wrong)
    for name, count in (("masked", ~(arrays["allowed"] | arrays["unused"])), ("unused", arrays["unused"])):
        if (found := int(count.sum())) != getattr(config, name):
            raise ValueError(f"{found} pairs are {name}, and by config.json {getattr(config, name)} are")
    return arrays


def impossible(arrays: Mapping[str, np.ndarray]) -> Iterator[str]:
    """What no model holds, in words."""
    for name in ("projection", "keys", "values", "centre"):
        # codebook by codebook: what it takes does not grow with the model
        if not all(np.isfinite(part).all() for part in arrays[name]):
            yield f"{name} holds NaN or infinite values"
    if (arrays["allowed"] & arrays["unused"]).any():
        yield "a pair is both allowed and unused"
