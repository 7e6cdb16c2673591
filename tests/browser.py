"""Chromium, driven over its DevTools pipe; the report's tests open pages in it."""

from __future__ import annotations

import json
import os
import select
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dkvb.recipe import Recipe
from dkvb.workspace.artifacts import Workspace

PATIENCE = 60  # seconds


def program() -> str | None:
    """The browser of this machine."""
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One Chromium for all tests of a process."""
    found = program()
    if not found:
        pytest.skip("no chromium on PATH: pages were not opened in a browser")
    opened = Browser(found, tmp_path_factory.mktemp("profile"))
    yield opened
    opened.close()


@pytest.fixture
def true(browser: Browser, reported: tuple[Recipe, Workspace]) -> Workspace:
    """A workspace with a report of what was truly computed."""
    return reported[1]


def pages(workspace: Workspace) -> list[Path]:
    """All pages of a report."""
    return sorted(workspace.reports.glob("*.html"))


def run_page(workspace: Workspace) -> Path:
    """The page of its one run, or of one of several."""
    return next(path for path in pages(workspace) if path.name.startswith(("cifar", "tiny")))


class Browser:
    """Chromium over its DevTools pipe: enough to load a page, ask it things and see what it fetched."""

    def __init__(self, program: str, profile: Path) -> None:
        ours_in, theirs_out = os.pipe()
        theirs_in, ours_out = os.pipe()
        flags = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--hide-scrollbars",
        ]
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
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network"):
            self.call(f"{domain}.enable")
        self.call(
            "Network.emulateNetworkConditions", offline=True, latency=0, downloadThroughput=-1, uploadThroughput=-1
        )

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        self.last += 1
        message = {"id": self.last, "method": method, "params": params} | (
            {"sessionId": self.session} if self.session else {}
        )
        self.writer.write(json.dumps(message).encode() + b"\0")
        while True:
            while b"\0" not in self.rest:
                silent = not select.select([self.reader], [], [], PATIENCE)[0]
                if silent:
                    self.process.kill()
                    raise RuntimeError(f"the browser has not answered for {PATIENCE} s")
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

    def width(self, most: int) -> int:
        """How wide the page's content is, once it has settled: charts shrink to the page a moment after they are
        drawn."""
        return int(
            self.ask(
                f"""(async () => {{
                  for (let i = 0; i < 50 && document.documentElement.scrollWidth > {most}; i++)
                    await new Promise((done) => setTimeout(done, 100));
                  return document.documentElement.scrollWidth; }})()"""
            )
        )

    def count(self, selector: str) -> int:
        return int(self.ask(f"document.querySelectorAll('{selector}').length"))

    def open(self, path: Path, width: int, height: int = 900, scheme: str = "light") -> None:
        self.events.clear()
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.call("Page.navigate", url=path.as_uri())
        self.ask("""new Promise((done) => { const until = Date.now() + 15000;
          const look = () => (document.readyState === "complete" && location.protocol === "file:"
          && (!document.getElementById("payload") || document.body.dataset.drawn)) || Date.now() > until
          ? done() : setTimeout(look, 30); look(); })""")

    def fetched(self) -> list[str]:
        return [
            event["params"]["request"]["url"] for event in self.events if event["method"] == "Network.requestWillBeSent"
        ]

    def complaints(self) -> list[Any]:
        wrong = [event for event in self.events if event["method"] == "Runtime.exceptionThrown"]
        said = [event["params"] for event in self.events if event["method"] == "Runtime.consoleAPICalled"]
        return wrong + [params for params in said if params["type"] in ("error", "warning")]

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(10)
        self.reader.close()
        self.writer.close()
