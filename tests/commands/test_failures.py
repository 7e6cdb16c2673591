"""What a person is told when a signal, a full disk, too little memory or a broken file ends a command."""

from __future__ import annotations

import errno
import os
import signal
import time
from pathlib import Path
from typing import Any

import polars
import pytest
from safetensors import SafetensorError

import forked
from dkvb.commands.failures import attempt
from dkvb.recipe import load
from dkvb.runtime.parallel import spread
from dkvb.workspace import tensors
from dkvb.workspace.files import atomic

FULL = "No space left on device (os error 28)"
RAISED: dict[str, tuple[Exception, int, str]] = {
    "safetensors, a full disk": (
        SafetensorError(f"Error while serializing: I/O error: {FULL}"),
        *(1, "the disk is full (work): free some room, then run the same command again; finished work is kept."),
    ),
    "polars, a full disk": (
        polars.exceptions.ComputeError(f"parquet: File out of specification: underlying IO error: {FULL}"),
        *(1, "the disk is full (work): free some room"),
    ),
    "Python, a full disk": (OSError(errno.ENOSPC, "No space left on device"), 1, "the disk is full (work)"),
    "safetensors, a quota": (
        SafetensorError("I/O error: Disk quota exceeded (os error 122)"),
        1,
        "disk quota is used up",
    ),
    "Python, no room for a thread": (RuntimeError("can't start new thread"), 1, "out of memory: lower keys.codebooks"),
    "safetensors, a broken file": (
        SafetensorError("Error while deserializing header: header too large"),
        *(5, "a tensor file is damaged (Error while deserializing header: header too large)"),
    ),
    "NumPy, no memory": (
        MemoryError("Unable to allocate 3.2 TiB for an array with shape (9, 9)"),
        *(1, "out of memory (Unable to allocate 3.2 TiB for an array with shape (9, 9)): lower keys.codebooks"),
    ),
    "a disk that is read only": (OSError(errno.EROFS, "Read-only file system", "x/y"), 1, "x/y is on a read-only disk"),
}


@pytest.mark.parametrize("what", RAISED)
def test_it_is_told_in_a_paragraph(what: str) -> None:
    error, code, says = RAISED[what]

    def call() -> None:
        raise error

    ended, message = attempt(call, Path("work"), debug=False)
    assert ended == code
    assert message is not None
    assert says in message
    assert "\n" not in message


def test_a_full_disk_that_another_error_hides_is_told() -> None:
    def call() -> None:
        try:
            raise OSError(errno.ENOSPC, "No space left on device")
        except OSError as error:
            raise ValueError("could not write the codec") from error

    assert attempt(call, Path("work"), debug=False)[1] == (
        "the disk is full (work): free some room, then run the same command again; finished work is kept."
    )


def test_a_fault_of_dkvb_stays_one() -> None:
    def call() -> None:
        try:
            raise FileNotFoundError(errno.ENOENT, "No such file", "x")
        except FileNotFoundError:
            raise KeyError("a fault") from None

    with pytest.raises(KeyError):
        attempt(call, Path("work"), debug=False)


def test_a_library_that_meets_a_full_disk_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No space left") as error, atomic(tmp_path / "values.safetensors") as file:
        file.write_bytes(b"half")
        raise SafetensorError(f"Error while serializing: I/O error: {FULL}")
    assert (error.value.errno, error.value.filename) == (errno.ENOSPC, str(tmp_path / "values.safetensors"))
    assert list(tmp_path.iterdir()) == []


def test_a_broken_tensor_file_is_named_with_what_makes_it_again(tmp_path: Path) -> None:
    file = tmp_path / "train/tiny-0/values.safetensors"
    file.parent.mkdir(parents=True)
    for content, says in ((b"\xff" * 30, "is damaged"), (None, "is missing")):
        file.unlink(missing_ok=True)
        if content:
            file.write_bytes(content)

        def call() -> None:
            tensors.load_file(file)

        code, message = attempt(call, tmp_path, debug=False)
        assert code == 5
        assert message is not None
        assert f"{file} {says}" in message
        assert "`dkvb train --force` makes it again" in message


def _sleeping(unit: int) -> None:
    Path(f"worker-{os.getpid()}").touch()
    time.sleep(600)


def _busy_workers(*arguments: Any, **named: Any) -> None:
    list(spread(_sleeping, [0, 1], load("digits").with_(run={"workers": 2}).run))


def _stubborn(*arguments: Any, **named: Any) -> None:
    try:
        print("working", flush=True)
        time.sleep(600)
    finally:
        print("tidying up", flush=True)
        time.sleep(600)


def _dkvb(stage: Any) -> None:
    from dkvb.stages import embed

    embed.run = stage
    forked.module("dkvb", ("embed", "--recipe", "digits", "--json"))


def alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return (
        Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
        if Path("/proc").is_dir()
        else True
    )


def until(condition: Any, seconds: float = 90) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    return bool(condition())


def test_sigterm_ends_a_command_and_its_workers_like_an_interrupt(tmp_path: Path, forked_workers: None) -> None:
    process = forked.call(_dkvb, _busy_workers, folder=tmp_path)
    assert until(lambda: len(list(tmp_path.glob("worker-*"))) == 2), process.said
    workers = [int(path.name.removeprefix("worker-")) for path in tmp_path.glob("worker-*")]
    assert all(map(alive, workers))
    os.kill(process.process.pid, signal.SIGTERM)
    assert process.end() == 130, process.said
    assert "ended by SIGTERM; the same command goes on where this one stopped" in process.said
    assert '"exit_code": 130' in process.said
    assert "Traceback" not in process.said
    assert until(lambda: not any(map(alive, workers)), 30)


def test_a_second_sigterm_kills_at_once(tmp_path: Path) -> None:
    process = forked.call(_dkvb, _stubborn, folder=tmp_path)
    process.wait_for("working")
    os.kill(process.process.pid, signal.SIGTERM)
    process.wait_for("tidying up")
    assert process.process.is_alive(), process.said
    os.kill(process.process.pid, signal.SIGTERM)
    assert process.end(20) == -signal.SIGTERM, process.said
