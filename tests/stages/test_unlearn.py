from __future__ import annotations

from pathlib import Path

import numpy as np
import polars
import pytest
import torch
from safetensors.numpy import load_file, save_file

import oracle
from conftest import CLASSES, artifact_bytes, trained_seed
from dkvb import registry
from dkvb.bottleneck.mask_order import unpack
from dkvb.commands import tables
from dkvb.errors import DkvbError, MissingStage, UsageError
from dkvb.evaluation import under_masks
from dkvb.evaluation.baselines import no_baseline
from dkvb.evaluation.seed import TrainedSeed
from dkvb.methods.base import CurvePoint, make, smallest_reaching
from dkvb.methods.scrub import ScrubMethod
from dkvb.methods.scrub_passes import distillation, scrub_epochs, scrub_passes
from dkvb.metrics.accuracy import percent
from dkvb.recipe import Recipe, Scrub
from dkvb.records.accuracies import Accuracies
from dkvb.records.train import TrainResult
from dkvb.records.unlearn import UnlearnResult
from dkvb.runtime import progress
from dkvb.runtime.seeding import generator
from dkvb.stages import embed, quantize, train, unlearn
from dkvb.workspace import arrays
from dkvb.workspace.artifacts import Workspace
from dkvb.workspace.requests import need_features

ACCURACIES = {"retain_test", "forget_test", "retain_train", "forget_train"}


def only(recipe: Recipe, workspace: Workspace, method: str, **unlearned: object) -> dict:
    entry = unlearn.run(recipe.with_(unlearn={"method": method, "forget": ["cat"], **unlearned}), workspace)
    assert len(entry) == 1
    return entry[0]


def mask_of(entry: dict) -> np.ndarray:
    return unpack(load_file(entry.artifact + "/mask.safetensors")["mask"], 32)


@pytest.mark.parametrize("method", [name for name, entry in registry.methods().items() if not entry.rival])
def test_every_method_forgets_one_class_and_measures_all_four_splits(
    trained: Recipe, workspace: Workspace, method: str
) -> None:
    entry = only(trained, workspace, method, sweep=True)
    assert (entry.forget, entry.forget_names, entry.seed) == ([2], ["cat"], 0)
    assert set(entry.before.model_dump()) == set(entry.after.model_dump()) == ACCURACIES
    assert entry.before.forget_test > 0.9
    assert entry.after.forget_test < 0.5 * entry.before.forget_test
    assert entry.after.retain_test > entry.before.retain_test - 0.15
    assert entry.curve[0].forget_test == entry.before.forget_test
    metrics = polars.read_parquet(entry.artifact + "/metrics.parquet")
    rows = metrics.filter(
        (polars.col("when") == "after") & (polars.col("split") == "train") & (polars.col("class") == 2)
    )
    assert rows["correct"][0] / rows["total"][0] == pytest.approx(entry.after.forget_train)


def test_activations_mask_the_most_selected_pairs(trained: Recipe, workspace: Workspace) -> None:
    entry = only(trained, workspace, "activations", na=100)
    s = trained_seed(trained, workspace)
    counts = arrays.read(s.dkvb_artifact, "counts")[2]
    masked = mask_of(entry)
    assert masked.sum() == entry.masked == 100
    assert counts[masked].min() >= counts[~masked].max()
    assert entry.activated == (counts > 0).sum()


def test_counts_of_the_last_epoch_give_the_same_mask_as_the_forget_set(trained: Recipe, workspace: Workspace) -> None:
    masks = [
        mask_of(only(trained, workspace, "activations", na=120, counts=source))
        for source in ("forget-set", "last-epoch")
    ]
    np.testing.assert_array_equal(*masks)


