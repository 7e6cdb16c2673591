"""Help, completion and the layout of options, as a stranger at a terminal meets them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer.main
from typer.testing import CliRunner

from dkvb.cli import app
from dkvb.commands.flags import EVERYWHERE
from dkvb.commands.layout import HEADINGS, heading

GROUP: Any = typer.main.get_command(app)
COMMANDS: dict[str, Any] = GROUP.commands
ROOT = Path(__file__).resolve().parents[2]


def dkvb(*args: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "dkvb", *args],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
    )


def help_of(*command: str) -> str:
    short, long = (
        CliRunner().invoke(app, [*command, word], env={"COLUMNS": "80"}, prog_name="dkvb") for word in ("-h", "--help")
    )
    assert short.exit_code == 0
    assert short.stdout == long.stdout
    return long.stdout


def test_help_imports_no_heavy_library() -> None:
    code = """
import sys
sys.argv = ["dkvb", "--help"]
from dkvb.cli import main
try:
    main()
finally:
    print(*sys.modules, file=sys.stderr)
"""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "unlearn" in said.stdout
    heavy = {"numpy", "torch", "faiss", "polars", "zarr", "pydantic", "rich", "sklearn", "altair"}
    assert not heavy & set(said.stderr.split())


def test_launchers_agree() -> None:
    told = [
        subprocess.run([sys.executable, *start, "-h"], capture_output=True, text=True, check=True).stdout
        for start in (["-m", "dkvb"], [str(ROOT / "cli.py")])
    ]
    assert told[0] == told[1]
    assert told[0].startswith("Usage: dkvb [OPTIONS]")


def test_the_version_has_a_short_option() -> None:
    assert re.fullmatch(r"dkvb \d+\.\d+.*\n", dkvb("-V").stdout)


def test_commands_stand_under_headings_with_whole_summaries() -> None:
    told = help_of()
    positions = [told.index(f"\n{name}:\n") for name in ("Stages", "Deletion", "Use", "Experiments", "Workspace")]
    assert positions == sorted(positions)
    for name, command in COMMANDS.items():
        summary = command.help.partition("\n")[0]
        (line,) = (line for line in told.splitlines() if line.split()[:1] == [name])
        assert line.endswith(f"  {summary}"), f"{name}: the summary does not fit on a line"
        assert summary.endswith((".", "?"))


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_examples_of_its_own_and_help_for_each_option(name: str) -> None:
    command = COMMANDS[name]
    examples = help_of(name).split("\nExamples:\n")[1].splitlines()
    assert any(line.startswith(f"  dkvb {name}") for line in examples)
    for parameter in command.params:
        assert parameter.help, f"{parameter.name} has no help"
        assert heading(parameter) in HEADINGS
    shown = "".join(help_of(name).split("\nExamples:\n")[0])
    for line in examples:
        for option in re.findall(r"(?<= )--[a-z-]+", line.partition("#")[0]):
            assert option in shown or not line.startswith(f"  dkvb {name}"), (
                f"{option} of an example is not in the help"
            )


@pytest.mark.parametrize("name", COMMANDS)
def test_shared_options_are_accepted_by_every_command_and_shown_where_they_are_used(name: str) -> None:
    parameters = {parameter.name: parameter for parameter in COMMANDS[name].params}
    assert EVERYWHERE.keys() <= parameters.keys()
    for shared in ("json_", "debug"):
        assert not parameters[shared].hidden
    if name in ("receipt", "ledger", "init"):
        assert "--workers" not in help_of(name)
        assert "--recipe" not in help_of(name)


def complete(words: str, **environment: str) -> list[str]:
    """What bash is offered for the last of the words."""
    count = len(words.split(" ")) - 1
    asked = {"_DKVB_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(count)}
    result = CliRunner().invoke(app, [], env={**asked, **environment}, prog_name="dkvb")
    assert result.exit_code == 0, result.stderr
    return result.stdout.split()


def test_completion_of_commands_recipes_and_methods(tmp_path: Path) -> None:
    assert complete("dkvb re") == ["report", "restore", "receipt", "requests", "reproduce"]
    assert complete("dkvb run dig") == ["digits"]
    (tmp_path / "digest.toml").touch()
    assert complete("dkvb status --recipe dig") == ["digits", "digest.toml"]
    assert complete("dkvb unlearn --method scr") == ["scrub", "scrub-values", "scrub-r"]
    assert complete("dkvb train --device c") == ["cpu", "cuda"]


def test_completion_of_classes_and_requests_reads_the_workspace(tmp_path: Path) -> None:
    for folder, name, text in (
        ("embed/x", "manifest.json", '{"result": {"classes": ["truck", "dog"]}}'),
        ("embed/damaged", "manifest.json", "{"),
        ("requests/r0001-truck", "request.json", "{}"),
    ):
        (tmp_path / "runs" / folder).mkdir(parents=True)
        (tmp_path / "runs" / folder / name).write_text(text)
    assert complete("dkvb forget --data-dir runs tr") == ["truck"]
    assert complete("dkvb unlearn --forget do", DKVB_DATA="runs") == ["dog"]
    assert complete("dkvb restore --data-dir runs r") == ["r0001-truck"]
    assert complete("dkvb restore r") == []


def test_completion_can_be_shown_for_a_shell() -> None:
    script = f'"{sys.executable}" -m dkvb --show-completion; exit $?'
    shown = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    assert "_DKVB_COMPLETE=complete_bash" in shown.stdout
    assert "--install-completion" in help_of()


@pytest.mark.skipif(os.name != "posix", reason="pipes of a shell")
@pytest.mark.parametrize("command", ["--help", "status --recipe digits", "status --recipe digits --json"])
def test_a_reader_that_goes_away_is_no_error_to_speak_of(command: str) -> None:
    # the reader ends before anything is written
    script = f'( sleep 0.2; "{sys.executable}" -m dkvb {command} ) | true; wait'
    said = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    assert said.stderr == ""


def test_output_may_be_closed() -> None:
    script = f'"{sys.executable}" -m dkvb status --recipe digits >&-'
    said = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)
    assert (said.returncode, said.stderr) == (0, "")
