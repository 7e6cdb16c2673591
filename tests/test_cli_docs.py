"""The command reference is the one that its script writes, and the options that pages name are there."""

from __future__ import annotations

import re
import runpy
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from dkvb.cli import app
from dkvb.commands.answers import ANSWERS

DOCS = Path(__file__).resolve().parents[1] / "docs"
REFERENCE = DOCS / "cli.md"
PAGES = [DOCS.parent / "README.md", *sorted(DOCS.glob("*.md"))]
GROUP: Any = typer.main.get_command(app)
COMMANDS: dict[str, Any] = GROUP.commands
OF_OTHERS = {
    *("--classes", "--dist", "--gres", "--array", "--count", "--rounds", "--strict"),
    *("--app-dir", "--factory", "--host", "--port", "--data-binary"),
    *("--build-arg", "--entrypoint", "--gpus", "--rm", "--user"),
}
"""Options of sbatch, benchmarks and mkdocs, of uvicorn and curl, and of docker, which pages name as well."""


def sections() -> dict[str, str]:
    parts = re.split(r"(?m)^### dkvb (\w+)$", REFERENCE.read_text(encoding="utf-8"))
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def examples(section: str) -> list[str]:
    return [line for block in re.findall(r"```bash\n(.*?)```", section, re.S) for line in block.splitlines()]


def parse(line: str) -> None:
    """Read a command line as the app would, without running it; raises where an option or argument is wrong."""
    _, name, *words = shlex.split(line, comments=True)
    parent = GROUP.make_context("dkvb", [name], resilient_parsing=True)
    COMMANDS[name].make_context(name, words, parent=parent)


def test_the_reference_is_the_one_that_its_script_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")  # nothing depends on the terminal
    written = runpy.run_path(str(DOCS / "make_cli.py"))["page"]()
    assert REFERENCE.read_text(encoding="utf-8") == written, "out of date: run `python docs/make_cli.py`"


def test_every_command_is_in_it_with_examples_that_can_be_read() -> None:
    assert list(sections()) == list(COMMANDS)
    assert ANSWERS.keys() == COMMANDS.keys()
    for name, section in sections().items():
        lines = examples(section)
        assert any(line.startswith(f"dkvb {name}") for line in lines), f"{name} has no example"
        for line in lines:
            parse(line)


def test_a_wrong_example_would_be_noticed() -> None:
    with pytest.raises(Exception, match="No such option"):
        parse("dkvb train --epochs 3")


def test_every_record_is_described_once_and_linked() -> None:
    text = REFERENCE.read_text(encoding="utf-8")
    described = [title.lower() for title in re.findall(r"(?m)^#### (\w+)$", text)]
    assert len(described) == len(set(described))
    assert set(described) == set(re.findall(r"\]\(#(\w+)\)", text))


def mentions() -> Iterator[tuple[str, str, str]]:
    """Page, line and option, of every option of dkvb that the pages name."""
    for path in PAGES:
        for line in path.read_text(encoding="utf-8").splitlines():
            for option in re.findall(r"(?<![\w-])--[a-z][a-z-]*", line):
                if option not in OF_OTHERS:
                    yield path.name, line, option


def test_every_option_that_pages_name_is_there() -> None:
    known = {name for command in COMMANDS.values() for option in command.params for name in _names(option)}
    known |= {name for option in GROUP.params for name in _names(option)} | {"--help"}
    named = list(mentions())
    assert len({option for _, _, option in named}) > 30
    for page, line, option in named:
        assert option in known, f"{page} names {option}, which no command has: {line}"


def test_options_in_command_lines_of_pages_are_those_of_the_command() -> None:
    for page, line, _ in mentions():
        for name, words in re.findall(r"`dkvb ([a-z]+)([^`|…]*)`", line):
            own = {spelled for option in COMMANDS[name].params for spelled in _names(option)}
            for option in re.findall(r"(?<= )--[a-z][a-z-]*", words):
                assert option in own, f"{page}: dkvb {name} has no {option}"


def _names(option: Any) -> list[str]:
    return [*option.opts, *option.secondary_opts]
