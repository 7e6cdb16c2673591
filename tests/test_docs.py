"""The documentation tells the truth: its commands run and print what it shows, its map is the tree, its links lead
somewhere."""

from __future__ import annotations

import ast
import pickle
import re
import runpy
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from conftest import blobs
from dkvb import recipe as recipes
from dkvb.cli import app
from dkvb.recipe import loading
from dkvb.runtime import progress
from dkvb.workspace import names

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
README = (ROOT / "README.md").read_text(encoding="utf-8")
ON_DIGITS = "Delete a class"
"""The README's section whose commands go on from its first command."""


class Block(NamedTuple):
    """The commands of a section's shell block, and what the section says they print."""

    page: str
    section: str
    commands: list[str]
    output: list[str]


def blocks() -> Iterator[Block]:
    for path in PAGES:
        for section in re.split(r"\n##+ |^# ", path.read_text(encoding="utf-8"))[1:]:
            shown = "".join(re.findall(r"```text\n(.*?)```", section, re.S)).splitlines()
            for block in re.findall(r"```sh\n(.*?)```", section, re.S):
                commands = [line.split("#")[0].strip() for line in block.splitlines() if line.strip()]
                yield Block(path.name, section.splitlines()[0], commands, shown)


def section(title: str) -> str:
    return README.split(f"\n## {title}\n")[1].split("\n## ")[0]


def skeleton(line: str) -> str:
    """A line of output without what differs from run to run: numbers, this test's folder and the width of columns."""
    line = " ".join(line.split()).replace(str(Path.cwd()), "…")
    return re.sub(r"\d[\d,.]*", "0", re.sub(r"\d+ min \d+ s", "0 s", line))


def assert_printed(shown: list[str], printed: str, command: str) -> None:
    """Every line that the page shows is one that was printed, but for numbers; "…" stands for lines left out."""
    lines = {skeleton(line) for line in printed.splitlines()}
    for line in shown:
        assert skeleton(line) in {*lines, "…", ""}, f"`{command}` does not print: {line}\nbut:\n{printed}"


def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Built-in recipes as they are, but for the encoder, which needs a download here, sizes, and training times."""
    original = loading.builtin_text

    def text(name: str) -> str:
        changed = re.sub(r'name = "clip-vit-b32".*\n(weights = .*\n)?', 'name = "pixels"\n', original(name))
        changed = re.sub(r"(?m)^epochs = \d+", "epochs = 2", changed)
        changed = re.sub(r"(?m)^codebooks = \d+", "codebooks = 16", changed)
        changed = re.sub(r"(?m)^pairs = \d+", "pairs = 16", changed)
        changed = re.sub(r"(?m)^na = \d+", "na = 100", changed)
        changed = re.sub(r"(?m)^ne = \d+", "ne = 5", changed)
        return re.sub(r"(?m)^seeds = .*", "seeds = [0]", changed)

    monkeypatch.setattr(loading, "builtin_text", text)
    monkeypatch.setattr(recipes, "builtin_text", text)


def pictures(folder: Path) -> None:
    rng = np.random.default_rng(0)
    for split, count in (("train", 30), ("test", 10)):
        for name in ("car", "truck"):
            (folder / split / name).mkdir(parents=True)
            for i in range(count):
                shade = 60 if name == "car" else 190
                pixels = np.clip(rng.normal(shade, 20, (8, 8, 3)), 0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(folder / split / name / f"{i}.png")


def batches(folder: Path) -> None:
    """CIFAR-10's archive in its own format, with a few images a batch."""
    rng = np.random.default_rng(0)
    root = folder / "cifar-10-batches-py"
    root.mkdir(parents=True)
    for name in [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]:
        labels = list(range(10)) * 2
        data = (rng.integers(0, 60, (20, 3072)) + 19 * np.array(labels)[:, None]).astype(np.uint8)
        (root / name).write_bytes(
            pickle.dumps({b"data": data, b"labels": labels, b"batch_label": b"a batch"}, protocol=2)
        )
    names = [b"airplane", b"automobile", b"bird", b"cat", b"deer", b"dog", b"frog", b"horse", b"ship", b"truck"]
    (root / "batches.meta").write_bytes(pickle.dumps({b"label_names": names, b"num_vis": 3072}, protocol=2))


