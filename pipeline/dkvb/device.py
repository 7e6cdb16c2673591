"""Which device does the work, and why."""

from __future__ import annotations

from dkvb.errors import UsageError


def choose_device(wanted: str) -> tuple[str, str]:
    """The device, "cpu" or "cuda", and the reason in words.

    Raises:
        UsageError: a GPU was asked for and there is none.
    """
    if wanted == "cpu":
        return "cpu", "asked for"
    import torch

    if torch.cuda.is_available():
        return "cuda", f"torch sees {torch.cuda.get_device_name(0)}"
    reason = "this torch build has no CUDA" if torch.version.cuda is None else "torch sees no GPU"
    if wanted == "cuda":
        raise UsageError(f"--device cuda: {reason}. Use --device auto or cpu, or see what `dkvb doctor` finds.")
    return "cpu", reason
