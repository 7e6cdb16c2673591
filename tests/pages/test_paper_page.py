"""The page of the paper's tables and figures: measured numbers are the artifacts', published ones the paper's, and gaps
are said."""

from __future__ import annotations

import re
from pathlib import Path

import polars as pl
import pytest

from conftest import SHARED
from dkvb.metrics.published import PAPER, TABLE_1_COLUMNS
from dkvb.recipe import load
from dkvb.stages import report
from dkvb.workspace.artifacts import Workspace
from fakes import Fake

NAME = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Three seeds of CIFAR-10, one of them swept and attacked, with a class whose name is markup."""
    folder = tmp_path_factory.mktemp("paper")
    workspace = Workspace(folder / "data", folder / "reports")
    fake = Fake(workspace, classes=[NAME, *"bcdefghij"], forget=0)
    for seed in range(3):
        trained = fake.train(seed=seed)
        fake.unlearn(trained, "activations", 180_000, 0.004 + 0.001 * seed)
        fake.sweep(trained, "activations", 200_000)
        settings = {"kind": "membership", "method": "activations", "forget": [0], "held_out": 9, "seed": seed}
        attacked = {
            "method": "activations",
            "seed": seed,
            "forget": [0],
            "forget_names": [NAME],
            "held_out": 9,
            "held_out_name": "j",
        }
        attacked |= {"n": 240_000, "n_name": "N_a", "attack_test": 0.52 + 0.01 * seed, "attack_validation": 0.53}
        fake.make("unlearn", "membership", settings, {"embed": fake.embed.fingerprint}, attacked)
    report.run(load("cifar10"), workspace)
    return workspace


@pytest.fixture(scope="module")
def numbers(made: Workspace) -> pl.DataFrame:
    return pl.read_parquet(made.reports / "data/paper-numbers.parquet")


def words(workspace: Workspace) -> str:
    """The page's text, spaces made one."""
    html = (workspace.reports / "paper.html").read_text(encoding="utf-8").split("<main")[1].split("<script type")[0]
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))


def test_changes_are_shares_of_what_was_there_as_in_the_paper(made: Workspace, numbers: pl.DataFrame) -> None:
    results = [found.result for found in made.all("unlearn") if found.settings["kind"] == "forget"]
    shares = [found["after"]["retain_test"] / found["before"]["retain_test"] - 1 for found in results]
    row = numbers.row(
        by_predicate=(pl.col("table") == "Table 2") & (pl.col("measure") == "retain change") & pl.col("seeds").eq(3),
        named=True,
    )
    assert row["measured"] == pytest.approx(sum(shares) / 3)
    assert (row["published"], row["difference"]) == pytest.approx((0.0036, row["measured"] - 0.0036))
    assert f"+{100 * row['measured']:.2f}% ({100 * min(shares):.2f} to {100 * max(shares):.2f})" in words(made)
    assert "paper +0.36%" in words(made)
    # the paper's own numbers are consistent with that reading, and not with one in points
    before, after = (
        PAPER["cifar100", "clip-vit-b32"].points["activations"][0][2],
        PAPER["cifar100", "clip-vit-b32"].points["activations"][-1][2],
    )
    assert round(after / before - 1, 3) == -0.002
    assert round(after - before, 4) == -0.0016


def test_other_tables_hold_what_the_artifacts_do(made: Workspace, numbers: pl.DataFrame) -> None:
    models = [found.result["test"] for found in made.all("train")]
    assert numbers.filter(table="Table 1", what="DKVB", measure="test", data="CIFAR-10")["measured"][
        0
    ] == pytest.approx(sum(models) / 3)
    attack = numbers.filter(pl.col("table") == "Table 3", pl.col("seeds") == 3).row(0, named=True)
    assert (attack["measured"], attack["published"]) == pytest.approx((0.53, 0.535))
    seconds = [found.result["seconds"] for found in made.all("unlearn") if found.settings["kind"] == "forget"]
    row = numbers.filter(pl.col("table") == "Table 8", pl.col("seeds") == 3).row(0, named=True)
    assert (row["measured"], row["published"]) == pytest.approx((sum(seconds) / 3, 5.02))
    assert numbers.filter(pl.col("measure") == "first N at zero", pl.col("seeds") == 3)["measured"][0] == 180_000
    point = numbers.filter(table="Figure 2", measure="retain at N = 150000").row(0, named=True)
    curves = [
        pl.read_parquet(found.path / "curve.parquet")
        for found in made.all("unlearn")
        if found.settings["kind"] == "sweep"
    ]
    kept = [curve.filter(pl.col("split") == "test", pl.col("n") == 150_000, pl.col("class") != 0) for curve in curves]
    found = [curve["correct"].sum() / curve["total"].sum() for curve in kept]
    assert (point["measured"], point["published"]) == pytest.approx((sum(found) / 3, 0.9297), abs=1e-6)


