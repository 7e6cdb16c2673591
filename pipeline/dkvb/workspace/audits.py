"""Audits that lie in a workspace."""

from __future__ import annotations

from dkvb.records.audit import Audit
from dkvb.workspace.artifacts import Workspace


def audits(workspace: Workspace) -> list[Audit]:
    """All of them, the one last made or used last.

    Raises:
        SettingsClash: another version of dkvb wrote one of them, with other fields.
    """
    return [artifact.entry(Audit, skipped=True) for artifact in workspace.all("audit") if artifact.kind == "audit"]
