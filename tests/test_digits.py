"""The embedded default, end to end: real scans, a forgotten class, a page to look at."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from typer.testing import CliRunner

from dkvb.cli import app


def test_run_digits_forgets_a_class_within_a_point_of_retain_accuracy(digits_run: tuple[Path, str]) -> None:
    shutil.copytree(digits_run[0], ".", dirs_exist_ok=True)
    result = CliRunner().invoke(app, ["run", "digits", "--json"])
    assert result.exit_code == 0, result.stderr
    stages = json.loads(result.stdout)
    assert all(entry["skipped"] for stage in ("embed", "quantize", "train", "unlearn") for entry in stages[stage])
    trained = {entry["model"]: entry for entry in stages["train"]}
    assert trained["dkvb"]["test"] > 0.95
    assert trained["linear"]["test"] > 0.9
    methods = {entry["method"]: entry for entry in stages["unlearn"]}
    for name in ("activations", "examples", "logit-mask"):
        before, after = methods[name]["before"], methods[name]["after"]
        assert before["forget_test"] > 0.9
        assert after["forget_test"] == 0
        assert abs(after["retain_test"] - before["retain_test"]) <= 0.01
    page = Path(stages["report"][0]["index"]).read_text(encoding="utf-8")
    assert "digits" in page
