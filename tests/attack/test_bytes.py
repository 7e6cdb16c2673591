"""Single bytes that change in any kind of file: each is named, or the file is one that nothing is read from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from attacked import HARMLESS, SEED, Site, copied, named_or_healed, reads

FLIPS = 100

HEALED_EACH = 5
"""Of so many flips, the check of one is followed by --heal."""


def kinds(site: Site) -> dict[str, list[Path]]:
    """All files that are no locks, by kind: where they lie and what they are, whatever they are called."""
    found: dict[str, list[Path]] = {}
    for path in sorted([*site.folder.glob("data/**/*"), *site.folder.glob("reports/**/*")]):
        parts = path.relative_to(site.folder).parts
        if not path.is_file() or ".locks" in parts or path.stat().st_size == 0:
            continue
        array = [*parts[3 : parts.index("c")], "chunk"] if "c" in parts else [path.suffix]
        found.setdefault("/".join([*parts[:2], *array]) if len(parts) > 2 else path.name, []).append(path)
    return found


def cases() -> list[Any]:
    return [pytest.param(n, marks=[] if n == 3 else pytest.mark.slow) for n in range(FLIPS)]


@pytest.mark.parametrize("number", cases())
def test_a_byte_that_changed_is_named(number: int, full_site: Site, tmp_path: Path, ended: Any) -> None:
    site = copied(full_site, tmp_path / "site")
    rng = np.random.default_rng([SEED, 100, number])
    every = kinds(site)
    of_kind = every[sorted(every)[number % len(every)]]  # each kind in its turn
    path = of_kind[rng.integers(len(of_kind))]
    held = bytearray(path.read_bytes())
    at = rng.integers(len(held))
    held[at] ^= int(rng.integers(1, 256))
    path.write_bytes(held)
    name = path.relative_to(site.folder).as_posix()
    print(name, at)
    if problems := site.problems():
        where = [one["where"] for one in problems if one["stage"] not in ("ledger", "report")]
        assert not where or any(path.is_relative_to(one) for one in where), problems
        ended(named_or_healed(site, full_site) if number % HEALED_EACH == 0 else "named")
        return
    assert name in HARMLESS, f"byte {at} of {name} is {held[at]}, and nothing says so"
    assert reads(site) == reads(full_site)
    ended("harmless")


@pytest.mark.slow
def test_all_kinds_of_files_are_among_them(full_site: Site) -> None:
    assert len(kinds(full_site)) > 40
    assert len(kinds(full_site)) <= FLIPS
