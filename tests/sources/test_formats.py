"""Which files are images: every format that Pillow reads, by ending or by content, and every other file counted."""

from __future__ import annotations

import io
import os
import sys

import numpy as np
import pytest
from PIL import Image

from dkvb.sources import formats
from dkvb.sources.images import read_image
from dkvb.sources.remarks import SYSTEM, PassedOver
from source_files import folder, plant

RED = Image.new("RGB", (16, 16), (250, 20, 20))
FORMATS = {
    "a.jpg": "JPEG",
    "a.JPG": "JPEG",
    "a.Jpeg": "JPEG",
    "a.jpe": "JPEG",
    "a.jfif": "JPEG",
    "a.png": "PNG",
    "a.gif": "GIF",
    "a.bmp": "BMP",
    "a.dib": "DIB",
    "a.tif": "TIFF",
    "a.TIFF": "TIFF",
    "a.webp": "WEBP",
    "a.avif": "AVIF",
    "a.jp2": "JPEG2000",
    "a.j2k": "JPEG2000",
    "a.tga": "TGA",
    "a.ico": "ICO",
    "a.icns": "ICNS",
    "a.ppm": "PPM",
    "a.pcx": "PCX",
    "a.qoi": "QOI",
    "a.sgi": "SGI",
    "a.dds": "DDS",
    "a.mpo": "MPO",
}


def stored(form: str) -> bytes:
    content = io.BytesIO()
    options = {"lossless": True} if form == "WEBP" else {}
    RED.save(content, form, **options)
    return content.getvalue()


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_is_read_by_its_ending_or_by_its_content(tmp_path, name):
    ending = formats.ending_of(name)
    content = stored(FORMATS[name])
    for other in (name, "none", f"odd.{ending}_large", f"odd.{ending}.1", "image.dat", "ünd ö"):
        path = tmp_path / other
        path.write_bytes(content)
        assert formats.why_no_image(str(path), other) is None, other
        image = read_image(path)
        assert image.mode == "RGB"
        assert np.abs(np.subtract(image.getpixel((8, 8)), (250, 20, 20))).max() <= 8, other


def test_no_format_of_pillow_is_forgotten():
    Image.init()
    readable = {ending[1:] for ending, form in Image.EXTENSION.items() if form in Image.OPEN}
    # known by ending, for an image or for none; any other is looked into, by the opener of its format
    looked_into = {ending for ending in readable if formats.looked_into(f"a.{ending}")}
    assert {Image.EXTENSION[f".{ending}"] for ending in looked_into} - set(formats.BY_CONTENT) == {"IPTC"}
    assert readable >= formats.IMAGES - {"mpo"}  # opened as JPEG
    stubs = {"EPS", "MPEG", "WMF", "HDF5", "GRIB", "BUFR"}
    assert {ending for ending in readable if Image.EXTENSION[f".{ending}"] in stubs} <= formats.OTHERS


def test_heic_is_read_where_its_package_is(tmp_path):
    pillow_heif = pytest.importorskip("pillow_heif")
    content = io.BytesIO()
    pillow_heif.from_pillow(RED).save(content, quality=100)
    root = plant(tmp_path / "data", "{cat,dog}/{0,1}.png")
    for name in ("a.heic", "b.HEIF", "c", "d.jpg"):  # phones' exports are at times called .jpg
        (root / "cat" / name).write_bytes(content.getvalue())
    source = folder(root, test=0.5)
    assert source.passed_over == {}
    ids = sorted(id for split in source.splits.values() for id in split.ids if id.startswith("cat"))
    assert ids == [f"cat/{name}" for name in ("0.png", "1.png", "a.heic", "b.HEIF", "c", "d.jpg")]
    for name in ("a.heic", "c", "d.jpg"):
        assert np.abs(np.subtract(read_image(root / "cat" / name).getpixel((8, 8)), (250, 20, 20))).max() <= 8