@pytest.mark.parametrize("method", ["activations", "examples"])
def test_a_proxy_set_stands_in_for_the_forget_set(
    trained: Recipe, workspace: Workspace, tmp_path: Path, method: str
) -> None:
    s = trained_seed(trained, workspace)
    rows = s.splits.labels["train"] == 2
    x = s.splits.features_of("train")
    np.savez(tmp_path / "same.npz", x=x[rows])
    np.savez(tmp_path / "labelled.npz", x=x, y=s.splits.labels["train"])
    direct = only(trained, workspace, method)
    for name in ("same", "labelled"):
        entry = only(trained, workspace, method, counts="proxy", proxy=str(tmp_path / f"{name}.npz"))
        np.testing.assert_array_equal(mask_of(entry), mask_of(direct))
    test = s.splits.features_of("test")[s.splits.labels["test"] == 2]
    np.savez(tmp_path / "other.npz", x=test)
    entry = only(trained, workspace, method, counts="proxy", proxy=str(tmp_path / "other.npz"))
    assert entry.after.forget_test < entry.before.forget_test


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ({"x": np.zeros((3, 5), np.float32)}, "width 5"),
        ({"x": np.zeros((0, 12), np.float32)}, "no samples"),
        ({"z": np.zeros(3)}, "it has no x"),
    ],
)
def test_bad_proxies_are_refused(
    trained: Recipe, workspace: Workspace, tmp_path: Path, arrays: dict, says: str
) -> None:
    np.savez(tmp_path / "proxy.npz", **arrays)
    with pytest.raises(DkvbError, match=says):
        only(trained, workspace, "activations", counts="proxy", proxy=str(tmp_path / "proxy.npz"))
    with pytest.raises(UsageError, match="does not exist"):
        only(trained, workspace, "activations", counts="proxy", proxy=str(tmp_path / "none.npz"))
    with pytest.raises(UsageError, match="needs the proxy set"):
        only(trained, workspace, "activations", counts="proxy")


def test_examples_mask_what_the_first_examples_select(trained: Recipe, workspace: Workspace) -> None:
    s = trained_seed(trained, workspace)
    rows = np.flatnonzero(s.splits.labels["train"] == 2)
    chosen = rows[generator(0, "unlearn", "examples", 2).permutation(len(rows))][:13]
    codes = s.bottleneck.codes("train")[:, chosen]
    union = np.stack([np.bincount(c.ravel(), minlength=32) > 0 for c in codes])
    np.testing.assert_array_equal(mask_of(only(trained, workspace, "examples", ne=13)), union)


@pytest.mark.parametrize("method", ["activations", "examples"])
def test_each_point_of_a_sweep_equals_unlearning_at_that_n(trained: Recipe, workspace: Workspace, method: str) -> None:
    sweep = only(trained, workspace, method, sweep=True).curve
    assert [p.n for p in sweep] == sorted({p.n for p in sweep})
    for p in sweep[::9]:
        entry = only(trained, workspace, method, **{"na" if method == "activations" else "ne": p.n})
        assert (entry.after.retain_test, entry.after.forget_test, entry.masked) == (
            p.retain_test,
            p.forget_test,
            p.masked,
        )


def test_sweeps_notice_lists_that_run_out(trained: Recipe, workspace: Workspace) -> None:
    """With every activated pair masked, lists of 6 run out; a lookup that did not notice would see the class come
    back."""
    s = trained_seed(trained, workspace)
    order = make("activations", s, [2]).order()  # type: ignore[attr-defined]
    listed = arrays.read(s.bottleneck.codes_artifact, "test/neighbours")
    short = np.mean([(order[c][listed[:, c]] >= 10**6).sum(1) < 2 for c in range(20)])
    assert short > 0.01, "the case is only a case where some lists run out"
    exact = under_masks.masked_logits(s.bottleneck, order, 10**6, "test")
    unlisted = trained_seed(trained, workspace)
    unlisted.bottleneck._neighbours["test"] = None
    np.testing.assert_array_equal(under_masks.masked_logits(unlisted.bottleneck, order, 10**6, "test"), exact)


def test_more_pairs_than_were_activated_masks_those_and_says_so(trained: Recipe, workspace: Workspace) -> None:
    entry = only(trained, workspace, "activations", na=640)
    assert entry.masked == entry.activated < 640
    assert f"those {entry.activated:,} are masked" in entry.note


