"""Reads a document's text, YAML 1.2 core schema or JSON, into JSON values with the position of every key and value.

RULES
- JSON types only. Tags, keys that are not text, duplicate keys, NaN and infinity are refused (language.md, T33).
- What YAML 1.1 would change stays text: `on`, `yes`, `12:30:00`, dates (language.md, 4.3).
- Only the event stream of libyaml is used: its limits are ours, and depth, nodes and aliases are counted on the way, so
  hostile text is refused while it is read.
"""

import math
import re
from collections.abc import Iterable
from itertools import takewhile
from typing import Any

import yaml

from perdure.errors import Invalid
from perdure.language import read_json
from perdure.language.findings import Finding
from perdure.language.values import Json

MAX_BYTES = 10_000_000
MAX_DEPTH = 200
MAX_NODES = 100_000
MAX_ALIASES = 1_000
MAX_DIGITS = 400

Place = tuple[int, int]

CODES: dict[str, str] = {
    "alias": "An alias names nothing, or what it stands in.",
    "duplicate-key": "A key stands twice in one object.",
    "empty-document": "There is nothing in the text.",
    "key-not-text": "A key is not a plain text.",
    "not-utf-8": "The text is not UTF-8.",
    "number": "A number that JSON does not have, or that is too large.",
    "several-documents": "The text holds more than one document.",
    "tag": "YAML tags are refused.",
    "too-deep": "The text is nested too deeply.",
    "too-large": "The text is too large.",
    "too-many-aliases": "The text uses too many aliases.",
    "too-many-values": "The text holds too many values.",
    "yaml-syntax": "The text is neither YAML nor JSON.",
    "yaml-version": "The text asks for another version of YAML.",
}
"""Every code of a finding about a text -> what it is about, in one sentence."""

_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_TRUTH = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_integer = re.compile(r"[-+]?[0-9]+\Z")
_octal = re.compile(r"0o[0-7]+\Z")
_hexadecimal = re.compile(r"0x[0-9a-fA-F]+\Z")
_float = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?\Z")
_not_finite = re.compile(r"([-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN))\Z")
_foreign_breaks = re.compile("[\x85\u2028\u2029]")
_HINTS = {
    "tab": "YAML indents with spaces: replace the tab.",
    "@": "Put the text into quotes.",
    "`": "Put the text into quotes.",
    "%": "Put the text into quotes.",
    "mapping values are not allowed": "Put a text that contains ': ' into quotes, or check the indentation.",
    "found unexpected end of stream": "Close the quote or bracket that is open here.",
    "expected <block end>": "Check the indentation of this line.",
    "did not find expected key": "Check the indentation of this line.",
    "did not find expected '-' indicator": "Check the indentation of this line.",
    "could not find expected ':'": "Write a colon and a space after the key.",
    "undefined alias": "Define it before, with & and the same name.",
}


class Unreadable(Invalid):
    """The text is not a document."""

    code = "unreadable"

    def __init__(self, finding: Finding) -> None:
        self.findings = [finding]
        where = f"line {finding.line}, column {finding.column}: " if finding.line else ""
        super().__init__(where + finding.message, hint=finding.hint)


class Mark:
    """Where a node stands: lines and columns from 1, and the marks of what it holds."""

    __slots__ = ("children", "column", "key", "line", "size")

    def __init__(self, line: int, column: int, children: "dict[Any, Mark] | None" = None) -> None:
        self.line = line
        self.column = column
        self.key: Place = (line, column)
        self.children = children
        self.size = 1


