"""Attacks on a workspace: what is attacked, how an attack ended, and a table of that at the end of a run."""

from __future__ import annotations

import difflib
import hashlib
import json
import re
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

import dkvb
from conftest import TOML, blobs
from dkvb.cli import app
from dkvb.deletion import forget, ledger, receipt
from dkvb.inference import export
from dkvb.inference.load import load_seed
from dkvb.recipe import load
from dkvb.runtime import progress
from dkvb.stages import embed, train, unlearn
from dkvb.workspace.artifacts import Workspace
from dkvb.workspace.files import sha256
from dkvb.workspace.names import LAST_RECIPE

Outcome = Literal["named", "healed", "harmless"]

OUTCOMES = ("named", "healed", "harmless", "wrong")
"""How an attack ends: dkvb says what is wrong; what is made again is as it was; nothing that is read has changed in
meaning; or it went through in silence, ended in a traceback, or lost a record."""

HARMLESS = {
    "data/recipe.json": "which recipe a command without --recipe takes: it says so, and one that is not there is named",
    "reports/data/pages.json": "by what a report tells whether a page is still valid: if not, it is written anew",
    "data/exported/README.md": "a note says so when the export is loaded; nothing is read from it",
}
"""File -> why an edit of it that nothing names changes nothing."""

SEED = 14
"""Of all that attacks choose at random."""


@dataclass(frozen=True)
class Site:
    """A folder with `data`, `reports` and, beside them, `tiny.toml`."""

    folder: Path

    @property
    def workspace(self) -> Workspace:
        return Workspace(self.folder / "data", self.folder / "reports")

    def words(self, line: str) -> list[str]:
        """A command of dkvb with the places that it works on."""
        places = ["--data-dir", str(self.folder / "data"), "--reports-dir", str(self.folder / "reports")]
        return [*line.split(), "--recipe", str(self.folder / "tiny.toml"), *places]

    def says(self, line: str) -> tuple[int, str]:
        """Exit code of a command, and all that it said; a traceback fails the test."""
        done = CliRunner().invoke(app, self.words(line))
        said = done.stdout + done.stderr
        assert done.exception is None or isinstance(done.exception, SystemExit), (line, repr(done.exception), said)
        assert "Traceback" not in said, (line, said)
        return done.exit_code, said

    def problems(self, check: str = "--check") -> list[dict[str, Any]]:
        """What `status --check` finds, or `status --heal` leaves."""
        code, said = self.says(f"status {check} --json")
        found = json.loads(said[said.index("{") :])["check"]["problems"]
        assert code == (5 if found else 0), said
        return list(found)

    def sound(self) -> None:
        """Nothing is wrong, and nothing of the record is lost."""
        assert self.problems() == []
        checked = ledger.verify(self.workspace)
        assert (checked.problems, checked.not_checked) == ([], [])


def copied(site: Site, folder: Path) -> Site:
    """A copy of a site to be attacked, in an empty or missing folder."""
    for name in ("data", "reports"):
        if (site.folder / name).is_dir():
            shutil.copytree(site.folder / name, folder / name)
    used = folder / "data" / LAST_RECIPE
    if used.is_file():
        used.write_text(used.read_text(encoding="utf-8").replace(str(site.folder), str(folder)), encoding="utf-8")
    toml = (site.folder / "tiny.toml").read_text(encoding="utf-8")
    (folder / "tiny.toml").write_text(toml, encoding="utf-8")
    return Site(folder)


@pytest.fixture(scope="session")
def built_site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """The data of the tiny recipe, embedded and trained."""
    progress.silence()
    site = Site(tmp_path_factory.mktemp("built"))
    data = blobs(site.folder / "tiny-data")
    text = TOML.replace('"tiny-data"', f'"{data.as_posix()}"')
    (site.folder / "tiny.toml").write_text(text, encoding="utf-8")
    recipe = load(str(site.folder / "tiny.toml"))
    for stage in (embed, train):
        stage.run(recipe, site.workspace)
    return site


@pytest.fixture(scope="session")
def requested_site(built_site: Site, tmp_path_factory: pytest.TempPathFactory) -> Site:
    """The same with a request for cat, r0001-cat, and what unlearning dog made."""
    site = copied(built_site, tmp_path_factory.mktemp("requested"))
    recipe = load(str(site.folder / "tiny.toml"))
    unlearn.run(recipe.with_(unlearn={"forget": ["dog"], "method": ["activations"]}), site.workspace)
    forget.run(recipe.with_(unlearn={"method": "votes"}), site.workspace, ["cat"])
    return site


@pytest.fixture(scope="session")
def full_site(requested_site: Site, tmp_path_factory: pytest.TempPathFactory) -> Site:
    """The same with a receipt, an export in data/exported, and pages."""
    site = copied(requested_site, tmp_path_factory.mktemp("full"))
    recipe, workspace = load(str(site.folder / "tiny.toml")), site.workspace
    receipt.run(workspace, "r0001")
    export.run(load_seed(recipe, workspace, 0, "cpu"), workspace.root / "exported", workspace)
    for line in ("train", "report"):  # all is done; the command remembers the recipe
        assert site.says(line)[0] == 0
    return site


PASSING = re.compile(
    r"Seconds, \w+</th><td>[\d.]+|\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\+00:00)?)?|\d+(\.\d+)? m?s\b|[0-9a-f]{12,64}"
    r"|[\d,.]+ (bytes|kB)"
)
"""What a text says of times, and of hashes of what holds times."""

