"""`dkvb audit`: the missing stages first, JSON, tables, files, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars
import pytest
from typer.testing import CliRunner, Result

from conftest import TOML
from dkvb.cli import app


@pytest.fixture(autouse=True)
def _tiny(tmp_path: Path, tiny_data: Path) -> None:
    (tmp_path / "tiny.toml").write_text(TOML.replace('"tiny-data"', f'"{tiny_data.as_posix()}"'), encoding="utf-8")


def dkvb(*args: str) -> Result:
    return CliRunner().invoke(app, list(args))


AUDIT = ("audit", "tiny.toml", "--forget", "bird", "--oracles", "4", "--methods", "logit-mask,tilted")


def test_audit_does_the_missing_stages_and_prints_json(tmp_path: Path) -> None:
    done = dkvb(*AUDIT, "--json", "--csv", "out.csv", "--parquet", "out.parquet")
    assert done.exit_code == 0, done.stderr
    answer = json.loads(done.stdout)
    assert set(answer) == {"audit", "about"}
    assert [(e["method"], e["model"]) for e in answer["audit"]] == [
        ("original", "values"),
        ("retrained", "values"),
        ("original", "linear"),
        ("retrained", "linear"),
        ("logit-mask", "values"),
        ("tilted", "linear"),
    ]
    masked = answer["audit"][4]
    assert {"method", "model", "measures", "seconds"} <= set(masked)
    forget = masked["measures"]["forget accuracy"]
    assert (forget["value"], forget["null"], forget["low"]) == (0, 0, 0)
    assert masked["error"] is None
    (about,) = answer["about"]
    assert (about["oracles"], about["unlearned"], about["forget_names"]) == (4, 2, ["bird"])
    csv, parquet = polars.read_csv("out.csv"), polars.read_parquet("out.parquet")
    assert csv.shape == parquet.shape
    for table in (csv, parquet):
        mine = table.filter((table["method"] == "logit-mask") & (table["measure"] == "forget accuracy"))
        assert mine["value"].to_list() == [0.0]
        missing = table.filter((table["method"] == "tilted") & (table["measure"] == "relearning"))
        assert missing["value"].to_list() == [None]
        assert "a rule on answers" in missing["missing"][0]


@pytest.mark.slow
def test_tables_say_what_is_noise_and_status_lists_audits() -> None:
    done = dkvb(*AUDIT)
    assert done.exit_code == 0, done.stderr
    assert "Audit of tiny-data, seed 0, without bird: the bottleneck's values" in done.stdout
    assert "KLoM (noise)" in done.stdout
    said = " ".join(done.stdout.split())
    assert "4 retrained models and 2 unlearned ones of each kind" in said
    assert "KLoM is of 2 models against 2: with fewer than 50 it is noise" in said
    (row,) = (line.split() for line in done.stdout.splitlines() if line.startswith("logit-mask"))
    assert row[1:3] == ["0.0%", "="], "forget accuracy, as retrained models have it"
    status = json.loads(dkvb("status", "--recipe", "tiny.toml", "--json").stdout)["status"]
    listed = {entry["what"]: entry["state"] for entry in status if entry["stage"] in ("oracles", "audit")}
    # 2 originals and 6 retrained ones, of two kinds
    assert listed.pop("16 models trained for audits") == "done"
    assert listed.pop("outputs of 6 audited methods") == "done"
    assert [name.startswith("tiny-data-audit-bird") for name in listed] == [True]


def test_other_peoples_outputs_are_audited(tmp_path: Path) -> None:
    unlearned, retrained = np.random.default_rng(0).normal(size=(2, 4, 60, 3))
    np.savez("given.npz", unlearned=unlearned, retrained=retrained, labels=np.arange(60) % 3, forget=0)
    done = dkvb("audit", "--model", "given.npz", "--json")
    assert done.exit_code == 0, done.stderr
    (entry,) = json.loads(done.stdout)["audit"]
    assert (entry["method"], entry["model"], entry["models"]) == ("given", "given", 4)
    shown = dkvb("audit", "--model", "given.npz")
    assert "Audit of given, seed 0, without #0: outputs as given" in shown.stdout


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("--oracles", "1"), "give 2 or more"),
        (("--methods", "vote"), "did you mean 'votes'"),
        (("--kinds", "head"), "there are no such models"),
        (("--model", "nowhere.npz"), "is no file"),
        (("--model", "x.npz", "--kinds", "values"), "leave RECIPE, --shadows, --kinds and --methods out"),
        (("--csv", "."), "is a folder"),
    ],
)
def test_bad_usage_exits_2_before_any_work(args: tuple[str, ...], says: str, tmp_path: Path) -> None:
    done = dkvb("audit", *(("--recipe", "tiny.toml") if "--model" not in args else ()), *args)
    assert done.exit_code == 2, done.stderr
    assert says in " ".join(done.stderr.split())
    assert not (tmp_path / "data" / "embed").exists()
