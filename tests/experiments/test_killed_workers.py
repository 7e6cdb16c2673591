"""Every command that spreads work, on a Dask scheduler of which a worker is killed: the bits of one process.

Embedding is in `tests/stages/test_embed_processes.py`.
"""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest

import forked
from conftest import TOML, artifact_bytes, prepare
from dkvb.recipe import load
from dkvb.stages import embed
from dkvb.workspace.artifacts import Workspace

QUANTIZE = ("quantize",)
TRAIN = ("train",)
EACH = ("unlearn", "--each", "--method", "votes", "--method", "activations", "--sweep")
AUDIT = (
    *("audit", "--forget", "bird", "--oracles", "20", "--kinds", "values,linear"),
    *("--methods", "votes,own-votes,pour,logit-mask"),
)
SHADOWS = ("audit", "--forget", "bird", "--oracles", "6", "--shadows", "12", "--kinds", "values", "--methods", "votes")
MEMBERSHIP = ("membership", "--forget", "bird", "--methods", "activations,retrain,logit-mask")


def made(root: Path) -> dict[str, bytes]:
    """Marks hold seconds."""
    return {name: held for name, held in artifact_bytes(root).items() if "/done/" not in name}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "begun"),
    [
        (QUANTIZE, "quantize/*/done/*"),
        (TRAIN, "train/*"),
        (EACH, "unlearn/*"),
        (AUDIT, "oracles/*/logits/zarr.json"),
        (SHADOWS, "oracles/*shadows*/logits/zarr.json"),
        (MEMBERSHIP, "unlearn/*membership*"),
    ],
    ids=lambda value: "" if isinstance(value, str) else value[0] + ("-shadows" if "--shadows" in value else ""),
)
def test_a_killed_worker_changes_no_bit(words: tuple[str, ...], begun: str, tmp_path: Path, tiny_data: Path) -> None:
    text = TOML.replace('"tiny-data"', f'"{tiny_data.as_posix()}"')
    if words in (TRAIN, MEMBERSHIP):
        text += "[run]\nseeds = [0, 1]\n"
    (tmp_path / "tiny.toml").write_text(text, encoding="utf-8")
    stages = (embed,) if words in (QUANTIZE, TRAIN) else ()  # all that there are before the audit and the like
    prepare(load(str(tmp_path / "tiny.toml")), Workspace(tmp_path / "alone", tmp_path / "reports"), *stages)
    shutil.copytree(tmp_path / "alone", tmp_path / "spread")
    alone = forked.dkvb(*words, "--recipe", "tiny.toml", "--data-dir", "alone", folder=tmp_path)
    assert alone.end(300) == 0, alone.said
    with forked.cluster(tmp_path) as (address, workers):
        places = ("--recipe", "tiny.toml", "--data-dir", "spread", "--scheduler", address)
        spread = forked.dkvb(*words, *places, folder=tmp_path)
        deadline = time.monotonic() + 60
        while not list((tmp_path / "spread").glob(begun)) and time.monotonic() < deadline:
            time.sleep(0.005)
        assert workers[0].kill()
        assert spread.end(300) == 0, spread.said
        assert "working on" in spread.said
    expected, found = made(tmp_path / "alone"), made(tmp_path / "spread")
    assert expected.keys() == found.keys()
    assert [name for name in expected if expected[name] != found[name]] == []
