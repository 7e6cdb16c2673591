"""docs/serve.py, asked over loopback: right answers, and never a forgotten class once its request is there."""

from __future__ import annotations

import io
import runpy
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import Any

import httpx
import numpy as np
import pytest
import uvicorn
from PIL import Image
from typer.testing import CliRunner

import dkvb
from conftest import CLASSES, prepare
from dkvb.cli import app
from dkvb.recipe import Recipe, load
from dkvb.workspace.artifacts import Workspace
from dkvb.workspace.names import VALUES
from test_docs import ROOT

SERVE = ROOT / "docs/serve.py"
X = (2 * np.random.default_rng(0).standard_normal((60, 12))).astype(np.float32)


@contextmanager
def serving(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[httpx.Client]:
    """A client of the served folder."""
    monkeypatch.setenv("DKVB_SERVE", str(folder))
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        config = uvicorn.Config(runpy.run_path(str(SERVE))["app"](), log_level="warning")
        server = uvicorn.Server(config)
        thread = Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            with httpx.Client(
                base_url=f"http://127.0.0.1:{listening.getsockname()[1]}", trust_env=False, timeout=60
            ) as client:
                yield client
        finally:
            server.should_exit = True
            thread.join()


def ask(client: httpx.Client, x: np.ndarray, top: int = 4) -> Any:
    response = client.post("/predict", json={"features": x.tolist(), "top": top})
    assert response.status_code == 200, response.text
    return response.json()


def probabilities(folder: Path, x: np.ndarray) -> list[dict[str, float]]:
    """What the model of a folder says, each class that may be an answer with its probability."""
    model = dkvb.load(folder)
    shares = np.exp(model(x).astype(np.float64))
    shares /= shares.sum(1, keepdims=True)
    return [{model.classes[c]: float(row[c]) for c in row.argsort()[::-1] if row[c] > 0} for row in shares]


def command(workspace: Workspace, *words: str) -> None:
    places = ["--recipe", "tiny.toml", "--data-dir", str(workspace.root)]
    result = CliRunner().invoke(app, [*words, *places])
    assert result.exit_code == 0, result.output


def same(found: Any, expected: list[dict[str, float]]) -> None:
    assert [list(one) for one in found["predictions"]] == [list(one) for one in expected]
    assert all(one == pytest.approx(other) for one, other in zip(found["predictions"], expected, strict=True))


def test_a_request_is_in_every_answer_that_comes_after_it(
    recipe: Recipe, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(recipe, workspace)
    before, stop = probabilities(workspace.root, X), Event()
    with serving(workspace.root, monkeypatch) as client, ThreadPoolExecutor(2) as pool:
        same(ask(client, X), before)
        assert client.get("/model").json() == {
            "classes": CLASSES,
            "width": 12,
            "images": False,
            "requests_seen": 0,
        }

        def go_on() -> list[Any]:
            answers = [ask(client, X)]
            while not stop.wait(0.05):
                answers.append(ask(client, X))
            return answers

        running = [pool.submit(go_on) for _ in range(2)]
        command(workspace, "forget", "cat", "--method", "activations", "--na", "150")
        after = probabilities(workspace.root, X)
        found = ask(client, X)
        stop.set()
        same(found, after)
        assert found["requests_seen"] >= 1
        assert all(len(one) == 3 for one in found["predictions"])
        for answer in (answer for thread in running for answer in thread.result()):
            same(answer, after if answer["requests_seen"] else before)  # all of one model, whichever
        assert client.get("/model").json()["classes"] == ["airplane", "bird", "dog"]
        command(workspace, "restore", "r0001")
        same(ask(client, X), before)


def test_what_cannot_be_answered_is_told(recipe: Recipe, workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare(recipe, workspace)
    with serving(workspace.root, monkeypatch) as client:
        for body, said in (
            ({"features": [[1.0] * 11]}, "Features have width 11, the model takes 12."),
            ({"features": [[1.0] * 12, [1.0]]}, "Features have width 1, the model takes 12."),
            ({"features": []}, "at least 1 item"),
            ({"features": [["one"] * 12]}, "valid number"),
        ):
            response = client.post("/predict", json=body)
            assert (response.status_code, said in response.text) == (422, True), response.text
        text, kind = '{"features": [[' + "NaN," * 11 + "1]]}", {"content-type": "application/json"}
        response = client.post("/predict", content=text, headers=kind)
        assert response.status_code == 422
        assert "NaN or infinite" in response.text
        response = client.post("/predict/image", content=b"GIF89a")
        assert (response.status_code, response.json()["detail"][:12]) == (422, "The body is ")
        (values,) = workspace.root.glob(f"train/*/{VALUES}")
        content = values.read_bytes()
        command(workspace, "forget", "dog", "--method", "activations", "--na", "100")
        values.write_bytes(content[:-1] + b"?")
        response = client.post("/predict", json={"features": X.tolist()})
        assert response.status_code == 503, "no answer of a model that knows dog"
        assert "damaged" in response.json()["detail"] or "changed" in response.json()["detail"]
        values.write_bytes(content)
        assert "dog" not in ask(client, X)["predictions"][0]


def test_images_go_through_the_encoder(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = load("digits").with_(
        keys={"codebooks": 8, "pairs": 16, "epochs": 1}, train={"epochs": 1}, linear={"epochs": 1}
    )
    prepare(recipe, workspace)
    pixels = np.random.default_rng(1).integers(0, 255, (8, 8), dtype=np.uint8)
    image = io.BytesIO()
    Image.fromarray(pixels).save(image, "png")
    expected = dkvb.load(workspace.root).images([Image.fromarray(pixels)]).softmax(1)[0]
    with serving(workspace.root, monkeypatch) as client:
        assert client.get("/model").json()["images"] is True
        (found,) = client.post("/predict/image?top=2", content=image.getvalue()).json()["predictions"]
        assert found == pytest.approx(
            {str(c): float(expected[c]) for c in expected.argsort(descending=True)[:2].tolist()}
        )
        sent = client.post("/predict/image", content=iter([b"no", b"length"]))
        assert sent.status_code == 413


def test_the_page_shows_the_file() -> None:
    assert f"```python\n{SERVE.read_text(encoding='utf-8')}```" in (ROOT / "docs/serve.md").read_text(encoding="utf-8")