def dkvb(line: str) -> str:
    """Run a command of the documentation; what it prints on stdout and stderr."""
    words = shlex.split(line)
    assert words[0] == "dkvb"
    progress.silence(False)
    result = CliRunner().invoke(app, words[1:])
    assert result.exit_code == 0, f"{line}: {result.stderr}"
    assert "Traceback" not in result.stderr
    return result.stdout + "\n" + result.stderr


def test_there_is_a_block_for_each_way_of_use() -> None:
    assert [(block.page, block.section) for block in blocks() if block.page in ("README.md", "large_data.md")] == [
        ("README.md", "CIFAR-10 with CLIP, as in the paper"),
        ("README.md", "Your own images"),
        ("README.md", "Your own embeddings"),
        ("README.md", "Delete a class"),
        ("large_data.md", "Large data sets"),
    ]


@pytest.mark.usefixtures("forked_workers")
@pytest.mark.parametrize(
    "block", [b for b in blocks() if b.section != ON_DIGITS], ids=lambda block: f"{block.page}-{block.section}"
)
def test_commands_run_and_print_what_is_shown(block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small(monkeypatch)
    pictures(tmp_path / "images")
    blobs(tmp_path / "features")
    batches(tmp_path / "cache/dkvb/cifar10")
    assert_printed(block.output, "\n".join(map(dkvb, block.commands)), "; ".join(block.commands))


def unexplained(workspace: Path, concepts: str) -> set[str]:
    """Names of the workspace's folders and arrays that docs/concepts.md does not give."""
    groups = [path for path in workspace.rglob("zarr.json") if '"array"' in path.read_text(encoding="utf-8")]
    found = {path.parent.name for path in groups} | {path.name for path in workspace.iterdir()}
    return {name for name in found if name not in concepts}


def test_every_file_name_is_explained() -> None:
    concepts = (ROOT / "docs/concepts.md").read_text(encoding="utf-8")
    given = [name for name in vars(names).values() if isinstance(name, str) and re.fullmatch(r"[\w.]+\.\w+", name)]
    assert "manifest.json" in given
    assert not [name for name in given if name not in concepts and not name.startswith("dkvb.")]


def test_first_command_api_example_and_deletion_print_what_is_shown(
    digits_run: tuple[Path, str],
) -> None:
    shown = re.findall(r"```text\n(.*?)```", section("Two commands"), re.S)[0].splitlines()
    folder, printed = digits_run
    assert_printed(shown, printed.replace(str(folder), str(Path.cwd())), "dkvb run digits")
    shutil.copytree(folder, ".", dirs_exist_ok=True)
    api = (ROOT / "docs/api.md").read_text(encoding="utf-8")
    example = re.findall(r"```python\n(.*?)```", api, re.S)[0].replace('"truck"', '"8"').replace("180_000", "900")
    assert example.count('"8"') == example.count("900") == 1
    after: dict[str, Any] = {}
    exec(example, after)
    assert (after["logits"].shape, after["without"].mask.sum()) == ((32, 10), 900)
    deletion = next(block for block in blocks() if block.section == ON_DIGITS)
    assert_printed(deletion.output, "\n".join(map(dkvb, deletion.commands)), "; ".join(deletion.commands))
    assert not unexplained(Path("data"), (ROOT / "docs/concepts.md").read_text(encoding="utf-8"))


def test_ci_installs_and_tests_as_the_readme_says() -> None:
    ci = (ROOT / ".ci/run").read_text(encoding="utf-8")
    setup = [line.strip() for line in README.splitlines() if line.startswith("    python3 -m venv")]
    assert len(setup) == 2
    assert setup[0].endswith("dkvb run digits")
    for step in setup[1].split(" && "):
        assert step in ci, f"{step} is not in .ci/run"


def mapped() -> tuple[set[str], set[str]]:
    """What the map names at the top, and in the package; folders end in a slash."""
    top: set[str] = set()
    inside: set[str] = set()
    for line in re.findall(r"```text\n(.*?)```", section("Map"), re.S)[0].splitlines():
        names = re.split(r"  +", line.strip())[0]
        (inside if line.startswith("  ") else top).update(names.split())
    return top, inside


def test_the_map_is_the_package() -> None:
    entries = {path.name + "/" * path.is_dir() for path in (ROOT / "pipeline/dkvb").iterdir()}
    assert mapped()[1] == entries - {"__pycache__/"}


def test_the_map_is_the_checkout() -> None:
    if not (ROOT / ".git").exists() or not shutil.which("git"):
        pytest.skip("not a git checkout: what belongs to it is not known")
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split(
        "\n"
    )
    entries = {name.partition("/")[0] + "/" * ("/" in name) for name in tracked if name}
    entries = {"pipeline/dkvb/" if entry == "pipeline/" else entry for entry in entries}
    assert mapped()[0] == entries - {".gitignore"}


def test_the_readme_is_read_to_its_end() -> None:
    assert 80 <= len(README.splitlines()) <= 155


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.S)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in target:
            continue
        name, _, anchor = target.partition("#")
        file = path.parent / name if name else path
        assert file.exists(), target
        if anchor:
            headings = re.findall(r"(?m)^#+ (.+)$", file.read_text(encoding="utf-8"))
            slugs = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
            assert anchor in {re.sub("-+", "-", slug) for slug in slugs}, target


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_named_files_exist(path: Path) -> None:
    """What pages call `folder/file.py` is there, from the top, the package, tests, benchmarks or docs on."""
    for name in re.findall(r"`((?:[\w.]+/)*[\w.]+\.(?:py|toml))`", path.read_text(encoding="utf-8")):
        places = (ROOT, ROOT / "pipeline/dkvb", ROOT / "tests", ROOT / "benchmarks", ROOT / "docs")
        assert name == "dkvb.toml" or any((place / name).exists() for place in places), name