def test_what_was_not_measured_is_said_with_its_command(made: Workspace, numbers: pl.DataFrame) -> None:
    text = words(made)
    assert "not measured" in text
    for command in ("dkvb reproduce --only cifar100", "dkvb unlearn --method scrub", "dkvb unlearn --retrain 10"):
        assert command in text, command
    assert "Differs from the paper in 3 seeds instead of 5." in text
    assert numbers.filter(pl.col("data") == "LACUNA-100", pl.col("table") == "Table 2")["published"].len() == 6
    assert "case B −11.75%" in text
    assert "In the paper: class 1." in text


def test_names_are_escaped(made: Workspace) -> None:
    assert "<script>alert" not in (made.reports / "paper.html").read_text(encoding="utf-8")
    assert "&lt;script&gt;alert" in words(made)


def test_another_encoder_on_the_papers_data_is_compared_and_said_to_be_another(workspace: Workspace) -> None:
    fake = Fake(workspace)
    fake.embed = fake.make(
        "embed",
        "other",
        {**fake.embed.settings, "encoder": {"name": "timm:tiny", "weights": None}},
        {},
        {**fake.embed.result, "encoder": "timm:tiny"},
    )
    fake.train(epochs=5)
    report.run(load("cifar10"), workspace)
    text = words(workspace)
    assert "the encoder: timm:tiny instead of clip-vit-b32; training epochs 5 instead of 74" in text
    assert "CIFAR-10 · timm:tiny" in text


def test_one_s_own_data_have_no_published_column(workspace: Workspace, tmp_path: Path) -> None:
    fake = Fake(workspace, source="folder")
    fake.unlearn(fake.train(), "activations", 180_000)
    report.run(load("cifar10"), workspace)
    text = words(workspace)
    assert "as Table 2" in text
    assert " paper " not in text.split("Table 1: the trained models")[1].split("As in the paper")[0]
    assert pl.read_parquet(workspace.reports / "data/paper-numbers.parquet")["published"].null_count() > 0
    assert "reproduce --only" not in text


@pytest.mark.skipif(not (SHARED / "SPEC.md").is_file(), reason="needs the specification")
def test_published_numbers_equal_the_specification_s() -> None:
    spec = (SHARED / "SPEC.md").read_text(encoding="utf-8").replace("−", "-").split("## 8.")[1].split("## 9.")[0]
    table = {
        line.split("|")[1].strip(): [cell.strip() for cell in line.split("|")[2:-1]]
        for line in spec.splitlines()
        if line.startswith("|")
    }
    named = {"CIFAR-10": "cifar10", "CIFAR-100": "cifar100", "LACUNA-100": "lacuna100"}
    for place, (name, source) in enumerate(named.items()):
        said = PAPER[source, "clip-vit-b32"]
        for model, label in (("dkvb", "DKVB"), ("linear", "Linear")):
            assert [round(100 * said.trained[model][split], 2) for split in TABLE_1_COLUMNS] == [
                float(cell) for cell in table[f"{label} {name}"]
            ]
        for method, label in (
            ("activations", "via Activations"),
            ("examples", "via Examples"),
            ("scrub", "Linear + SCRUB"),
        ):
            assert round(100 * said.changes[method][0], 2) == float(table[label][place])
        firsts = table["first N_a / N_e at 0% forget (Appendix C)"][place].split(" / ")
        assert [said.first_zero[method] for method in ("activations", "examples")] == [int(number) for number in firsts]
        spent = next(cells for label, cells in table.items() if label.startswith("seconds on an RTX8000"))[place].split(
            " / "
        )
        assert list(said.seconds.values()) == [float(number) for number in spent]
    for number in ("+0.04 / -100", "-0.07 / -100", "+0.44 / -96.04", "-11.75 / -100"):
        changes = [*PAPER["cifar10", "resnet50"].changes.values(), *PAPER["cifar10", "resnet50"].also.values()]
        assert number in spec
        assert tuple(float(part) for part in number.split(" / ")) in [
            tuple(round(100 * value, 2) for value in pair) for pair in changes
        ]
