"""How OpenAPI parameters are written into a request: places, styles and `explode` (OpenAPI 3.1, 4.8.12; Swagger 2.0
`collectionFormat`). No I/O.
"""

from typing import Any
from urllib.parse import quote

from perdure.functions.bodies import json_bytes, text_of
from perdure.functions.http_messages import refused
from perdure.language.values import Json

STYLES = {"path": "simple", "query": "form", "header": "simple", "cookie": "form"}
_SEPARATORS = {"csv": ",", "ssv": " ", "tsv": "\t", "pipes": "|", "spaceDelimited": " ", "pipeDelimited": "|"}
_RESERVED = ":/?#[]@!$&'()*+,;="


def in_path(parameter: dict[str, Any], value: Json) -> str:
    """The text for `{name}` in the path, percent-encoded. Nothing may leave its own segment."""
    name = parameter["name"]
    style = parameter.get("style", "simple")
    explode = bool(parameter.get("explode", False))
    if "content" in parameter:
        return quote(json_bytes(value), safe="")
    if "collectionFormat" in parameter and isinstance(value, list):
        return quote(_SEPARATORS.get(parameter["collectionFormat"], ",").join(_texts(name, value)), safe=",")
    if style == "label":
        written = "." + _joined(name, value, "." if explode else ",", explode=explode)
    elif style == "matrix":
        written = _matrix(name, value, explode=explode)
    else:
        written = _joined(name, value, ",", explode=explode)
    if not written or written in (".", ".."):
        raise refused(f"The path parameter {name} may be neither empty nor `.` or `..`.")
    return written


def in_query(parameter: dict[str, Any], value: Json) -> list[str]:
    """The parts `name=value`, percent-encoded, that go into the query."""
    name = parameter["name"]
    safe = _RESERVED.replace("&", "").replace("#", "") if parameter.get("allowReserved") is True else ""
    style = parameter.get("style", "form")
    explode = bool(parameter.get("explode", style == "form"))
    if "content" in parameter:
        return [_pair(name, json_bytes(value).decode(), "")]
    if style == "deepObject" and isinstance(value, dict):
        return [
            _pair(f"{name}[{key}]", text, safe)
            for key, item in value.items()
            for text in _texts(name, item if isinstance(item, list) else [item])
        ]
    if isinstance(value, dict):
        flat = [(key, text_of(_scalar(name, item))) for key, item in value.items()]
        if explode:
            return [_pair(key, text, safe) for key, text in flat]
        return [f"{quote(name, safe='')}=" + _listed([text for pair in flat for text in pair], style, safe)]
    if isinstance(value, list):
        texts = _texts(name, value)
        is_swagger = "collectionFormat" in parameter or ("type" in parameter and "style" not in parameter)
        kind = parameter.get("collectionFormat", "csv") if is_swagger else style
        if kind == "multi" or (not is_swagger and explode):
            return [_pair(name, text, safe) for text in texts]
        return [f"{quote(name, safe='')}=" + _listed(texts, kind, safe)]
    return [_pair(name, text_of(value), safe)]


def in_header(parameter: dict[str, Any], value: Json) -> str:
    """The text of a header."""
    if "content" in parameter:
        return json_bytes(value).decode()
    explode = bool(parameter.get("explode", False))
    separator = _SEPARATORS.get(parameter.get("collectionFormat", "csv"), ",")
    return _joined(parameter["name"], value, separator, explode=explode, encode=False)


def in_cookie(parameter: dict[str, Any], value: Json) -> str:
    """One `name=value` of the `Cookie` header."""
    return f"{parameter['name']}={_joined(parameter['name'], value, ',', explode=False)}"


def _joined(name: str, value: Json, separator: str, *, explode: bool, encode: bool = True) -> str:
    def text(item: Json) -> str:
        written = text_of(_scalar(name, item))
        return quote(written, safe="") if encode else written

    if isinstance(value, list):
        return separator.join(text(item) for item in value)
    if isinstance(value, dict):
        if explode:
            return separator.join(f"{text(key)}={text(item)}" for key, item in value.items())
        return separator.join(part for key, item in value.items() for part in (text(key), text(item)))
    return text(value)


def _matrix(name: str, value: Json, *, explode: bool) -> str:
    if isinstance(value, dict) and explode:
        return "".join(
            f";{quote(key, safe='')}={_joined(name, item, ',', explode=False)}" for key, item in value.items()
        )
    if isinstance(value, list) and explode:
        return "".join(f";{name}={_joined(name, item, ',', explode=False)}" for item in value)
    return f";{name}={_joined(name, value, ',', explode=False)}"


def _listed(texts: list[str], kind: str, safe: str) -> str:
    separator = _SEPARATORS.get(kind, ",")
    return (separator if separator == "," else quote(separator)).join(quote(text, safe=safe) for text in texts)


def _pair(name: str, text: str, safe: str) -> str:
    return f"{quote(name, safe='[]')}={quote(text, safe=safe)}"


def _texts(name: str, values: list[Json]) -> list[str]:
    return [text_of(_scalar(name, value)) for value in values]


def _scalar(name: str, value: Json) -> Json:
    if isinstance(value, list | dict):
        raise refused(f"The parameter {name} holds arrays or objects within one another, which no address can carry.")
    return value
