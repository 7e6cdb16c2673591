"""The report: numbers as in the artifacts, self-contained pages, and what a real browser makes of them."""

from __future__ import annotations

import json
import math
import os
import re
import shlex
import shutil
import statistics
import subprocess
import threading
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from dkvb import progress, report
from dkvb.errors import MissingStage
from dkvb.recipe import Recipe
from dkvb.workspace import Artifact, Spec, Workspace

CIFAR = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
PAIRS = 256 * 4096
PER_CLASS = 1000


@pytest.fixture(autouse=True)
def _quiet():
    progress.silence()
    yield
    progress.silence(False)


class Fake:
    """Artifacts as the other stages write them, with made-up results."""

    def __init__(self, workspace: Workspace, classes: list[str] = CIFAR, forget: int = 1, source: str = "cifar10") -> None:
        self.workspace, self.classes, self.forget = workspace, classes, forget
        data = {"source": source, "path": None, "test": 0.2}
        result = {"source": source, "encoder": "clip-vit-b32", "dim": 512, "train": 50_000, "test": 10_000, "classes": classes}
        self.embed = self.make("embed", "embed", {"data": data, "encoder": {"name": "clip-vit-b32", "weights": "openai"}}, {}, result)

    def make(self, stage: str, name: str, settings: dict[str, Any], inputs: dict[str, str], result: Any, frame: Any = None) -> Artifact:
        with self.workspace.claim(Spec(stage, name, settings, inputs)) as claim:
            if frame is not None:
                frame.write_parquet(claim.path / ("curve.parquet" if stage == "unlearn" else "metrics.parquet"))
            return claim.finish(result, seconds=12.5)

    def base(self, seed: int) -> list[float]:
        """Test accuracy per class of the trained model."""
        return [
            round(0.965 if index == self.forget else 0.91 + 0.05 * math.sin(2.3 * index) + 0.002 * seed, 3)
            for index in range(len(self.classes))
        ]

    def train(self, model: str = "dkvb", seed: int = 0, epochs: int = 74) -> Artifact:
        inputs = {"embed": self.embed.fingerprint}
        if model == "dkvb":
            keys = {"codebooks": 256, "pairs": 4096, "dim": 8, "top_k": 1, "epochs": 10, "init": "official"}
            shares = {"used": 0.98, "unique": 0.97, "dead": 0.02, "quantisation_error": 0.101}
            result = {"seed": seed, "codebooks": 256, "pairs": 4096, **shares}
            quantize = self.make("quantize", "keys", {"keys": keys, "validation": 0.1, "seed": seed}, inputs, result)
            inputs = {"quantize": quantize.fingerprint}
        per_class = self.base(seed)
        result = {
            "seed": seed,
            "model": model,
            "train": 1.0 if model == "dkvb" else 0.9327,
            "test": statistics.fmean(per_class),
            "per_class_test": per_class,
            "per_class_train": [1.0] * len(per_class),
            "misclassified_test": [round(PER_CLASS * (1 - value)) for value in per_class],
            "classes": self.classes,
        }
        section = "train" if model == "dkvb" else "linear"
        settings = {"model": model, section: {"epochs": epochs, "lr": 0.1}, "validation": 0.1, "seed": seed}
        frame = pl.DataFrame({"epoch": [1], "loss": [0.1], "train_accuracy": [1.0], "test_accuracy": [0.93]})
        return self.make("train", model, settings, inputs, result, frame)

    def split(self, per_class: list[float], train: tuple[float, float]) -> dict[str, float]:
        rest = [value for index, value in enumerate(per_class) if index != self.forget]
        test = {"retain_test": statistics.fmean(rest), "forget_test": per_class[self.forget]}
        return test | {"retain_train": train[0], "forget_train": train[1]}

    def unlearn(
        self, trained: Artifact, method: str, n: int, gain: float = 0.004, left: float = 0.0, chosen: str = "given", **more: Any
    ) -> Artifact:
        seed, model = trained.result["seed"], trained.result["model"]
        before = self.base(seed)
        after = [left if index == self.forget else round(value + gain, 4) for index, value in enumerate(before)]
        masking = method in ("activations", "examples")
        result = {
            "method": method,
            "model": model,
            "forget": [self.forget],
            "forget_names": [self.classes[self.forget]],
            "seed": seed,
            "n": n,
            "n_name": {"activations": "N_a", "examples": "N_e", "scrub": "epochs"}.get(method, ""),
            "chosen": chosen,
            "masked": n if masking else 0,
            "pairs_total": PAIRS if model == "dkvb" else None,
            "activated": 445_414 if masking else None,
            "seconds": {"activations": 0.8, "examples": 1.4, "scrub": 41.2}.get(method, 0.0001) + seed / 50,
            "seconds_evaluate": 0.4,
            "before": self.split(before, (0.9998, 1.0)),
            "after": self.split(after, (0.9991, left)),
            "per_class_before": before,
            "per_class_after": after,
            "note": None,
            "not_in_paper": ["alpha", "gamma", "temperature"] if method == "scrub" else [],
            **more,
        }
        scrub = {"scrub": {"max_steps": 3, "alpha": 0.001, "gamma": 0.99, "temperature": 4.0}} if method == "scrub" else {}
        settings = {"kind": "forget", "method": method, "forget": [self.forget], "seed": seed, "n": n, "choose": chosen, **scrub}
        return self.make("unlearn", f"{method}-{n}", settings, {"train": trained.fingerprint}, result)

    def sweep(self, trained: Artifact, method: str, last: int, steps: int = 20) -> Artifact:
        seed, rows, points = trained.result["seed"], [], []
        base, grid = self.base(seed), [round(last * step / steps) for step in range(steps + 1)]
        for n in grid:
            t = n / last
            now = [value + 0.0045 * t for value in base]
            now[self.forget] = max(0.0, base[self.forget] * (1 - (t / 0.9) ** 1.2))
            for split, total in (("test", PER_CLASS), ("validation", PER_CLASS // 2)):
                rows += [
                    {"n": n, "split": split, "class": index, "correct": round(value * total), "total": total, "masked": n}
                    for index, value in enumerate(now)
                ]
            points.append({"n": n, "masked": n, "retain_test": 0.93, "forget_test": now[self.forget]})
        n_name = {"activations": "N_a", "examples": "N_e"}[method]
        result = {"method": method, "forget": [self.forget], "seed": seed, "n_name": n_name, "grid": grid, "points": points}
        settings = {"kind": "sweep", "method": method, "forget": [self.forget], "seed": seed, "grid": grid}
        return self.make("unlearn", f"{method}-sweep", settings, {"train": trained.fingerprint}, result, pl.DataFrame(rows))

    def everything(self, seeds: int = 1) -> None:
        for seed in range(seeds):
            bottleneck, head = self.train(seed=seed), self.train("linear", seed, epochs=2)
            self.sweep(bottleneck, "activations", 200_000)
            self.sweep(bottleneck, "examples", 4000)
            self.unlearn(bottleneck, "activations", 180_000)
            self.unlearn(bottleneck, "examples", 3200, 0.0045)
            self.unlearn(bottleneck, "logit-mask", 0, 0.0061)
            self.unlearn(head, "scrub", 3, 0.0162, chosen="given")


def workspace_at(folder: Path) -> Workspace:
    return Workspace(folder / "data", folder / "reports")


def written(workspace: Workspace) -> tuple[str, list[str]]:
    [entry] = report.run(Recipe(name="test"), workspace)
    assert entry["seconds"] >= 0
    return Path(entry["index"]).read_text(encoding="utf-8"), [Path(page).read_text(encoding="utf-8") for page in entry["pages"]]


def text(html: str) -> str:
    """A page's words, without its scripts and style."""
    html = re.sub(r"<(script|style)\b.*?</\1>", " ", html, flags=re.DOTALL)
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", html)))


class Loads(HTMLParser):
    """Addresses that a page would load or link to, and its elements."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.tags: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.found += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "poster", "action")]


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    """Three seeds of everything."""
    progress.silence()
    workspace = workspace_at(tmp_path_factory.mktemp("full"))
    Fake(workspace).everything(seeds=3)
    index, [page] = written(workspace)
    return workspace, index, page


def test_without_a_model_it_names_the_command_and_writes_nothing(tmp_path):
    with pytest.raises(MissingStage, match="dkvb train"):
        report.run(Recipe(), workspace_at(tmp_path))
    assert not (tmp_path / "reports").exists()


def test_pages_are_self_contained_and_small(full):
    for html in full[1:]:
        assert len(html.encode()) < 2_500_000
        assert not [address for address in Loads(html).found if re.match(r"(https?:)?//", address)]
        assert "@import" not in html
        assert "url(http" not in html
    assert full[2].count("window.vegaEmbed") == 1
    assert len(full[1].encode()) < 60_000


def test_numbers_are_those_of_the_artifacts(full):
    workspace, index, page = full
    mine = [artifact for artifact in workspace.all("unlearn") if artifact.settings["method"] == "activations"]
    after = [artifact.result["after"]["retain_test"] for artifact in mine if artifact.settings["kind"] == "forget"]
    expected = f"{100 * statistics.fmean(after):.1f}% ± {100 * statistics.stdev(after):.1f}"
    assert expected in text(page)
    assert expected in text(index)
    for words in ("96.5%", "180,000", "1,048,576", "not given by the paper", "mean ± standard deviation over 3 seeds"):
        assert words in text(page), words
    frame = pl.read_parquet(next((workspace.reports / "data").glob("*-curve.parquet")))
    row = frame.filter((pl.col("method") == "activations") & (pl.col("split") == "test") & (pl.col("n") == 100_000))
    kept = (pl.col("n") == 100_000) & (pl.col("split") == "test") & (pl.col("class") != 1)
    counts = [pl.read_parquet(artifact.path / "curve.parquet").filter(kept) for artifact in mine if artifact.settings["kind"] == "sweep"]
    assert row["retain"].item() == pytest.approx(statistics.fmean(count["correct"].sum() / count["total"].sum() for count in counts))
    assert row["seeds"].item() == 3


def test_the_verdict_admits_that_the_control_does_better(full):
    assert "by accuracy alone, masking does not beat it" in text(full[2])


def test_nothing_missing_is_claimed_when_all_is_there(full):
    assert "Not done yet" not in text(full[2])


def test_a_trained_model_alone_makes_an_index_that_names_the_next_command(tmp_path):
    Fake(workspace_at(tmp_path)).train()
    index, pages = written(workspace_at(tmp_path))
    assert pages == []
    assert "dkvb unlearn" in text(index)
    assert "Not done yet" in text(index)


def test_a_linear_head_alone_asks_for_a_bottleneck(tmp_path):
    Fake(workspace_at(tmp_path)).train("linear")
    index, pages = written(workspace_at(tmp_path))
    assert pages == []
    assert "dkvb train" in text(index)


def test_missing_pieces_name_their_commands(tmp_path):
    fake = Fake(workspace_at(tmp_path))
    fake.unlearn(fake.train(), "activations", 180_000)
    fake.train(seed=1)
    _, [page] = written(fake.workspace)
    for command in ("activations --sweep", "examples", "logit-mask", "scrub", "activations --seed 1"):
        assert f"dkvb unlearn --method {command}" in text(page), command
    assert "dkvb train" in text(page)
    assert "chart-curve" not in page


def test_a_sweep_without_test_samples_of_the_forgotten_class(tmp_path):
    fake = Fake(workspace_at(tmp_path))
    swept = fake.sweep(fake.train(), "activations", 200_000)
    path = swept.path / "curve.parquet"
    gone = pl.when(pl.col("class") == 1).then(0).otherwise(pl.col("total"))
    pl.read_parquet(path).with_columns(total=gone, correct=pl.min_horizontal("correct", gone)).write_parquet(path)
    _, [page] = written(fake.workspace)
    assert "chart-curve-activations" in page
    assert "NaN" not in page.split('id="payload">')[1].split("</script>")[0]


def test_only_a_sweep_and_null_accuracies(tmp_path):
    fake = Fake(workspace_at(tmp_path))
    trained = fake.train()
    fake.sweep(trained, "activations", 200_000)
    _, [page] = written(fake.workspace)
    assert "not yet unlearned" in text(page)
    empty = dict.fromkeys(("retain_test", "forget_test", "retain_train", "forget_train"))
    fake.unlearn(trained, "activations", 10, before=empty, after=empty, per_class_before=[None] * 10, per_class_after=[None] * 10)
    _, [page] = written(fake.workspace)
    assert "could not be measured" in text(page)


HOSTILE = ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "</script><b>x", "{{ 7*7 }}", "日本語 & co"]


@pytest.mark.parametrize("hostile", HOSTILE)
def test_class_names_are_escaped(tmp_path, hostile):
    fake = Fake(workspace_at(tmp_path), ["a", hostile, "c"])
    fake.everything()
    index, [page] = written(fake.workspace)
    for html, scripts in ((index, 0), (page, 3)):
        tags = Loads(html).tags
        assert tags.count("script") == scripts
        assert "img" not in tags
        assert "</script><b>" not in html
        assert "<script>alert" not in html
        assert hostile in unescape(html)
    payload = re.search(r'id="payload">(.*?)</script>', page, re.DOTALL)
    assert payload
    assert hostile in json.dumps(json.loads(payload[1]), ensure_ascii=False).replace('\\"', '"')


def test_many_classes_draw_the_changed_ones_and_list_all(tmp_path):
    fake = Fake(workspace_at(tmp_path), [f"species {index}" for index in range(100)], forget=58, source="cifar100")
    fake.everything()
    _, [page] = written(fake.workspace)
    assert "24 other classes that changed most" in text(page)
    assert "99 species 99" in text(page)
    payload = json.loads(re.search(r'id="payload">(.*?)</script>', page, re.DOTALL)[1])
    [rows] = [layer["data"]["values"] for layer in [payload["charts"]["classes"]] if "data" in layer]
    assert len(rows) == 25
    assert "58 species 58" in {row["class"] for row in rows}


def test_a_linear_method_appears_on_the_run_of_its_embedding_only(full, tmp_path):
    assert "SCRUB on the linear head" in text(full[2])
    one = Fake(workspace_at(tmp_path))
    one.everything()
    other = Fake(one.workspace, ["x", "y", "z"], source="digits")
    other.unlearn(other.train(), "activations", 5)
    _, pages = written(one.workspace)
    assert sorted("SCRUB on the linear head" in text(page) for page in pages) == [False, True]


def test_features_have_a_name_and_no_path(tmp_path):
    fake = Fake(workspace_at(tmp_path))
    settings = {"data": {"source": "features", "path": "/secret/place/cifar10-mobilenet", "test": 0.2}, "encoder": None}
    result = fake.embed.result | {"source": "features", "encoder": None}
    fake.embed = fake.make("embed", "features", settings, {}, result)
    fake.unlearn(fake.train(), "activations", 180_000)
    index, [page] = written(fake.workspace)
    for html in (index, page):
        assert "cifar10-mobilenet · precomputed features" in text(html)
        assert "secret" not in html


def test_two_settings_of_a_method_are_told_apart(tmp_path):
    fake = Fake(workspace_at(tmp_path))
    trained = fake.train()
    fake.unlearn(trained, "activations", 180_000)
    fake.unlearn(trained, "activations", 150_000, left=0.05, chosen="validation")
    _, [page] = written(fake.workspace)
    assert "N = 180,000" in text(page)
    assert "activations, N chosen on validation data" in text(page)


def test_stale_pages_go_and_other_files_stay(tmp_path):
    fake = Fake(workspace_at(tmp_path))
    gone = fake.unlearn(fake.train(), "activations", 180_000)
    written(fake.workspace)
    [page] = [path for path in fake.workspace.reports.glob("*.html") if path.name != "index.html"]
    mine = fake.workspace.reports / "mine.html"
    mine.write_text("mine")
    outside = tmp_path / "outside.html"
    outside.write_text("outside")
    listing = fake.workspace.reports / "data" / "pages.json"
    listing.write_text(json.dumps([*json.loads(listing.read_text()), "../outside.html", "index.html"]))
    shutil.rmtree(gone.path)
    _, pages = written(fake.workspace)
    assert pages == []
    assert not page.exists()
    assert not list((fake.workspace.reports / "data").glob("*.parquet"))
    assert mine.exists()
    assert outside.exists()
    assert (fake.workspace.reports / "index.html").exists()


def test_artifacts_whose_origin_is_gone_are_counted_not_shown(tmp_path):
    fake = Fake(workspace_at(tmp_path))
    lost = fake.train(seed=1)
    fake.unlearn(lost, "activations", 9)
    fake.unlearn(fake.train(), "activations", 180_000)
    shutil.rmtree(lost.path)
    index, [page] = written(fake.workspace)
    assert "1 artifact was left out" in text(index)
    assert "one seed" in text(page)


class Browser:
    """Chromium over its DevTools pipe: enough to load a page, ask it things and see what it fetched."""

    def __init__(self, program: str, profile: Path) -> None:
        ours_in, theirs_out = os.pipe()
        theirs_in, ours_out = os.pipe()
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--hide-scrollbars"]
        flags += ["--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--remote-debugging-pipe"]
        # the pipe's ends have to be descriptors 3 and 4 of the browser
        command = shlex.join([program, *flags, f"--user-data-dir={profile}"])
        shell = ["bash", "-c", f"exec {command} 3<&{theirs_in} 4>&{theirs_out}"]
        silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self.process = subprocess.Popen(shell, pass_fds=(theirs_in, theirs_out), **silent)
        os.close(theirs_in)
        os.close(theirs_out)
        self.reader, self.writer = os.fdopen(ours_in, "rb", 0), os.fdopen(ours_out, "wb", 0)
        self.rest, self.last, self.session = b"", 0, ""
        self.events: list[dict[str, Any]] = []
        self.watchdog = threading.Timer(60, self.process.kill)
        self.watchdog.start()
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        self.last += 1
        message = {"id": self.last, "method": method, "params": params} | ({"sessionId": self.session} if self.session else {})
        self.writer.write(json.dumps(message).encode() + b"\0")
        while True:
            while b"\0" not in self.rest:
                more = os.read(self.reader.fileno(), 1 << 20)
                if not more:
                    raise RuntimeError("the browser has gone")
                self.rest += more
            raw, self.rest = self.rest.split(b"\0", 1)
            reply = json.loads(raw)
            if reply.get("id") == self.last:
                assert "error" not in reply, reply
                return reply["result"]
            self.events.append(reply)

    def ask(self, expression: str) -> Any:
        reply = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in reply, reply
        return reply["result"].get("value")

    def count(self, selector: str) -> int:
        return int(self.ask(f"document.querySelectorAll('{selector}').length"))

    def open(self, path: Path, width: int, height: int = 900, scheme: str = "light") -> None:
        self.events.clear()
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600)
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.call("Page.navigate", url=path.as_uri())
        self.ask("""new Promise((done) => { const look = () => document.readyState === "complete" && location.protocol === "file:"
          && (!document.getElementById("payload") || document.body.dataset.drawn) ? done() : setTimeout(look, 30); look(); })""")

    def fetched(self) -> list[str]:
        return [event["params"]["request"]["url"] for event in self.events if event["method"] == "Network.requestWillBeSent"]

    def complaints(self) -> list[Any]:
        wrong = [event for event in self.events if event["method"] == "Runtime.exceptionThrown"]
        said = [event["params"] for event in self.events if event["method"] == "Runtime.consoleAPICalled"]
        return wrong + [params for params in said if params["type"] in ("error", "warning")]

    def close(self) -> None:
        self.watchdog.cancel()
        self.process.terminate()
        self.process.wait(10)
        self.reader.close()
        self.writer.close()


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not program:
        pytest.skip("no chromium on PATH: pages were not opened in a browser")
    found = Browser(program, tmp_path_factory.mktemp("profile"))
    yield found
    found.close()


@pytest.mark.parametrize("width", [390, 1440])
def test_a_browser_draws_every_chart_and_nothing_overflows(browser, full, width):
    for path in full[0].reports.glob("*.html"):
        browser.open(path, width)
        assert browser.ask("document.documentElement.scrollWidth") <= width
        assert all(address.startswith(("file:", "data:")) for address in browser.fetched())
        assert browser.complaints() == []
        browser.ask("document.querySelectorAll('main details').forEach((part) => { part.open = true; })")
        assert browser.ask("document.documentElement.scrollWidth") <= width
        if path.name != "index.html":
            assert browser.count(".plot") == browser.count(".plot svg.marks") == 4
            assert browser.count("#chart-curve-activations .mark-line path") == 2
            assert browser.count("#chart-curve-activations .mark-symbol path") == 42
            assert browser.count("#chart-classes .mark-symbol path") == 20
            assert browser.count("#chart-scatter .mark-symbol path") >= 48
            described = '[role="graphics-document"][aria-label*="%"]'
            assert browser.count(described) == 4


def test_long_commands_and_names_fit_a_phone(browser, tmp_path):
    fake = Fake(workspace_at(tmp_path), ["a" * 90, "b " * 60, "c"])
    trained = fake.train()
    fake.unlearn(trained, "activations", 5, forget=[0, 1])
    fake.unlearn(trained, "activations", 6, chosen="validation", note="word " * 40)
    written(fake.workspace)
    for path in fake.workspace.reports.glob("*.html"):
        browser.open(path, 390)
        browser.ask("document.querySelectorAll('main details').forEach((part) => { part.open = true; })")
        assert browser.ask("document.documentElement.scrollWidth") <= 390, path.name


def test_charts_follow_the_system_into_the_dark(browser, full):
    from dkvb.pages.palette import COLOURS

    [path] = [path for path in full[0].reports.glob("*.html") if path.name != "index.html"]
    for scheme in ("light", "dark"):
        browser.open(path, 800, scheme=scheme)
        stroke = "document.querySelector('#chart-curve-activations .mark-line path[stroke]')"
        assert browser.ask(f"{stroke}.getAttribute('stroke')") in (COLOURS[scheme]["forget"], COLOURS[scheme]["retain"])
    browser.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "light"}])
    back = COLOURS["light"]["forget"]
    assert browser.ask(f"""new Promise((done) => {{ const until = Date.now() + 5000; const look = () => {{
      const found = document.querySelector('#chart-curve-activations .mark-line path[stroke="{back}"]') !== null;
      found || Date.now() > until ? done(found) : setTimeout(look, 50); }}; look(); }})""")


def test_hostile_class_names_run_nothing(browser, tmp_path):
    fake = Fake(workspace_at(tmp_path), ["a", "<img src=x onerror=document.hacked=1><script>document.hacked=1</script>", "@forget' || 1"])
    fake.everything()
    written(fake.workspace)
    for path in fake.workspace.reports.glob("*.html"):
        browser.open(path, 390)
        assert browser.ask("document.hacked") is None
        assert browser.complaints() == []
        assert browser.ask("document.documentElement.scrollWidth") <= 390
