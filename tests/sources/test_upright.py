"""EXIF orientations: images are turned as viewers show them where the recipe says so, and are as stored elsewhere."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageOps

from dkvb.recipe import Data
from dkvb.sources.images import read_image, upright, was_turned
from dkvb.sources.opening import open_source
from source_files import folder, imagenet, photo

CORNERS = {1: (0, 0), 2: (1, 0), 3: (1, 1), 4: (0, 1), 5: (0, 0), 6: (1, 0), 7: (1, 1), 8: (0, 1)}
"""Where an image's first corner, left and top, ends up: right, bottom."""


@pytest.mark.parametrize("orientation", CORNERS)
@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp"])
def test_images_are_turned_as_their_orientation_says(tmp_path, orientation, name):
    path = photo(tmp_path / name, orientation)
    stored, read = read_image(path), read_image(path, exif_rotate=True)
    assert stored.size == (8, 4)
    assert not was_turned(stored)
    assert was_turned(read) == (orientation != 1)
    assert read.size == ((8, 4) if orientation < 5 else (4, 8))
    right, bottom = CORNERS[orientation]
    bright = np.asarray(read).sum(2)
    assert bright.argmax() == np.ravel_multi_index(
        (bottom * (bright.shape[0] - 1), right * (bright.shape[1] - 1)), bright.shape
    )
    with Image.open(path) as image:
        expected = ImageOps.exif_transpose(image).convert("RGB")
    assert (np.asarray(read) == np.asarray(expected)).all()


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "I;16", "CMYK"])
def test_images_of_any_mode_are_turned(tmp_path, mode):
    image = Image.fromarray(np.arange(32, dtype=np.uint16).reshape(4, 8) * 2000)
    image = image if mode == "I;16" else Image.fromarray(np.asarray(image).astype(np.uint8)).convert(mode)
    name = "a.jpg" if mode == "CMYK" else "a.png"
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    image.save(tmp_path / name, exif=exif)
    read = read_image(tmp_path / name, exif_rotate=True)
    assert (read.mode, read.size, was_turned(read)) == ("RGB", (4, 8), True)
    assert (np.asarray(read) == np.rot90(np.asarray(read_image(tmp_path / name)), -1)).all()


@pytest.mark.parametrize("orientation", [0, 9, 77])
def test_an_orientation_that_is_none_turns_nothing(tmp_path, orientation):
    path = photo(tmp_path / "a.jpg", orientation)
    read = read_image(path, exif_rotate=True)
    assert not was_turned(read)
    assert (np.asarray(read) == np.asarray(read_image(path))).all()


def test_damaged_exif_data_cost_no_image(tmp_path):
    path = photo(tmp_path / "a.jpg", 6)
    content = path.read_bytes()
    at = content.index(b"Exif\0\0") + 6
    path.write_bytes(content[:at] + b"\xff" * 12 + content[at + 12 :])
    read = read_image(path, exif_rotate=True)
    assert (read.size, was_turned(read)) == ((8, 4), False)


def test_an_image_is_turned_once(tmp_path):
    with Image.open(photo(tmp_path / "a.jpg", 6)) as image:
        once = upright(image)
        assert once.size == (4, 8)
        assert upright(once) is once


def test_sources_turn_images_where_the_recipe_says_so(photos, tmp_path):
    photo(photos / "train" / "cat" / "0.jpg", 8)
    plain, turned = folder(photos), folder(photos, exif_rotate=True)
    assert plain.fingerprint == turned.fingerprint  # the recipe's key tells the artifacts apart
    read = pickle.loads(pickle.dumps(turned.splits["train"]))
    assert [source.read(0).size for source in (plain.splits["train"], read)] == [(8, 4), (4, 8)]
    root = imagenet(tmp_path / "i")
    photo(root / "val" / "n01440764" / "0.JPEG", 8)
    for rotate, size in ((False, (8, 4)), (True, (4, 8))):
        test = open_source(Data(source="imagenet1k", path=str(root), exif_rotate=rotate)).splits["test"]
        assert test.read(0).size == size


def test_heic_is_upright_either_way(tmp_path):
    pillow_heif = pytest.importorskip("pillow_heif")
    pillow_heif.register_heif_opener()
    with Image.open(photo(tmp_path / "a.png", 6)) as image:
        image.save(tmp_path / "a.heic", exif=image.getexif().tobytes(), quality=100)
    for rotate in (False, True):  # its format turns the pixels itself
        read = read_image(tmp_path / "a.heic", exif_rotate=rotate)
        assert (read.size, was_turned(read)) == ((4, 8), False)
