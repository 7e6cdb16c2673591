"""The command line as a user meets it: output, exit codes, and every kind of bad input."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from conftest import CLASSES, TOML, blobs
from dkvb.cli import app
from dkvb.recipe import Recipe, builtin_names
from dkvb.runtime import progress


@pytest.fixture(autouse=True)
def _tiny(tmp_path: Path) -> None:
    blobs(tmp_path / "tiny-data")
    (tmp_path / "dkvb.toml").write_text(TOML, encoding="utf-8")
    progress.silence(False)


@pytest.fixture
def ready(trained: Recipe) -> None:
    """A recipe, dkvb.toml, whose models are in the workspace."""
    Path("tiny.toml").replace("dkvb.toml")


def dkvb(*args: str, code: int = 0) -> Any:
    result = CliRunner().invoke(app, list(args))
    assert result.exit_code == code, f"{result.exit_code}: {result.stderr}{result.stdout}{result.exception!r}"
    if code:
        assert "Traceback" not in result.stderr
    return result


def as_json(*args: str) -> dict[str, Any]:
    return json.loads(dkvb(*args, "--json").stdout)


def fails(code: int, says: str, *args: str) -> None:
    result = dkvb(*args, code=code)
    assert says in result.stderr.replace("\n", " "), result.stderr
    assert len(result.stderr.split("error: ", 1)[1].strip().splitlines()) == 1, "one short paragraph"


def test_run_goes_through_all_stages_and_ends_in_a_page(tmp_path: Path) -> None:
    result = as_json("run")
    assert list(result) == ["embed", "quantize", "train", "unlearn", "report"]
    assert {(e["seed"], e["model"]) for e in result["train"]} == {(0, "dkvb"), (0, "linear")}
    assert [e["method"] for e in result["unlearn"]] == ["votes", "activations", "examples", "scrub", "logit-mask"]
    assert all(len(e["curve"]) > 1 for e in result["unlearn"])
    assert Path(result["report"][0]["index"]).is_file()
    again = as_json("run")
    assert all(e["skipped"] for stage in ("embed", "quantize", "train", "unlearn") for e in again[stage])
    said = dkvb("run")
    assert "already done" in said.stderr
    assert "forget" in said.stdout


def test_stages_one_by_one_with_status_naming_the_next(tmp_path: Path) -> None:
    for command in ("embed", "quantize", "train", "unlearn", "report"):
        assert as_json("status")["next"] == f"dkvb {command}"
        assert isinstance(as_json(command)[command], list)
    status = as_json("status")
    assert status["next"].startswith("open ")
    assert all(entry["state"] == "done" for entry in status["status"])
    assert {"stage", "what", "bytes"} <= status["status"][0].keys()
    assert "Next:" in dkvb("status").stdout


def test_train_quantizes_first(tmp_path: Path) -> None:
    dkvb("embed")
    dkvb("train")
    assert len(list(tmp_path.glob("data/quantize/*/manifest.json"))) == 1


@pytest.mark.usefixtures("ready")
def test_unlearn_takes_flags_over_the_recipe() -> None:
    (entry,) = as_json("unlearn", "--method", "activations", "--na", "123", "--forget", "dog")["unlearn"]
    assert (entry["method"], entry["n"], entry["masked"], entry["forget"]) == ("activations", 123, 123, [3])
    assert "curve" not in entry
    (entry,) = as_json("unlearn", "--method", "examples", "--ne", "auto", "--id", "0", "--forget", "cat", "--sweep")[
        "unlearn"
    ]
    assert (entry["forget"], entry["forget_names"], entry["chosen"]) == ([0, 2], ["airplane", "cat"], "validation")
    entries = as_json("unlearn", "--method", "logit-mask", "--each")["unlearn"]
    assert [e["forget"] for e in entries] == [[0], [1], [2], [3]]


def test_common_options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dkvb("embed", "--data-dir", "elsewhere")
    assert (tmp_path / "elsewhere/embed").is_dir()
    monkeypatch.setenv("DKVB_DATA", str(tmp_path / "by-variable"))
    assert as_json("embed", "--device", "cpu", "--workers", "1")["embed"][0]["artifact"].startswith(
        str(tmp_path / "by-variable")
    )
    (entry,) = as_json("quantize", "--seed", "7")["quantize"]
    assert entry["seed"] == 7
    assert as_json("embed", "--force")["embed"][0]["skipped"] is False
    blobs(tmp_path / "moved", seed=3)
    assert as_json("embed", "--data-root", "moved")["embed"][0]["artifact"] != as_json("embed")["embed"][0]["artifact"]


def test_init_and_doctor(tmp_path: Path) -> None:
    (tmp_path / "dkvb.toml").unlink()
    for name in builtin_names():
        dkvb("init", name, "--force")
        assert f'name = "{name}"' in (tmp_path / "dkvb.toml").read_text()
    fails(2, "already there", "init")
    (tmp_path / "dkvb.toml").unlink()
    dkvb("init")
    assert 'name = "cifar10"' in (tmp_path / "dkvb.toml").read_text()
    fails(2, "no recipe 'digit'; did you mean 'digits'?", "init", "digit")
    checks = {entry["check"]: entry for entry in as_json("doctor", "--recipe", "digits")["doctor"]}
    assert {"libraries", "device", "FAISS", "data", "weights", "encoder", "disk"} == checks.keys()
    assert checks["libraries"]["ok"]
    assert checks["data"]["ok"]
    assert "cpu" in checks["device"]["detail"] or "cuda" in checks["device"]["detail"]


def test_a_missing_stage_exits_3_and_names_its_command() -> None:
    fails(3, "run `dkvb embed`", "quantize")
    fails(3, "run `dkvb embed`", "train")
    fails(3, "run `dkvb embed`", "unlearn")
    fails(3, "dkvb ", "report")
    dkvb("embed")
    fails(3, "run `dkvb train`", "unlearn")
    result = json.loads(dkvb("unlearn", "--json", code=3).stdout)
    assert result["exit_code"] == 3
    assert "dkvb train" in result["error"]


def write(folder: Path, split: str, **arrays: np.ndarray) -> None:
    with np.load(folder / f"{split}.npz") as file:
        np.savez(folder / f"{split}.npz", **{**file, **arrays})


@pytest.mark.parametrize(
    ("change", "code", "says"),
    [
        ("nan", 1, "NaN"),
        ("inf", 1, "inf"),
        ("width", 1, "width"),
        ("range", 1, "range"),
        ("one-class", 1, "has only 1 class"),
        ("untrained-class", 1, "bird"),
        ("text", 1, "train.npz"),
        ("missing", 2, "does not exist"),
        ("empty", 2, "tiny-data"),
        ("file", 2, "tiny-data"),
    ],
)
def test_bad_data(tmp_path: Path, change: str, code: int, says: str) -> None:
    folder = tmp_path / "tiny-data"
    with np.load(folder / "train.npz") as file:
        x, y = file["x"], file["y"]
    if change in ("nan", "inf"):
        x[7, 3] = float(change)
        write(folder, "train", x=x)
    elif change == "width":
        write(folder, "test", x=np.zeros((120, 11), np.float32))
    elif change == "range":
        y[3] = 4
        write(folder, "train", y=y)
    elif change == "one-class":
        for split in ("train", "test"):
            with np.load(folder / f"{split}.npz") as file:
                write(folder, split, y=np.zeros_like(file["y"]), classes=np.array(["airplane"]))
    elif change == "untrained-class":
        write(folder, "train", y=np.where(y == 1, 0, y))
    elif change == "text":
        (folder / "train.npz").write_text("no archive")
    else:
        for file_ in folder.iterdir():
            file_.unlink()
        if change != "empty":
            folder.rmdir()
        if change == "file":
            folder.write_text("a file")
    fails(code, says, "embed")
    assert not list(tmp_path.glob("data/embed/*/manifest.json"))


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("run", "cifar1"), "did you mean 'cifar10'"),
        (("embed", "--recipe", "nowhere.toml"), "nowhere.toml"),
        (("unlearn", "--method", "forgetting"), "unknown unlearning method 'forgetting'"),
        (("unlearn", "--na", "many"), "--na many"),
        (("unlearn", "--na", "-3"), "unlearn.na = -3: give 0 or more, or 'auto'"),
        (("train", "--seed", "-1"), "run.seeds = -1: give 0 or more"),
        (("unlearn", "--na", "641"), "all 640 pairs"),
        (("unlearn", "--method", "examples", "--ne", "65"), "the 64 examples"),
        (("unlearn", "--forget", "cow"), "There is no class 'cow'"),
        (("unlearn", "--forget", "0"), "'airplane': give --id 0, or '#0' in quotes"),
        (("unlearn", "--forget", "each"), "give --each for each class in turn"),
        (("unlearn", "--forget", "#4"), "ids go from #0 to #3"),
        (("unlearn", "--id", "4"), "no class of id 4: ids go from 0 to 3"),
        (("unlearn", "--id", "0", "--best"), "or --best, or --each"),
        (("forget", "best"), "There is no class 'best'"),
        (("forget",), "Name at least one class"),
        (("unlearn", *(part for name in CLASSES for part in ("--forget", name))), "All 4 classes"),
        (("unlearn", "--counts", "guess"), "unlearn.counts"),
        (("embed", "--device", "tpu"), "run.device"),
        (("train", "--workers", "0"), "run.workers"),
        (("train", "--data-dir", "dkvb.toml"), "is a file"),
        (("train", "--frobnicate"), "No such option"),
    ],
)
@pytest.mark.usefixtures("ready")
def test_bad_usage_exits_2(args: tuple[str, ...], says: str) -> None:
    result = dkvb(*args, code=2)
    assert says in result.stderr


def test_unknown_encoder_and_bad_toml(tmp_path: Path) -> None:
    (tmp_path / "pics/train/a").mkdir(parents=True)
    for name in ("train/a", "train/b", "test/a", "test/b"):
        (tmp_path / "pics" / name).mkdir(parents=True, exist_ok=True)
        from PIL import Image

        Image.new("RGB", (4, 4)).save(tmp_path / "pics" / name / "x.png")
    (tmp_path / "p.toml").write_text('[data]\nsource = "folder"\npath = "pics"\n[encoder]\nname = "clip-vit-b23"\n')
    fails(2, "did you mean 'clip-vit-b32'?", "embed", "--recipe", "p.toml")
    (tmp_path / "p.toml").write_text("[keys]\nparis = 3\n")
    fails(2, "did you mean 'pairs'?", "embed", "--recipe", "p.toml")


@pytest.mark.usefixtures("ready")
def test_damaged_artifacts_exit_5_and_the_named_command_mends_them(tmp_path: Path) -> None:
    chunk = next(tmp_path.glob("data/quantize/*/test/codes/c/0/3/0"))
    content = bytearray(chunk.read_bytes())
    content[5] ^= 8
    chunk.write_bytes(content)
    fails(5, "`dkvb quantize` makes it again", "unlearn", "--method", "votes")
    dkvb("quantize")
    dkvb("unlearn", "--method", "votes")
    values = next(tmp_path.glob("data/train/*/values.safetensors"))
    values.write_bytes(values.read_bytes()[:-10])
    fails(5, "`dkvb train --force` makes it again", "unlearn", "--method", "votes", "--force")
    fails(5, "`dkvb train --force` makes it again", "train")
    dkvb("train", "--force")
    dkvb("unlearn", "--method", "votes", "--force")


def test_a_store_of_a_newer_format_exits_4(tmp_path: Path) -> None:
    dkvb("embed")
    path = next(tmp_path.glob("data/embed/*/manifest.json"))
    manifest = json.loads(path.read_text())
    path.write_text(json.dumps(manifest | {"format": 99}))
    fails(4, "newer dkvb", "train")
    fails(4, "newer dkvb", "embed")


@pytest.mark.skipif(sys.platform != "linux", reason="/dev/full and mount points of Linux")
def test_an_unwritable_place_is_a_message(tmp_path: Path) -> None:
    fails(1, "error", "embed", "--data-dir", "/proc/nowhere")


def test_a_full_disk_is_a_message_and_finished_work_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import errno

    from dkvb.training import codes

    dkvb("embed")
    original, written = codes._codebook, []

    def full(*args: Any) -> None:
        if len(written) == 5:
            raise OSError(errno.ENOSPC, "No space left on device", "data/quantize/x")
        written.append(1)
        original(*args)

    monkeypatch.setattr(codes, "_codebook", full)
    fails(1, "the disk is full (data/quantize/x): free some room, then run the same command again", "quantize")
    monkeypatch.setattr(codes, "_codebook", original)
    assert not list(tmp_path.glob("data/quantize/*/manifest.json"))
    assert as_json("quantize")["quantize"][0]["used"] > 0


def test_interrupting_exits_130(monkeypatch: pytest.MonkeyPatch) -> None:
    from dkvb.stages import embed

    def interrupted(*args: Any, **kwargs: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(embed, "run", interrupted)
    assert "goes on where this one stopped" in dkvb("embed", code=130).stderr


@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")]
)
def test_running_out_of_memory_is_a_message(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise error

    monkeypatch.setattr("dkvb.stages.embed.run", fail)
    fails(1, "out of memory: lower keys.codebooks", "embed")


def test_seeds_are_summed_up(tmp_path: Path) -> None:
    (tmp_path / "dkvb.toml").write_text(TOML + "[run]\nseeds = [0, 1]\n", encoding="utf-8")
    dkvb("embed")
    rows = as_json("train")["summary"]
    assert [row["model"] for row in rows] == ["dkvb", "linear"]
    assert rows[0]["test"]["seeds"] == 2
    assert rows[0]["test"]["low"] <= rows[0]["test"]["mean"] <= rows[0]["test"]["high"]
    (row,) = as_json("unlearn", "--method", "activations")["summary"]
    assert row["change"]["forget_test"]["mean"] <= 0
    assert "Over 2 seeds" in dkvb("unlearn", "--method", "activations").stdout


def test_debug_shows_the_traceback() -> None:
    result = CliRunner().invoke(app, ["train", "--debug"])
    assert result.exit_code == 3
    assert "MissingStage" in result.stderr
