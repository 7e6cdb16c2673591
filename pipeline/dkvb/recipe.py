"""The recipe: one TOML file that holds every setting of a run; flags override it, it overrides a built-in one."""

from __future__ import annotations

import importlib.resources
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from dkvb import registry
from dkvb.errors import UsageError, nearest

WEIGHTS_FILES = (".pt", ".pth", ".bin", ".safetensors", ".ckpt")


Auto = Literal["auto"]


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Data(Section):
    source: str = "cifar10"
    path: str | None = None
    """Folder, file or archive, where the source needs one; relative to the recipe file."""
    validation: float = Field(0.0, ge=0, lt=1)
    """Share of the training set kept out for choosing N, stratified, drawn from the run's seed."""
    test: float = Field(0.2, gt=0, lt=1)
    """Share split off as the test set where the source has none."""
    compat: Literal["none", "scrub"] = "none"
    """"scrub": draw LACUNA as the public build script does, with replacement, so that test images leak into train."""
    on_bad: Literal["fail", "skip"] = "fail"
    """Images that cannot be read: fail, naming them all, or leave them out and record them."""
    strict: bool = False
    """Fail, rather than warn, where contents are shared between train and test or between classes."""

    @property
    def own(self) -> bool:
        """Whether this data set is told apart by its path; any other is one data set, wherever it lies."""
        return registry.sources()[self.source].own_data


class Encoder(Section):
    name: str = "clip-vit-b32"
    weights: str | None = None
    """A tag of the encoder's library, a local file, or "random"; none: the encoder's own default."""
    layer: str | None = None
    """Where a ResNet50 is read: layer1 … layer4 (averaged over space) or avgpool, the default."""
    precision: Literal["fp32", "bf16"] = "fp32"
    batch_size: int = Field(64, ge=1)
    size: int | None = Field(None, ge=1)
    """Side in pixels to which `pixels` resizes; none: images stay as they are and must all be of one size."""


class Keys(Section):
    codebooks: int = Field(256, ge=1)
    pairs: int = Field(4096, ge=1, le=65535)
    dim: int = Field(8, ge=1)
    top_k: int = Field(1, ge=1)
    epochs: int = Field(10, ge=0)
    batch_size: int = Field(256, ge=1)
    decay: float = Field(0.95, gt=0, lt=1)
    init: Literal["official", "sample"] = "official"
    neighbours: int = Field(64, ge=0)
    """Nearest keys kept per test sample and codebook, from which masked lookups are served."""
    unused: Literal["keep", "mask"] = "keep"
    """Whether pairs that training never selected may be selected afterwards."""

    @model_validator(mode="after")
    def _k_within_pairs(self) -> Keys:
        if self.top_k > self.pairs:
            raise ValueError(
                f"top_k = {self.top_k} is more than pairs = {self.pairs}; a codebook has only that many keys"
            )
        return self


class Train(Section):
    epochs: int = Field(74, ge=1)
    lr: float = Field(0.1, gt=0)
    batch_size: int = Field(256, ge=1)
    values: Literal["normal", "zeros", "uniform"] = "normal"
    pool: Literal["mean", "sum"] = "mean"


class Linear(Section):
    epochs: int = Field(2, ge=1)
    lr: float = Field(0.001, gt=0)
    batch_size: int = Field(256, ge=1)
    converged: bool = False
    """Also train one to convergence, for comparison; everything else uses the one of `epochs`."""


class Scrub(Section):
    max_steps: int = Field(3, ge=0)
    min_steps: int | Auto = 3
    """Epochs run; "auto": the stopping rule of Appendix E.3, at most 10."""
    lr: float = Field(0.001, gt=0)
    alpha: float = Field(0.001, ge=0)
    gamma: float = Field(0.99, ge=0)
    temperature: float = Field(4.0, gt=0)
    values_lr: float = Field(1.0, gt=0)
    """Learning rate of SCRUB on the bottleneck's values, of which the paper says nothing. A logit averages hundreds of
    values, so that each has to move far."""
    batch_size: int = Field(256, ge=1)