TIMES = {
    *("seconds", "seconds_total", "created", "started", "finished", "time", "hash", "previous", "head", "checksum"),
    *("bytes", "facts", "receipt", "model", "forgotten", "restored", "purged", "issued", "masking", "forget", "purge"),
}
"""Fields that are times, hashes of what holds times, or sizes of it, wherever they are no lists or records."""


def without_times(value: Any, name: str = "") -> Any:
    """A JSON value with only the kind of what differs from run to run."""
    if isinstance(value, dict):
        if name in ("facts",):
            return sorted(value)
        return {key: without_times(inner, key) for key, inner in value.items()}
    if isinstance(value, list):
        return [without_times(inner) for inner in value]
    if isinstance(value, str):
        return type(value).__name__ if name in TIMES else PASSING.sub("#", value) if name != "mask" else value
    return type(value).__name__ if name in TIMES and value is not None else value


def told(site: Site) -> dict[str, Any]:
    """Everything that lies in workspace and reports, by path, without times."""
    said: dict[str, Any] = {}
    for path in sorted(site.folder.glob("data/**/*")) + sorted(site.folder.glob("reports/**/*")):
        name = path.relative_to(site.folder).as_posix()
        if path.is_file() and not name.startswith("data/.locks/"):
            try:
                said[name] = _content(path, str(site.folder))
            except (ValueError, pl.exceptions.ComputeError):  # an attack has made something else of it
                said[name] = sha256(path)
    return said


def _content(path: Path, folder: str) -> Any:
    if path.suffix == ".json":
        return without_times(json.loads(path.read_text(encoding="utf-8").replace(folder, "")))
    if path.suffix == ".jsonl":
        return [without_times(json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]
    if path.suffix in (".html", ".md"):
        return PASSING.sub("#", path.read_text(encoding="utf-8"))
    if path.suffix == ".safetensors":  # in whose header fields have no order
        raw = path.read_bytes()
        size = 8 + int.from_bytes(raw[:8], "little")
        return [without_times(json.loads(raw[8:size])), hashlib.sha256(raw[size:]).hexdigest()]
    if path.suffix == ".parquet":
        frame = pl.read_parquet(path)
        return frame.drop([name for name in frame.columns if "second" in name]).to_dicts()
    return sha256(path)


def differing(said: dict[str, Any], whole: dict[str, Any]) -> dict[str, list[str]]:
    """The files of which two sites say different things, and the first lines in which they differ."""
    return {
        name: [line[:200] for line in difflib.unified_diff(_lines(said, name), _lines(whole, name), "is", "was", n=0)][
            :9
        ]
        for name in sorted({*said, *whole})
        if said.get(name) != whole.get(name)
    }


def _lines(said: dict[str, Any], name: str) -> list[str]:
    held = said.get(name, "(not there)")
    text = held if isinstance(held, str) else json.dumps(held, indent=0, sort_keys=True, default=str)
    return re.split(r"\n|(?<=,)", text)  # the data of a page's charts are one line


def named_or_healed(site: Site, before: Site) -> Outcome:
    """How an attack ends of which `status --check` has told: whether --heal makes all of it again as it was before."""
    left = site.problems("--heal")
    every = differing(told(site), told(before))
    # pages list what was made again as made last; that they are as the report wrote them, `left` says
    differ = {name: lines for name, lines in every.items() if not name.startswith("reports/") or ".html" not in name}
    print("left:", left, "differing:", differ)
    assert left or not differ, "what is no longer named must be as it was"
    return "healed" if not differ else "named"


@pytest.fixture
def ended(record_property: Callable[[str, object], None]) -> Callable[[Outcome], None]:
    """Say how an attack ended; a test that fails has found a wrong one."""
    return lambda outcome: record_property("attack", outcome)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """The figures of a run: attacks by file, and how they ended."""
    tally: dict[str, Counter[str]] = {}
    for reports in terminalreporter.stats.values():
        for one in reports:
            if getattr(one, "when", None) in ("call", "setup") and "tests/attack/" in getattr(one, "nodeid", ""):
                file = one.nodeid.split("::")[0].rsplit("/", 1)[-1]
                mine = tally.setdefault(file, Counter())
                mine.update(str(value) for name, value in one.user_properties if name == "attack")
                mine["wrong"] += one.failed
    if not tally:
        return
    terminalreporter.write_line("")
    terminalreporter.write_line(f"{'attacks':<24}" + "".join(f"{word:>10}" for word in ("tried", *OUTCOMES)))
    for file, mine in sorted(tally.items()):
        counts = (sum(mine[word] for word in OUTCOMES), *(mine[word] for word in OUTCOMES))
        terminalreporter.write_line(f"{file:<24}" + "".join(f"{count:>10}" for count in counts))


def reads(site: Site) -> dict[str, Any]:
    """What commands and library make of a site."""
    x = np.random.default_rng(0).standard_normal((50, 12), np.float32)
    said: dict[str, Any] = {}
    for name, folder in (("workspace", "data"), ("export", "data/exported")):
        model = dkvb.load(site.folder / folder)
        said[name] = (model.classes, model(x).tolist())
    for line in ("requests --json", "ledger --json"):
        code, printed = site.says(line)
        printed = printed[printed.index("{") :].replace(str(site.folder), "")
        said[line.split()[0]] = (code, without_times(json.JSONDecoder().raw_decode(printed)[0]))
    return said
