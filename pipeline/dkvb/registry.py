"""What can be named in a recipe or on the command line: unlearning methods, data sources and metrics, a line each.

To add a method, write its file in `methods/` and its line here; everything that lists methods (the recipe, help texts,
pages, estimates) reads this table. Another package adds its own through the entry point groups `dkvb.methods`,
`dkvb.sources` and `dkvb.metrics`; what this table says of dkvb's own, their classes and functions say of themselves, in
attributes of the same names. Nothing is imported before it is used.
"""

from __future__ import annotations

from dataclasses import fields, replace
from functools import cache
from importlib.metadata import EntryPoint, distributions
from typing import Any, TypeVar, get_args

from dkvb.entries import SOURCES, Entry, Family, Group, MethodEntry, SourceEntry
from dkvb.errors import UsageError, nearest

_METHODS = (
    MethodEntry(
        "votes",
        "dkvb.methods.votes:Votes",
        "masking",
        "Masking by votes (ours)",
        "hides the pairs that vote most for the forgotten class",
        default=True,
        dial="N_v",
        trains_on=True,
        defence=True,
        in_paper=False,
    ),
    MethodEntry(
        "activations",
        "dkvb.methods.activations:Activations",
        "masking",
        "Masking by activations",
        "hides the pairs that the forgotten class uses most",
        default=True,
        dial="N_a",
        trains_on=True,
        defence=True,
    ),
    MethodEntry(
        "examples",
        "dkvb.methods.examples:Examples",
        "masking",
        "Masking by examples",
        "hides every pair that a sample of the forgotten class uses",
        default=True,
        dial="N_e",
        trains_on=True,
        defence=True,
    ),
    MethodEntry(
        "scrub",
        "dkvb.methods.scrub:ScrubMethod",
        "training",
        "SCRUB",
        "fine-tunes away from the original on the forgotten class, towards it on the rest",
        default=True,
        dial="epochs",
        trains_on=True,
        source=SOURCES["scrub"],
    ),
    MethodEntry(
        "logit-mask",
        "dkvb.methods.logit_mask:LogitMask",
        "control",
        "Logit mask (control)",
        "only forbids the answer; nothing inside the model changes",
        default=True,
        defence=True,
    ),
    MethodEntry(
        "own-votes",
        "dkvb.methods.own_votes:OwnVotes",
        "control",
        "Own votes taken back (ours)",
        "takes from every pair what it says for the forgotten class; hides only pairs that serve no other",
        in_paper=False,
    ),
    MethodEntry(
        "scrub-values",
        "dkvb.methods.scrub:ScrubValues",
        "training",
        "SCRUB on the values",
        "the same fine-tuning, on the bottleneck's values",
        dial="epochs",
        trains_on=True,
        source=SOURCES["scrub"],
    ),
    MethodEntry(
        "scrub-r",
        "dkvb.methods.scrub:ScrubRewind",
        "training",
        "SCRUB+R",
        "SCRUB, rewound to the epoch whose error looks most natural",
        dial="epochs",
        defence=True,
        source=SOURCES["scrub"],
    ),
    MethodEntry(
        "retrain",
        "dkvb.methods.retrain:Retrain",
        "control",
        "Retrained",
        "trains again without the forgotten class: what forgetting should look like",
        defence=True,
    ),
    MethodEntry(
        "retrain-keys",
        "dkvb.methods.retrain:RetrainKeys",
        "control",
        "Retrained, keys too",
        "keys and values made again without the forgotten class",
    ),
    MethodEntry(
        "retrain-linear",
        "dkvb.methods.retrain:RetrainLinear",
        "control",
        "Retrained linear head",
        "the plain head, trained again without the class",
        defence=True,
    ),
)


def _rival(name: str, family: Family, title: str, plain: str) -> MethodEntry:
    """A published method: its file is called as it is."""
    target = f"dkvb.methods.rivals.{name.replace('-', '_')}:METHOD"
    dial = "" if name in ("certified", "pour", "ridge-exact") else "setting"
    source = SOURCES[name.removesuffix("-values")]
    return MethodEntry(name, target, family, title, plain, dial=dial, in_paper=False, rival=True, source=source)


_RIVALS = (
    _rival("finetune", "training", "Fine-tuning", "trains on with the classes that stay"),
    _rival("ascent", "training", "Gradient ascent", "makes the loss on the forgotten class larger, down to chance"),
    _rival("neggrad-plus", "training", "NegGrad+", "trains on with the rest and away from the forgotten class"),
    _rival("random-labels", "training", "Random labels", "trains on with random labels for the forgotten class"),
    _rival("salun", "training", "SalUn", "the same, moving only what matters to the forgotten class"),
    _rival("bad-teacher", "training", "Bad Teacher", "learns the forgotten class from an untrained head"),
    _rival("boundary-shrink", "training", "Boundary Shrink", "teaches every forgotten sample the nearest other class"),
    _rival("boundary-expand", "training", "Boundary Expand", "moves the class to an output of its own and drops that"),
    _rival("unsir", "training", "UNSIR", "trains on with noise in the class’s place, then repairs the rest"),
    _rival("delete", "training", "DELETE", "teaches the class the model’s own answers without the right one"),
    _rival("l1-sparse", "training", "l1-sparse", "fine-tuning with a penalty on weights"),
    _rival("finetune-values", "training", "Fine-tuning on the values", "fine-tuning, on the bottleneck’s values"),
    _rival("neggrad-plus-values", "training", "NegGrad+ on the values", "NegGrad+, on the bottleneck’s values"),
    _rival("ssd", "control", "SSD", "dampens the weights that matter most to the forgotten class"),
    _rival("ssd-values", "control", "SSD on the values", "dampens values where masking would hide pairs"),
    _rival("fisher", "control", "Fisher forgetting", "adds noise to weights that the rest does not need"),
    _rival("influence", "control", "Influence", "one Newton step to where the class has no part in training"),
    _rival("certified", "control", "Certified removal", "a Newton step, and noise that hides what it leaves"),
    _rival("subspace", "control", "Subspace projection", "takes out what only the class’s features have"),
    _rival("esc", "control", "ESC", "takes out the main directions of the class’s features"),
    _rival("pour", "control", "POUR", "projects features off the forgotten class’s mean"),
    _rival("tilted", "control", "Tilted logit mask (TREW)", "forbids the answer and leans to classes like it"),
    _rival("ridge-exact", "control", "Exact ridge regression", "subtracts the class’s sums: the retrained model"),
)
"""Published methods that masking is compared with; only run where they are named."""


