"""The model card of an export: what the model is, how well it does, what was forgotten, and what is not claimed."""

from __future__ import annotations

from typing import Any

from dkvb.metrics.accuracy import percent
from dkvb.runtime.visible import visible


def card(config: dict[str, Any]) -> str:
    """Markdown, from the export's config."""
    shapes, classes, forgotten = config["shapes"], config["classes"], config["forgotten"]
    linear, onnx = config.get("model") == "linear", config["kind"] == "dkvb-onnx"
    what = "linear" if linear else "key-value bottleneck"
    parts = [f"# A {what} classifier for {_plain(config['data'])}", _opening(config, linear, onnx)]
    parts += ["## Use", _use(config), "## Encoder", _encoder(config), "## Accuracy", *_accuracy(config)]
    parts.append("## What was forgotten")
    if forgotten:
        names = ", ".join(map(_plain, forgotten_names(config)))
        masked = f"No pair is masked: the {'weights' if linear else 'values'} were trained to that end."
        if config["masked"]:
            instead = "holds none" if onnx else "holds zeros in the place"
            masked = (
                f"{config['masked']:,} of {shapes['codebooks'] * shapes['pairs']:,} pairs are masked; this folder"
                f" {instead} of their keys and values, so that the mask cannot be taken back from what is here."
            )
        parts.append(f"Classes: {names}. {masked}")
        parts.append(_answers(config))
    else:
        parts.append("Nothing: this is the model as it was trained.")
    if config["excluded"]:
        names = ", ".join(_plain(classes[c]) for c in config["excluded"])
        parts.append(
            f"The logits of {names} are set to minus infinity (a logit mask). That forgets nothing: their values are"
            " all here."
        )
    parts += ["## What is not claimed", _not_claimed(forgotten)]
    return visible("\n\n".join(parts) + "\n")


def _opening(config: dict[str, Any], linear: bool, onnx: bool) -> str:
    shapes, place = config["shapes"], "the metadata of model.onnx" if onnx else "config.json"
    what = "A linear head on a frozen encoder."
    if not linear:
        what = (
            f"A discrete key-value bottleneck (arXiv 2311.15268) on a frozen encoder: {shapes['codebooks']} codebooks"
            f" of {shapes['pairs']:,} key-value pairs, keys of {shapes['dim']} dimensions, the {config['top_k']}"
            f" nearest keys of each codebook selected, values pooled by {config['pool']}."
        )
    return (
        f"{what} It takes features of width {shapes['width']:,} and gives logits of {shapes['classes']} classes, in"
        f" the order of `classes` in {place} (`ids` has their ids in the data set). Written by dkvb {config['dkvb']}."
    )


def forgotten_names(config: dict[str, Any]) -> list[str]:
    """Names of the forgotten classes, of which an export may have no logit."""
    names = dict(zip(config["ids"], config["classes"], strict=True)) | {
        one["id"]: one["name"] for one in config["left_out"]
    }
    return [names[c] for c in config["forgotten"]]


def _answers(config: dict[str, Any]) -> str:
    """What becomes of samples of forgotten classes: with the mask alone, and as the model answers."""
    if config["keep_labels"]:
        return "Their labels were kept: the model may still answer with them, which shows what the mask alone does."
    measured = [
        f"{percent(one['mask_alone'])} of the test samples of {_plain(one['name'])}"
        for one in config["left_out"]
        if one["mask_alone"] is not None
    ]
    alone = f" With the mask alone, {', '.join(measured)} would still be recognised." if measured else ""
    return f"Their labels are left out: there is no logit of them, and none is ever the answer.{alone}"


