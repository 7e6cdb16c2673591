from __future__ import annotations

import json
import multiprocessing
import time
from pathlib import Path

import pytest

from dkvb.errors import DamagedArtifact, MissingStage, SettingsClash, UsageError
from dkvb.workspace import files
from dkvb.workspace.artifacts import Workspace
from dkvb.workspace.manifest import FORMAT, Spec
from dkvb.workspace.names import MANIFEST

SPEC = Spec("train", "a name/with odd <letters>", {"lr": 0.1}, {"quantize": "f" * 64})


def make(workspace: Workspace, spec: Spec = SPEC, text: str = "content") -> Path:
    with workspace.claim(spec) as claim:
        files.write_text(claim.path / "file.txt", text)
        claim.finish({"answer": 42})
    return claim.path


def rewrite(path: Path, sign: bool = True, **changes: object) -> None:
    manifest = json.loads((path / MANIFEST).read_text()) | changes
    manifest.pop("checksum")
    if sign:
        manifest["checksum"] = files.canonical_hash(manifest)
    (path / MANIFEST).write_text(json.dumps(manifest))


def test_fingerprint_depends_on_settings_inputs_and_stage_alone() -> None:
    same = Spec("train", "another name", {"lr": 0.1}, {"quantize": "f" * 64})
    assert same.fingerprint == SPEC.fingerprint
    for other in (
        Spec("train", "", {"lr": 0.2}, SPEC.inputs),
        Spec("train", "", SPEC.settings, {}),
        Spec("embed", "", SPEC.settings, SPEC.inputs),
    ):
        assert other.fingerprint != SPEC.fingerprint


def test_an_artifact_is_done_when_its_manifest_is_there(workspace: Workspace) -> None:
    with workspace.claim(SPEC) as claim:
        files.write_text(claim.path / "file.txt", "half")
    assert workspace.get(SPEC) is None
    assert workspace.unfinished("train") == [claim.path]
    path = make(workspace)
    found = workspace.get(SPEC)
    assert found is not None
    assert found.result == {"answer": 42}
    assert path.name.endswith(SPEC.fingerprint[:8])
    assert {"settings", "inputs", "versions", "seconds", "host", "created", "files"} <= found.manifest.keys()
    assert workspace.unfinished("train") == []
    with workspace.claim(SPEC) as again:
        assert again.artifact is not None
    with workspace.claim(SPEC, force=True) as forced:
        assert forced.artifact is None
        assert not (forced.path / "file.txt").exists()


def test_find_takes_the_one_last_made_or_asked_for(workspace: Workspace) -> None:
    old, new = (Spec("embed", "data", {"source": "folder"}, {"source": print_}) for print_ in ("old", "new"))
    for spec in (old, new):
        make(workspace, spec)
    assert workspace.need("embed", {"source": "folder"}, "it").manifest["inputs"] == {"source": "new"}
    with workspace.claim(old):
        pass
    assert workspace.need("embed", {"source": "folder"}, "it").manifest["inputs"] == {"source": "old"}


def test_missing_stage_names_the_command(workspace: Workspace) -> None:
    with pytest.raises(MissingStage, match="run `dkvb train`"):
        workspace.need_spec(SPEC, "The model")
    with pytest.raises(MissingStage, match="run `dkvb embed`"):
        workspace.need("embed", {}, "The data")


@pytest.mark.parametrize("damage", ["truncate", "flip", "remove"])
def test_damaged_files_are_found_and_named(workspace: Workspace, damage: str) -> None:
    file = make(workspace) / "file.txt"
    if damage == "remove":
        file.unlink()
    else:
        file.write_text("conten" if damage == "truncate" else "cOntent")
    with pytest.raises(DamagedArtifact, match=r"file\.txt.*`dkvb train --force` makes it again"):
        workspace.need_spec(SPEC, "The model")


def test_damaged_manifests_are_found(workspace: Workspace) -> None:
    path = make(workspace)
    rewrite(path, sign=False, checksum="0", result={"answer": 43})
    with pytest.raises(DamagedArtifact, match="manifest"):
        workspace.get(SPEC)
    (path / MANIFEST).write_bytes(b"\xff\xfe{")
    with pytest.raises(DamagedArtifact, match="manifest"):
        workspace.get(SPEC)


def test_a_newer_format_is_a_clash(workspace: Workspace) -> None:
    rewrite(make(workspace), format=FORMAT + 1)
    with pytest.raises(SettingsClash, match="newer dkvb"):
        workspace.get(SPEC)


def test_a_folder_of_other_settings_is_a_clash(workspace: Workspace) -> None:
    path = make(workspace)
    rewrite(path, fingerprint="0" * 64)
    with pytest.raises(SettingsClash, match="holds other settings than its name says"):
        workspace.get(SPEC)
    (path / MANIFEST).unlink()
    files.write_json(path / "claim.json", {"fingerprint": "0" * 64})
    with pytest.raises(SettingsClash, match="other settings"), workspace.claim(SPEC):
        pass


def test_a_file_is_no_workspace(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="--data-dir"):
        Workspace(tmp_path / "file", tmp_path / "reports")


def test_atomic_writes_leave_the_old_file_when_they_fail(tmp_path: Path) -> None:
    path = tmp_path / "file"
    files.write_text(path, "old")
    with pytest.raises(RuntimeError), files.atomic(path) as temporary:
        temporary.write_text("half of the n")
        raise RuntimeError
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["file"]


def _hold(root: Path, begun: multiprocessing.synchronize.Event) -> None:
    with Workspace(root, root).claim(SPEC) as claim:
        begun.set()
        time.sleep(1.0)
        files.write_text(claim.path / "file.txt", "from the first")
        claim.finish({})


def test_a_second_process_waits_says_so_and_finds_the_work_done(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    from dkvb.runtime import progress

    progress.silence(False)
    context = multiprocessing.get_context("spawn")
    begun = context.Event()
    first = context.Process(target=_hold, args=(tmp_path, begun))
    first.start()
    assert begun.wait(60)
    with Workspace(tmp_path, tmp_path).claim(SPEC) as claim:
        assert claim.artifact is not None
    first.join()
    said = capfd.readouterr().err
    assert f"waiting: process {first.pid}" in said


def test_what_a_killed_process_left_half_written_is_removed_and_never_listed(workspace: Workspace) -> None:
    left = [f".tmp-123-{MANIFEST}", "codes/c/0/7/0." + "0f" * 16 + ".partial", "zarr." + "a1" * 16 + ".partial"]
    with workspace.claim(SPEC) as claim:
        for name in left:
            files.write_text(claim.path / name, "half")
    with workspace.claim(SPEC) as claim:
        assert not any((claim.path / name).exists() for name in left)
        files.write_text(claim.path / "an.ordinary.partial", "whole")
        for name in left:  # another process at work in the same folder
            files.write_text(claim.path / name, "half")
        artifact = claim.finish({})
    assert list(artifact.manifest["files"]) == ["an.ordinary.partial"]