class Unlearn(Section):
    forget: str | int | list[str | int] = "best"
    """"best", the class with the fewest test misclassifications; "each", all in turn; or class names or ids."""
    method: str | list[str] = [name for name, entry in registry.methods().items() if entry.default]
    na: int | Auto = 180_000
    ne: int | Auto = 3_200
    counts: Literal["forget-set", "last-epoch", "proxy"] = "forget-set"
    """Where the selections come from: the forget training set, training's last epoch, or a proxy set."""
    proxy: str | None = None
    """Features (.npz with x and optional y) or a folder of images that stand in for the forget set."""
    target: Literal["chance", "zero"] = "chance"
    """What forget accuracy `auto` aims at."""
    choose: Literal["validation", "test"] = "validation"
    """The split on which `auto` chooses; the paper reads it off the test curve."""
    sweep: bool = False
    retrain: int = Field(0, ge=0)
    """Epochs of training on the retain set after unlearning, to see what they would bring (the paper: 10)."""
    retrain_lr_activations: float = Field(0.3, gt=0)
    retrain_lr_examples: float = Field(0.3, gt=0)
    """Learning rates of that (Table 7)."""

    @property
    def methods(self) -> list[str]:
        return [self.method] if isinstance(self.method, str) else list(self.method)


class Verify(Section):
    """Thresholds of `dkvb verify` on test accuracies in [0, 1], and its protocol of relearning."""

    max_forget: float | Literal["chance"] = "chance"
    """Highest accuracy on each forgotten class; "chance": one in the number of classes."""
    max_retain_drop: float = Field(0.02, ge=-1, le=1)
    """Most accuracy that the classes that stay may have lost."""
    min_retain: float | None = Field(None, ge=0, le=1)
    """Lowest accuracy on the classes that stay; none: not checked."""
    max_relearn: float | None = Field(None, ge=-1, le=1)
    """Most by which a relearned class's accuracy may be above that of the oracle, trained the same way; none: not
    checked."""
    samples: list[int] = Field(default=[5, 20, 100], min_length=1)
    """Samples of a forgotten class from which it is learned again."""
    epochs: int = Field(10, ge=1)
    """Epochs of that."""


class Run(Section):
    seeds: list[int] = Field(default=[0], min_length=1)
    device: Literal["auto", "cpu", "cuda"] = "auto"
    workers: int = Field(1, ge=1)
    """Processes of a local Dask cluster; 1 works in this process, on all its cores."""
    memory: float = Field(4.0, gt=0)
    """GiB that a process fitting and coding keys stays within; less means more passes over the features, and the same
    bits."""
    scheduler: str | None = None
    """Address of a running Dask scheduler, tcp://host:port, whose workers see the same files."""


class Recipe(Section):
    """Every setting of a run. `data.path`, `unlearn.proxy` and a weights file are absolute once loaded."""

    name: str = "cifar10"
    data: Data = Data()
    encoder: Encoder = Encoder()
    keys: Keys = Keys()
    train: Train = Train()
    linear: Linear = Linear()
    scrub: Scrub = Scrub()
    unlearn: Unlearn = Unlearn()
    verify: Verify = Verify()
    run: Run = Run()

    @property
    def data_name(self) -> str:
        """A short name of the data set."""
        return Path(self.data.path).name if self.data.own and self.data.path else self.data.source

    def with_(self, **sections: Mapping[str, Any]) -> Recipe:
        """A copy with some keys of some sections replaced, validated again."""
        return validate(merge(self.model_dump(), sections), "the command line")


def builtin_names() -> list[str]:
    """Names of the recipes that come with dkvb."""
    folder = importlib.resources.files("dkvb") / "recipes"
    return sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))


def builtin_text(name: str) -> str:
    """The TOML of a built-in recipe, comments included.

    Raises:
        UsageError: no built-in recipe has that name.
    """
    if name not in builtin_names():
        raise UsageError(
            f"There is no recipe '{name}'{nearest(name, builtin_names())} A path to a .toml file works too."
        )
    return (importlib.resources.files("dkvb") / "recipes" / f"{name}.toml").read_text(encoding="utf-8")


