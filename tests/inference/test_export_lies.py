"""An export that was altered, mixed with another or made up is refused by name, before anything of it is used."""

from __future__ import annotations

import json
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import dkvb
from conftest import CLASSES, TOML, blobs, prepare
from dkvb.errors import DamagedArtifact, SettingsClash, UsageError
from dkvb.inference import export
from dkvb.recipe import load
from dkvb.runtime import progress
from dkvb.workspace.artifacts import Workspace
from exports import config_of, forge, made_by_format_2

FILES = ("config.json", "labels.json", "model.safetensors")
Tensors = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two exports of one workspace: "cat", without that class, and "dog" likewise; and "x.npy", test features."""
    progress.silence()
    root = tmp_path_factory.mktemp("read-only-exports")
    blobs(root / "tiny-data")
    (root / "tiny.toml").write_text(TOML, encoding="utf-8")
    workspace = Workspace(root / "data", root / "reports")
    prepare(load(str(root / "tiny.toml")), workspace)
    model = dkvb.load(workspace.root)
    for name in ("cat", "dog"):
        export.run(dkvb.unlearn(model, name, 200), root / name, workspace)
    return root


@pytest.fixture
def folder(exported: Path, tmp_path: Path) -> Path:
    """The export without cat, to be altered."""
    return Path(shutil.copytree(exported / "cat", tmp_path / "out"))


def refused(folder: Path, says: str) -> None:
    with pytest.raises(DamagedArtifact, match=says) as error:
        dkvb.load(folder)
    assert str(folder) in str(error.value)
    assert "dkvb export" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", FILES)
def test_a_file_of_another_export_is_named(exported: Path, folder: Path, name: str) -> None:
    shutil.copy(exported / "dog" / name, folder / name)
    refused(folder, "config.json" if name == "config.json" else f"{name}.*another export")


@pytest.mark.parametrize("name", FILES)
def test_a_missing_or_empty_file_is_named(folder: Path, name: str) -> None:
    (folder / name).write_bytes(b"")
    refused(folder, name.replace(".", r"\.") if name != "config.json" else "damaged")
    (folder / name).unlink()
    refused(folder, f"{name} is missing")


def test_a_config_of_another_export_with_every_hash_of_these_files_is_told_by_the_tensors(
    exported: Path, folder: Path
) -> None:
    from dkvb.inference.export_config import seal_of

    here, other = config_of(folder), config_of(exported / "dog")
    mixed = other | {"shapes": here["shapes"], "sha256": here["sha256"], "files": here["files"]}
    (folder / "config.json").write_text(json.dumps(mixed | {"seal": seal_of(mixed)}))
    refused(folder, "not of the same export")


def test_another_model_card_is_noted(
    exported: Path, folder: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "_quiet", False)
    shutil.copy(exported / "dog" / "README.md", folder / "README.md")
    assert dkvb.load(folder).classes == ["airplane", "bird", "dog"]
    assert "README.md is not the model card" in capfd.readouterr().err


SIMPLE: dict[str, tuple[dict[str, Any], str]] = {
    "reversed names": ({"classes": ["dog", "bird", "airplane"]}, "config.json has changed"),
    "two names": ({"classes": ["airplane", "bird"]}, "classes has 2 names"),
    "top_k 0": ({"top_k": 0}, "top_k"),
    "top_k -3": ({"top_k": -3}, "top_k"),
    "top_k 10⁹": ({"top_k": 10**9}, "a codebook has 32 pairs"),
    "top_k as text": ({"top_k": "2"}, "top_k"),
    "top_k a fraction": ({"top_k": 1.5}, "top_k"),
    "seed a word": ({"seed": "one"}, "seed"),
    "another pool": ({"pool": "max"}, "pool"),
    "names that are numbers": ({"classes": [1, 2, 3]}, "classes"),
    "no classes": ({"classes": None}, "classes"),
}


@pytest.mark.parametrize("lie", SIMPLE)
@pytest.mark.parametrize("old", [False, True])
def test_a_config_that_was_altered(folder: Path, lie: str, old: bool) -> None:
    """Of format 2 too, which had no hash of it."""
    if old:
        made_by_format_2(folder)
    change, says = SIMPLE[lie]
    (folder / "config.json").write_text(json.dumps(config_of(folder) | change))
    refused(folder, "labels.json has other names" if old and lie == "reversed names" else says)


def tensor(name: str, value: float) -> Callable[[dict[str, Any], Tensors], None]:
    return lambda config, tensors: tensors[name].reshape(-1).__setitem__(7, value)


FORGED: dict[str, tuple[Callable[[dict[str, Any], Tensors], Any], str]] = {
    "a name twice": (lambda c, t: c["classes"].__setitem__(1, "dog"), "stands twice"),
    "an id twice": (lambda c, t: c["ids"].__setitem__(1, 3), "an id of its own"),
    "an id of a class left out": (lambda c, t: c["ids"].__setitem__(1, 2), "an id of its own"),
    "an id below 0": (lambda c, t: c["ids"].__setitem__(1, -1), "ids.1"),
    "a forgotten class that is none": (lambda c, t: c["forgotten"].append(77), "forgotten has 77"),
    "a forgotten class that answers": (lambda c, t: c["forgotten"].append(3), "forgotten class is among classes"),
    "an excluded place beyond": (lambda c, t: c["excluded"].append(3), "excluded"),
    "top_k beyond the pairs": (lambda c, t: c.update(top_k=33), "a codebook has 32 pairs"),
    "an accuracy above 1": (lambda c, t: c["accuracy"].update(test=1.5), "accuracy.test"),
    "an accuracy too few": (lambda c, t: c["accuracy"]["now"].pop(), "accuracy.now has 2"),
    "fewer masked": (lambda c, t: c.update(masked=c["masked"] - 1), "pairs are masked"),
    "no hashes": (lambda c, t: c.update(files=None), "files or seal"),
    "NaN among values": (tensor("values", np.nan), "values holds NaN"),
    "infinity among keys": (tensor("keys", np.inf), "keys holds NaN or infinite"),
    "NaN in the projection": (tensor("projection", np.nan), "projection holds NaN"),
    "NaN in the centre": (tensor("centre", np.nan), "centre holds NaN"),
    "a codebook less": (lambda c, t: t.update(keys=t["keys"][:-1].copy()), r"keys is F32 \[19, 32, 4\]"),
    "two classes of values": (lambda c, t: t.update(values=t["values"][:, :, :2].copy()), r"by config.json it is"),
    "values of double precision": (lambda c, t: t.update(values=t["values"].astype(np.float64)), "values is F64"),
    "allowed as numbers": (lambda c, t: t.update(allowed=t["allowed"].astype(np.uint8)), "allowed is U8"),
    "no centre": (lambda c, t: t.pop("centre"), "has no centre"),
    "one more tensor": (lambda c, t: t.update(more=np.zeros(3)), "has more, which"),
    "shapes beyond all memory": (lambda c, t: c["shapes"].update(pairs=2**31 - 1), "by config.json it is"),
    "shapes beyond all numbers": (lambda c, t: c["shapes"].update(pairs=10**30), "shapes.pairs"),
    "no pairs": (lambda c, t: c["shapes"].update(pairs=0), "shapes.pairs"),
    "a shape without end": (lambda c, t: c["shapes"].update(pairs=float("inf")), "shapes.pairs"),
}


@pytest.mark.parametrize("lie", FORGED)
def test_what_cannot_be_is_refused_though_every_hash_agrees(folder: Path, lie: str) -> None:
    change, says = FORGED[lie]
    forge(folder, change)
    refused(folder, says)


def test_a_forger_who_changes_nothing_is_believed(exported: Path, folder: Path) -> None:
    """So that the refusals above are those of the lies."""
    forge(folder, lambda config, tensors: None)
    x = np.random.default_rng(0).standard_normal((5, 12), np.float32)
    np.testing.assert_array_equal(dkvb.load(folder)(x), dkvb.load(exported / "cat")(x))


@pytest.mark.parametrize(
    "text", ["{", "[]", "null", "\xff", "[" * 100_000, '{"kind": "dkvb"}', '{"kind": "dkvb", "format": "x"}']
)
def test_a_config_that_is_none(folder: Path, text: str) -> None:
    (folder / "config.json").write_text(text, encoding="latin-1")
    if text in ("[]", "null"):
        with pytest.raises(UsageError, match="not written by `dkvb export`"):
            dkvb.load(folder)
    else:
        refused(folder, "config.json|Expecting|utf-8|recursion")
    (folder / "config.json").write_text(json.dumps({"kind": "dkvb", "format": 99}))
    with pytest.raises(SettingsClash, match="upgrade"):
        dkvb.load(folder)


def test_a_header_that_promises_more_than_the_file_holds(folder: Path) -> None:
    """No room is made for what a header says: neither the size of the header nor that of a tensor."""
    weights = folder / "model.safetensors"
    raw, config = weights.read_bytes(), config_of(folder)
    size = struct.unpack("<Q", raw[:8])[0]
    header = json.loads(raw[8 : 8 + size])
    header["keys"]["shape"] = [20, 2**40, 4]
    told = json.dumps(header).encode()
    for content in (struct.pack("<Q", len(told)) + told + raw[8 + size :], struct.pack("<Q", 2**60) + raw[8:], b"\0"):
        weights.write_bytes(content)
        from dkvb.workspace.files import sha256

        made_up = config | {"format": 2, "sha256": sha256(weights)}
        (folder / "config.json").write_text(
            json.dumps({k: v for k, v in made_up.items() if k not in ("files", "seal")})
        )
        refused(folder, "model.safetensors is damaged")


def test_too_little_memory_names_the_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import safetensors.numpy

    def no_room(*args: object) -> None:
        raise MemoryError

    monkeypatch.setattr(safetensors.numpy, "load_file", no_room)
    with pytest.raises(dkvb.DkvbError, match=r"too little memory to read .*out/model\.safetensors of [\d,]+ bytes"):
        dkvb.load(folder)


def test_an_export_of_format_2_is_loaded_and_not_called_checked(
    exported: Path, folder: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "_quiet", False)
    made_by_format_2(folder)
    x = np.random.default_rng(0).standard_normal((5, 12), np.float32)
    old = dkvb.load(folder)
    np.testing.assert_array_equal(old(x), dkvb.load(exported / "cat")(x))
    assert old.about.ledger is None
    assert "before hashes of all files were kept" in capfd.readouterr().err
    (folder / "labels.json").unlink()
    assert dkvb.load(folder).classes == [name for name in CLASSES if name != "cat"]
    tensors = load_file(folder / "model.safetensors")
    tensors["values"][0, 0, 0] = np.nan
    save_file(tensors, folder / "model.safetensors")
    refused(folder, "has changed since")


def test_a_model_that_holds_nan_is_not_exported(exported: Path, tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "data", tmp_path / "reports")
    model = dkvb.load(exported / "cat")
    model.values[:] = np.nan
    model.values[:] = np.where(model.allowed[:, :, None], np.nan, 0)
    with pytest.raises(dkvb.DkvbError, match="cannot be exported: values holds NaN"):
        export.run(model, tmp_path / "out", workspace)
    assert not (tmp_path / "out").exists()
