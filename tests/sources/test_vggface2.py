"""VGGFace2: identities bear the names of its metadata."""

from __future__ import annotations

import pytest

from dkvb.sources import lacuna100
from source_files import faces

META = """Class_ID, Name, Sample_Num, Flag, Gender
n000001, "14th_Dalai_Lama", 424, 0, m
n000002, "Downey,_Robert,_Jr.", 315, 1, m
n000003,"Alphonse ""Scarface"" Capone", 205, 1, m
n000004, Smith, John, 387, 1, m
n000005, Smith, John, 100, 1, m
n000006, "Sinéad_O'Connor", 12, 1, f
"""


@pytest.mark.parametrize("place", ["identity_meta.csv", "meta/identity_meta.csv", "VGG-Face2/meta/identity_meta.csv"])
def test_identities_bear_the_names_of_the_metadata(place, tmp_path):
    tree = faces(tmp_path / "VGG-Face2" / "data" / "train", [5] * 7)
    (tmp_path / place).parent.mkdir(exist_ok=True)
    (tmp_path / place).write_text("\ufeff" + META, encoding="utf-8")
    source = lacuna100.draw(tree, 7, 5, 4)
    assert source.classes == [
        "14th_Dalai_Lama",
        "Downey,_Robert,_Jr.",
        'Alphonse "Scarface" Capone',
        "Smith, John (n000004)",
        "Smith, John (n000005)",
        "Sinéad_O'Connor",
        "n000007",
    ]
    assert source.splits["train"].ids[0].startswith("n000001/")
    (tmp_path / place).write_text("nothing\nof use\n", encoding="utf-8")
    source = lacuna100.draw(tree, 7, 5, 4)
    assert source.classes[0] == "n000001"
    assert "no readable columns Class_ID and Name" in source.notes[0]