def load(which: str | None = None, folder: Path | None = None) -> Recipe:
    """Load a recipe by built-in name or path; by default `dkvb.toml` in `folder` (here), else cifar10.

    A file's missing keys come from the built-in recipe named like its `data.source`.

    Raises:
        UsageError: no such recipe, not TOML, or a key or value that a recipe does not have.
    """
    folder = folder or Path.cwd()
    if which is None:
        which = str(folder / "dkvb.toml") if (folder / "dkvb.toml").is_file() else "cifar10"
    path = Path(which)
    if which in builtin_names() and not path.suffix:
        return _absolute(validate(parse(builtin_text(which), which), f"recipe {which}"), folder)
    if not path.suffix and not path.is_file():
        builtin_text(which)
    if not path.is_file():
        raise UsageError(
            f"There is no recipe file {path}; `dkvb init` writes one, and built-in recipes are:"
            f" {', '.join(builtin_names())}."
        )
    settings = parse(path.read_text(encoding="utf-8"), str(path))
    check_keys(settings, str(path))
    source = settings.get("data", {}).get("source", "cifar10")
    base = tomllib.loads(builtin_text(source)) if source in builtin_names() else {}
    encoder = settings.get("encoder", {})
    if encoder.get("name", "") not in ("", base.get("encoder", {}).get("name")):
        base["encoder"] = {
            "batch_size": base["encoder"]["batch_size"]
        }  # weights of one encoder mean nothing to another
    settings.setdefault("name", path.stem)
    return _absolute(validate(merge(base, settings), str(path)), path.resolve().parent)


def parse(text: str, where: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{where} is not valid TOML: {error}.") from None


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`over` laid on `base`, section by section."""
    out = dict(base)
    for key, value in over.items():
        out[key] = {**out[key], **value} if isinstance(value, Mapping) and isinstance(out.get(key), Mapping) else value
    return out


def check_keys(settings: Mapping[str, Any], where: str) -> None:
    """Refuse unknown keys by name, with the nearest valid one."""
    for key, value in settings.items():
        if key not in Recipe.model_fields:
            raise UsageError(f"{where}: unknown key '{key}'{nearest(key, Recipe.model_fields)}")
        section = Recipe.model_fields[key].annotation
        if isinstance(section, type) and issubclass(section, Section):
            if not isinstance(value, Mapping):
                raise UsageError(f"{where}: '{key}' is a section; write [{key}] and its keys below it.")
            for inner in value:
                if inner not in section.model_fields:
                    raise UsageError(f"{where}: unknown key '{inner}' in [{key}]{nearest(inner, section.model_fields)}")


def validate(settings: Mapping[str, Any], where: str) -> Recipe:
    check_keys(settings, where)
    try:
        recipe = Recipe.model_validate(settings)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"][:2])
        message = first["msg"].removeprefix("Value error, ")
        given = "" if isinstance(first["input"], dict) else f" (given: {first['input']!r})"
        raise UsageError(f"{where}: {place}: {message}{given}.") from None
    registry.find("sources", recipe.data.source, where)
    for method in recipe.unlearn.methods:
        registry.find("methods", method, where)
    for key, n in (("na", recipe.unlearn.na), ("ne", recipe.unlearn.ne)):
        if n != "auto" and n < 0:
            raise UsageError(f'{where}: unlearn.{key} = {n} is negative; give 0 or more, or "auto".')
    if recipe.verify.max_forget != "chance" and not 0 <= recipe.verify.max_forget <= 1:
        raise UsageError(
            f'{where}: verify.max_forget = {recipe.verify.max_forget}: give a share in [0, 1], or "chance".'
        )
    if min(recipe.verify.samples) < 1:
        raise UsageError(f"{where}: verify.samples = {recipe.verify.samples}: give numbers of samples, 1 or more.")
    if recipe.scrub.min_steps != "auto" and recipe.scrub.min_steps < 1:
        raise UsageError(f'{where}: scrub.min_steps = {recipe.scrub.min_steps}; give 1 or more, or "auto".')
    return recipe


def _absolute(recipe: Recipe, folder: Path) -> Recipe:
    """Paths are relative to the recipe's own folder; a weights value counts as a path where it is a file there."""

    def resolve(path: str | None) -> str | None:
        return None if path is None else str((folder / Path(path).expanduser()).resolve())

    weights = recipe.encoder.weights
    if weights is not None and (Path(weights).suffix in WEIGHTS_FILES or (folder / weights).is_file()):
        weights = resolve(weights)
    return recipe.model_copy(
        update={
            "data": recipe.data.model_copy(update={"path": resolve(recipe.data.path)}),
            "encoder": recipe.encoder.model_copy(update={"weights": weights}),
            "unlearn": recipe.unlearn.model_copy(update={"proxy": resolve(recipe.unlearn.proxy)}),
        }
    )
