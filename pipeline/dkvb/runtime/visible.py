"""Text from data as it may be shown: nothing in it moves a cursor, colours a terminal or turns a line round."""

from __future__ import annotations

import json
import re
from typing import Any

_UNSEEN = re.compile(
    "["
    "\x00-\x08\x0b-\x1f\x7f-\x9f"  # control characters but tab and newline, terminal escapes among them
    "\u202a-\u202e\u2066-\u2069"  # what overrides the direction of text
    "\u2028\u2029"  # other ends of lines
    "\ud800-\udfff"  # bytes of a file name that are no text, which no terminal can be sent
    "]"
)


def visible(text: str) -> str:
    r"""A text with control characters written out, `\x1b` or `\u202e`; newlines and tabs stay."""
    return _UNSEEN.sub(_escape, text)


def all_visible(value: Any) -> Any:
    """A JSON value with the same done to every text and key in it."""
    if isinstance(value, str):
        return visible(value)
    if isinstance(value, dict):
        return {all_visible(key): all_visible(inner) for key, inner in value.items()}
    return [all_visible(inner) for inner in value] if isinstance(value, list | tuple) else value


def json_text(value: Any, indent: int | None = None) -> str:
    """JSON of a value, in which such characters are escapes of JSON's own: who parses it has them again."""
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    return _UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"
