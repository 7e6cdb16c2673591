"""Libraries are held to one thread each, those that are loaded later as well."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest
import threadpoolctl

from dkvb.runtime.threads import one_thread


def threads() -> set[int]:
    return {library["num_threads"] for library in threadpoolctl.threadpool_info()}


def test_one_thread_each_and_as_many_as_before_afterwards() -> None:
    with threadpoolctl.threadpool_limits(2):
        for _ in range(2):
            with one_thread():
                assert threads() == {1}
            assert threads() == {2}


def test_libraries_are_looked_for_again_once_something_was_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    looked = []
    real = threadpoolctl.ThreadpoolController
    monkeypatch.setattr(threadpoolctl, "ThreadpoolController", lambda: looked.append(1) or real())
    monkeypatch.setitem(sys.modules, "new_to_all", ModuleType("new_to_all"))
    for _ in range(3):
        with one_thread():
            pass
    assert len(looked) == 1
    monkeypatch.setitem(sys.modules, "newer", ModuleType("newer"))
    with one_thread():
        pass
    assert len(looked) == 2
