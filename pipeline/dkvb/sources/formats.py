"""Which files are images: told by their ending, and where that says nothing, by their content."""

from __future__ import annotations

import os
import re
import threading
from functools import cache, lru_cache

HEIF = frozenset(("heic", "heics", "heif", "heifs", "hif"))
"""Endings that Pillow reads where pillow-heif is installed."""

_WORD = re.compile(r"\w+")

IMAGES = frozenset(
    _WORD.findall("""
    apng avif avifs bmp dds dib gif icns ico j2c j2k jfif jp2 jpc jpe jpeg jpf jpg jpx mpo pbm pcx pgm png pnm ppm psd
    qoi sgi tga tif tiff webp xbm xpm
    """)
)
"""Endings of files that are taken for images without a look inside."""

UNREAD = frozenset(_WORD.findall("jxl raw dng cr2 cr3 nef arw orf rw2 raf exr hdr pfm dcm"))
"""Endings of pictures that Pillow does not read, or only their thumbnails, or whose pixels have no fixed range."""

OTHERS = frozenset(
    _WORD.findall("""
    txt md rst csv tsv json jsonl xml yaml yml toml ini cfg conf log html htm css js py ipynb sh m c h tex bib
    doc docx xls xlsx ppt pptx odt rtf pdf eps epsf ps ai svg svgz wmf emf
    mp4 avi mov mkv webm wmv mpg mpeg m4v flv 3gp ogv ts wav mp3 flac ogg m4a aac
    zip tar gz tgz bz2 xz 7z rar zst part partial crdownload exe dll so lnk url lock
    npy npz h5 hdf hdf5 nc mat pkl pickle joblib pt pth ckpt safetensors onnx parquet arrow feather tfrecord tfrecords
    lmdb mdb db sqlite grib bufr ply obj las
    """)
)
"""Endings of files that are taken for no image, without a look inside."""

KNOWN = IMAGES | HEIF | UNREAD | OTHERS

BY_CONTENT = _WORD.findall("""
    JPEG PNG GIF BMP DIB TIFF WEBP JPEG2000 AVIF MPO PPM QOI TGA ICO ICNS CUR PCX DCX DDS PSD SGI SUN XBM XPM FITS FLI
    FTEX BLP GBR IM MSP PCD PIXAR XVTHUMB HEIF
""")
"""Pillow's formats that a file with any other ending may be in. Left out are those that Pillow identifies and cannot
decode by itself (EPS, MPEG, WMF, HDF5, GRIB, BUFR), and those that it takes nearly anything for."""

BRANDS = frozenset((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"))

NEEDS_HEIF = "HEIC, which takes `pip install 'dkvb[heif]'`"

_registering = threading.Lock()


@cache
def heif() -> bool:
    """Whether HEIC images can be read; from the first call on, by Pillow."""
    with _registering:
        try:
            from pillow_heif import register_heif_opener
        except ImportError:
            return False
        register_heif_opener()
        return True


@cache
def endings() -> frozenset[str]:
    """Those of images that can be read here, without the dot, in lower case and in capitals."""
    from PIL import features

    read = set(IMAGES)
    if not features.check("avif"):
        read -= {"avif", "avifs"}
    if not features.check("jpg_2000"):
        read -= {"j2c", "j2k", "jp2", "jpc", "jpf", "jpx"}
    if heif():
        read |= HEIF
    return frozenset(read | {ending.upper() for ending in read})


def ending_of(name: str) -> str:
    """In lower case, without the dot; "" where there is none."""
    stem, _, ending = name.rpartition(".")
    return ending.lower() if stem else ""


def looked_into(name: str) -> bool:
    """Whether a file's content decides whether it is an image."""
    return ending_of(name) not in KNOWN


def why_no_image(path: str, name: str) -> str | None:
    """Why a file is not read as an image; None where it is one."""
    ending = ending_of(name)
    if ending in endings():
        return None
    if ending in HEIF:
        return NEEDS_HEIF
    if ending in IMAGES | UNREAD:
        return f"a format that Pillow does not read here (.{ending})"
    return f"no image (.{ending})" if ending in OTHERS else _by_content(path, ending)


def _by_content(path: str, ending: str) -> str | None:
    from PIL import Image

    try:
        if os.path.getsize(path) == 0:
            return "an empty file"
        with Image.open(path, formats=_openers()):
            return None
    except Image.DecompressionBombError:
        return None  # an image, and one that cannot be read: it is named where that is tried
    except Exception:  # Pillow's openers raise nearly anything on what is no image
        if not heif() and is_heif(path):
            return NEEDS_HEIF
        # endings that count something (.001, .002, …) are one reason, not thousands
        return f"no image (.{ending})" if re.fullmatch("[a-z][a-z0-9_]{0,7}", ending) else "no image (no known ending)"


@lru_cache(1)
def _openers() -> list[str]:
    from PIL import Image

    heif()
    Image.init()
    return [name for name in BY_CONTENT if name in Image.OPEN]


def is_heif(path: str | os.PathLike[str] | bytes) -> bool:
    """Whether a file, or the bytes of one, starts as HEIC images do."""
    if isinstance(path, bytes):
        return path[4:8] == b"ftyp" and path[8:12] in BRANDS
    try:
        with open(path, "rb") as file:
            start = file.read(12)
    except OSError:
        return False
    return start[4:8] == b"ftyp" and start[8:12] in BRANDS
