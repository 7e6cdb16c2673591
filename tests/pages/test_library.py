"""The charts' library: begun by another process before the pages, made once, and given up where no page asks for it."""

from pathlib import Path

import pytest

from dkvb.pages import library


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that has not made the script, and makes a short one."""
    monkeypatch.setattr(library, "_MADE", [])
    monkeypatch.setattr(library, "PRINTED", "print('window.vegaEmbed = 1;', end='')")


@pytest.mark.usefixtures("fresh")
def test_what_was_begun_is_what_the_pages_get(tmp_path: Path) -> None:
    with library.library_begun(tmp_path):
        (begun,) = library._UNDER_WAY
        with library.library_being_written(tmp_path, there=False):
            assert library._UNDER_WAY == [], "no second process"
    assert (tmp_path / library.library_name()).read_text() == "window.vegaEmbed = 1;"
    assert begun.child.returncode == 0


@pytest.mark.usefixtures("fresh")
def test_what_no_page_asks_for_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library, "PRINTED", "import time; time.sleep(60)")
    with pytest.raises(KeyError), library.library_begun(tmp_path):
        (begun,) = library._UNDER_WAY
        raise KeyError
    assert begun.child.returncode < 0
    assert not library._UNDER_WAY


@pytest.mark.usefixtures("fresh")
def test_nothing_is_begun_where_it_lies_there(tmp_path: Path) -> None:
    path = tmp_path / library.library_name()
    path.parent.mkdir()
    path.write_text("there")
    with library.library_begun(tmp_path):
        assert not library._UNDER_WAY
