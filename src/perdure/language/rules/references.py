"""The rules on names: what tasks refer to is defined under `use`, in the catalog, or built into the language."""

import re
from typing import NamedTuple, Protocol

from perdure.language.grammar.table import BUILT_IN_CALLS, SHAPES
from perdure.language.rules.agents import AGENT, check_agent, is_constant
from perdure.language.rules.report import Report, below, listed, nearest, shown
from perdure.language.rules.survey import Call, Survey
from perdure.language.schemas import Schema
from perdure.language.values import Json

_function = re.compile(r"(?P<name>[^:@/\s]+)(?::(?P<version>[^:@/\s]+))?(?:@(?P<catalog>[^:@/\s]+))?")
_address = re.compile(r"(https?|file)://", re.IGNORECASE)


class Functions(Protocol):
    """The default catalog."""

    def schema_of(self, name: str, version: str | None) -> dict[str, Json] | None:
        """The JSON Schema of a function's arguments; None when there is no such function or version."""
        ...

    def names(self) -> list[str]:
        """The names of all functions."""
        ...


class _Known(NamedTuple):
    """Every name that a document can refer to."""

    use: dict[str, dict[str, None]]
    functions: Functions | None

    @property
    def catalog(self) -> list[str]:
        """Asked for only where a document names a function: whoever hands it in may have to build it first."""
        return self.functions.names() if self.functions is not None else []


def check_references(survey: Survey, report: Report, use: Json, functions: Functions | None) -> None:
    """Names in `use` (A3), the tables of `use` themselves, and functions (B8, E8)."""
    tables = {table: names_in(use, table) for table in SHAPES["use"].fields}
    known = _Known(tables, functions)
    for table, name, pointer in survey.names:
        if name not in tables[table]:
            code = "undeclared-secret" if table == "secrets" else "unknown-name"
            message = f"'{shown(name)}' is not defined in use.{table}."
            hint = nearest(name, tables[table]) or f"Define it under use: {table}."
            if table == "timeouts" and name.startswith("P"):
                hint = f"Write a duration as {{ after: {shown(name)} }}."
            elif name.startswith("$"):  # T31: the example `error: $error` of the specification
                hint = "An expression cannot stand for a whole entry: write the object here, or a name of use."
            report.error(code, pointer, message, hint)
    _check_functions(report, known)
    _check_others(report, use, known)
    for call in survey.calls:
        _check_call(call, report, known)


def _check_functions(report: Report, known: _Known) -> None:
    for name in known.use["functions"]:
        pointer = below("/use/functions", name)
        if name in BUILT_IN_CALLS:
            message = f"'{name}' is a call of the language; a function of that name cannot be called."
            report.error("reserved-name", pointer, message, "Choose another.", at_key=True)
        elif name in known.catalog:
            message = f"This function hides the function '{name}' of the default catalog."
            report.lint("shadowed-function", pointer, message, f"Write '{name}@default' where you mean that one.")


def _check_others(report: Report, use: Json, known: _Known) -> None:
    if "default" in known.use["catalogs"]:
        message = "The catalog name 'default' is reserved for the built-in functions."
        report.error("reserved-name", "/use/catalogs/default", message, "Choose another.", at_key=True)
    seen: set[str] = set()
    for index, name in enumerate(use["secrets"] if known.use["secrets"] else ()):
        if not isinstance(name, str):
            continue
        if name in seen:
            report.error("duplicate-name", f"/use/secrets/{index}", f"The secret '{shown(name)}' stands here twice.")
        seen.add(name)


def _check_call(call: Call, report: Report, known: _Known) -> None:
    pointer = below(call.pointer, "call")
    if call.name in known.use["functions"] or _address.match(call.name) or "${" in call.name:
        return
    found = _function.fullmatch(call.name)
    if found is None:
        hint = "Write name, name:version@catalog or a URL."
        report.error("unknown-function", pointer, f"'{shown(call.name)}' is no name of a function.", hint)
        return
    name, version, catalog = found.group("name", "version", "catalog")
    if catalog is not None and catalog != "default":
        catalogs = known.use["catalogs"]
        if catalog not in catalogs:
            hint = nearest(catalog, [*catalogs, "default"]) or "Define it under use: catalogs."
            report.error("unknown-name", pointer, f"'{shown(catalog)}' is not defined in use.catalogs.", hint)
        elif version is None:
            hint = f"Write for example '{name}:1.0.0@{catalog}'."
            report.error("unknown-function", pointer, "A function of a catalog is called with its version.", hint)
    elif known.functions is None:
        if name.casefold() in BUILT_IN_CALLS:
            message = f"There is no function '{shown(name)}'."
            report.error("unknown-function", pointer, message, f"Did you mean '{name.casefold()}'?")
    elif name not in known.catalog:
        names = [*BUILT_IN_CALLS, *known.use["functions"], *known.catalog]
        hint_ = (
            nearest(name, names) or "Define it under use: functions; one of your own needs its module (--functions)."
        )
        report.error("unknown-function", pointer, f"There is no function '{shown(name)}'.", hint_)
    else:
        schema = known.functions.schema_of(name, version)
        if schema is None:
            message = f"The function '{shown(name)}' has no version {shown(version)}."
            report.error("unknown-function", pointer, message, f"Write '{name}' for the newest.")
        else:
            _check_arguments(call, report, schema)
            if name == AGENT:
                check_agent(call, report, known.use["functions"], known.functions)


def _check_arguments(call: Call, report: Report, schema: dict[str, Json]) -> None:
    """What can be told before the run: missing and unknown arguments, and the constant ones."""
    given = call.task.get("with", {})
    if not isinstance(given, dict):
        return
    pointer = below(call.pointer, "with") if "with" in call.task else call.pointer
    properties = schema.get("properties", {})
    for key in schema.get("required", []):
        if key not in given:
            report.error("arguments", pointer, f"'{call.name}' needs the argument '{key}'.", at_key=True)
    closed = schema.get("additionalProperties") is False and "patternProperties" not in schema
    for key, value in given.items():
        if key in properties:
            _check_argument(value, below(pointer, key), report, schema, properties[key])
        elif closed:
            message = f"'{call.name}' takes no argument '{shown(key)}'."
            hint = nearest(key, properties) or (f"It takes {listed(properties)}." if properties else None)
            report.error("arguments", below(pointer, key), message, hint, at_key=True)


def _check_argument(value: Json, pointer: str, report: Report, schema: dict[str, Json], own: Json) -> None:
    if not is_constant(value):
        return
    whole = {**own, "$defs": schema["$defs"]} if isinstance(own, dict) and "$defs" in schema else own
    violation = Schema(whole).violation(value)
    if violation is not None:
        report.error("arguments", pointer, f"The argument does not fit: {violation}")


def names_in(use: Json, table: str) -> dict[str, None]:
    """The names that a table of `use` defines, in order."""
    content = use.get(table) if isinstance(use, dict) else None
    return {name: None for name in content if isinstance(name, str)} if isinstance(content, dict | list) else {}
