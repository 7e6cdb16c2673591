"""A package of someone else's, as docs/api.md writes it, adds a method, a metric and a source."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import numpy as np
import pytest

import forked
from dkvb import registry
from dkvb.recipe import Recipe
from dkvb.workspace.artifacts import Workspace

DOCS = Path(__file__).resolve().parents[1] / "docs/api.md"
RECIPE = """
name = "rings"
[data]
source = "rings"
validation = 0.1
[keys]
codebooks = 8
pairs = 16
dim = 2
top_k = 1
epochs = 1
[train]
epochs = 3
[linear]
epochs = 1
[unlearn]
na = 60
"""
FAILING = """
def fails(predicted, labels, forget):
    predicted[:] = 0
    if forget == [1]:
        raise KeyError(7)

def infinite(predicted, labels, forget):
    return float("inf")
"""


def installed(site: Path, entry_points: dict[str, dict[str, str]], **modules: str) -> None:
    """Lay a package into a folder as pip does."""
    info = site / "random_pairs-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: random-pairs\nVersion: 1.0\n")
    lines = [
        line for group, points in entry_points.items() for line in (f"[{group}]", *map(" = ".join, points.items()))
    ]
    (info / "entry_points.txt").write_text("\n".join(lines))
    for name, text in modules.items():
        (site / f"{name}.py").write_text(text, encoding="utf-8")


def as_documented(site: Path) -> None:
    section = DOCS.read_text(encoding="utf-8").split("## Write your own method")[1]
    module, project = (re.search(rf"```{kind}\n(.*?)```", section, re.DOTALL)[1] for kind in ("python", "toml"))
    installed(site, tomllib.loads(project)["project"]["entry-points"], random_pairs=module)


def dkvb(site: Path, *commands: str) -> list[tuple[int, str, str]]:
    """Exit code, output and errors of each command, with the packages of a folder installed."""
    done = forked.call(forked.commands, site, commands, folder=Path.cwd())
    assert done.end() == 0, done.said
    return json.loads(Path("results.json").read_text(encoding="utf-8"))


def test_the_documented_package_is_found_run_and_shown(tmp_path: Path) -> None:
    as_documented(tmp_path / "site")
    (tmp_path / "dkvb.toml").write_text(RECIPE, encoding="utf-8")
    method = "--method random-pairs --forget middle --json"
    results = dkvb(
        tmp_path / "site",
        "unlearn --help",
        "embed",
        "train",
        f"unlearn {method} --sweep --retrain 1",
        f"unlearn {method} --na auto --target zero",
        "report --json",
    )
    assert [code for code, _, _ in results] == [0] * 6, results
    assert "random-pairs" in results[0][1]
    (entry,) = json.loads(results[3][1])["unlearn"]
    assert (entry["method"], entry["n"], entry["n_name"], entry["masked"]) == ("random-pairs", 60, "N_r", 60)
    assert entry["keeps"] == "mask"
    assert entry["curve"][0]["n"] == 0
    assert entry["curve"][-1]["forget_test"] == 0
    assert len(entry["retraining"]) == 2
    assert entry["measures"].keys() == {"worst-retained", "forgotten-into-one"}
    into_one = entry["measures"]["forgotten-into-one"]
    assert 0 < into_one["before"] <= 1
    assert 0 < into_one["after"] <= 1
    retained = [entry["per_class_after"][c] for c in (0, 2)]
    assert entry["measures"]["worst-retained"]["after"] == min(retained)
    (embedded,) = [json.loads(path.read_text()) for path in tmp_path.glob("data/embed/*/manifest.json")]
    assert embedded["settings"]["encoder"] is None
    (report,) = json.loads(results[5][1])["report"]
    pages = {path: Path(path).read_text(encoding="utf-8") for path in report["pages"]}
    (run,) = [html for html in pages.values() if "Other measures" in html]
    for text in (
        "Random pairs",
        "hides pairs that nobody chose",
        "forgotten-into-one",
        "lowest accuracy of a class that stays",
    ):
        assert text in run


@pytest.mark.slow
def test_a_package_that_cannot_be_imported_is_named_and_stops_nothing_else(
    trained: Recipe, workspace: Workspace, tmp_path: Path
) -> None:
    points = {"dkvb.methods": {"gone": "no_such_module:Gone", "raises": "raising:Raises"}}
    installed(tmp_path / "site", points, raising="1 / 0\n")
    (tmp_path / "tiny.toml").rename(tmp_path / "dkvb.toml")
    gone, raises, own, report = dkvb(
        tmp_path / "site",
        "unlearn --method gone",
        "unlearn --method raises",
        "unlearn --method activations --forget cat",
        "report",
    )
    for (code, _, error), name in ((gone, "no_such_module"), (raises, "division by zero")):
        assert code == 2
        assert "cannot be imported" in error
        assert name in error
    assert (own[0], report[0]) == (0, 0), (own, report)


def test_a_metric_that_fails_is_named(trained: Recipe, workspace: Workspace, tmp_path: Path) -> None:
    points = {"dkvb.metrics": {"fails": "failing:fails", "infinite": "failing:infinite"}}
    installed(tmp_path / "site", points, failing=FAILING)
    (tmp_path / "tiny.toml").rename(tmp_path / "dkvb.toml")
    words = "unlearn --method activations --json --forget"
    (failed, _, error), (done, out, _) = dkvb(tmp_path / "site", f"{words} bird", f"{words} cat")
    assert failed == 1
    assert "The metric 'fails' fails (KeyError: 7)" in error
    assert done == 0
    measures = json.loads(out)["unlearn"][0]["measures"]
    assert measures["infinite"] == measures["fails"] == {"before": None, "after": None}
    assert measures["worst-retained"]["before"] > 0.5, "a metric alters nothing for the next"


def test_the_table_says_of_dkvbs_own_methods_what_their_classes_say() -> None:
    for name, entry in registry.methods().items():
        method = entry.load()
        assert method.name == name
        for attribute in ("family", "dial", "trains_on"):
            said = getattr(method, attribute, getattr(entry, attribute))
            assert isinstance(said, property) or said == getattr(entry, attribute), (name, attribute)


@pytest.mark.parametrize(("predicted", "worst"), [([0, 2, 2, 2], 0.0), ([0, 0, 1, 2], 0.5), ([1, 1, 1, 2], 1.0)])
def test_worst_retained(predicted: list[int], worst: float) -> None:
    metric = registry.find("metrics", "worst-retained").load()
    assert metric(np.array(predicted), np.array([0, 1, 1, 2]), [0]) == worst
    assert metric(np.array([0]), np.array([0]), [0]) is None
