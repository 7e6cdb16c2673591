"""Whole audits of the tiny recipe: lines, resuming, failures, and what is stored."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from conftest import TOML, prepare, trained_seed
from dkvb.audit import entries, run
from dkvb.audit.bench import Bench
from dkvb.audit.oracles import answers, rows_of, train_models
from dkvb.audit.subjects import Subject, subjects
from dkvb.audit.table import frame
from dkvb.audit.unlearned import Choice, Unlearned
from dkvb.errors import DkvbError, UsageError
from dkvb.methods.logit_mask import LogitMask
from dkvb.recipe import Recipe, load
from dkvb.records.audit import Audit
from dkvb.workspace import arrays
from dkvb.workspace.artifacts import Workspace
from dkvb.workspace.audits import audits
from dkvb.workspace.names import LOGITS

METHODS = ["logit-mask", "pour", "ridge-exact"]


@pytest.fixture
def forgetting(trained: Recipe) -> Recipe:
    return trained.with_(unlearn={"forget": ["bird"]})


@pytest.fixture(scope="module")
def audited(tmp_path_factory: pytest.TempPathFactory, tiny_data: Path) -> tuple[Recipe, Workspace, Audit]:
    """An audit that tests only read, and what it was made with."""
    folder = tmp_path_factory.mktemp("audited")
    text = TOML.replace('"tiny-data"', f'"{tiny_data.as_posix()}"')
    (folder / "tiny.toml").write_text(text, encoding="utf-8")
    recipe, workspace = load(str(folder / "tiny.toml")), Workspace(folder / "data", folder / "reports")
    recipe = prepare(recipe, workspace).with_(unlearn={"forget": ["bird"]})
    (made,) = run.run(recipe, workspace, 4, subjects((), METHODS))
    return recipe, workspace, made


@pytest.fixture
def audit(audited: tuple[Recipe, Workspace, Audit]) -> Audit:
    return audited[2]


def test_lines_and_methods_stand_beside_the_same_models(audited: tuple[Recipe, Workspace, Audit]) -> None:
    forgetting, workspace, audit = audited
    assert (audit.oracles, audit.unlearned, audit.forget, audit.forget_names) == (4, 2, [1], ["bird"])
    lines = ["original", "retrained"]
    assert [entry.method for entry in audit.entries] == lines * 3 + ["logit-mask", "pour", "ridge-exact"]
    assert [(of.kind, of.originals, of.oracles, of.held_out) for of in audit.kinds] == [
        (kind, 2, 4, 2) for kind in ("values", "linear", "ridge")
    ]
    assert all(len(of.seconds_oracles) == 6 and len(of.seconds_originals) == 2 for of in audit.kinds)
    seed = trained_seed(forgetting, workspace)
    rows = rows_of(seed, [1])
    test = (rows.split == "test") & (rows.labels == 1)
    idle, retrained, masked = audit.of("original", "values"), audit.of("retrained", "values"), audit.of("logit-mask")
    assert idle is not None
    assert retrained is not None
    assert masked is not None
    original = answers(train_models(seed, "values", 2))[:, rows.within(rows_of(seed))]
    known = (original[:, rows.split != "train"].argmax(2) == rows.labels[rows.split != "train"]).reshape(2, -1)
    bird = rows.labels[rows.split != "train"] == 1
    assert idle.measures["forget accuracy"].value == pytest.approx(known[:, bird].mean())
    assert idle.measures["forget accuracy"].nothing == idle.measures["forget accuracy"].value
    assert test.any()
    assert retrained.measures["forget accuracy"].value == 0
    assert masked.measures["forget accuracy"].value == 0
    assert masked.measures["completeness"].value > idle.measures["completeness"].value
    assert idle.seconds is None
    assert masked.seconds is not None
    assert masked.bytes == 8
    exact = audit.of("ridge-exact")
    assert exact is not None
    assert exact.measures["forget accuracy"].value == 0
    assert "noise" in exact.measures["KLoM, forgotten rows"].note
    assert any("noise" in said for said in audit.says)
    assert "solved" in exact.left_out["relearning"]
    assert "U-LiRA" in exact.left_out


def test_hiding_a_class_is_undone_by_relearning_and_the_original_has_it(audit: Audit) -> None:
    idle, masked, retrained = (audit.of(name, "values") for name in ("original", "logit-mask", "retrained"))
    assert idle is not None
    assert masked is not None
    assert retrained is not None
    again = masked.measures["relearning"]
    assert again.nothing == idle.measures["relearning"].value == 1, "one sample is the fewest tried"
    assert again.null == pytest.approx(retrained.measures["relearning"].value)
    assert again.value <= again.null
    index = masked.measures["anamnesis index"]
    assert (index.nothing, index.null) == (0, retrained.measures["anamnesis index"].value), "originals take no epoch"
    pooled = masked.measures["probe of pooled values"]
    assert pooled.value == pooled.nothing, "a logit mask changes nothing that the decoder sees"
    features = masked.measures["probe of the encoder's features"]
    assert features.value == features.null > 0.9


def test_what_is_done_is_not_done_again_and_pages_find_it(
    audited: tuple[Recipe, Workspace, Audit], monkeypatch: pytest.MonkeyPatch
) -> None:
    forgetting, workspace, audit = audited
    monkeypatch.setattr(entries, "unlearn", lambda *given: 1 / 0)
    (again,) = run.run(forgetting, workspace, 4, subjects((), METHODS))
    assert again.skipped
    assert [e.measures for e in again.entries] == [e.measures for e in audit.entries]
    (found,) = audits(workspace)
    assert [e.key for e in found.entries] == [e.key for e in audit.entries]
    assert found.artifact == again.artifact == audit.artifact


def test_a_killed_audit_goes_on_with_the_model_at_which_it_stopped(
    forgetting: Recipe, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    unlearn, asked = entries.unlearn, list[int]()

    def dying(bench: Bench, subject: Subject, model: int, choice: Choice | None) -> Unlearned:
        asked.append(model)
        if len(asked) == 2:
            raise KeyboardInterrupt
        return unlearn(bench, subject, model, choice)

    monkeypatch.setattr(entries, "unlearn", dying)
    wanted = subjects(["linear"], ["delete"])
    with pytest.raises(KeyboardInterrupt):
        run.run(forgetting, workspace, 4, wanted)
    (made,) = run.run(forgetting, workspace, 4, wanted)
    assert asked == [0, 1, 1], "the first is not unlearned again"
    (delete,) = (a for a in workspace.all("audit") if a.settings.get("method") == "delete")
    resumed = np.array(arrays.read(delete, LOGITS))
    (again,) = run.run(forgetting, workspace, 4, wanted, force=True)
    (delete,) = (a for a in workspace.all("audit") if a.settings.get("method") == "delete")
    assert (arrays.read(delete, LOGITS) == resumed).all(), "the same bits as in one go"
    assert [e.measures for e in again.entries] == [e.measures for e in made.entries]
    assert not again.skipped


def test_a_method_that_fails_is_an_entry_with_its_error(
    forgetting: Recipe, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(self: LogitMask, n: int) -> None:
        raise DkvbError("no luck today")

    monkeypatch.setattr(LogitMask, "forget", failing)
    wanted = subjects(["values"], ["logit-mask", "own-votes"])
    (made,) = run.run(forgetting, workspace, 2, wanted)
    masked, own = made.of("logit-mask"), made.of("own-votes")
    assert masked is not None
    assert own is not None
    assert (masked.error, masked.measures, masked.seconds) == ("no luck today", {}, None)
    assert own.error is None
    assert own.measures["forget accuracy"].value == 0
    table = frame([made])
    failed = table.filter(table["method"] == "logit-mask")
    assert failed["missing"].to_list() == ["no luck today"]
    assert failed["value"].to_list() == [None]
    there = table.filter((table["method"] == "own-votes") & (table["measure"] == "forget accuracy"))
    assert there["value"].to_list() == [0.0]
    monkeypatch.undo()
    (mended,) = run.run(forgetting, workspace, 2, wanted)
    masked, own = mended.of("logit-mask"), mended.of("own-votes")
    assert masked is not None
    assert own is not None
    assert masked.error is None, "it is tried again"
    assert own.skipped
    assert audits(workspace)[-1].of("logit-mask").error is None  # type: ignore[union-attr]


def test_too_few_oracles_are_refused(forgetting: Recipe, workspace: Workspace) -> None:
    with pytest.raises(UsageError, match="give 2 or more"):
        run.run(forgetting, workspace, 1)


def test_a_converged_head_is_one_model_without_a_null(forgetting: Recipe, workspace: Workspace) -> None:
    (made,) = run.run(forgetting, workspace, 4, subjects(["converged"], ["pour"]))
    pour, retrained = made.of("pour"), made.of("retrained")
    assert pour is not None
    assert retrained is not None
    assert pour.error is None
    assert pour.models == 1
    assert pour.measures["destinations, each"].null is None
    assert retrained.models == 0