class Reading:
    """A document's value and the places of its parts."""

    def __init__(self, value: Json, root: Mark, *, has_text: bool = True) -> None:
        self.value = value
        self.has_text = has_text
        self._root = root

    def __repr__(self) -> str:
        return f"<Reading {type(self.value).__name__} of {self._root.size} nodes>"

    @classmethod
    def of(cls, value: Json) -> "Reading":
        """A reading of a value that has no text: every place is (0, 0). Unreadable when it is too deep or too big."""
        return cls(value, _number(value), has_text=False)

    def place(self, pointer: str) -> Place:
        """Line and column, from 1, of the value at a JSON pointer; of the nearest ancestor when there is none."""
        mark, _ = self._find(pointer)
        return (mark.line, mark.column) if self.has_text else (0, 0)

    def place_of_key(self, pointer: str) -> Place:
        """Line and column of the key (or list item) at a JSON pointer; of the nearest ancestor when there is none."""
        mark, _ = self._find(pointer)
        return mark.key if self.has_text else (0, 0)

    def order(self, pointer: str, *, of_key: bool = False) -> Place:
        """A sort key that puts pointers into document order, with and without text."""
        mark, _ = self._find(pointer)
        return mark.key if of_key else (mark.line, mark.column)

    def _find(self, pointer: str) -> tuple[Mark, bool]:
        mark, value = self._root, self.value
        for part in pointer.split("/")[1:]:
            name = part.replace("~1", "/").replace("~0", "~")
            key: str | int = int(name) if isinstance(value, list) and name.isdecimal() else name
            child = (mark.children or {}).get(key)
            if child is None:
                return mark, False
            mark, value = child, value[key]
        return mark, True


def read(text: str | bytes, *, max_bytes: int = MAX_BYTES) -> Reading:
    """The document in a text. Raises Unreadable, with one finding, for anything that is not one document."""
    source = _decoded(text, max_bytes)
    if read_json.is_json(source):
        return _Builder(read_json.events(source)).build()
    foreign = _foreign_breaks.search(source)
    if foreign is not None:
        shown = f"U+{ord(foreign.group()):04X}"
        message = f"The text holds the line separator {shown}, which YAML 1.2 does not count as a line break."
        raise _unreadable("yaml-syntax", message, _place_at(source, foreign.start()), "Remove it, or escape it.")
    try:
        return _Builder(yaml.parse(source, Loader=yaml.CLoader)).build()
    except yaml.reader.ReaderError as error:
        offset = len(source.encode()[: error.position].decode(errors="ignore"))
        message = f"The character U+{ord(source[offset]):04X} is not allowed in a document."
        raise _unreadable("yaml-syntax", message, _place_at(source, offset), "Remove it, or escape it.") from None
    except yaml.MarkedYAMLError as error:
        raise _syntax(error, source) from None


