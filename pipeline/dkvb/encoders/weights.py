"""Weights of frozen encoders: from a local file, the libraries' caches or a download, or random from a fixed seed."""

from __future__ import annotations

import contextlib
import difflib
import hashlib
import logging
import os
import re
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from dkvb.errors import NotHere, UsageError, some
from dkvb.recipe import WEIGHTS_FILES
from dkvb.runtime import progress
from dkvb.runtime.network import unreachable

if TYPE_CHECKING:
    import torch

T = TypeVar("T")


def local_file(value: str | None) -> Path | None:
    """The file that `encoder.weights` names, or None where it is a tag, "random" or not set.

    Raises:
        UsageError: it is written like a path and no file is there.
    """
    if value is None or value == "random":
        return None
    path = Path(value).expanduser()
    if path.is_file():
        return path
    if path.is_absolute() or path.suffix in WEIGHTS_FILES or "/" in value or os.sep in value:
        raise UsageError(
            f"encoder.weights names {path}, which is no file; give a weights file, a tag, or leave it out."
        )
    return None


def closest(name: str, known: Sequence[str]) -> str:
    """`; did you mean …?` with up to three close names of a long list, or where it starts."""
    close = difflib.get_close_matches(name, known, n=3)
    return (
        f"; did you mean {' or '.join(close)}?" if close else f"; it has {len(known)}, such as {', '.join(known[:5])}."
    )


def unknown_tag(tag: str, arch: str, tags: Sequence[str]) -> UsageError:
    listed = ", ".join(tags) or "none"
    return UsageError(
        f"encoder.weights = '{tag}' is no tag of {arch}; its tags are: {listed}. A weights file's path or 'random'"
        " works too."
    )


def seeded(build: Callable[[], T]) -> T:
    """Build a network whose random weights are always the same; the global random state stays as it was."""
    import torch

    with _quiet(), torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        return build()


def is_torchscript(path: Path) -> bool:
    """Whether a file is a TorchScript archive, the form in which OpenAI published CLIP."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("/constants.pkl") for name in archive.namelist())


def read_state_dict(path: Path) -> dict[str, torch.Tensor]:
    """Parameters by name from `.safetensors`, a TorchScript archive, or a state dict; no code in the file is unpickled.

    Raises:
        UsageError: damaged, or none of these.
    """
    import torch

    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            state: Any = load_file(path)
        elif is_torchscript(path):
            with _quiet():
                state = torch.jit.load(path, map_location="cpu").state_dict()
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except MemoryError:
        raise
    except Exception as error:  # each reader has its own errors
        reason = re.split(r"[.\n]", str(error) or type(error).__name__, maxsplit=1)[0]
        raise UsageError(
            f"The weights file {path} cannot be read ({reason}); give .safetensors, a state dict (.pt, .bin) or a"
            " TorchScript archive."
        ) from None
    if isinstance(state, Mapping) and isinstance(state.get("state_dict"), Mapping):
        state = state["state_dict"]
    if (
        not isinstance(state, Mapping)
        or not state
        or not all(isinstance(value, torch.Tensor) for value in state.values())
    ):
        raise UsageError(f"The weights file {path} holds no state dict (parameters by name); save model.state_dict().")
    return {key.removeprefix("module."): value for key, value in state.items()}


def load_into(module: torch.nn.Module, state: Mapping[str, torch.Tensor], path: Path | None, what: str) -> None:
    """Copy parameters into a network.

    Raises:
        UsageError: names or shapes differ; the message gives the first of each.
    """
    own = module.state_dict()
    faults = {
        "lacks": [key for key in own if key not in state and not key.endswith("num_batches_tracked")],
        "has besides": [key for key in state if key not in own],
        "has in another shape": [key for key in own if key in state and own[key].shape != state[key].shape],
    }
    if any(faults.values()):
        found = "; it ".join(f"{fault} {some(keys, 2)}" for fault, keys in faults.items() if keys)
        remedy = "Set encoder.name to what it holds, or give another file."
        raise UsageError(f"{path} does not hold the weights of {what}: it {found}. {remedy}")
    module.load_state_dict(dict(state), strict=False)


def state_hash(state: Mapping[str, torch.Tensor]) -> str:
    """sha256 hex digest over names, types, shapes and values, in the order of names; the same wherever the values
    lie."""
    import torch

    total = hashlib.sha256()
    for name in sorted(state):
        value = state[name].detach().cpu().contiguous()
        total.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        total.update(value.flatten().view(torch.uint8).numpy().data)
    return total.hexdigest()


def fetch(load: Callable[[], T], what: str, example: str) -> T:
    """Call a library's loader, with its hub's cache alone if that suffices, else with the network.

    Args:
        what: the weights in words.
        example: a file name under which they are found.

    Raises:
        DkvbError: they are in no cache and cannot be downloaded.
    """
    from huggingface_hub import constants

    barred = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = True
    try:
        return seeded(load)
    except Exception:  # whatever it was, the attempt with the network meets it again
        pass
    finally:
        constants.HF_HUB_OFFLINE = barred
    reason = "the environment says HF_HUB_OFFLINE" if barred else unreachable(constants.ENDPOINT)
    if reason:
        raise _missing(what, example, reason)
    progress.note(f"downloading the weights {what}")
    try:
        return seeded(load)
    except Exception as error:
        raise _missing(what, example, str(error)[:200] or type(error).__name__) from None


def fetch_url(url: str, what: str) -> Path:
    """The file that torch.hub keeps for a URL, downloaded if it is not there yet.

    Raises:
        DkvbError: it is not there and cannot be downloaded.
    """
    import torch

    file = Path(torch.hub.get_dir()) / "checkpoints" / url.rpartition("/")[2]
    if file.is_file():
        return file
    digits = re.search(r"-([0-9a-f]{8,})\.", file.name)
    try:
        if reason := unreachable(url):
            raise OSError(reason)
        progress.note(f"downloading the weights {what}")
        file.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(url, str(file), digits[1] if digits else None, progress=False)
    except (OSError, RuntimeError) as error:
        raise _missing(what, file.name, str(error)[:200], f"put {file.name} into {file.parent}, or ") from None
    return file


def _missing(what: str, example: str, reason: str, either: str = "") -> NotHere:
    return NotHere(
        f"The weights {what} are not on this machine and their download failed ({reason.rstrip('.')}). Fetch them on"
        " another machine, then "
        f'{either}set `encoder.weights = "/path/to/{example}"` in the recipe.'
    )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the libraries' warnings, logging and progress bars off stderr; what matters is said by our own errors."""
    from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    root, handler, before = logging.getLogger(), logging.NullHandler(), logging.root.manager.disable
    bars = not are_progress_bars_disabled()
    # with no handler at all, logging's shorthand functions would install one that prints, for good
    root.addHandler(handler)
    logging.disable(logging.CRITICAL)
    disable_progress_bars()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        if bars:
            enable_progress_bars()
        logging.disable(before)
        root.removeHandler(handler)
