"""The example of docs/estimator.md prints what the page shows, and its table of defaults is right."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import dkvb
from test_docs import ROOT, assert_printed

PAGE = (ROOT / "docs/estimator.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_example_prints_what_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    example = re.findall(r"```python\n(.*?)```", PAGE, re.S)[0]
    exec(example, {})
    assert_printed(re.findall(r"```text\n(.*?)```", PAGE, re.S)[0].splitlines(), capsys.readouterr().out, "the example")
    assert Path("digits-without-8/estimator.json").is_file()


def test_the_table_has_every_parameter_with_its_default() -> None:
    rows = re.findall(r"(?m)^\| (`\w+`(?:, `\w+`)*) \| ([^|]+) \|", PAGE)
    shown = {}
    for names, defaults in rows:
        shown |= dict(zip(re.findall(r"`(\w+)`", names), defaults.strip().split(", "), strict=False))
    own = {name: repr(value).replace("'", '"') for name, value in dkvb.KeyValueClassifier().get_params().items()}
    assert {name: shown[name] for name in own} == own
