"""Whether a host answers, within the time given for it."""

from __future__ import annotations

import time
import urllib.error

import pytest

from dkvb.runtime import network
from dkvb.runtime.network import host, unreachable


def test_a_host_that_answers_and_one_that_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    def raising(error: Exception) -> object:
        def urlopen(*args: object, **options: object) -> None:
            raise error

        return urlopen

    refused = urllib.error.HTTPError("http://x", 403, "Forbidden", None, None)  # type: ignore[arg-type]
    monkeypatch.setattr("urllib.request.urlopen", raising(refused))
    assert unreachable("http://x") is None, "whoever refuses is there"
    monkeypatch.setattr("urllib.request.urlopen", raising(urllib.error.URLError("no route")))
    assert unreachable("http://x") == "no route"
    monkeypatch.setattr("urllib.request.urlopen", raising(TimeoutError()))
    assert unreachable("http://x") == "TimeoutError"


def test_nothing_takes_longer_than_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "_asked", lambda url, timeout: time.sleep(1.5))
    started = time.monotonic()
    assert unreachable("http://x", 0.05) == "no answer within 0.05 s"
    assert time.monotonic() - started < 1


def test_the_hosts_name() -> None:
    assert host("https://download.pytorch.org/models/resnet50.pth") == "download.pytorch.org"