class _Builder:
    """Turns parser events into values and marks, and counts while it does."""

    def __init__(self, events: Iterable[yaml.Event]) -> None:
        self._events = iter(events)
        self._nodes = 0
        self._depth = 0
        self._aliases = 0
        self._anchors: dict[str, tuple[Json, Mark] | None] = {}

    def build(self) -> Reading:
        reading: Reading | None = None
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                _check_directives(event)
                if reading is not None:
                    message = "The text holds several documents; one is expected."
                    raise _unreadable("several-documents", message, _of(event), "Put each into a file of its own.")
            elif isinstance(event, yaml.NodeEvent):
                reading = Reading(*self._node(event))
        if reading is None:
            raise _unreadable("empty-document", "The document is empty.", (1, 1))
        return reading

    def _node(self, event: Any) -> tuple[Json, Mark]:
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event)
        self._count(event, 1)
        if event.tag is not None:
            hint = "Remove it; write numbers and texts plainly."
            raise _unreadable(
                "tag", f"The tag {event.tag[:60]} is refused: documents hold JSON types only.", _of(event), hint
            )
        anchor = event.anchor
        if anchor is not None:
            self._anchors[anchor] = None
        node: tuple[Json, Mark]
        if isinstance(event, yaml.ScalarEvent):
            node = _scalar(event), Mark(*_of(event))
        elif isinstance(event, yaml.MappingStartEvent):
            node = self._mapping(event)
        else:
            node = self._sequence(event)
        if anchor is not None:
            self._anchors[anchor] = node
        return node

    def _mapping(self, start: yaml.Event) -> tuple[Json, Mark]:
        self._enter(start)
        value: dict[str, Json] = {}
        children: dict[Any, Mark] = {}
        mark = Mark(*_of(start), children)
        for event in takewhile(lambda event: not isinstance(event, yaml.MappingEndEvent), self._events):
            key = self._key(event)
            if key in value:
                message = (
                    f"The key '{key[:60]}' stands here twice; it was first written in line {children[key].key[0]}."
                )
                raise _unreadable("duplicate-key", message, _of(event), "Remove or rename one of them.")
            value[key], child = self._node(next(self._events))
            child.key = _of(event)
            children[key] = child
            mark.size += child.size
        self._depth -= 1
        return value, mark

    def _sequence(self, start: yaml.Event) -> tuple[Json, Mark]:
        self._enter(start)
        value: list[Json] = []
        children: dict[Any, Mark] = {}
        mark = Mark(*_of(start), children)
        for event in takewhile(lambda event: not isinstance(event, yaml.SequenceEndEvent), self._events):
            item, child = self._node(event)
            children[len(value)] = child
            value.append(item)
            mark.size += child.size
        self._depth -= 1
        return value, mark

    def _key(self, event: yaml.Event) -> str:
        self._count(event, 1)
        if not isinstance(event, yaml.ScalarEvent):
            raise _unreadable("key-not-text", "A key must be a plain text.", _of(event), "Write the text itself.")
        if event.tag is not None or event.anchor is not None:
            raise _unreadable("key-not-text", "A key carries no tag and no anchor.", _of(event), "Remove it.")
        if not isinstance(_scalar(event), str):
            shown = event.value[:60] or "null"
            message = f"The key {shown} is not a text."
            raise _unreadable("key-not-text", message, _of(event), f'Put it into quotes: "{shown}".')
        return str(event.value)

    def _alias(self, event: yaml.AliasEvent) -> tuple[Json, Mark]:
        name = str(event.anchor)
        shown = name[:60]
        if name not in self._anchors:
            raise _unreadable("alias", f"The alias *{shown} is not defined before it is used.", _of(event))
        found = self._anchors[name]
        if found is None:
            raise _unreadable(
                "alias", f"The alias *{shown} stands inside what it names: it would never end.", _of(event)
            )
        self._aliases += 1
        value, target = found
        if self._aliases > MAX_ALIASES:
            raise _unreadable("too-many-aliases", f"The document uses more than {MAX_ALIASES} aliases.", _of(event))
        self._count(event, target.size)
        mark = Mark(*_of(event), target.children)
        mark.size = target.size
        return value, mark

    def _count(self, event: yaml.Event, nodes: int) -> None:
        self._nodes += nodes
        if self._nodes > MAX_NODES:
            message = f"The document holds more than {MAX_NODES} values, aliases counted in full."
            raise _unreadable("too-many-values", message, _of(event), "Split it, or load the data when it runs.")

    def _enter(self, event: yaml.Event) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise _unreadable("too-deep", f"The document is nested more than {MAX_DEPTH} levels deep.", _of(event))


def _scalar(event: yaml.ScalarEvent) -> Json:
    """A scalar by the YAML 1.2 core schema; only plain ones are anything but text."""
    text: str = event.value
    if not event.implicit[0]:
        return text
    if text in _NULLS:
        return None
    if text in _TRUTH:
        return _TRUTH[text]
    if text[0] not in "-+.0123456789":
        return text
    return _numeral(text, event)


def _numeral(text: str, event: yaml.Event) -> Json:
    if _float.match(text):
        if len(text) > MAX_DIGITS:
            raise _unreadable(
                "number", f"The number has more than {MAX_DIGITS} digits.", _of(event), "Put it into quotes."
            )
        if _integer.match(text):
            return int(text)
        number = float(text)
        if math.isinf(number):
            message = f"The number {text} is too large."
            raise _unreadable("number", message, _of(event), "Put it into quotes to keep it as a text.")
        return number
    if _not_finite.match(text):
        raise _unreadable(
            "number", f"{text} is not a JSON number.", _of(event), "Put it into quotes to keep it as a text."
        )
    if _octal.match(text) or _hexadecimal.match(text):
        return int(text, 0)
    return text