def _use(config: dict[str, Any]) -> str:
    if config["kind"] == "dkvb-onnx":
        return (
            "```python\nimport json\n\nimport onnxruntime\n\n"
            'session = onnxruntime.InferenceSession("path/to/this/folder/model.onnx")\n'
            f'(logits,) = session.run(None, {{"features": features}})  # (B, {config["shapes"]["width"]}) float32 ->'
            f" (B, {config['shapes']['classes']})\n"
            'names = json.loads(session.get_modelmeta().custom_metadata_map["classes"])\n```\n\n'
            "`dkvb export --check` of this folder, or of `model.onnx` alone, says whether it is as it was written and"
            " whether deletion requests have come since."
        )
    images = "\nlogits = model.images([image])  # PIL images, through the encoder" if config["encoder"] else ""
    return (
        '```python\nimport dkvb\n\nmodel = dkvb.load("path/to/this/folder")\n'
        f"logits = model(features)  # (B, {config['shapes']['width']}) -> (B,"
        f" {config['shapes']['classes']}){images}\n```\n\n"
        "`docs/plain_torch.py` of dkvb's sources does the same without dkvb installed."
    )


def _encoder(config: dict[str, Any]) -> str:
    encoder = config["encoder"]
    if encoder is None:
        integers = config.get("integers")
        scaled = (
            f" Integers x among them were taken as (x + {integers['offset']:g}) * {integers['scale']:g}: so does `dkvb"
            " predict`; whoever calls the model does it first."
            if integers
            else ""
        )
        return f"None: the model was trained on ready-made features, and takes features of the same kind.{scaled}"
    settings = ", ".join(
        f"{name} {value}" for name, value in encoder.items() if value is not None and name not in ("name", "batch_size")
    )
    hashed = f" sha256 of the parameters: `{config['weights_sha256']}`." if config["weights_sha256"] else ""
    transform = f"\n\nTransform:\n\n```\n{config['transform']}\n```" if config["transform"] else ""
    weights = (
        ""
        if encoder["name"] == "pixels"
        else " Its weights are not in this folder; a weights file of that name is found when put here."
    )
    return (
        f"`{encoder['name']}` ({settings or 'defaults'}), images read as {config['mode']}.{hashed}{weights}{transform}"
    )


def _accuracy(config: dict[str, Any]) -> list[str]:
    accuracy, classes, ids = config["accuracy"], config["classes"], config["ids"]
    before, now = accuracy.get("per_class_test"), accuracy["now"]
    parts = []
    if accuracy.get("test") is not None:
        # of classes trained without, as after `purge --keys reinit`, there was nothing to forget
        trained = (
            [] if before is None else [share for c, share in zip(ids, before, strict=True) if c in config["forgotten"]]
        )
        trained += [one["trained"] for one in config["left_out"]]
        knew = before is None or any(share is not None for share in trained)
        when = (
            "As trained, before anything was forgotten"
            if knew or not config["forgotten"]
            else "As trained, without what is forgotten"
        )
        parts.append(f"{when}: {percent(accuracy['test'])} on the test set (seed {config['seed']}).")
    if now is None:
        parts.append("As exported: not measured, the test set was not at hand.")
    unknown: list[float | None] = [None] * len(classes)
    table = ["| class | trained | exported |", "|---|---|---|"]
    for c, name, first, last in zip(ids, classes, before or unknown, now or unknown, strict=True):
        mark = " (forgotten)" if c in config["forgotten"] else ""
        table.append(f"| {_plain(name)}{mark} | {percent(first)} | {percent(last)} |")
    for one in config["left_out"]:
        table.append(f"| {_plain(one['name'])} (forgotten) | {percent(one['trained'])} | never answered |")
    return [*parts, "\n".join(table)]


def _not_claimed(forgotten: list[int]) -> str:
    if not forgotten:
        return (
            "Nothing is claimed about what the frozen encoder knows, nor about anything that the tests above do not"
            " measure."
        )
    return (
        "The frozen encoder is untouched and may know the forgotten classes from its own training. Keys were fitted,"
        " and values of other pairs trained, with these classes present, unless the model was made otherwise. The"
        " accuracies are those measured, on this test set. No conclusion about any law or obligation is drawn."
    )


def _plain(text: str) -> str:
    """A name that Markdown leaves as it is, on one line."""
    return "".join("\\" + letter if letter in "\\|`*_[]<>#" else letter for letter in " ".join(str(text).split()))
