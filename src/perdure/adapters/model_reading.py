"""Reads requests that others write: one sentence for what does not fit. Pure; used by the wires that we answer on."""

from collections.abc import Mapping
from typing import Any

import msgspec

from perdure.errors import Invalid
from perdure.language.values import Json
from perdure.ports.model import Image, Tool


def refused(what: str) -> Invalid:
    return Invalid(f"The request does not fit: {what}.", hint="Nothing was sent to a model.")


def read_object(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise refused(f"{where} is no object")
    return value


def read_list(value: Any, where: str) -> list[Any]:
    if not isinstance(value, list):
        raise refused(f"{where} is no list")
    return value


def read_text(value: Any, where: str) -> str:
    if not isinstance(value, str):
        raise refused(f"{where} is no text")
    return value


def read_number(value: Any, where: str) -> Any:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise refused(f"{where} is no number")
    return value


def read_parameters(body: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """Numbers of the body by our names; null counts as absent."""
    made = {ours: read_number(body[theirs], theirs) for theirs, ours in names.items() if body.get(theirs) is not None}
    most = made.get("maxTokens", 1)
    if not isinstance(most, int) or most < 1:
        raise refused("the most tokens of the answer are a whole number, at least 1")
    return made


def read_stop(value: Any, where: str) -> list[str]:
    texts = [value] if isinstance(value, str) else read_list(value, where)
    return [read_text(text, where) for text in texts]


def rest(value: Mapping[str, Any], known: frozenset[str]) -> dict[str, Any]:
    """What our port has no word for: it goes along on the same wire. Nulls count as absent."""
    if value.keys() <= known:
        return {}
    return {name: given for name, given in value.items() if name not in known and given is not None}


def read_tool(name: Any, description: Any, parameters: Any, where: str, more: dict[str, Any]) -> Tool:
    schema = {"type": "object", "properties": {}} if parameters is None else read_object(parameters, where)
    return Tool(read_text(name, f"the name of {where}"), read_text(description or "", where), schema, more)


def read_image(address: Any, where: str, more: dict[str, Any]) -> Image:
    """An address, which may hold the picture itself."""
    text = read_text(address, where)
    if not text.startswith("data:"):
        if not text.startswith("https://"):
            raise refused(f"{where} is neither an https address nor data")
        return Image(uri=text, more=more)
    head, comma, data = text[5:].partition(",")
    media, _semicolon, form = head.partition(";")
    if not comma or form != "base64":
        raise refused(f"{where} is not data in base64")
    return Image(media=media, data=data, more=more)


def event(name: str, data: Json) -> bytes:
    """One server-sent event; a name where the wire has names."""
    head = f"event: {name}\n".encode() if name else b""
    return b"%sdata: %s\n\n" % (head, msgspec.json.encode(data))


def tokens(usage: Mapping[str, Any]) -> tuple[int, int, int]:
    """Input, output, and the part of the input that was cached."""
    into, out, cached = (int(usage.get(key, 0)) for key in ("inputTokens", "outputTokens", "inputTokensCached"))
    return into, out, cached
