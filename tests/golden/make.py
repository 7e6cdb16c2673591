"""Make the golden copies anew: run it with the version whose keys and workspaces are to be kept.

PYTHONPATH=/where/that/version/lies/pipeline python tests/golden/make.py

All copies are of 0.1 but for what was changed on purpose since: the answers "forget, another", "restore" and "ledger",
in which the first request's N is raised, its class being recognised again; and a sweep on own data, whose settings no
longer hold its grid.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import sys
import tarfile
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))


def main() -> None:
    from scenario import ASKED, MODELS, everything, play, steady

    platform.node = lambda: "somewhere"
    folder = Path(tempfile.mkdtemp())
    os.chdir(folder)
    for name in ("a", "b"):
        (folder / name).mkdir()
    printed, files = everything(folder / "a")
    (HERE / "keys.json").write_text(json.dumps({"printed": printed, "files": files}, indent=1) + "\n", "utf-8")

    list(play(folder / "b", MODELS))
    shutil.rmtree(folder / "b/data/.locks")
    with tarfile.open(HERE / "workspace.tar.xz", "w:xz", preset=9) as archive:
        archive.add(
            folder / "b/data", "data", filter=lambda entry: entry.replace(deep=False, uid=0, gid=0, uname="", gname="")
        )
    answers = {label: steady(entry) for label, entry in play(folder / "b", ASKED)}
    (HERE / "answers.json").write_text(json.dumps(answers, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