def test_named_functions_exist() -> None:
    """A walk of docs/architecture.md that names a function names one of the file before it."""
    text = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    named = re.findall(r"`(\w+)(?:\([\w, ]*\))?`[^`]*? (?:in|of) `([\w/]+\.py)`", text)
    named += [(name, file) for file, name in re.findall(r"`([\w/]+\.py)`, `(\w+)(?:\([\w, ]*\))?`", text)]
    assert len(named) >= 4
    for name, file in named:
        tree = ast.parse((ROOT / "pipeline/dkvb" / file).read_text(encoding="utf-8"))
        assert name in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)}, file


def test_the_layers_are_those_of_the_import_rule() -> None:
    from test_layers import LINES

    rows = re.findall(r"(?m)^\| \d+ \| ([^|]+) \|", (ROOT / "docs/architecture.md").read_text(encoding="utf-8"))
    written = [{re.sub(r"\.py$|/$", "", name) for name in re.findall(r"`([\w./]+)`", row)} for row in rows]
    assert written == [set(line.split()) for line in LINES.strip().splitlines()]


def test_the_drawing_is_the_one_that_its_script_draws() -> None:
    drawn = runpy.run_path(str(ROOT / "docs/draw_bottleneck.py"))["draw"]()
    assert (ROOT / "docs/bottleneck.svg").read_text(encoding="utf-8") == drawn


def test_benchmarks_say_how_they_are_run() -> None:
    measurements = (ROOT / "docs/measurements.md").read_text(encoding="utf-8")
    for path in (ROOT / "benchmarks").glob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert path.name in measurements, f"{path} has no line in docs/measurements.md"
        assert "__main__" not in text or f"python benchmarks/{path.name} " in (ast.get_docstring(ast.parse(text)) or "")


def test_every_module_says_what_it_is() -> None:
    for path in (ROOT / "pipeline/dkvb").rglob("*.py"):
        assert path.read_text(encoding="utf-8").startswith('"""'), path
