"""After a purge no picture of what was purged is left, in the workspace or on any page; of all else they stay."""

from __future__ import annotations

import base64
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dkvb.commands.checking import check
from dkvb.deletion import exact, forget, made_from, purge
from dkvb.errors import DkvbError
from dkvb.pictures import index
from dkvb.pictures.album import Album
from dkvb.pictures.thumbnail import thumbnail
from dkvb.recipe import Recipe, load
from dkvb.stages import report
from dkvb.workspace import arrays, requests
from dkvb.workspace.artifacts import Workspace
from dkvb.workspace.requests import need_features
from dying import purge_killed
from pictured import COLOURS, TEST, TRAIN, animal, on_page


@pytest.fixture(scope="module")
def asked(animals: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The workspace with a request to forget whales, and pictures of all rows."""
    root = tmp_path_factory.mktemp("asked")
    for name in ("data", "reports"):
        shutil.copytree(animals / name, root / name)
    recipe, workspace = load(str(animals / "pictured.toml")), Workspace(root / "data", root / "reports")
    features = need_features(recipe, workspace)
    rows = [(split, i) for split, many in (("train", TRAIN), ("test", TEST)) for i in range(3 * many)]
    assert len(Album(workspace, recipe.data).of(features, rows)) == 3 * (TRAIN + TEST)
    forget.run(recipe.with_(unlearn={"method": "activations", "na": 30}), workspace, ["whale"])
    return root


@pytest.fixture
def place(asked: Path, animals: Path, tmp_path: Path) -> tuple[Recipe, Workspace]:
    """A copy of it."""
    for name in ("data", "reports"):
        shutil.copytree(asked / name, tmp_path / name)
    return load(str(animals / "pictured.toml")), Workspace(tmp_path / "data", tmp_path / "reports")


def holding(workspace: Workspace, pictures: list[bytes]) -> list[str]:
    """The files that hold one of some pictures, as it is or in base64."""
    sought = [form for picture in pictures for form in (picture, base64.b64encode(picture))]
    files = [path for root in (workspace.root, workspace.reports) for path in root.rglob("*") if path.is_file()]
    return sorted(path.name for path in files if any(form in path.read_bytes() for form in sought))


def pictures_of(animals: Path, name: str) -> list[bytes]:
    """Of the images of a class, made from these themselves."""
    made = []
    for path in sorted((animals / "animals").glob(f"*/{name}/*.png")):
        with Image.open(path) as image:
            made.append(thumbnail(image.convert("RGB")))
    return made


def seen(workspace: Workspace) -> set[str]:
    """What all pictures show that are anywhere: as files, and on pages."""
    files = [path.read_bytes() for path in workspace.root.rglob("*.webp")]
    pages = [picture for page in workspace.reports.rglob("*.html") for picture in on_page(page.read_text())]
    return {animal(picture) for picture in [*files, *pages]}


def test_no_picture_of_a_purged_class_is_left_anywhere(place: tuple[Recipe, Workspace], animals: Path) -> None:
    recipe, workspace = place
    whales = pictures_of(animals, "whale")
    assert len(whales) == TRAIN + TEST
    held = holding(workspace, whales)
    assert sum(name.endswith(".webp") for name in held) == TRAIN + TEST
    assert any(name.endswith(".html") for name in held)
    assert seen(workspace) == set(COLOURS)
    done = purge.run(recipe, workspace, "r0001")
    assert done.purge is not None
    assert done.purge.scan.found == {}
    assert holding(workspace, whales) == []
    assert seen(workspace) == {"fox", "frog"}
    assert len(list(workspace.root.rglob("*.webp"))) == 2 * (TRAIN + TEST)
    _sound(workspace)
    report.run(recipe, workspace, force=True)  # the images lie where they lay
    assert holding(workspace, whales) == []
    assert seen(workspace) == {"fox", "frog"}
    _sound(workspace)


def _sound(workspace: Workspace) -> None:
    checked = check(workspace)
    assert checked.problems == []
    assert made_from.unfit(workspace) == []


def test_no_picture_of_a_purged_sample_is_left(place: tuple[Recipe, Workspace], animals: Path) -> None:
    recipe, workspace = place
    features = need_features(recipe, workspace)
    gone = np.array([1, TRAIN + 2])
    ids = [str(one) for one in arrays.read(features, "train/ids")[gone]]
    [request] = exact.samples(recipe, workspace, gone)
    mine = [thumbnail(Image.open(next((animals / "animals").rglob(Path(one).name))).convert("RGB")) for one in ids]
    assert len(holding(workspace, mine)) >= 2
    purge.run(recipe, workspace, request.request)
    assert holding(workspace, mine) == []
    kept = index.kept(workspace, need_features(recipe, workspace))
    assert kept is not None
    assert len(index.rows_in(kept)) == 3 * (TRAIN + TEST) - 2
    assert Album(workspace, recipe.data).of(need_features(recipe, workspace), [("train", 1)]) == {}
    _sound(workspace)


@pytest.mark.parametrize("call", [12, 40, *(pytest.param(n, marks=pytest.mark.slow) for n in (5, 20, 30, 60, 90, 150))])
def test_killed_at_any_instant_a_rerun_erases_them(call: int, place: tuple[Recipe, Workspace], animals: Path) -> None:
    recipe, workspace = place
    purge_killed(workspace, animals / "pictured.toml", "r0001", call)
    begun = requests.find(workspace, "r0001").record.purging is not None
    shown = Album(workspace, recipe.data).of(workspace.all("embed")[0], [("test", 0), ("test", 2 * TEST)])
    assert len(shown) == (0 if begun else 2)
    purge.run(recipe, workspace, "r0001")
    assert holding(workspace, pictures_of(animals, "whale")) == []
    assert seen(workspace) == {"fox", "frog"}
    _sound(workspace)


def _page(path: Path, picture: bytes) -> None:
    path.write_text(f'<p><img src="data:image/webp;base64,{base64.b64encode(picture).decode()}"></p>')


def _file(path: Path, picture: bytes) -> None:
    path.write_bytes(b"12345" + picture + b"6")


@pytest.mark.parametrize("plant", [_page, _file])
def test_the_scan_finds_a_copy(
    plant: Callable[[Path, bytes], None], place: tuple[Recipe, Workspace], animals: Path
) -> None:
    recipe, workspace = place
    copy = workspace.root / "requests" / "copy.html"
    plant(copy, pictures_of(animals, "whale")[3])
    with pytest.raises(DkvbError, match=r"The scan found 1 of the purged rows in .*copy\.html"):
        purge.run(recipe, workspace, "r0001")
    copy.unlink()
    assert purge.run(recipe, workspace, "r0001").state == "purged"
