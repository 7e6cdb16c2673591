"""Of the encoder, for `dkvb doctor`: whether its weights are there, looked up where they would be, and how many images
a second it takes here, measured."""

from __future__ import annotations

from dkvb.encoders.networks import load_encoder, weights_fingerprint
from dkvb.encoders.speed import Speed, time_encoder
from dkvb.encoders.stored import Stored, stored_weights
from dkvb.recipe import Recipe
from dkvb.records.status import DoctorCheck
from dkvb.runtime.network import GLANCE, host, unreachable


def examine(recipe: Recipe, device: str) -> list[DoctorCheck]:
    """The checks of weights and encoder; nothing is downloaded and nothing raises.

    Args:
        device: "cpu" or "cuda", where the encoder is timed.
    """
    if recipe.data.features:
        none = "none needed: the data are features"
        return [DoctorCheck(check=check, ok=True, detail=none) for check in ("weights", "encoder")]
    try:
        stored = stored_weights(recipe.encoder)
        weights = _weights(recipe, stored)
    except Exception as error:  # libraries that are broken, or know no such network: each is a finding
        return [_failed("weights", error), _timed(recipe, device, own=False)]
    return [weights, _timed(recipe, device, own=stored is None or stored.file is not None)]


def _failed(check: str, error: Exception) -> DoctorCheck:
    return DoctorCheck(check=check, ok=False, detail=str(error) or type(error).__name__)


def _weights(recipe: Recipe, stored: Stored | None) -> DoctorCheck:
    """Whether the weights are there, and if not, how to get them.

    Raises:
        DkvbError: there are no such weights.
    """
    name = recipe.encoder.name
    if stored is None:
        known = weights_fingerprint(recipe.encoder)
        if known.startswith("tag:"):
            return DoctorCheck(
                check="weights", ok=False, detail=f"{name} has no weights '{known.removeprefix('tag:')}'"
            )
        detail = f"none needed: {name} has none" if known == "none" else f"{name}: {known}"
        return DoctorCheck(check="weights", ok=True, detail=detail)
    if stored.file:
        return DoctorCheck(check="weights", ok=True, detail=f"{name}: {stored.what}, {stored.file}")
    missing = f"{name}: {stored.what} are not in {stored.folder}"
    reason = _no_download(stored)
    if reason is None:
        detail = f"{missing}. {host(stored.url)} answers: `dkvb embed` downloads them"
    else:
        detail = (
            f"{missing}, and {reason}: fetch {stored.name} on another machine, then set `encoder.weights ="
            f' "/path/to/{stored.name}"` in the recipe'
        )
    return DoctorCheck(check="weights", ok=False, detail=detail)


def _no_download(stored: Stored) -> str | None:
    """Why the weights cannot be downloaded now, as far as a glance can tell; None where the host answers."""
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE and stored.url == constants.ENDPOINT:
        return "the environment says HF_HUB_OFFLINE"
    reason = unreachable(stored.url, GLANCE)
    return reason and f"{host(stored.url)} does not answer ({reason})"


def _timed(recipe: Recipe, device: str, own: bool) -> DoctorCheck:
    """The encoder's speed; with random weights, which take as long, unless it has its `own`."""
    settings = recipe.encoder if own else recipe.encoder.model_copy(update={"weights": "random"})
    try:
        encoder = load_encoder(settings, device, "RGB")
        speed = time_encoder(encoder, settings.batch_size)
    except Exception as error:  # no such network, a GPU that is full, a library that is broken
        return _failed("encoder", error)
    said = "" if own else "; with random weights, for want of its own: they take as long"
    return DoctorCheck(check="encoder", ok=True, detail=f"{settings.name} on {device}: {in_words(speed)}{said}")


def in_words(speed: Speed) -> str:
    """Images a second, and how they were measured."""
    rate = f"{speed.rate:.3g}" if speed.rate < 1000 else f"{speed.rate:,.0f}"
    return (
        f"{rate} images a second ({speed.images} made-up images in batches of {speed.batch}: {speed.seconds:.2f} s, and"
        f" {speed.cpu_seconds:.2f} s of the processor)"
    )