def test_heic_without_its_package_is_counted_and_the_package_named(tmp_path, monkeypatch):
    content = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"
    root = plant(tmp_path / "data", "{cat,dog}/{0,1,2}.png")
    for name in ("a.heic", "b.HEIF", "c"):
        (root / "cat" / name).write_bytes(content)
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    for cached in (formats.heif, formats.endings):
        cached.cache_clear()
    try:
        source = folder(root)
        assert source.passed_over == {"HEIC, which takes `pip install 'dkvb[heif]'`": PassedOver(3, "cat/a.heic")}
        assert len(source.splits["train"]) + len(source.splits["test"]) == 6
        (root / "cat" / "d.jpg").write_bytes(content)
        with pytest.raises(Exception, match="it is HEIC, which takes"):
            read_image(root / "cat" / "d.jpg")
    finally:
        for cached in (formats.heif, formats.endings):
            cached.cache_clear()


COUNTED = {
    "notes.txt": "no image (.txt)",
    "LABELS.CSV": "no image (.csv)",
    "paper.pdf": "no image (.pdf)",
    "figure.eps": "no image (.eps)",
    "clip.mpg": "no image (.mpg)",
    "clip.mp4": "no image (.mp4)",
    "x.npy": "no image (.npy)",
    "drawing.svg": "no image (.svg)",
    "raw.nef": "a format that Pillow does not read here (.nef)",
    "odd.xyz": "no image (.xyz)",
    "odd.20260101": "no image (no known ending)",
    "README": "no image (no known ending)",
    ".hidden.png": "a hidden file",
    ".hidden/0.png": "a hidden folder, not looked into",
    ".DS_Store": SYSTEM,
    "._0.png": SYSTEM,
    "Thumbs.db": SYSTEM,
    "desktop.ini": SYSTEM,
    "__MACOSX/._0.png": SYSTEM,
    "@eaDir/0.png": SYSTEM,
}


@pytest.mark.parametrize("name", COUNTED)
@pytest.mark.parametrize("where", ["", "train/", "train/cat/", "train/cat/deep/"])
def test_every_other_file_is_counted_by_reason(photos, name, where):
    plain = folder(photos)
    plant(photos, "train/cat/deep/9.png")
    (photos / where / name).parent.mkdir(exist_ok=True)
    (photos / where / name).write_bytes(b"%PDF-1.4 or whatever \0\1\2")
    source = folder(photos)
    shown = where + name.split("/")[0]
    assert source.passed_over == {COUNTED[name]: PassedOver(1, shown)}
    assert source.splits["train"].ids == sorted([*plain.splits["train"].ids, "train/cat/deep/9.png"])


def test_counts_are_of_all_folders_and_examples_are_the_first(photos):
    plant(photos, "train/{cat,dog}/{b,a}.txt", "test/dog/a.txt", "loose.png", "train/{x,y}.png", "test/z.png")
    (photos / "train" / "dog" / "nothing").write_bytes(b"")
    assert folder(photos).passed_over == {
        "no image (.txt)": PassedOver(5, "train/cat/a.txt"),
        "an image in no class folder": PassedOver(4, "loose.png"),
        "an empty file": PassedOver(1, "train/dog/nothing"),
    }


@pytest.mark.skipif(sys.platform != "linux", reason="needs a file system that keeps any bytes as names")
def test_a_file_that_is_not_read_may_have_any_name(photos):
    try:
        (photos / "train" / "cat" / os.fsdecode(b"\xff.txt")).write_bytes(b"")
    except OSError:
        pytest.skip("this file system refuses such names")
    assert folder(photos).passed_over == {"no image (.txt)": PassedOver(1, "train/cat/�.txt")}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_is_not_opened(photos):
    os.mkfifo(photos / "train" / "cat" / "pipe.png")
    assert folder(photos).passed_over == {"neither file nor folder": PassedOver(1, "train/cat/pipe.png")}


def test_an_empty_class_says_what_lies_there_instead(photos):
    plant(photos, "train/eel/{a,b}.mp4")
    with pytest.raises(Exception, match=r"no images in the class folder eel \(2 files passed over: no image \(.mp4\)"):
        folder(photos)
