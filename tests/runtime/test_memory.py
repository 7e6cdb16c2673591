"""The memory that this process may fill: the machine's, or what a control group leaves of it."""

from pathlib import Path

import psutil
import pytest

from dkvb.runtime.memory import machine_memory


def test_without_limits_it_is_the_machines(tmp_path: Path) -> None:
    assert machine_memory(tmp_path / "none", tmp_path) == pytest.approx(psutil.virtual_memory().total, rel=0.02)


@pytest.mark.parametrize(
    ("said", "limits"),
    [
        ("0::/a/b\n", {"a/memory.max": "4096", "a/b/memory.max": "max"}),
        ("5:cpu:/x\n4:memory:/a/b\n", {"memory/a/b/memory.limit_in_bytes": "4096", "x/memory.max": "1"}),
        ("0::/elsewhere\n", {"memory.max": "4096"}),
    ],
    ids=["the group around", "version 1", "a container's own"],
)
def test_the_smallest_limit_of_its_groups_counts(tmp_path: Path, said: str, limits: dict[str, str]) -> None:
    own, groups = tmp_path / "cgroup", tmp_path / "groups"
    own.write_text(said)
    for name, limit in limits.items():
        (groups / name).parent.mkdir(parents=True, exist_ok=True)
        (groups / name).write_text(limit + "\n")
    assert machine_memory(own, groups) == 4096
