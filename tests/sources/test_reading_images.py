"""Every form of image becomes RGB or grey; one that cannot be read carries its id and the reason."""

from __future__ import annotations

import io
import pickle

import numpy as np
import pytest
from PIL import Image

from dkvb.sources.base import UnreadableImage
from dkvb.sources.folder import read_image
from source_files import RAMP, folder


def test_sixteen_bits_are_scaled_not_clipped(tmp_path):
    Image.fromarray(RAMP).save(tmp_path / "a.png")
    Image.fromarray(RAMP.astype(np.int32)).save(tmp_path / "a.tif")
    for name in ("a.png", "a.tif"):
        image = read_image(tmp_path / name)
        assert image.mode == "RGB", name
        assert (np.asarray(image)[..., 0] == np.round(RAMP / 257)).all(), name
    assert (np.asarray(read_image(tmp_path / "a.png", "L")) == np.round(RAMP / 257)).all()


def test_every_mode_becomes_rgb(tmp_path, recwarn):
    red = Image.new("RGB", (4, 4), (250, 20, 20))
    palette = red.quantize(4)
    palette.save(tmp_path / "p.png", transparency=bytes([0, 255]))
    red.convert("CMYK").save(tmp_path / "cmyk.jpg")
    red.convert("RGBA").save(tmp_path / "rgba.png")
    Image.new("LA", (4, 4), (90, 10)).save(tmp_path / "la.png")
    Image.new("1", (4, 4), 1).save(tmp_path / "bit.png")
    red.save(tmp_path / "a.gif", save_all=True, append_images=[Image.new("RGB", (4, 4), "blue")])
    red.save(tmp_path / "a.webp", lossless=True)
    expected = {
        "p.png": (250, 20, 20),
        "cmyk.jpg": (250, 20, 20),
        "rgba.png": (250, 20, 20),
        "a.gif": (250, 20, 20),
        "a.webp": (250, 20, 20),
    }
    expected |= {"la.png": (90, 90, 90), "bit.png": (255, 255, 255)}
    for name, color in expected.items():
        image = read_image(tmp_path / name)
        assert image.mode == "RGB", name
        assert image.size == (4, 4), name
        assert np.abs(np.subtract(image.getpixel((1, 1)), color)).max() <= 6, (name, image.getpixel((1, 1)))
    assert not [str(warning.message) for warning in recwarn]


def test_unreadable_images_carry_id_and_reason(photos):
    cat = photos / "train" / "cat"
    noise = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(noise, "JPEG")
    (cat / "0.png").write_bytes(noise.getvalue()[: len(noise.getvalue()) // 2])
    (cat / "1.png").write_bytes(b"")
    (cat / "2.png").write_text("<html>not found</html>")
    (cat / "3.png").write_bytes((cat / "4.png").read_bytes()[:50])
    Image.fromarray(np.ones((4, 4), np.float32)).save(cat / "4.tif")
    (cat / "4.png").unlink()
    source = folder(photos)
    train = source.splits["train"]
    (photos / "train" / "dog" / "0.png").unlink()
    for row, reason in enumerate(("truncated", "empty", "no image", ".", "floating point", "missing")):
        with pytest.raises(UnreadableImage, match=reason) as caught:
            train.read(row)
        assert caught.value.id == train.ids[row]
        assert caught.value.reason
        assert train.ids[row] in str(caught.value)
    assert pickle.loads(pickle.dumps(caught.value)).reason == caught.value.reason
    with pytest.raises(UnreadableImage, match="empty"):
        read_image(cat / "1.png")
