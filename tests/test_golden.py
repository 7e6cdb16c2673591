"""Keys of --json and of files stay where version 0.1 had them, and its workspaces are read."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

import fixed_rates
from dkvb.commands.answers import ANSWERS
from scenario import ASKED, everything, play, steady
from states import made_once

GOLDEN = Path(__file__).parent / "golden"


def golden(name: str) -> Any:
    return json.loads((GOLDEN / name).read_text(encoding="utf-8"))


def assert_its_record(command: str, answer: dict[str, Any]) -> None:
    """What a command printed is, key by key, the record that ANSWERS names for it, and so docs/cli.md."""
    assert ANSWERS[command].model_validate(answer).model_dump(mode="json") == answer, command


@pytest.fixture(scope="session")
def now() -> dict[str, dict[str, dict[str, str]]]:
    """Keys and types of what this version prints and writes."""
    return json.loads((made_once("scenario", _play) / "keys.json").read_text(encoding="utf-8"))


def _play(folder: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        fixed_rates.fix(patch)  # what this machine takes was not asked
        printed, files = everything(folder, assert_its_record)
    (folder / "keys.json").write_text(json.dumps({"printed": printed, "files": files}), encoding="utf-8")


@pytest.mark.parametrize(
    ("where", "what"), [(where, what) for where, kinds in golden("keys.json").items() for what in kinds]
)
def test_every_key_is_where_it_was(now: dict[str, dict[str, dict[str, str]]], where: str, what: str) -> None:
    """New keys may come; none may go, move or change its type."""
    found = now[where][what]
    for path, kinds in golden("keys.json")[where][what].items():
        assert path in found, f"{what}: {path} is no longer there"
        assert set(found[path].split()) <= set(kinds.split()), f"{what}: {path} was {kinds} and is {found[path]}"


def test_a_workspace_of_an_earlier_version_answers_as_it_did(tmp_path: Path) -> None:
    with tarfile.open(GOLDEN / "workspace.tar.xz") as archive:
        archive.extractall(tmp_path, filter="data")
    before, answers = golden("answers.json"), {}
    for label, entry in play(tmp_path, ASKED):
        answers[label] = entry
        same(steady(entry), before[label], label)
    more = {
        "run": "run --method activations --na 40",
        "verify": "verify --max-forget 1 --max-retain-drop 1",
        "report": "report",
        "purge": "purge r0001 --yes",
    }
    answers.update(play(tmp_path, more))
    for label in more:
        assert_its_record(more[label].split()[0], answers[label])
    (verdict,), (request,) = answers["verify"]["verify"], answers["forget"]["forget"]
    # the requests that came between had its N raised
    assert verdict["accuracy"]["test"]["forget"]["accuracy"] <= request["after"]["forget_test"]
    assert len(answers["report"]["report"][0]["pages"]) > 2
    assert answers["purge"]["purge"][0]["state"] == "purged"


def same(value: Any, expected: Any, at: str) -> None:
    """Whether a value holds what is expected, and possibly more keys."""
    if isinstance(expected, dict):
        assert set(expected) <= set(value), at
        for key, inner in expected.items():
            same(value[key], inner, f"{at}.{key}")
    elif isinstance(expected, list):
        assert len(value) == len(expected), at
        for place, (one, other) in enumerate(zip(value, expected, strict=True)):
            same(one, other, f"{at}[{place}]")
    else:
        assert value == pytest.approx(expected, rel=1e-4) if isinstance(expected, float) else value == expected, at
