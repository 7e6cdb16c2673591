"""Options of `dkvb verify`: the thresholds of its checks."""

from __future__ import annotations

from typing import Any

from dkvb.commands.declare import flag, number_or

_LIMITS: dict[str, Any] = {"rich_help_panel": "Limits"}

LIMITS = {
    "max_forget": flag(
        str | None,
        "--max-forget",
        metavar="SHARE|chance",
        help="Highest accuracy of a forgotten class [default: 0.01].",
        sets="verify.max_forget",
        read=number_or("chance", float, "--max-forget"),
        **_LIMITS,
    ),
    "max_retain_drop": flag(
        float | None,
        "--max-retain-drop",
        metavar="SHARE",
        help="Most test accuracy by which the other classes may be behind a retrained model [default: 0.02].",
        sets="verify.max_retain_drop",
        **_LIMITS,
    ),
    "max_class_drop": flag(
        float | None,
        "--max-class-drop",
        metavar="SHARE",
        help="The same of one class, where that is more [default: 0.05].",
        sets="verify.max_class_drop",
        **_LIMITS,
    ),
    "min_retain": flag(
        float | None,
        "--min-retain",
        metavar="SHARE",
        help="Lowest test accuracy of the other classes.",
        sets="verify.min_retain",
        **_LIMITS,
    ),
    "max_relearn": flag(
        float | None,
        "--max-relearn",
        metavar="SHARE",
        help="Most by which a class that is learned again may be ahead of a retrained model [default: any].",
        sets="verify.max_relearn",
        **_LIMITS,
    ),
    "max_distance": flag(
        float | None,
        "--max-distance",
        metavar="SHARE",
        help="Farthest that answers to a forgotten class's samples may be from a retrained model's [default: any].",
        sets="verify.max_distance",
        **_LIMITS,
    ),
}
"""Thresholds of `dkvb verify`."""
