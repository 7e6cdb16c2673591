"""Serve a trained model over HTTP: `DKVB_SERVE=data uvicorn --app-dir docs --factory serve:app`.

`DKVB_SERVE` is a workspace, or a folder that `dkvb export` wrote. Whatever deletion requests change in a workspace
(`dkvb forget`, `restore`, `purge`) is in every answer to a question that comes in afterwards.
"""

from __future__ import annotations

import io
import os
from pathlib import Path
from threading import Lock
from typing import NamedTuple

import numpy as np
from fastapi import FastAPI, HTTPException, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse
from PIL import Image, UnidentifiedImageError
from pydantic import BaseModel, Field

import dkvb
from dkvb.inference.classifier import Classifier
from dkvb.workspace import ledger_mark

LARGEST = 20 * 2**20
"""Bytes of an image."""


class Loaded(NamedTuple):
    """A model, and how many entries the ledger of deletion requests had before it was loaded."""

    model: Classifier
    entries: int


class Live:
    """The model in a folder, loaded again once the ledger of requests has grown.

    Whoever asks gets one model and keeps it for the whole of an answer; `current` is replaced in one step.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder, self.lock = Path(folder), Lock()
        self.current = self._load()

    def get(self) -> Loaded:
        """The model as it is now; where it cannot be loaded there is no answer, rather than one of an old model."""
        try:
            if (current := self.current).entries == self._entries():
                return current
            with self.lock:  # one request loads, the others wait for it
                if self.current.entries != self._entries():
                    self.current = self._load()
                return self.current
        except dkvb.DkvbError as error:
            raise HTTPException(503, str(error)) from None

    def _load(self) -> Loaded:
        entries = self._entries()  # counted first: what comes in between is loaded twice rather than missed
        return Loaded(dkvb.load(self.folder), entries)

    def _entries(self) -> int:
        mark = ledger_mark.read(self.folder)
        if mark is None:
            raise dkvb.DkvbError(f"The ledger of {self.folder} cannot be read: `dkvb ledger` says why.")
        return mark.entries


class Question(BaseModel):
    """Features of some samples, and how many classes to give for each."""

    features: list[list[float]] = Field(min_length=1, max_length=4096)
    top: int = Field(1, ge=1)


class Answer(BaseModel):
    """For each sample classes and their probabilities, the most probable first; never a forgotten class."""

    predictions: list[dict[str, float]]
    requests_seen: int
    """Entries of the ledger of requests that the model knows of."""


class About(BaseModel):
    """What is served."""

    classes: list[str]
    """Those that may be an answer."""
    width: int
    images: bool
    """Whether images may be sent."""
    requests_seen: int


def answer(loaded: Loaded, logits: np.ndarray, top: int) -> Answer:
    """The most probable classes by logits (B, L), of which those of forgotten classes are minus infinity."""
    shares = np.exp(logits.astype(np.float64) - logits.max(1, keepdims=True))
    shares /= shares.sum(1, keepdims=True)
    possible = np.isfinite(logits).sum(1)
    best = np.argsort(-logits, axis=1, kind="stable")[:, :top]
    names = loaded.model.classes
    predictions = [
        {names[c]: float(row[c]) for c in chosen[:most].tolist()}
        for row, chosen, most in zip(shares, best, possible.tolist(), strict=True)
    ]
    return Answer(predictions=predictions, requests_seen=loaded.entries)


def app() -> FastAPI:
    """The application, for the folder in `DKVB_SERVE`, else `data`; its model is loaded now."""
    served, live = FastAPI(title="dkvb", version=dkvb.__version__), Live(os.environ.get("DKVB_SERVE", "data"))

    @served.exception_handler(dkvb.DkvbError)
    def unusable(request: Request, error: Exception) -> JSONResponse:
        return JSONResponse({"detail": str(error)}, 422)

    @served.get("/model")
    def model() -> About:
        loaded = live.get()
        gone = loaded.model.about.no_answer
        classes = [name for place, name in enumerate(loaded.model.classes) if place not in gone]
        images = loaded.model.encoder is not None
        return About(classes=classes, width=loaded.model.width, images=images, requests_seen=loaded.entries)

    @served.post("/predict")
    def predict(question: Question) -> Answer:
        loaded = live.get()
        if wrong := [len(row) for row in question.features if len(row) != loaded.model.width]:
            raise HTTPException(422, f"Features have width {wrong[0]}, the model takes {loaded.model.width}.")
        return answer(loaded, loaded.model(np.array(question.features, np.float32)), question.top)

    @served.post("/predict/image")
    async def predict_image(request: Request, top: int = 1) -> Answer:
        """The body is an image file."""
        if int(request.headers.get("content-length", LARGEST + 1)) > LARGEST:
            raise HTTPException(413, f"Send at most {LARGEST:,} bytes, and say how many.")
        return await run_in_threadpool(of_image, await request.body(), top)

    def of_image(content: bytes, top: int) -> Answer:
        loaded = live.get()
        try:
            image = Image.open(io.BytesIO(content))
            image.load()
        except (UnidentifiedImageError, OSError):
            raise HTTPException(422, "The body is no image that can be read.") from None
        return answer(loaded, loaded.model.images([image]).cpu().numpy(), max(1, top))

    return served
