"""Taking pictures off pages that are written, where the rows that they show are purged or no pictures are wanted."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from dkvb.pages import written
from dkvb.workspace.files import TEMPORARY, like_others, sha256
from dkvb.workspace.shredding import replace

PICTURE = re.compile(r'<img class="thumb[^>]*? data-of="([0-9a-f]{16}/(?:train|test)/[0-9]+)"[^>]*>')
"""A picture as `templates/pictures.html` writes it, and the row that it shows."""

INSTEAD = '<span class="erased">erased</span>'


def redact(folder: Path, gone: Callable[[str], bool]) -> list[str]:
    """Take pictures off all pages below a folder, whatever was made of them since; their former files are overwritten.
    May be repeated. Call with the pages' lock held (`library.written_alone`).

    Args:
        gone: whether the picture with that mark (`facts.pictures.mark`) goes.

    Returns:
        The pages that had any, relative to the folder.
    """
    changed = []
    for path in sorted(folder.rglob("*.html")):
        before = path.read_text(encoding="utf-8", errors="surrogateescape")
        after = PICTURE.sub(lambda found: INSTEAD if gone(found[1]) else found[0], before)
        if after != before:
            name = path.relative_to(folder).as_posix()
            sound = written.sound(folder, name, written.hashes(folder))
            new = path.with_name(f"{TEMPORARY}redacted-{path.name}")
            new.write_text(after, encoding="utf-8", errors="surrogateescape")
            like_others(new)
            digest = sha256(new)
            replace(path, new)
            if sound:
                written.note_again(folder, {name: digest})
            changed.append(name)
    return changed
