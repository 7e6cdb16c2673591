"""The arithmetic of estimates, at rates that are made up: seconds, disk and memory of every step."""

from __future__ import annotations

import pytest

from dkvb.experiments.filled import disk, memory
from dkvb.experiments.paper_plan import METHODS
from dkvb.experiments.sizes import Size
from dkvb.experiments.workload import ITERATIONS, LONGEST, LOOKED_AT, START, TEACHER, parts
from dkvb.recipe import Recipe
from dkvb.training.codes import PROCESS
from fixed_rates import RATES

SIZE = Size(train=1000, test=200, width=64, classes=5)
RECIPE = Recipe().with_(
    data={"source": "features", "validation": 0.1},
    keys={"codebooks": 10, "pairs": 100, "top_k": 4, "epochs": 3, "neighbours": 16},
    train={"epochs": 7, "batch_size": 100},
    linear={"until": "converged"},
    scrub={"min_steps": 4, "batch_size": 100},
    unlearn={"sweep": True, "retrain": 2},
)
IDLE = START * RATES.slowdown
VALUES = IDLE + 7 * (10 * 1e-3 + 200 * 1e-5) + 1200 * 1e-5
QUANTIZE = IDLE + 10 * (900 * 3 * 1e-6 + 1200 * 2e-6 + 300 * 5e-6)
HEAD = IDLE + 1000 * 1e-5 * ITERATIONS


def of(step: str, **sections: dict[str, object]) -> dict[str, float]:
    return parts(step, RECIPE.with_(**sections), SIZE, RATES, None)


def test_the_stages() -> None:
    assert of("quantize") == {"quantize": pytest.approx(QUANTIZE)}
    assert of("train") == {"values": pytest.approx(VALUES), "head": pytest.approx(HEAD)}
    by_epochs = of("train", linear={"until": "epochs", "epochs": 3, "batch_size": 100, "converged": False})
    assert by_epochs["head"] == pytest.approx(IDLE + 3 * 10 * 2e-3)
    images = parts("embed", Recipe(), Size(900, 100, 512, 5), RATES, 50.0)
    assert images == {"embed clip-vit-b32": pytest.approx(IDLE + 20 + 1000 * 512 * 4 / 50e6 * 2)}
    assert set(of("embed")) == {"embed"}


def test_masking_chooses_sweeps_and_is_trained_on() -> None:
    choose = 200 * 10 * (5e-6 + LOOKED_AT * 3e-6)
    seen = 1200 * 10 * 3e-6
    expected = {
        "votes forget": IDLE + choose + seen,
        "votes sweep": IDLE + choose + 300 * 10 * 4e-6,
        "votes retraining": IDLE + seen + 2 * (9 * 1e-3 + 1200 * 1e-5),
    }
    assert of("votes") == {part: pytest.approx(seconds) for part, seconds in expected.items()}
    assert set(of("activations", unlearn={"sweep": False, "retrain": 0})) == {"activations forget"}


def test_scrub_trains_three_times() -> None:
    epoch = TEACHER * 10 * 2e-3
    assert of("scrub") == {
        "scrub forget": pytest.approx(IDLE + 4 * epoch),
        "scrub sweep": pytest.approx(IDLE + LONGEST * epoch),
        "scrub retraining": pytest.approx(IDLE + (4 + 2) * epoch),
    }
    assert of("scrub-r", scrub={"min_steps": "auto"}) == {"scrub-r forget": pytest.approx(IDLE + LONGEST * epoch)}
    looked_at = TEACHER * 10 * 1e-3 + 1200 * 1e-5
    assert of("scrub-values")["scrub-values sweep"] == pytest.approx(IDLE + LONGEST * looked_at)


def test_retraining_keys_is_fitting_and_training_and_not_many_times_both() -> None:
    seen = 1200 * 10 * 3e-6
    assert of("retrain") == {"retrain forget": pytest.approx(VALUES + seen)}
    assert of("retrain-keys") == {"retrain-keys forget": pytest.approx(QUANTIZE + VALUES + seen)}
    assert of("retrain-linear") == {"retrain-linear forget": pytest.approx(HEAD + IDLE)}
    assert of("logit-mask") == {"logit-mask forget": pytest.approx(IDLE + seen)}
    assert set(of("membership")) == {"quantize", "values", "head", "membership"}


def test_disk() -> None:
    codes, lists, keys = 1200 * 10 * 4 * 2, 300 * 10 * 16 * 2, 10 * 100 * 8 * 4
    quantized = codes + lists + keys + 10 * 64 * 8 * 4
    assert disk("embed", RECIPE, SIZE) == 1200 * 64 * 4
    assert disk("quantize", RECIPE, SIZE) == quantized
    assert disk("train", RECIPE, SIZE) == 10 * 100 * 5 * 4 * 5 // 4
    assert disk("retrain-keys", RECIPE, SIZE) == 10 * 100 * 5 * 4 + quantized


def test_memory_is_the_processs_own_and_what_the_step_holds() -> None:
    values, codes = 10 * 100 * 5 * 4, 1200 * 10 * 4 * 2
    assert memory("train", RECIPE, SIZE) == PROCESS + max(4 * values + 3 * codes, 2 * 1200 * 64 * 4)
    assert memory("scrub", RECIPE, SIZE) == PROCESS + 2 * 1200 * 64 * 4
    assert memory("embed", RECIPE, SIZE) == PROCESS
    assert memory("embed", Recipe(), SIZE) > PROCESS
    large = Size(1_281_167, 50_000, 512, 1000)
    assert memory("quantize", RECIPE.with_(keys={"codebooks": 256}), large) == 4 * 2**30, "run.memory is its limit"
    assert all(memory(step, RECIPE, SIZE) >= PROCESS for step in ["embed", "quantize", "train", *METHODS, "membership"])
