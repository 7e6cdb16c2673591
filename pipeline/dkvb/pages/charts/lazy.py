"""Altair, imported when the first chart is drawn: it takes longer to import than all that a report without a new page
does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

__all__ = ["alt", "unchecked"]

if TYPE_CHECKING:
    import altair as alt
else:

    class _Altair:
        def __getattr__(self, name: str) -> Any:
            import altair

            return getattr(altair, name)

    alt = _Altair()


@contextmanager
def unchecked() -> Iterator[None]:
    """Keep Altair from checking every part of a chart against Vega-Lite's schema, which takes longer than drawing it;
    the tests draw all charts in a browser."""
    from altair.utils.schemapi import debug_mode

    with debug_mode(False):
        yield
