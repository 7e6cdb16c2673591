"""What pages say of a method: the registry's words, and of a method that it does not know, its own name."""

from __future__ import annotations

from functools import cache

from dkvb import registry

FAMILIES = ("masking", "training", "control")
"""In the order in which pages list methods."""

CONTROL = "logit-mask"
"""The control that every other method is held against: it merely forbids the answer."""


@cache
def order() -> list[str]:
    """All methods of the registry, by family."""
    known = registry.described_methods()
    return sorted(known, key=lambda method: FAMILIES.index(known[method].family))


def rank(method: str) -> int:
    """A method's place on pages; those that the registry does not know come last."""
    return order().index(method) if method in order() else len(order())


SHIFT = "logit-shift"
"""A control of the membership experiment alone, which `dkvb unlearn` does not know."""


def title(method: str) -> str:
    """What pages call a method; one without a title (of another package, or since removed) goes by its name."""
    if method == SHIFT:
        return "Logit shift (control)"
    entry = registry.described_methods().get(method)
    return (entry.title if entry else "") or method.replace("-", " ")


MEASURES = {"worst-retained": "lowest accuracy of a class that stays"}
"""Registered metrics in words; those of other packages go by their names."""


def plain(method: str) -> str:
    """What a method does, in plain words; "" where the registry does not say."""
    entry = registry.described_methods().get(method)
    return entry.plain if entry else ""


def title_on(method: str, model: str, head: str = "linear head") -> str:
    """A method's title, with the linear head where it is that which unlearned and the title does not say so.

    Args:
        head: what the page calls the linear head.
    """
    name = title(method)
    return f"{name} on the {head}" if model == "linear" and "linear" not in name else name


def title_among(method: str, model: str) -> str:
    """A method's title where those of both models stand side by side: SCRUB is the paper's baseline, on its linear
    head."""
    return title_on(method, model) if method == "scrub" else title(method)


def masking() -> list[str]:
    """The registry's methods that mask pairs."""
    return [method for method in order() if registry.described_methods()[method].family == "masking"]


def by_default(*families: str) -> list[str]:
    """Methods of some families that a recipe runs unless it names others."""
    known = registry.described_methods()
    return [method for method in order() if known[method].default and known[method].family in families]
