"""The bottleneck's page: what is looked up, and by which classes."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from dkvb.evaluation.splits import Splits
from dkvb.pages.facts.collect import collect
from dkvb.pages.facts.insight import look_inside
from dkvb.stages import report
from dkvb.workspace import arrays
from fakes import workspace_at
from page_text import payload, text


def test_a_bottleneck_without_its_counts_says_which_command_makes_them(full):
    [page] = full[0].reports.glob("bottleneck-*.html")
    html = page.read_text(encoding="utf-8")
    assert "dkvb train --force --seed 0" in text(html)
    assert payload(html) is None


def test_what_is_looked_up_instead_is_what_the_methods_predict(reported):
    """The page's own selection under a mask gives the accuracy that the unlearn stage measured."""
    found = collect(reported[1])
    for run in found.runs:
        setup, result = run.setup, run.find("votes")
        seen = look_inside(setup, [run])
        assert seen.lacking == []
        [fall] = seen.masks[0].falls
        [measured] = result.results
        assert fall.after[run.forget[0]] == pytest.approx(measured.after.forget_test)
        assert fall.before[run.forget[0]] == pytest.approx(measured.before.forget_test)
        assert fall.owners.sum() == pytest.approx(1)
        assert seen.masks[0].where[0].sum() == measured.masked


def test_overlap_and_usage_are_those_of_the_codes(reported):
    [setup] = [one for one in collect(reported[1]).setups if one.model == "dkvb"]
    [one] = setup.seeds
    seen = look_inside(setup, [])
    splits = Splits(one.embed, 0.2, 0)
    codes = arrays.read(one.quantize, "train/codes")[splits.rows["train"]]
    pairs = [
        {
            (c, int(code))
            for row in np.flatnonzero(splits.labels["train"] == which)
            for c in range(codes.shape[1])
            for code in codes[row, c]
        }
        for which in (0, 2)
    ]
    assert seen.pairs[0, 2] == pytest.approx(len(pairs[0] & pairs[1]) / len(pairs[0]))
    hits = [
        (c, int(code)) in pairs[1]
        for row in np.flatnonzero(splits.labels["train"] == 0)
        for c in range(codes.shape[1])
        for code in codes[row, c]
    ]
    assert seen.lookups[0, 2] == pytest.approx(np.mean(hits))
    assert seen.usage[0].used.tolist() == [len(np.unique(codes[:, c])) for c in range(codes.shape[1])]
    assert np.diag(seen.lookups) == pytest.approx(1)


def test_a_mask_that_has_gone_is_named_and_the_rest_is_shown(reported, tmp_path):
    workspace = workspace_at(tmp_path)
    shutil.copytree(reported[1].root, workspace.root)
    for path in workspace.root.glob("unlearn/*activations*bird*/mask.safetensors"):
        path.unlink()
    report.run(reported[0], workspace)
    [page] = workspace.reports.glob("bottleneck-*.html")
    html = text(page.read_text(encoding="utf-8"))
    assert "dkvb unlearn --force --method activations --seed 0 --forget" in html
    assert "class 1" not in html
    assert "What is looked up instead" in html
