"""Judgements of made-up models: a perfect unlearner is at the null, one that does nothing at the do-nothing line."""

from __future__ import annotations

import numpy as np
import pytest

from dkvb.audit.judge import judge
from dkvb.audit.outputs import Margins
from dkvb.audit.scene import AGAINST, Scene
from dkvb.metrics import destinations, klom_lines, margins, references, softmax
from dkvb.records.audit import Judgement, Measured
from made_up import CLASSES, FORGET, LABELS, SPLIT, drawn, made_up


def by_name(judgement: Judgement) -> dict[str, Measured]:
    return {one.name: one for one in judgement.measured}


@pytest.fixture(scope="module")
def perfect() -> Judgement:
    untrained = np.random.default_rng(5).normal(size=(len(LABELS), CLASSES))
    return judge(made_up(drawn(60, False, 3), untrained=untrained), halvings=6)


@pytest.fixture(scope="module")
def idle() -> Judgement:
    return judge(made_up(drawn(60, True, 1)), halvings=6)


def test_a_perfect_unlearner_is_at_the_null(perfect: Judgement) -> None:
    found = by_name(perfect)
    assert len(found) == 13 + 1 + 6
    for name, one in found.items():
        assert one.null is not None
        assert one.nothing is not None
        assert one.at_null is not False, name
        assert abs(one.value - one.null) <= 0.1 * abs(one.nothing - one.null) + 0.01, name
    assert found["three-sample test"].high is not None
    assert found["three-sample test"].high < 0
    assert (perfect.unlearned, perfect.retrained, perfect.originals, perfect.points) == (60, 60, 60, 200)


def test_one_that_does_nothing_is_at_the_do_nothing_line(idle: Judgement) -> None:
    found = by_name(idle)
    for name, one in found.items():
        if name == "three-sample test":
            assert one.value > 0 > (one.null or 0)
            continue
        assert one.value == pytest.approx(one.nothing, rel=0.1, abs=0.01), name
    for name in ("forget accuracy", "destinations, each", "tug of war", "KLoM, forgotten rows", "membership"):
        assert found[name].at_null is False, name
    assert found["forget accuracy"].value > 0.95
    assert found["forget accuracy"].null == 0
    assert found["tug of war"].value < 0.05
    assert found["completeness"].value == pytest.approx(0.75, abs=0.01)  # a class of four is answered otherwise


def test_measures_that_work_separate_originals_from_retrained_models(perfect: Judgement) -> None:
    found = by_name(perfect)
    for name in ("forget accuracy", "tug of war", "destinations, each", "activation distance", "membership"):
        assert found[name].separates == 1, name
    retained = found["retain accuracy"].separates
    assert retained is not None
    assert retained < 0.75, "which knows nothing of the forgotten class"


def test_values_are_those_of_the_functions(perfect: Judgement) -> None:
    outputs = made_up(drawn(60, False, 3))
    rows = np.flatnonzero((LABELS == FORGET) & (SPLIT == "test"))
    others = Scene(outputs).others(None)
    assert len(others) == AGAINST
    each = [
        destinations(softmax(u[rows]), softmax(outputs.retrained[r][rows])).each_total_variation
        for u in outputs.unlearned
        for r in others
    ]
    found = by_name(perfect)
    assert found["destinations, each"].value == pytest.approx(np.mean(each))
    taken = references(outputs.retrained, LABELS, [FORGET])
    assert (taken[LABELS == FORGET] == 1).mean() > 0.9
    assert outputs.original is not None
    of = [margins(m[:, rows], taken[rows], [FORGET]) for m in (outputs.unlearned, outputs.retrained, outputs.original)]
    expected = klom_lines(*of, halvings=6)
    klom = found["KLoM, forgotten rows"]
    assert expected.nothing is not None
    assert (klom.value, klom.null, klom.nothing) == (
        expected.unlearned.mean,
        expected.null.mean,
        expected.nothing.mean,
    )
    assert "noise" in klom.note, "halves of 60 are 30 models"
    assert found["nearest retained class"].value == pytest.approx(0, abs=0.01)


def test_harm_to_one_class_shows_where_the_mean_hides_it() -> None:
    harmed = drawn(20, False, 3)
    harmed[:, (LABELS == 1) & (np.arange(200) < 80), 2] += 20  # half of the neighbour's rows go to class 2
    found = by_name(judge(made_up(harmed), halvings=2))
    assert found["nearest retained class"].value == pytest.approx(-0.5, abs=0.03)
    assert found["worst retained class"].value == found["nearest retained class"].value
    assert found["retain accuracy"].value == pytest.approx(1 - 0.5 / 3, abs=0.03)
    assert found["nearest retained class"].at_null is False


def test_one_model_of_each_kind_says_what_is_missing() -> None:
    judgement = judge(made_up(drawn(1, False, 3), retrained=1, original=None))
    found, left = by_name(judgement), {one.name: one.reason for one in judgement.left_out}
    forget = found["forget accuracy"]
    assert (forget.value, forget.low, forget.null) == (0, 0, 0)
    assert forget.high == pytest.approx(0.0876, abs=1e-4)  # Wilson's, of none of 40
    assert found["destinations, each"].null is None
    assert "no null" in found["destinations, each"].note
    assert found["destinations, each"].low is None
    assert "two retrained models" in left["KLoM, forgotten rows"]
    assert "`original`" in left["three-sample test"]
    assert "`untrained`" in left["zero retrain forgetting"]
    assert "`member`" in left["U-LiRA"]
    assert "the model itself" in left["relearning"]
    assert "membership" in found


def test_without_learned_rows_there_is_no_membership() -> None:
    judgement = judge(made_up(drawn(2, False, 3), split=None), halvings=2)
    left = {one.name: one.reason for one in judgement.left_out}
    assert "`split`" in left["membership"]
    assert "KLoM, learned rows" not in by_name(judgement)


def test_shadow_models_are_attacked() -> None:
    member = np.random.default_rng(7).random((40, len(LABELS))) < 0.5
    clean = by_name(judge(made_up(drawn(40, False, 3), 2, original=None, member=member), halvings=2))["U-LiRA"]
    assert clean.low is not None
    assert clean.high is not None
    assert clean.low < 0.5 < clean.high
    traces = drawn(40, False, 3)
    traces[:, :, 1] += 2 * member  # what was learned left a trace in the class that its rows are taken for
    found = by_name(judge(made_up(traces, 2, original=None, member=member), halvings=2))["U-LiRA"]
    assert found.low is not None
    assert found.low > 0.8


def test_margins_alone_give_the_measures_per_point() -> None:
    rng = np.random.default_rng(0)
    part = np.repeat(["forget", "retain"], 50)
    unlearned, retrained, original = rng.normal(size=(3, 120, 100))
    original[:, :50] += 2
    judgement = judge(Margins(unlearned, retrained, original, part), halvings=4)
    found = by_name(judgement)
    assert set(found) == {f"{name}, {p}" for name in ("KLoM", "Wasserstein-1 of margins") for p in ("forget", "retain")}
    wasserstein = found["Wasserstein-1 of margins, forget"]
    assert wasserstein.nothing == pytest.approx(2, abs=0.1)
    assert wasserstein.at_null
    assert "noise" not in found["KLoM, forget"].note
    assert {one.name for one in judgement.left_out} >= {"forget accuracy", "U-LiRA", "relearning"}
