"""Text from data as it is shown: what is written out, and what stays."""

from __future__ import annotations

import json

from dkvb.runtime.visible import all_visible, json_text, visible


def test_control_characters_are_written_out() -> None:
    assert visible("cat\x1b[31m") == "cat\\x1b[31m"
    assert visible("\x9b2J\x07\r\x7f\x00") == "\\x9b2J\\x07\\x0d\\x7f\\x00"
    assert visible("dog\u202e\u2066\u2069\u2028\u2029") == "dog\\u202e\\u2066\\u2069\\u2028\\u2029"
    assert visible("a\udce9") == "a\\udce9"


def test_all_else_stays() -> None:
    text = "line\n\ttab, ä, 日本, \u0627, e\u0301, \u200d, \U0001f408 \\x1b"
    assert visible(text) == text


def test_json_holds_the_characters_as_its_own_escapes() -> None:
    value = {"cat\x1b": ["dog\u202e", "\x9b", "ä\n", 1, None, True]}
    for indent in (None, 1):
        text = json_text(value, indent)
        assert visible(text) == text
        assert json.loads(text) == value
        assert "ä" in text
    assert all_visible(value) == {"cat\\x1b": ["dog\\u202e", "\\x9b", "ä\n", 1, None, True]}