@pytest.mark.parametrize(
    ("method", "setting", "says"),
    [
        ("activations", {"na": 641}, "N_a = 641 is not between 0 and all 640 pairs"),
        ("examples", {"ne": 65}, "N_e = 65 is not between 0 and the 64 examples"),
        ("activations", {"forget": ["cow"]}, "There is no class 'cow'"),
        ("activations", {"forget": [4]}, "There is no class of id 4: ids go from 0 to 3"),
        ("activations", {"forget": ["cat", "#2"]}, "'cat' is named twice"),
        ("activations", {"forget": CLASSES}, "All 4 classes"),
    ],
)
def test_settings_that_make_no_sense_are_refused(
    trained: Recipe, workspace: Workspace, method: str, setting: dict, says: str
) -> None:
    with pytest.raises(UsageError, match=says):
        only(trained, workspace, method, **setting)


def test_forget_sets(trained: Recipe, workspace: Workspace) -> None:
    def sets(forget: object) -> list[list[int]]:
        return unlearn.forget_sets(trained_seed(trained.with_(unlearn={"forget": forget}), workspace))

    assert sets("each") == [[0], [1], [2], [3]]
    assert sets(["dog", "#0"]) == sets(["dog", 0]) == [[0, 3]]
    missed = trained_seed(trained, workspace).dkvb_artifact.result["misclassified_test"]
    on_test = trained.with_(unlearn={"forget": "best", "best_on": "test"})
    assert unlearn.forget_sets(trained_seed(on_test, workspace)) == [[int(np.argmin(missed))]]


def test_the_best_class_of_validation_data_is_one_for_all_seeds(trained: Recipe, workspace: Workspace) -> None:
    recipe = trained.with_(run={"seeds": [0, 1]}, unlearn={"method": "activations", "forget": "best"})
    train.run(recipe, workspace)
    errors = 0
    for seed in (0, 1):
        one = TrainedSeed(recipe, workspace, need_features(recipe, workspace), seed)
        labels = one.splits.labels["validation"]
        predicted = under_masks.masked_predictions(one.bottleneck, one.no_mask, [0], "validation")[0]
        errors = errors + np.bincount(labels[predicted != labels], minlength=4)
    entries = unlearn.run(recipe, workspace)
    assert [entry.forget for entry in entries] == [[int(np.argmin(errors))]] * 2
    assert [entry.best_on for entry in entries] == ["validation"] * 2
    (named,) = unlearn.run(recipe.with_(run={"seeds": [0]}, unlearn={"forget": ["cat"]}), workspace)
    assert named.best_on is None


