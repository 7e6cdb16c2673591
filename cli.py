#!/usr/bin/env python3
"""Launcher for a checkout: `python cli.py …` is `dkvb …`."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "pipeline"))

from dkvb.cli import main

if __name__ == "__main__":
    main()
