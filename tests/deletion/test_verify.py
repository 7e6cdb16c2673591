"""The verdict on forgotten classes, on the tiny recipe."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from typer.testing import CliRunner

from conftest import prepare, trained_seed
from deletion_records import a_masking, a_purge
from dkvb.bottleneck.decoder import Decoder, flat_ids, start_values
from dkvb.cli import app
from dkvb.deletion import checks, forget, ledger, relearning, restore
from dkvb.deletion import verify as verifying
from dkvb.deletion.before_purge import before_purge
from dkvb.deletion.comparison import destinations
from dkvb.deletion.limits import at_least, at_most
from dkvb.deletion.outputs import Models, Outputs, RowsLookedAt
from dkvb.deletion.verdict import judge
from dkvb.errors import DamagedArtifact, UsageError
from dkvb.evaluation.seed import TrainedSeed
from dkvb.evaluation.under_masks import masked_predictions
from dkvb.pages.verify import page
from dkvb.recipe import Recipe, validate
from dkvb.records.levels import WORDS
from dkvb.records.proportions import Accuracy, ClassAccuracy, Difference
from dkvb.records.verdict import Check, Verdict, together
from dkvb.stages import train
from dkvb.training import loop
from dkvb.training.on_retain_set import load_bottleneck
from dkvb.workspace import request_writing, requests
from dkvb.workspace.artifacts import Workspace
from dkvb.workspace.names import VALUES

CAT, DOG = 2, 3
LIMITS = {"max_forget": 0.25, "max_retain_drop": 0.3, "max_class_drop": 0.5, "samples": [5, 20], "epochs": 4}
"""That thirty test rows a class can show."""


@pytest.fixture
def trained(recipe: Recipe, workspace: Workspace) -> Recipe:
    return prepare(recipe.with_(verify=LIMITS), workspace)


def mask_of(found: TrainedSeed, *classes: int, share: float = 0.6) -> np.ndarray:
    """(C, M): the pairs that each class selects most, so that it is forgotten; `share` of what it ever selected."""
    mask = np.zeros((found.bottleneck.codebooks, found.bottleneck.pairs), bool)
    for c in classes:
        counts = found.class_counts([c])
        others = found.class_counts([other for other in range(len(found.splits.classes)) if other != c])
        own = np.flatnonzero((counts > others).ravel())
        mask.ravel()[own[np.argsort(-counts.ravel()[own], kind="stable")][: round(share / 0.6 * len(own))]] = True
    return mask


def failed(verdict: Verdict) -> list[str]:
    return [check.name for check in verdict.checks if check.state == "failed"]


def named(verdict: Verdict, name: str) -> Check:
    """Its only check whose name begins so."""
    (check,) = (check for check in verdict.checks if check.name.startswith(name))
    return check


def test_intervals_by_hand() -> None:
    found = Accuracy.of(8, 10)
    assert found is not None
    z = 1.959963984540054
    middle, half = (0.8 + z**2 / 20) / (1 + z**2 / 10), z * (0.8 * 0.2 / 10 + z**2 / 400) ** 0.5 / (1 + z**2 / 10)
    assert found.low == pytest.approx(middle - half)
    assert found.high == pytest.approx(middle + half)
    assert Accuracy.of(0, 0) is None
    both = Difference.of(np.array([1, 1, 1, 0], bool), np.array([1, 0, 0, 1], bool))
    assert both is not None
    assert both.difference == 0.25
    assert both.high - both.low == pytest.approx(2 * z * (4 - 1 / 6) ** 0.5 / 6)
    same = Difference.of(np.ones(100, bool), np.ones(100, bool))
    assert same is not None
    assert same.difference == 0
    assert 0.01 < same.high < 0.03
    assert Difference.of(np.empty(0, bool), np.empty(0, bool)) is None


def test_where_samples_go_by_hand() -> None:
    splits = a_split(["a", "b", "c"], test=[0, 0, 0, 0, 1])
    rows = RowsLookedAt(splits, [0])

    def outputs(predicted: list[int], probabilities: list[float]) -> Outputs:
        """The probabilities are those of b, and of c the rest; that of a is no matter."""
        logits = [[9.0, np.log(b), np.log(1 - b)] for b in probabilities]
        return Outputs(rows, {"test": np.array(predicted)}, {"test": np.array(logits, np.float32)})

    oracle = outputs([1, 1, 1, 0, 2], [0.9, 0.8, 0.7, 0.6])
    models = Models(
        masked=outputs([1, 1, 2, 2, 1], [0.8, 0.8, 0.3, 0.5]),
        lifted=outputs([0, 0, 0, 0, 1], [0.5] * 4),
        oracle=oracle,
        second=outputs([1, 1, 1, 0, 2], [0.9, 0.8, 0.7, 0.5]),
        erased=False,
    )
    going = destinations(models)["a"]
    assert going.unlearned == [0, 0.5, 0.5]
    assert going.oracle == [0.25, 0.75, 0]
    assert going.total_variation == 0.5
    assert going.samples == going.distance_rows == 4
    assert going.distance == pytest.approx((0.1 + 0 + 0.4 + 0.1) / 4)
    assert going.distance_null == pytest.approx(0.1 / 4)
    assert going.distance_before == pytest.approx((0.4 + 0.3 + 0.2 + 0.1) / 4)
    assert "15.0% from the oracle's" in going.sentence
    assert "2.5% apart" in going.sentence
    quick = destinations(replace(models, second=None, erased=True))["a"]
    assert (quick.distance_null, quick.distance_before) == (None, None)
    assert "was left out" in quick.sentence


def a_split(names: list[str], **labels: list[int]) -> Any:
    """Made-up labels of some splits."""
    known = {split: np.array(labels.get(split, []), np.int64) for split in ("train", "validation", "test")}
    return SimpleNamespace(classes=names, labels=known, evaluation=["test"])


def test_a_limit_in_an_interval_shows_nothing() -> None:
    assert [at_most(0.1, low, high) for low, high in ((0, 0.1), (0.05, 0.2), (0.1, 0.2), (0.11, 0.2))] == [
        "passed",
        "not-shown",
        "not-shown",
        "failed",
    ]
    assert [at_least(0.1, low, high) for low, high in ((0.1, 0.2), (0.05, 0.2), (0, 0.09))] == [
        "passed",
        "not-shown",
        "failed",
    ]
    assert together(["passed", "not-shown"]) == "not-shown"
    assert together(["passed", "not-shown", "failed"]) == "failed"
    assert together([]) == together(["passed"]) == "passed"


def test_a_class_is_judged_on_every_split() -> None:
    def of(correct: int, samples: int) -> ClassAccuracy:
        known = Accuracy.of(correct, samples)
        return ClassAccuracy(class_id=0, name="a", forgotten=True, **dict(known or {}))

    enough, few = of(0, 381), of(0, 380)
    assert checks._forgotten("a", {"test": enough}, 0.01).state == "passed"
    short = checks._forgotten("a", {"test": few}, 0.01)
    assert (short.state, short.passed, short.value) == ("not-shown", False, 0)
    assert "380 test rows are too few to show that: it takes 381 of which none" in short.sentence
    assert checks._forgotten("a", {"test": of(100, 381)}, 0.01).state == "failed"
    between = checks._forgotten("a", {"test": of(8, 1000)}, 0.01)
    assert between.state == "not-shown"
    assert "The interval crosses the limit" in between.sentence
    assert "No number of rows" in checks._forgotten("a", {"test": enough}, 0.0).sentence
    # what N was chosen on is judged as it stands
    trained = checks._forgotten("a", {"test": enough, "validation": of(0, 5), "train": of(27, 100)}, 0.01)
    assert trained.state == "failed"
    assert "0.0% of its 5 validation rows and 27.0% of its 100 training rows" in trained.sentence
    assert checks._forgotten("a", {"test": enough, "train": of(1, 100)}, 0.01).state == "passed"
    without = checks._forgotten("a", {"train": of(0, 100)}, 0.01)
    assert (without.state, without.value) == ("not-shown", None)
    assert "It has no test rows" in without.sentence
    assert checks._forgotten("a", {"train": of(2, 100)}, 0.01).state == "failed"


def test_a_proper_mask_passes_and_an_empty_one_fails(trained: Recipe, workspace: Workspace) -> None:
    found = trained_seed(trained, workspace)
    entry = judge(found, mask_of(found, CAT), [CAT])
    assert entry.verdict == "passed", [check.sentence for check in entry.checks]
    assert entry.passed
    assert (entry.checks_failed, entry.checks_not_shown) == (0, 0)
    assert [check.name for check in entry.checks] == [
        "forget accuracy: cat",
        "retain accuracy lost",
        "retain accuracy lost: worst class",
        "retain accuracy lost: nearest to cat",
        "closer to the oracle: cat",
    ]
    assert all(check.passed and check.sentence.endswith(".") for check in entry.checks)
    assert entry.accuracy.train is not None
    assert entry.accuracy.train.per_class[CAT].samples == (found.splits.labels["train"] == CAT).sum()
    assert entry.accuracy.train.retain is None, "not measured"
    assert 0 < entry.distance_null < entry.distance == entry.destinations["cat"].distance < 1
    assert entry.recovery.possible
    assert entry.recovery.erased == 0
    back = entry.recovery.classes["cat"]
    assert back.unmasked.accuracy > 0.8 > 0.25 >= back.masked.accuracy, "the values are still there"
    assert entry.accuracy.validation is not None
    assert entry.oracle.validation is not None
    json.dumps(entry.model_dump(mode="json"), allow_nan=False)

    empty = judge(found, None, [CAT], quick=True)
    assert (empty.passed, empty.verdict, empty.checks_failed) == (False, "failed", 2)
    assert failed(empty) == ["forget accuracy: cat", "closer to the oracle: cat"]
    assert named(empty, "closer").value > 0
    assert empty.distance_null is None
    assert empty.destinations["cat"].distance == empty.destinations["cat"].distance_before
    assert not empty.recovery.possible
    assert "nothing to lift" in empty.recovery.detail


def test_every_forgotten_class_is_checked(trained: Recipe, workspace: Workspace) -> None:
    found = trained_seed(trained.with_(verify={"max_retain_drop": 0.6, "max_class_drop": 1.0}), workspace)
    both = judge(found, mask_of(found, CAT, DOG), [CAT, DOG])
    assert both.passed
    assert both.classes == [CAT, DOG]
    assert set(both.destinations) == {"cat", "dog"}
    assert {row.class_id for row in both.relearning} == {CAT, DOG}
    tampered = judge(found, mask_of(found, CAT) | mask_of(found, DOG, share=0.02), [CAT, DOG])
    assert failed(tampered) == ["forget accuracy: dog", "closer to the oracle: dog"]
    earlier = judge(found, mask_of(found, CAT, share=0.02) | mask_of(found, DOG), [CAT, DOG])
    assert "forget accuracy: cat" in failed(earlier)
    assert "forget accuracy: dog" not in failed(earlier)


def test_the_oracle_is_one_trained_on_the_retain_set_alone(trained: Recipe, workspace: Workspace) -> None:
    found = trained_seed(trained, workspace)
    entry = judge(found, mask_of(found, CAT), [CAT])
    settings, keys, splits = trained.train, trained.keys, found.splits
    rows = splits.labels["train"] != CAT
    ids = flat_ids(found.bottleneck.codes("train")[:, rows], keys.pairs)
    decoder = Decoder(start_values(settings.values, keys.codebooks, keys.pairs, 4, 0), keys.top_k, settings.pool)
    labels = torch.from_numpy(splits.labels["train"][rows])
    loop.fit(decoder, ids, labels, loop.Schedule.of(settings), loop.Unit("retrain", 0))
    kept = load_file(Path(entry.oracle.artifact) / VALUES)["values"]
    np.testing.assert_array_equal(kept.reshape(-1, 4), decoder.values.detach().numpy())
    assert entry.oracle.test.forget.accuracy < 0.25
    predicted = train.predict(decoder, flat_ids(found.bottleneck.codes("test"), keys.pairs))
    stay = splits.labels["test"] != CAT
    right = (predicted == splits.labels["test"])[stay]
    assert entry.oracle.test.retain.correct == right.sum()
    drop = entry.oracle.difference.retain.difference
    assert drop == pytest.approx(entry.accuracy.test.retain.accuracy - right.mean())


def test_it_depends_on_the_seed_alone(trained: Recipe, workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    first = trained_seed(trained, workspace)
    mask = mask_of(first, CAT)
    entry = judge(first, mask, [CAT])
    trained_again: list[object] = []
    monkeypatch.setattr("dkvb.training.on_retain_set._values", lambda *given: trained_again.append(given))
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    assert judge(trained_seed(trained, workspace), mask, [CAT]).model_copy(update={"seconds": entry.seconds}) == entry
    torch.set_num_threads(threads)
    assert not trained_again, "the oracle is kept"


def test_relearning_never_touches_masked_pairs(
    trained: Recipe, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = trained_seed(trained, workspace)
    mask = mask_of(found, CAT)
    before = found.bottleneck.values.copy()
    moved: list[torch.Tensor] = []
    original: Callable[..., Any] = relearning.Masked.relearned

    def watched(self: relearning.Masked, *given: Any) -> Any:
        rows, values = original(self, *given)
        if self.mask.any():
            moved.append(rows[(self.values[rows] != values).any(1)])
        return rows, values

    monkeypatch.setattr(relearning.Masked, "relearned", watched)
    entry = judge(found, mask, [CAT])
    assert len(moved) == 2
    assert all(len(rows) > 20 for rows in moved)
    assert not mask.ravel()[torch.cat(moved).numpy()].any()
    np.testing.assert_array_equal(found.bottleneck.values, before)
    rows = entry.relearning
    assert [row.samples for row in rows] == [0, 5, 20]
    assert {row.source for row in rows} == {"train"}
    assert rows[-1].unlearned.accuracy > rows[0].unlearned.accuracy, "it does learn"


def test_training_the_touched_rows_alone_is_training_all(trained: Recipe, workspace: Workspace) -> None:
    found = trained_seed(trained, workspace)
    masked = relearning.Masked(found.bottleneck, mask_of(found, CAT))
    ids, labels = masked.ids("train", np.arange(50)), torch.from_numpy(found.splits.labels["train"][:50])
    rows, values = masked.relearned(ids, labels, trained, 0, "both")
    decoder = masked.decoder(masked.values.clone())
    loop.fit(decoder, ids, labels, loop.Schedule(4, trained.train.lr, trained.train.batch_size), loop.Unit("both", 0))
    whole = masked.values.clone()
    whole[rows] = values
    torch.testing.assert_close(whole, decoder.values.detach(), rtol=0, atol=1e-6)


def test_a_class_whose_rows_are_gone_is_relearned_from_what_is_left(
    trained: Recipe, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a purge: no training rows, no validation rows, and the masked values are zero."""
    found = trained_seed(trained, workspace)
    mask, splits = mask_of(found, CAT), found.splits
    found.bottleneck.values[mask] = 0
    for split in ("train", "validation"):
        kept = splits.labels[split] != CAT
        splits.rows[split], splits.labels[split] = splits.rows[split][kept], splits.labels[split][kept]
    listed = np.flatnonzero(kept)  # of validation rows, in their neighbour lists
    monkeypatch.setattr(splits, "listed_rows", lambda split: listed if split == "validation" else splits.rows[split])
    entry = judge(found, mask, [CAT])
    assert {row.source for row in entry.relearning} == {"test"}
    assert [row.used for row in entry.relearning] == [0, 5, 15]
    assert "only 15 samples" in entry.relearning[-1].note
    assert entry.relearning[0].unlearned.samples == 15, "measured on the other half"
    assert (entry.recovery.possible, entry.recovery.erased) == (False, 1)
    assert entry.recovery.classes["cat"].unmasked is None
    assert entry.passed
    found.bottleneck.values[np.unravel_index(np.flatnonzero(mask)[0], mask.shape)] = 1
    partly = judge(found, mask, [CAT]).recovery
    assert partly.possible
    assert 0.9 < partly.erased < 1

    kept = splits.labels["test"] != CAT
    splits.rows["test"], splits.labels["test"] = splits.rows["test"][kept], splits.labels["test"][kept]
    found.bottleneck._codes.clear()
    nothing = judge(found, mask, [CAT])
    assert (nothing.verdict, nothing.passed) == ("not-shown", True)
    check = nothing.checks[0]
    assert (check.name, check.state, check.passed) == ("forget accuracy: cat", "not-shown", False)
    assert check.value is None, "what is not measured is not passed"
    assert nothing.distance is nothing.distance_null is None
    assert "No row of cat is left" in nothing.destinations["cat"].sentence
    assert all(row.unlearned is None for row in nothing.relearning)

    opened = request_writing.open_request(workspace, found.dkvb_artifact, a_masking(CAT), mask)
    gone = request_writing.change(opened, state=requests.PURGED, purge=a_purge("keep", [opened.id]))
    left = judge(found, mask, [CAT], [gone])
    assert failed(left) == ["values erased: cat"], "one pair has a value again"
    found.bottleneck.values[mask] = 0
    assert judge(found, mask, [CAT], [gone]).passed
    anew = request_writing.change(gone, purge=a_purge("reinit", [gone.id]))
    check = judge(found, None, [CAT], [anew]).checks[0]
    assert (check.name, check.passed) == ("values erased: cat", True)
    assert "made again" in check.detail
    assert "by `dkvb forget` of" in check.sentence


