"""Names with terminal escapes and text that turns lines round, through every command: none reaches who reads."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from conftest import TOML, blobs
from dkvb.cli import app
from dkvb.runtime import progress
from dkvb.runtime.visible import all_visible, visible
from page_text import payload

NAMES = ["cat\x1b[31m", "dog\u202e", "[red]\x07ant[/red]", "bee\u2028\x9b2J"]

SHORT = {
    "codebooks = 20": "codebooks = 6",
    "[linear]": "[linear]\nconverged = false",
}

COMMANDS = [
    "embed",
    "train",
    "unlearn --method activations --method logit-mask --na 20",
    "forget FORGET --na 20",
    "status",
    "predict NEW --top 4",
    "predict NEW --csv answers.csv",
    "export exported",
    "receipt r0001",
    "ledger",
    "report",
    "verify --max-forget 1 --max-retain-drop 1",
    "restore r0001",
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A recipe whose classes have such names, and new samples in a file that has one."""
    blobs(tmp_path / "tiny-data", train=80, test=40)
    for split in ("train", "test"):
        with np.load(tmp_path / "tiny-data" / f"{split}.npz") as arrays:
            held = {**arrays, "classes": np.array(NAMES)}
        np.savez(tmp_path / "tiny-data" / f"{split}.npz", **held)
    held.pop("classes")
    np.savez(tmp_path / "new\x9b.npz", **held)
    text = TOML
    for old, new in SHORT.items():
        text = text.replace(old, new)
    (tmp_path / "dkvb.toml").write_text(text + f'forget = ["{NAMES[0][:3]}\\u001B[31m"]\n', encoding="utf-8")
    progress.silence(False)
    return tmp_path


def call(words: str, *more: str, expected: tuple[int, ...] = (0,)) -> str:
    """What a command writes to stdout and stderr, which holds none of these characters."""
    put_in = {"FORGET": NAMES[1], "NEW": "new\x9b.npz"}
    result = CliRunner().invoke(app, [put_in.get(word, word) for word in words.split()] + list(more))
    assert result.exit_code in expected, f"{words}: {result.stderr} {result.exception!r}"
    for said in (result.stdout, result.stderr):
        assert visible(said) == said, words
    return result.stdout + result.stderr


def test_no_raw_character_reaches_a_terminal_a_card_or_a_page(folder: Path) -> None:
    said = {words: call(words, expected=(0, 1) if "verify" in words else (0,)) for words in COMMANDS}
    assert "cat\\x1b[31m" in said["unlearn --method activations --method logit-mask --na 20"]
    assert "dog\\u202e" in said["forget FORGET --na 20"]
    assert "new\\x9b.npz[0]" in said["predict NEW --top 4"]
    assert "[red]\\x07ant[/red]" in said["predict NEW --top 4"]
    assert "error: There is no class 'none\\x1b[5m'" in call("forget", "none\x1b[5m", expected=(2,))
    assert "--no\\x1bne" in call("forget", "--no\x1bne", expected=(2,))
    card = (folder / "exported" / "README.md").read_text(encoding="utf-8")
    assert visible(card) == card
    assert "cat\\x1b\\[31m" in card
    pages = sorted((folder / "reports").rglob("*.html"))
    assert len(pages) >= 5
    for page in pages:
        text = page.read_text(encoding="utf-8")
        assert visible(text) == text, page
        if 'id="payload"' in text:
            charts = payload(text)
            assert all_visible(charts) == charts, page
    shown = "".join(page.read_text(encoding="utf-8") for page in pages)
    for name in ("cat\\x1b[31m", "dog\\u202e", "[red]\\x07ant[/red]", "bee\\u2028\\x9b2J"):
        assert name in shown


def test_json_and_files_hold_the_names_themselves(folder: Path) -> None:
    for words in ("embed", "train"):
        call(words)
    assert json.loads(call("embed", "--json").splitlines()[0])["embed"][0]["classes"] == NAMES
    answers = json.loads(call("predict NEW", "--json").splitlines()[0])["predict"]
    assert {answer["class"] for answer in answers} <= set(NAMES)
    assert answers[3]["input"] == "new\x9b.npz[3]"
    call("predict NEW --csv answers.csv")
    assert "new\x9b.npz[3]," in (folder / "answers.csv").read_text(encoding="utf-8")
    call("export exported")
    exported = (folder / "exported" / "labels.json").read_text(encoding="utf-8")
    assert visible(exported) == exported
    assert list(json.loads(exported).values()) == NAMES