def test_without_validation_data_the_best_class_is_that_of_test_data_and_this_is_said(
    trained: Recipe, workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    bare = trained.with_(data={"validation": 0.0}, unlearn={"method": "logit-mask", "forget": "best"})
    train.run(bare, workspace)
    progress.silence(False)
    (entry,) = unlearn.run(bare, workspace)
    assert entry.best_on == "test"
    assert "on test data, since the recipe keeps no validation data" in capsys.readouterr().err


def test_auto_looks_at_training_and_validation_rows(trained: Recipe, workspace: Workspace) -> None:
    entry = only(trained, workspace, "activations", na="auto", target="zero")
    assert entry.chosen == "validation"
    assert entry.judged_on == ["validation", "train"]
    assert entry.after.forget_train == 0
    assert all(p.forget_validation == 0 for p in entry.curve if p.n >= entry.n)
    assert entry.seconds_choose > 0
    assert only(trained, workspace, "activations", na=10).seconds_choose is None
    chance = only(trained, workspace, "activations", na="auto", target="chance")
    assert chance.n < entry.n
    assert 0 < chance.after.forget_train <= 0.25
    no_validation = trained.with_(data={"validation": 0.0})
    train.run(no_validation, workspace)
    on_train = only(no_validation, workspace, "activations", na="auto")
    assert on_train.judged_on == ["train"]
    assert on_train.after.forget_train == 0
    with pytest.raises(UsageError, match=r"set data.validation.*unlearn.choose"):
        only(no_validation.with_(scrub={"min_steps": "auto"}), workspace, "scrub")
    on_test = only(no_validation, workspace, "activations", na="auto", choose="test", target="zero")
    assert on_test.n == next(p.n for p in on_test.curve if p.forget_test == 0)


def test_choosing_from_a_curve() -> None:
    curve = [CurvePoint(0, 0.9, 1.0), CurvePoint(1, 0.9, 0.3), CurvePoint(2, 0.8, 0.05), CurvePoint(3, 0.9, 0.0)]
    assert smallest_reaching(curve, 0.1) == (2, None)
    assert smallest_reaching(curve, 0.0) == (3, None)
    n, note = smallest_reaching(curve[:3], 0.0)
    assert n == 2
    assert note is not None
    assert "5.0%" in note


def test_scrub_stops_as_in_appendix_e3(trained: Recipe, workspace: Workspace) -> None:
    scrub = ScrubMethod(trained_seed(trained, workspace), [2])
    start = CurvePoint(0, 0.9, 1.0)
    assert scrub.choose([start, CurvePoint(1, 0.5, 0), CurvePoint(2, 0.9, 0), CurvePoint(3, 0.95, 0)], 0.0)[0] == 2
    assert scrub.choose([start, CurvePoint(1, 0.5, 0), CurvePoint(2, 0.8, 0), CurvePoint(3, 0.7, 0)], 0.0)[0] == 2
    reached = [start, CurvePoint(1, 0.9, 0.1), CurvePoint(2, 0.9, 0)]
    assert scrub.choose(reached, 0.25)[0] == 2, "Appendix E.3 stops at 0%, whatever masking aims at"
    n, note = scrub.choose([start, CurvePoint(1, 0.5, 0.2), CurvePoint(2, 0.8, 0.1)], 0.0)
    assert n == 2
    assert note is not None


@pytest.mark.parametrize("max_steps", [0, 2, 5])
def test_scrub_equals_a_separately_written_loop_after_every_epoch(max_steps: int) -> None:
    """The teacher differs from the start: at the teacher the gradient is zero, and Adam would blow rounding noise
    up."""
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((50, 6)), rng.integers(0, 3, 50)
    head, teacher = torch.nn.Linear(6, 3).double(), torch.nn.Linear(6, 3).double().requires_grad_(False)
    taught = teacher.weight.numpy(), teacher.bias.numpy()
    weight, bias = head.weight.detach().numpy().copy(), head.bias.detach().numpy().copy()
    settings = Scrub(max_steps=max_steps, lr=0.05, alpha=0.3, gamma=0.9, temperature=3.0, batch_size=8)
    forget = y == 1

    def batches(name: str, rows: np.ndarray) -> list[list[np.ndarray]]:
        orders = [rows[generator(5, "scrub", name, epoch).permutation(len(rows))] for epoch in range(1, 5)]
        return [[order[i : i + 8] for i in range(0, len(order), 8)] for order in orders]

    drawn = batches("forget", np.flatnonzero(forget)), batches("retain", np.flatnonzero(~forget))
    expected = oracle.scrub(weight, bias, *taught, x, y, *drawn, max_steps, 0.05, 0.3, 0.9, 3.0)
    finished = scrub_epochs(
        scrub_passes(head, teacher, torch.from_numpy(x), torch.from_numpy(y), torch.from_numpy(forget), settings, 4, 5)
    )
    for _, (w, b) in zip(finished, expected, strict=True):
        np.testing.assert_allclose(head.weight.detach(), w, rtol=1e-5, atol=1e-7)
        np.testing.assert_allclose(head.bias.detach(), b, rtol=1e-5, atol=1e-7)
    assert not np.allclose(head.weight.detach(), weight, atol=1e-3)


def test_distillation_is_zero_at_the_teacher_and_grows_away_from_it() -> None:
    teacher = torch.randn(9, 4, generator=torch.Generator().manual_seed(0))
    assert float(distillation(teacher, teacher, 4.0)) == pytest.approx(0, abs=1e-6)
    assert float(distillation(teacher + torch.eye(4)[0] * 5, teacher, 4.0)) > 0.1


def test_logit_mask_forgets_wholly_and_cannot_harm_the_rest(trained: Recipe, workspace: Workspace) -> None:
    entry = only(trained, workspace, "logit-mask")
    assert entry.after.forget_test == entry.after.forget_train == 0
    assert entry.after.retain_test >= entry.before.retain_test
    assert entry.masked == 0


def test_the_model_stays_untouched_beside_a_small_mask(trained: Recipe, workspace: Workspace) -> None:
    before = artifact_bytes(workspace.root / "train")
    entry = only(trained, workspace, "activations")
    assert artifact_bytes(workspace.root / "train") == before
    assert (Path(entry.artifact) / "mask.safetensors").stat().st_size < 20 * 4 + 400


def test_finished_work_is_skipped_and_rerun_work_is_the_same(trained: Recipe, workspace: Workspace) -> None:
    recipe = trained.with_(unlearn={"sweep": True, "method": ["votes", "examples", "scrub"]})
    assert [entry.skipped for entry in unlearn.run(recipe, workspace)] == [False] * 3
    bits = artifact_bytes(workspace.root)
    assert [entry.skipped for entry in unlearn.run(recipe, workspace)] == [True] * 3
    unlearn.run(recipe, workspace, force=True)
    assert artifact_bytes(workspace.root) == bits


def test_unlearning_needs_trained_models(recipe: Recipe, workspace: Workspace) -> None:
    for stage, wanted in ((None, "embed"), (embed, "train"), (quantize, "train")):
        if stage:
            stage.run(recipe, workspace)
        with pytest.raises(MissingStage, match=f"`dkvb {wanted}`"):
            unlearn.run(recipe, workspace)


def test_a_head_that_never_learned_the_class_is_no_baseline(trained: Recipe, workspace: Workspace) -> None:
    wanted = {"method": ["activations", "scrub"], "forget": ["cat"]}
    mask, learned = unlearn.run(trained.with_(unlearn=wanted), workspace)
    assert (mask.baseline, learned.baseline, learned.note) == (None, True, None)
    head = trained_seed(trained, workspace).linear_artifact
    weights = load_file(head.path / "linear.safetensors")
    weights["bias"][2] = -1e6  # never predicted
    save_file(weights, head.path / "linear.safetensors")
    head.reseal(purged=[])
    again = unlearn.run(trained.with_(unlearn=wanted), workspace, force=True)
    reached = percent(trained_seed(trained, workspace).bottleneck_result.per_class_test[2])
    assert again[0].baseline is None
    assert again[1].baseline is False
    assert again[1].note.startswith(f"has not learned the class (0.0% before unlearning, the bottleneck {reached}): no")
    [table, *notes] = tables.unlearn(again)
    assert [cell.count("(not learned)") for cell in table.columns[5].cells] == [0, 1]
    assert any("no baseline" in note for note in notes)


def test_no_baseline_at_chance_or_below_half_of_the_bottleneck() -> None:
    of_class = TrainResult.model_construct(tested=[10, 10, 10, 10], misclassified_test=[1, 2, 0, 0])

    def judged(before: float, model: str = "linear", bottleneck: TrainResult | None = of_class) -> str | None:
        accuracies = Accuracies(retain_test=1, forget_test=before, retain_train=1, forget_train=1)
        result = UnlearnResult.model_construct(model=model, before=accuracies, classes=CLASSES, forget=[0, 1])
        return no_baseline(result, bottleneck)

    # the bottleneck is right on 17 of 20; chance is one in four
    assert judged(0.42) == "has not learned the classes (42.0% before unlearning, the bottleneck 85.0%): no baseline"
    assert judged(0.43) is None
    assert judged(0.25, bottleneck=None) == "has not learned the classes (25.0% before unlearning): no baseline"
    assert judged(0.26, bottleneck=None) is None
    assert judged(0.0, model="dkvb") is None
