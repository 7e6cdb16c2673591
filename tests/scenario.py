"""One command after another on the digits at 4x4 pixels, with which golden copies of an earlier version were made."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from dkvb.cli import app

RECIPE = """
name = "small"
[data]
source = "digits"
[encoder]
name = "pixels"
size = 4
[keys]
codebooks = 8
pairs = 32
dim = 4
top_k = 1
epochs = 2
neighbours = 4
[train]
epochs = 4
[linear]
epochs = 4
converged = false
[scrub]
min_steps = 4
[unlearn]
forget = ["3"]
target = "chance"
[verify]
samples = [5]
epochs = 2
"""

MODELS = {
    "embed": "embed",
    "quantize": "quantize",
    "train": "train",
    "unlearn": "unlearn --method activations --method logit-mask --na 40",
    "forget": "forget 3",
}
"""What the golden workspace holds."""

EVERYTHING = {
    **MODELS,
    "unlearn, measured": "unlearn --method examples --method scrub --sweep --retrain 1 --ne 20",
    "unlearn, controls": "unlearn --method scrub-values --method scrub-r --method retrain --method retrain-linear",
    "membership": "membership --forget 3 --held-out 5 --methods activations,logit-mask",
    "forget, planned": "forget 5 --na 40 --plan",
    "forget, another": "forget 5 --na 40",
    "restore": "restore r0002",
    "verify": "verify --max-forget 1 --max-retain-drop 1",
    "receipt": "receipt r0001",
    "export": "export exported",
    "predict": "predict digit.png --top 2",
    "status": "status",
    "reproduce": "reproduce --dry-run",
    "purge": "purge r0001 --yes",
    "receipt, purged": "receipt r0001",
    "status, purged": "status",
    "ledger": "ledger",
    "report": "report",
    "doctor": "doctor",
}

ASKED = {
    "status": "status",
    "embed": "embed",
    "quantize": "quantize",
    "train": "train",
    "unlearn": MODELS["unlearn"],
    "forget": MODELS["forget"],
    "predict": "predict digit.png --top 3 --keep-labels",  # 0.1 left forgotten classes among the answers
    "receipt": "receipt r0001",
    "forget, another": "forget 5 --na 40",
    "restore": "restore r0002",
    "ledger": "ledger",
}
"""Asked of the golden workspace. The answers depend on stored codes and values, so they are the same anywhere."""


def play(folder: Path, commands: dict[str, str] = EVERYTHING) -> Iterator[tuple[str, dict[str, Any]]]:
    """What each command prints with --json. The workspace is below `folder`."""
    (folder / "small.toml").write_text(RECIPE, encoding="utf-8")
    _digit(folder / "digit.png")
    places = ["--recipe", f"{folder}/small.toml", "--data-dir", f"{folder}/data", "--reports-dir", f"{folder}/reports"]
    for label, words in commands.items():
        words = re.sub(r"exported|digit\.png", lambda name: str(folder / name[0]), words)
        result = CliRunner().invoke(app, [*words.split(), *places, "--json"])
        assert result.exit_code == 0, f"dkvb {words}: {result.exit_code}: {result.stderr}{result.exception!r}"
        yield label, json.loads(result.stdout)


def _digit(path: Path) -> None:
    """One of the digits as an image."""
    from PIL import Image
    from sklearn.datasets import load_digits

    Image.fromarray((load_digits().images[7] * 255 / 16).round().astype("uint8")).save(path)


def files(folder: Path) -> dict[str, list[Any]]:
    """What the workspace and the export hold that other programs may read, by kind."""
    data, kinds = folder / "data", {}
    for path in sorted(data.rglob("manifest.json")):
        manifest = _json(path)
        place = "membership" if path.is_relative_to(data / "membership") else ""
        settings = manifest["settings"]
        words = place, manifest["stage"], settings.get("kind"), settings.get("model"), settings.get("method")
        own = {name: manifest.pop(name) for name in ("settings", "inputs", "result")}
        kinds.setdefault(" ".join(["manifest of", *filter(None, words)]), []).append(own)
        kinds.setdefault("manifest", []).append(manifest | {"files": list(manifest["files"].values())})
    for kind, pattern in (("request", "requests/*/request.json"), ("receipt", "receipts/*.json")):
        kinds[kind] = [_json(path) for path in sorted(data.glob(pattern))]
    kinds["ledger"] = [json.loads(line) for line in (data / "ledger.jsonl").read_text(encoding="utf-8").splitlines()]
    kinds["export"] = [_json(folder / "exported" / "config.json")] if (folder / "exported").exists() else []
    return kinds


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def keys(value: Any) -> dict[str, str]:
    """Every path of keys in a JSON value and the types that stand there; the entries of a list count as one."""
    found: dict[str, set[str]] = {}

    def walk(part: Any, at: str) -> None:
        if isinstance(part, dict):
            for key, inner in part.items():
                walk(inner, f"{at}.{re.sub('^faiss-.*', 'faiss', key)}")
        elif isinstance(part, list):
            for inner in part:
                walk(inner, f"{at}[]")
        if not (part and isinstance(part, dict | list)):  # of the others, what they hold tells
            kind = "number" if type(part) in (int, float) else type(part).__name__
            found.setdefault(at, set()).add(kind)

    walk(value, "")
    return {path: " ".join(sorted(kinds)) for path, kinds in sorted(found.items())}


def everything(
    folder: Path, look: Callable[[str, dict[str, Any]], None] = lambda command, answer: None
) -> tuple[dict[str, dict[str, str]], dict[str, dict[str, str]]]:
    """The keys of what every command prints and of every kind of file, from before and after the purge.

    Args:
        look: called with each command's name and what it printed.
    """
    printed, kept = {}, {}
    for label, entry in play(folder):
        look(EVERYTHING[label].split()[0], entry)
        printed[label] = keys(entry)
        if label in ("reproduce", "doctor"):
            for kind, contents in files(folder).items():
                kept.setdefault(kind, []).extend(contents)
    return printed, {kind: keys(contents) for kind, contents in kept.items()}


MOVING = re.compile(
    "input|seconds|created|restored|time|hash|sha256|previous|versions|artifact|path|page|bytes|next|what|done|not_claimed|note"
)


def steady(value: Any) -> Any:
    """A JSON value without what differs from run to run: times, places, prose, and hashes over any of them."""
    if isinstance(value, dict):
        moving = {
            key for key, inner in value.items() if MOVING.search(key) or (key == "receipt" and isinstance(inner, str))
        }
        return {key: steady(inner) for key, inner in value.items() if key not in moving}
    return [steady(inner) for inner in value] if isinstance(value, list) else value
