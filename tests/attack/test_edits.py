"""Edits by hand, each of which dkvb names, heals or rightly does not care about: those that somebody would think of,
and those of an editor that changes anything at random."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from attacked import HARMLESS, SEED, Site, copied, differing, named_or_healed, reads, told
from dkvb.bottleneck.mask_order import pack
from dkvb.workspace.files import sha256
from random_edits import at_random

RANDOM = 30


def the(site: Site, place: str) -> Path:
    """The first file or folder of a pattern."""
    return sorted(site.folder.glob(place))[0]


def edit_json(path: Path, **fields: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | fields, indent=1), encoding="utf-8")


def request_edit(**fields: Any) -> Callable[[Site], None]:
    return lambda site: edit_json(the(site, "data/requests/*/request.json"), **fields)


def swap(one: str, other: str) -> Callable[[Site], None]:
    def edit(site: Site) -> None:
        first, second = the(site, one), the(site, other)
        held = first.read_bytes()
        first.write_bytes(second.read_bytes())
        second.write_bytes(held)

    return edit


def mask_emptied(site: Site) -> None:
    file = the(site, "data/requests/*/mask.safetensors")
    shape = load_file(file)["shape"]
    save_file({"mask": pack(np.zeros(tuple(shape), bool)), "shape": shape}, file)
    edit_json(file.with_name("request.json"), mask_sha256=sha256(file))


def numbers_made_up(site: Site) -> None:
    path = the(site, "data/requests/*/request.json")
    edit_json(path, after=json.loads(path.read_text())["after"] | {"retain_test": 0.0})


def receipt_edited(site: Site) -> None:
    path = the(site, "data/receipts/*.json")
    path.write_text(path.read_text(encoding="utf-8").replace('"hidden"', '"erased"'), encoding="utf-8")


def page_edited(place: str) -> Callable[[Site], None]:
    def edit(site: Site) -> None:
        path = the(site, place)
        text = path.read_text(encoding="utf-8")
        assert "masked" in text
        path.write_text(text.replace("masked", "erased"), encoding="utf-8")

    return edit


def labels_rewritten(site: Site) -> None:
    import zarr

    labels = zarr.open_array(the(site, "data/embed/*") / "train/labels", mode="r+")
    labels[:] = 0


def values_not_numbers(site: Site) -> None:
    file = the(site, "data/exported/model.safetensors")
    tensors = load_file(file)
    tensors["values"][0, 0, 0] = np.nan
    save_file(tensors, file)


def exported(**fields: Any) -> Callable[[Site], None]:
    return lambda site: edit_json(the(site, "data/exported/config.json"), **fields)


def of_ledger(change: Callable[[list[str]], list[str]]) -> Callable[[Site], None]:
    def edit(site: Site) -> None:
        path = site.folder / "data/ledger.jsonl"
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        path.write_text("".join(change(lines)), encoding="utf-8")

    return edit


def backdated(lines: list[str]) -> list[str]:
    return [lines[0].replace('"time": "2', '"time": "1'), *lines[1:]]


KEYS, NEIGHBOURS = "data/quantize/*/keys/c/", "data/quantize/*/test/neighbours/c/0/"
CODES = "data/quantize/*/train/codes/c/0/"
EDITS: dict[str, tuple[Callable[[Site], None], str]] = {
    "a request deleted": (lambda site: shutil.rmtree(the(site, "data/requests/*")), "of entry 1 is gone"),
    "a mask emptied": (mask_emptied, "its mask differs from entry 1"),
    "another model": (request_edit(train="0" * 64), "its model (train) differs from entry 1"),
    "purged on paper": (request_edit(state="purged"), "its entry 'purged' was removed"),
    "numbers made up": (numbers_made_up, "its numbers differ from entry 1"),
    "forgotten to 0.0%": (request_edit(per_class_test_after=[0.0] * 4), "its numbers differ from entry 1"),
    "two keys swapped": (swap(KEYS + "3/0/0", KEYS + "7/0/0"), "has changed since it was written"),
    "codes swapped": (swap(CODES + "3/0", CODES + "7/0"), "has changed since it was written"),
    "neighbours swapped": (swap(NEIGHBOURS + "3/0", NEIGHBOURS + "7/0"), "has changed since it was written"),
    "labels rewritten": (labels_rewritten, "train/labels/c/0"),
    "a receipt edited": (receipt_edited, "was changed since entry 2"),
    "a receipt's page edited": (page_edited("data/receipts/*.html"), "was changed since"),
    "a copy of a receipt edited": (page_edited("reports/receipts/*.json"), "is not the receipt"),
    "a copied page edited": (page_edited("reports/receipts/*.html"), "is not the receipt"),
    "names reversed": (exported(classes=["dog", "bird", "airplane"]), "config.json has changed"),
    "two names": (exported(classes=["airplane", "bird"]), "classes has 2 names"),
    "NaN among values": (values_not_numbers, "model.safetensors"),
    "top_k 0": (exported(top_k=0), "top_k"),
    "top_k -3": (exported(top_k=-3), "top_k"),
    "top_k 10⁹": (exported(top_k=10**9), "a codebook has 32 pairs"),
    "an entry dropped": (of_ledger(lambda lines: lines[1:]), "entry 1 does not follow"),
    "entries reordered": (of_ledger(lambda lines: lines[::-1]), "entry 1 does not follow"),
    "an entry backdated": (of_ledger(backdated), "entry 1 was changed"),
    "the last entry cut off": (of_ledger(lambda lines: lines[:1]), "entry 2 was removed"),
}


def said_of(problems: list[dict[str, Any]]) -> str:
    return "\n".join(f"{one['where']}: {one['what']}: {one['remedy']}" for one in problems)


def cases(names: list[Any], quick: Any) -> list[Any]:
    return [pytest.param(name, marks=[] if name == quick else pytest.mark.slow) for name in names]


@pytest.mark.parametrize("what", cases(list(EDITS), "a receipt's page edited"))
def test_an_edit_by_hand_is_named(what: str, full_site: Site, tmp_path: Path, ended: Any) -> None:
    edit, expected = EDITS[what]
    site = copied(full_site, tmp_path / "site")
    edit(site)
    assert expected in said_of(site.problems())
    ended(named_or_healed(site, full_site))


@pytest.mark.slow
def test_keys_deleted_after_a_purge_are_not_made_again(full_site: Site, tmp_path: Path, ended: Any) -> None:
    site = copied(full_site, tmp_path / "site")
    shutil.rmtree(site.folder / "data/exported")
    assert site.says("purge r0001 --yes")[0] == 0
    shutil.rmtree(the(site, "data/quantize/*"))
    before = told(site)
    code, said = site.says("quantize")
    assert (code, "purged" in said) == (4, True), said
    assert {name for name in differing(told(site), before) if "manifest" in name} == set()
    ended("named")


@pytest.mark.parametrize("number", [pytest.param(n, marks=pytest.mark.slow) for n in range(RANDOM)])
def test_any_edit_is_named_healed_or_of_no_matter(number: int, full_site: Site, tmp_path: Path, ended: Any) -> None:
    site = copied(full_site, tmp_path / "site")
    what, path = at_random(site, np.random.default_rng([SEED, number]))
    print(what)
    if site.problems():
        ended(named_or_healed(site, full_site))
        return
    code, _ = site.says("report")  # it makes again what it can
    if code == 0 and differing(told(site), told(full_site)) == {}:
        ended("healed")
        return
    assert path in HARMLESS, what
    assert reads(site) == reads(full_site), what
    ended("harmless")


def test_what_reads_the_attacked_sees_a_difference(full_site: Site, tmp_path: Path) -> None:
    """So that nothing is called harmless because nobody looked."""
    site = copied(full_site, tmp_path / "site")
    assert reads(site) == reads(full_site)
    shutil.rmtree(the(site, "data/requests/*"))
    (site.folder / "data/ledger.jsonl").unlink()
    (site.folder / "data/ledger.head.json").unlink()
    assert set(differing(reads(site), reads(full_site))) == {"workspace", "requests", "ledger"}