def _number(value: Json) -> Mark:
    """Marks for a value without text: the place of a node is its number in document order."""
    counter = 0

    def visit(item: Json, depth: int) -> Mark:
        nonlocal counter
        counter += 1
        if counter > MAX_NODES:
            raise _unreadable("too-many-values", f"The document holds more than {MAX_NODES} values.", (0, 0))
        if depth > MAX_DEPTH:
            raise _unreadable("too-deep", f"The document is nested more than {MAX_DEPTH} levels deep.", (0, 0))
        children: dict[Any, Mark] = {}
        mark = Mark(counter, 0, children)
        entries = item.items() if isinstance(item, dict) else enumerate(item) if isinstance(item, list) else ()
        for key, child in entries:
            children[key] = visit(child, depth + 1)
            mark.size += children[key].size
        return mark

    return visit(value, 0)


def _decoded(text: str | bytes, max_bytes: int) -> str:
    if len(text) > max_bytes:
        message = f"The document is larger than {max_bytes // 1_000_000} MB."
        raise _unreadable("too-large", message, (0, 0), "Keep data out of the document: load it when it runs.")
    if isinstance(text, str):
        return _checked_text(text).removeprefix("\ufeff")
    if text[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise _unreadable("not-utf-8", "The document is UTF-16 text.", (1, 1), "Save it as UTF-8.")
    try:
        return text.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = text[: error.start].decode(errors="ignore")
        message = f"The byte 0x{text[error.start]:02X} is not UTF-8 text."
        raise _unreadable("not-utf-8", message, _place_at(before, len(before)), "Save the document as UTF-8.") from None


def _checked_text(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        message = f"The character U+{ord(text[error.start]):04X} is half of a pair and no text."
        raise _unreadable("not-utf-8", message, _place_at(text, error.start)) from None
    return text


def _check_directives(event: yaml.DocumentStartEvent) -> None:
    if event.tags:
        raise _unreadable("tag", "Tags are refused: documents hold JSON types only.", _of(event), "Remove %TAG.")
    if event.version not in (None, (1, 2)):
        raise _unreadable("yaml-version", "Documents are YAML 1.2.", _of(event), "Remove the %YAML line.")


def _syntax(error: yaml.MarkedYAMLError, source: str) -> Unreadable:
    mark = error.problem_mark or error.context_mark
    place = (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)
    problem = error.problem or "it cannot be parsed"
    context = f" {error.context}" if error.context else ""
    line = source.split("\n")[place[0] - 1 : place[0]]
    at = line[0][place[1] - 1 : place[1]] if line else ""
    problem_key = "tab" if at == "\t" or "tab character" in problem else at if at in ("@", "`", "%") else problem
    hint = next((hint for start, hint in _HINTS.items() if problem_key.startswith(start)), None)
    what = "neither valid JSON nor YAML" if source.lstrip().startswith(("{", "[")) else "not valid YAML"
    return _unreadable("yaml-syntax", f"This is {what}: {problem}{context}.", place, hint)


def _place_at(text: str, offset: int) -> Place:
    return text.count("\n", 0, offset) + 1, offset - (text.rfind("\n", 0, offset) + 1) + 1


def _of(event: yaml.Event) -> Place:
    mark = event.start_mark
    assert mark is not None
    return mark.line + 1, mark.column + 1


def _unreadable(code: str, message: str, place: Place, hint: str | None = None) -> Unreadable:
    line, column = place
    finding = Finding(severity="error", code=code, pointer="", line=line, column=column, message=message, hint=hint)
    return Unreadable(finding)