def test_thresholds(trained: Recipe, workspace: Workspace) -> None:
    found = trained_seed(
        trained.with_(verify={"max_forget": 0.0, "min_retain": 1.0, "max_relearn": -1.0, "max_retain_drop": -1.0}),
        workspace,
    )
    entry = judge(found, mask_of(found, CAT, share=0.1) | mask_of(found, DOG), [CAT])
    names = [check.name for check in entry.checks]
    assert names[:3] == ["forget accuracy: cat", "retain accuracy lost", "retain accuracy"]
    assert names[-2:] == ["relearning from 5: cat", "relearning from 20: cat"]
    assert set(failed(entry)) >= {*names[:3], *names[-2:]}
    for wrong in ({"max_forget": 2.0}, {"max_forget": -0.1}, {"samples": [0]}, {"samples": []}, {"epochs": 0}):
        with pytest.raises(UsageError, match="verify"):
            trained.with_(verify=wrong)
    with pytest.raises(UsageError, match="max_forget"):
        validate({"verify": {"max_forgets": 0.1}}, "here")


def test_a_mask_of_another_shape_is_damage(trained: Recipe, workspace: Workspace) -> None:
    with pytest.raises(DamagedArtifact, match="shape"):
        judge(trained_seed(trained, workspace), np.zeros((3, 5), bool), [CAT])