_SOURCES = (
    SourceEntry("digits", "dkvb.sources.digits:open_digits", own_data=False),
    SourceEntry("cifar10", "dkvb.sources.cifar:open_cifar", own_data=False),
    SourceEntry("cifar100", "dkvb.sources.cifar:open_cifar", own_data=False),
    SourceEntry("lacuna100", "dkvb.sources.lacuna100:open_lacuna", own_data=False),
    SourceEntry("lacuna10", "dkvb.sources.lacuna100:open_lacuna", own_data=False),
    SourceEntry("imagenet1k", "dkvb.sources.imagenet1k:open_imagenet1k", own_data=False),
    SourceEntry("folder", "dkvb.sources.folder:open_folder"),
    SourceEntry("features", "dkvb.sources.features:open_features", features=True),
    SourceEntry("huggingface", "dkvb.sources.huggingface:open_images", settings="folder", remote=True),
    SourceEntry(
        "huggingface-features",
        "dkvb.sources.huggingface:open_features",
        features=True,
        settings="features",
        remote=True,
    ),
    SourceEntry("webdataset", "dkvb.sources.webdataset:open_webdataset", settings="folder"),
    SourceEntry("table", "dkvb.sources.table:open_table", features=True, settings="features"),
    SourceEntry("list", "dkvb.sources.listed:open_list", settings="folder"),
    SourceEntry("arrays", "dkvb.sources.arrays:open_arrays", features=True, settings="features"),
    SourceEntry("image-arrays", "dkvb.sources.arrays:open_arrays", settings="folder"),
)

_METRICS = (Entry("worst-retained", "dkvb.metrics.accuracy:worst_retained"),)
"""Functions `(predicted (N,), labels (N,), forget) -> float | None`, measured on test data before and after
unlearning."""

Known = TypeVar("Known", MethodEntry, SourceEntry)

_KINDS: dict[Group, tuple[type[Entry], tuple[Entry, ...], str]] = {
    "methods": (MethodEntry, _METHODS + _RIVALS, "unlearning method"),
    "sources": (SourceEntry, _SOURCES, "data.source"),
    "metrics": (Entry, _METRICS, "metric"),
}


@cache
def _installed() -> list[EntryPoint]:
    """What all installed packages offer to dkvb: looking for it takes longer than all else here."""
    points = (point for distribution in distributions() for point in distribution.entry_points)
    return sorted((point for point in points if point.group.startswith("dkvb.")), key=lambda point: point.name)


@cache
def _table(group: Group) -> dict[str, Entry]:
    kind, own, _ = _KINDS[group]
    table = {entry.name: entry for entry in own}
    for point in _installed():
        if point.group == f"dkvb.{group}":
            table.setdefault(point.name, kind(point.name, point.value))
    return table


def names(group: Group) -> list[str]:
    """All names of a group: dkvb's own first, in the order in which pages and help list them."""
    return list(_table(group))


def methods() -> dict[str, MethodEntry]:
    """Every unlearning method by name; of other packages' nothing but the name is known."""
    return {name: entry for name, entry in _table("methods").items() if isinstance(entry, MethodEntry)}


def described_methods() -> dict[str, MethodEntry]:
    """Every unlearning method by name, other packages' with what their classes say of themselves, which imports
    them."""
    return {name: _described(entry) for name, entry in methods().items()}


def source(name: str) -> SourceEntry:
    """A data source; another package's with what its function says of itself.

    Raises:
        UsageError: there is none.
    """
    entry = find("sources", name)
    assert isinstance(entry, SourceEntry)
    return _described(entry)


@cache
def _described(entry: Known) -> Known:
    """An entry with the attributes of another package's class or function, where that can be imported."""
    if not entry.foreign:
        return entry
    try:
        target = entry.load()
    except UsageError:
        return entry
    fixed = ("name", "target", "default")
    said: dict[str, Any] = {
        field.name: getattr(target, field.name, None) for field in fields(entry) if field.name not in fixed
    }
    if said.get("family") not in get_args(Family):
        said.pop("family", None)
    return replace(entry, **{name: value for name, value in said.items() if type(value) is type(getattr(entry, name))})


def find(group: Group, name: str, where: str = "") -> Entry:
    """The entry of a name.

    Args:
        where: what the message begins with, such as the recipe that holds the name.

    Raises:
        UsageError: there is none; names the nearest.
    """
    table = _table(group)
    if name not in table:
        raise UsageError(f"{where}{': ' if where else ''}unknown {_KINDS[group][2]} '{name}'{nearest(name, table)}")
    return table[name]
