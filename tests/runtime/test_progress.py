from __future__ import annotations

import pytest

from dkvb.runtime import progress


def test_pace_counts_only_what_this_run_has_done(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    progress.silence(False)
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    with progress.task("train", 10, "epochs") as task:
        task.skip(6)
        now[0] += 4
        task.advance(2, "loss 0.1")
        now[0] += 4
        task.advance(2)
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "train: 8/10 epochs · 0.5/s · 4.0 s left · loss 0.1",
        "train: 4 epochs in 8.0 s (6 were done before)",
    ]


def test_a_line_every_two_seconds_at_most(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    progress.silence(False)
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    with progress.task("embed", 1000, "images") as task:
        for _ in range(1000):
            now[0] += 0.01
            task.advance()
    assert len(capsys.readouterr().err.splitlines()) == 5


def test_silence_is_silent(capsys: pytest.CaptureFixture[str]) -> None:
    progress.silence()
    progress.note("x")
    with progress.task("y", 1, "z") as task:
        task.advance()
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.04, "0.0 s"), (9.94, "9.9 s"), (12.3, "12 s"), (185, "3 min 05 s"), (7620, "2 h 07 min")]
)
def test_clock(seconds: float, text: str) -> None:
    assert progress.clock(seconds) == text


def test_lines_that_are_kept_are_said_by_whoever_waits_for_them(capsys: pytest.CaptureFixture[str]) -> None:
    progress.silence(False)
    with progress.recorded() as said:
        progress.note("first")
        with progress.task("work", 2, "parts") as task:
            task.spoken -= 60  # a line would be due, and is stale once it is said
            task.advance()
            task.advance()
    assert capsys.readouterr().err == ""
    assert [line.partition(" in ")[0] for line in said] == ["first", "work: 2 parts"]
    progress.note("after")
    assert capsys.readouterr().err == "after\n"