def test_the_mask_is_the_one_evaluated(trained: Recipe, workspace: Workspace) -> None:
    found = trained_seed(trained, workspace)
    mask = mask_of(found, CAT)
    order = np.where(mask, 0, np.iinfo(np.int32).max).astype(np.int32)
    predicted = masked_predictions(found.bottleneck, order, [1], "test")[0]
    right = predicted == found.splits.labels["test"]
    entry = judge(found, mask, [CAT])
    assert entry.accuracy.test.retain.correct == right[found.splits.labels["test"] != CAT].sum()
    assert entry.relearning[0].unlearned.correct == right[found.splits.labels["test"] == CAT].sum()


def test_the_command(trained: Recipe, workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    found = trained_seed(trained, workspace)
    state: dict[str, Any] = {"mask": None, "classes": []}
    monkeypatch.setattr(
        verifying, "forgotten", lambda workspace, train: requests.Union(state["mask"], state["classes"], [])
    )
    limits = ["--max-forget", "0.25", "--max-retain-drop", "0.3", "--max-class-drop", "0.5"]
    call = ["verify", "--recipe", "tiny.toml", *limits]
    none = CliRunner().invoke(app, [*call, "--json"])
    assert none.exit_code == 3
    assert "dkvb forget" in none.stderr

    state.update(mask=mask_of(found, CAT), classes=[CAT])
    passed = CliRunner().invoke(app, [*call, "--json"])
    assert passed.exit_code == 0, passed.output
    (entry,) = json.loads(passed.stdout)["verify"]
    assert (entry["passed"], entry["verdict"]) == (True, "passed")
    assert CliRunner().invoke(app, [*call, "--strict"]).exit_code == 0
    page = (workspace.reports / "verify.html").read_text(encoding="utf-8")
    shown = CliRunner().invoke(app, call[:3])  # thirty test rows cannot show 1%
    assert shown.exit_code == 0, shown.output
    assert "not shown" in shown.stdout
    assert "it takes 381" in " ".join(shown.stdout.split())
    assert "Verdict: not shown" in (workspace.reports / "verify.html").read_text(encoding="utf-8")
    quick = CliRunner().invoke(app, [*call[:3], "--strict", "--quick"])
    assert quick.exit_code == 1
    assert "how far two oracles are apart was left out" in " ".join(quick.stdout.split())
    assert [row["samples"] for row in entry["relearning"]] == [0, 5, 20, 100]
    assert "Verdict: passed" in page
    assert "chart-destinations-0-2" in page
    assert "chart-relearning-0-2" in page
    assert "Measured with the mask (or the weights) alone, labels of forgotten classes still among the answers." in page
    assert '<th scope="row">forgotten classes, test, as the model answers</th><td class="number">0.0%' in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert 'src="https://' not in page
    payload = json.loads(page.split('id="payload">')[1].split("</script>")[0])
    assert all(spec["description"] for spec in payload["charts"].values())
    assert page.count("<table") == 3 + 1 + 2, "a table under each chart"

    state["mask"] = None
    refused = CliRunner().invoke(app, call)
    assert refused.exit_code == 1
    assert "forget accuracy: cat" in refused.stdout
    assert "FAILED" in refused.stdout
    assert "Verdict: failed" in (workspace.reports / "verify.html").read_text(encoding="utf-8")
    assert CliRunner().invoke(app, [*call, "--max-forget", "most"]).exit_code == 2


def test_requests_are_verified_together_and_recorded(trained: Recipe, workspace: Workspace) -> None:
    recipe = trained.with_(unlearn={"na": 150})
    for name in ("cat", "dog"):
        forget.run(recipe, workspace, [name])
    recipe = recipe.with_(verify={"max_forget": 1.0, "max_retain_drop": 1.0})
    (entry,) = verifying.run(recipe, workspace)
    assert entry.passed
    assert entry.recorded
    assert entry.classes == [CAT, DOG]
    assert [(one.classes, one.state, one.erased) for one in entry.requests] == [
        ([CAT], "masked", 0),
        ([DOG], "masked", 0),
    ]
    assert [(one.level, one.level_in_words) for one in entry.requests] == [("hidden", WORDS["hidden"])] * 2
    assert page(recipe, [entry], False).count("at the level <b>hidden</b>") == 2
    assert entry.masked == requests.forgotten(workspace, trained_seed(recipe, workspace).dkvb_artifact).mask.sum()  # type: ignore[union-attr]
    verdicts = [event for event in ledger.entries(workspace) if event.event == "verified"]
    assert [event.classes for event in verdicts] == [[CAT], [DOG]]
    assert all(event.passed for event in verdicts)
    assert ledger.verify(workspace).valid

    first, _ = requests.all_requests(workspace)
    assert entry.mend == []
    restore.run(recipe, workspace, first.id)
    forget.run(recipe.with_(unlearn={"method": "activations", "na": 3}), workspace, ["cat"])
    (weak,) = verifying.run(recipe.with_(verify={"max_forget": 0.5}), workspace)
    assert failed(weak) == ["forget accuracy: cat", "closer to the oracle: cat"]
    (mend,) = weak.mend
    assert "`dkvb restore r0003-cat`" in mend
    assert "`dkvb forget cat --na N` with N above 3" in mend
    first = requests.find(workspace, "r0003")
    restore.run(recipe, workspace, first.id)
    (after,) = verifying.run(recipe, workspace)
    assert after.classes == [DOG], "what was restored is no longer forgotten"

    (workspace.root / ledger.LEDGER).write_text("{}\n", encoding="utf-8")
    (unrecorded,) = verifying.run(recipe, workspace)
    assert not unrecorded.recorded
    assert failed(unrecorded) == ["record of requests"]
    assert "entry 1 was changed" in unrecorded.checks[0].sentence


def test_a_purged_class_is_told_by_what_was_measured_before(trained: Recipe, workspace: Workspace) -> None:
    recipe = trained.with_(unlearn={"na": 150})
    forget.run(recipe, workspace, ["cat", "dog"])
    (request,) = requests.all_requests(workspace)
    assert before_purge(workspace, [request]) == [], "it is not purged"
    gone = request_writing.change(request, state=requests.PURGED, purge=a_purge("keep", [request.id]))
    cat, dog = before_purge(workspace, [gone])
    assert (cat.class_id, cat.name, cat.by, cat.time) == (CAT, "cat", "forget", request.record.created)
    assert cat.test == request.record.per_class_test_after[CAT]
    assert dog.test == request.record.per_class_test_after[DOG]
    assert cat.train == request.record.looked[0].recognised["train"]

    request_writing.change(gone, state=requests.MASKED, purge=None)
    (verdict,) = verifying.run(recipe, workspace)
    request_writing.change(gone, state=requests.PURGED)
    (event,) = (one for one in ledger.entries(workspace) if one.event == "verified")
    assert event.verdict == verdict.verdict
    cat, dog = before_purge(workspace, [gone])
    assert (cat.by, cat.time, dog.by) == ("verify", event.time, "verify")
    for one, c in ((cat, CAT), (dog, DOG)):
        assert one.test == verdict.accuracy.test.per_class[c].accuracy
        assert one.validation == verdict.accuracy.validation.per_class[c].accuracy
        assert one.train == verdict.accuracy.train.per_class[c].accuracy
        assert f"by `dkvb verify` of {event.time}" in one.sentence


def test_the_second_oracle_differs_in_what_training_draws(trained: Recipe, workspace: Workspace) -> None:
    found = trained_seed(trained, workspace)
    first, order = load_bottleneck(found, [CAT], "retrain")
    second, same = load_bottleneck(found, [CAT], "retrain", again=True)
    np.testing.assert_array_equal(order, same)
    np.testing.assert_array_equal(first.codes("test"), second.codes("test"))
    assert not np.array_equal(first.values, second.values)
    made = {path.parent.name for path in workspace.root.glob("retrained/*/manifest.json")}
    assert len(made) == 2
    load_bottleneck(found, [CAT], "retrain", again=True)
    assert {path.parent.name for path in workspace.root.glob("retrained/*/manifest.json")} == made, "it is kept"
