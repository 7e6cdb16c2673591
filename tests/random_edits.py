"""An editor that changes anything in a workspace, at random."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from attacked import Site

JSON = (
    *("data/requests/*/*.json", "data/receipts/*.json", "data/ledger.jsonl", "data/ledger.head.json"),
    *("data/*/*/manifest.json", "data/exported/config.json", "data/recipe.json", "reports/data/*.json"),
)


def at_random(site: Site, rng: np.random.Generator) -> tuple[str, str]:
    """Change anything: a field of a JSON file, or a whole file. Returns what, in words, and the path below the site."""
    if rng.random() < 0.5:
        places = [place for place in JSON if any(site.folder.glob(place))]
        place = places[rng.integers(len(places))]
        there = sorted(site.folder.glob(place))
        path = there[rng.integers(len(there))]
        name = path.relative_to(site.folder).as_posix()
        return f"{name}: {_field_changed(path, rng)}", name
    every = [one for one in sorted(site.folder.rglob("*")) if one.is_file() and ".locks" not in one.parts]
    every = [one for one in every if one.name != "tiny.toml"]
    folders = sorted({one.parent for one in every})  # else nearly all are chunks
    folder = folders[rng.integers(len(folders))]
    inside = [one for one in every if one.parent == folder]
    path = inside[rng.integers(len(inside))]
    other = every[rng.integers(len(every))]
    held = path.read_bytes()
    kind = ("swapped with", "deleted", "doubled", "truncated", "replaced by")[rng.integers(5)]
    if kind == "deleted":
        path.unlink()
    else:
        new = {"doubled": held * 2, "truncated": held[: len(held) // 2]}.get(kind, other.read_bytes())
        path.write_bytes(new)
    if kind == "swapped with":
        other.write_bytes(held)
    name = path.relative_to(site.folder).as_posix()
    return f"{name}: {kind} {other.relative_to(site.folder)}", name


def _field_changed(path: Path, rng: np.random.Generator) -> str:
    """Change one number, text, truth value or list of a JSON file; what, in words."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.suffix == ".jsonl" else [path.read_text("utf-8")]
    at = int(rng.integers(len(lines)))
    value = json.loads(lines[at])
    holder, key = list(_leaves(value))[rng.integers(len(list(_leaves(value))))]
    before = holder[key]
    if isinstance(before, bool):
        holder[key] = not before
    elif isinstance(before, int | float):
        holder[key] = before + 1
    elif isinstance(before, str):
        holder[key] = before[:-1] + chr(ord(before[-1]) ^ 1) if before else "x"
    elif isinstance(before, list):
        holder[key] = before[1:]
    else:
        holder[key] = 1
    lines[at] = json.dumps(value, indent=None if path.suffix == ".jsonl" else 1)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return f"{key} from {before!r} to {holder[key]!r}"


def _leaves(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every field that holds no other field, as what holds it and its key there."""
    fields = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in fields:
        if isinstance(inner, dict | list) and inner:
            yield from _leaves(inner)
        if not isinstance(inner, dict) or not inner:
            yield value, key
