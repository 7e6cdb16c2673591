"""The browser that pages are opened in, and a workspace whose report is real."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from browser import Browser, program
from dkvb.recipe import Recipe
from dkvb.workspace.artifacts import Workspace


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    found = program()
    if not found:
        pytest.skip("no chromium on PATH: pages were not opened in a browser")
    opened = Browser(found, tmp_path_factory.mktemp("profile"))
    yield opened
    opened.close()


@pytest.fixture
def true(browser: Browser, reported: tuple[Recipe, Workspace]) -> Workspace:
    return reported[1]
