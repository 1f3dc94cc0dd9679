"""JSON text as the event stream that the YAML parser gives too, so that one builder with one set of limits serves both.

YAML 1.2 says that JSON is YAML, but libyaml refuses parts of it: escaped surrogate pairs, tabs before the first
bracket, keys over 1,024 characters.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

import msgspec
import yaml

_token = re.compile(r'("(?:[^"\\]|\\.)*")|([{}\[\]])|([^\s{}\[\],:"]+)|\n')


class Position:
    """A place in the text: line and column from 0, as libyaml's marks count them."""

    __slots__ = ("column", "line")

    def __init__(self, line: int, column: int) -> None:
        self.line = line
        self.column = column


def is_json(text: str) -> bool:
    """Whether the text is one JSON object or array, as a whole (deep nesting counts as no: the YAML door stops it)."""
    if not text.lstrip(" \t\r\n").startswith(("{", "[")):
        return False
    try:
        msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
        return False
    return True


def events(text: str) -> Iterator[yaml.Event]:
    """The events of a text for which `is_json` holds."""
    mark: Any
    line, line_start = 0, 0
    for found in _token.finditer(text):
        mark = Position(line, found.start() - line_start)
        string, bracket, plain = found.groups()
        if string is not None:
            value = json.loads(string)
            yield yaml.ScalarEvent(None, None, (False, True), value, mark, mark, style='"')
        elif plain is not None:
            yield yaml.ScalarEvent(None, None, (True, False), plain, mark, mark)
        elif bracket is None:
            line, line_start = line + 1, found.end()
        else:
            yield _bracket(bracket, mark)


def _bracket(bracket: str, mark: Any) -> yaml.Event:
    if bracket == "{":
        return yaml.MappingStartEvent(None, None, True, mark, mark)
    if bracket == "[":
        return yaml.SequenceStartEvent(None, None, True, mark, mark)
    return yaml.MappingEndEvent(mark, mark) if bracket == "}" else yaml.SequenceEndEvent(mark, mark)
