"""Which methods an audit runs, and on what."""

from __future__ import annotations

import pytest

from dkvb import registry
from dkvb.audit.subjects import ORACLES, subjects
from dkvb.errors import UsageError


def test_every_registered_method_is_audited_once_and_lines_come_first() -> None:
    found = subjects()
    assert [(s.method, s.kind) for s in found[:6]] == [
        (line, kind) for kind in ("values", "linear", "ridge") for line in ("original", "retrained")
    ]
    assert sorted(s.method for s in found[6:]) == sorted(set(registry.methods()) - set(ORACLES))
    assert {s.kind for s in found if s.method in ("votes", "own-votes", "ssd-values", "scrub-values")} == {"values"}
    assert {s.kind for s in found if s.method in ("scrub", "delete", "pour")} == {"linear"}
    assert [s.method for s in found if s.kind == "ridge"] == ["original", "retrained", "ridge-exact"]
    (delete,) = (s for s in found if s.method == "delete")
    assert (delete.rival, delete.source, delete.label) == (True, "DELETE, CVPR 2025", "DELETE")


def test_rivals_have_a_source() -> None:
    assert all(entry.source for entry in registry.methods().values() if entry.rival)


def test_kinds_and_methods_are_chosen() -> None:
    found = subjects(["values-keys"], ["votes"])
    assert [(s.method, s.kind) for s in found] == [(name, "values-keys") for name in ("original", "retrained", "votes")]
    assert {s.kind for s in subjects((), ["votes"])} == {"values"}, "no kind that none of the methods works on"


@pytest.mark.parametrize(
    ("kinds", "methods", "said"),
    [
        (["value"], [], "did you mean 'values'"),
        ([], ["vote"], "did you mean 'votes'"),
        ([], ["retrain"], "its line 'retrained'"),
        (["linear"], ["votes"], "works on values, values-keys"),
    ],
)
def test_what_cannot_be_audited_is_refused(kinds: list[str], methods: list[str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        subjects(kinds, methods)
