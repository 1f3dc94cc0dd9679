"""The rules on names: what tasks refer to is defined under `use`, in the catalog, or built into the language."""

import re
from typing import Protocol

from perdure.language import templates
from perdure.language.check_report import Report, below, nearest, shown
from perdure.language.check_survey import Call, Survey
from perdure.language.expressions import ExpressionFault
from perdure.language.grammar import BUILT_IN_CALLS
from perdure.language.schemas import Schema
from perdure.language.values import Json

_function = re.compile(r"(?P<name>[^:@/\s]+)(?::(?P<version>[^:@/\s]+))?(?:@(?P<catalog>[^:@/\s]+))?")
_address = re.compile(r"(https?|file)://", re.IGNORECASE)


class Functions(Protocol):
    """The default catalog."""

    def schema_of(self, name: str, version: str | None) -> dict[str, Json] | None:
        """The JSON Schema of a function's arguments; None when there is none."""
        ...

    def names(self) -> list[str]:
        """The names of all functions."""
        ...


def check_references(survey: Survey, report: Report, use: Json, functions: Functions | None) -> None:
    """Names in `use` (A3), the tables of `use` themselves, and functions (B8, E8)."""
    tables = use if isinstance(use, dict) else {}
    _check_names(survey, report, tables)
    _check_tables(report, tables, functions)
    for call in survey.calls:
        _check_call(call, report, tables, functions)


def _check_names(survey: Survey, report: Report, tables: dict[str, Json]) -> None:
    for table, name, pointer in survey.names:
        defined = names_in(tables, table)
        if name in defined:
            continue
        code = "undeclared-secret" if table == "secrets" else "unknown-name"
        message = f"'{shown(name)}' is not defined in use.{table}."
        report.error(code, pointer, message, nearest(name, defined) or f"Define it under use: {table}.")


def _check_tables(report: Report, tables: dict[str, Json], functions: Functions | None) -> None:
    if "default" in names_in(tables, "catalogs"):
        message = "The catalog name 'default' is reserved for the built-in functions."
        report.error("reserved-name", "/use/catalogs/default", message, "Choose another.", at_key=True)
    built_in = functions.names() if functions is not None else []
    for name in names_in(tables, "functions"):
        pointer = below("/use/functions", name)
        if name in BUILT_IN_CALLS:
            message = f"'{name}' is a call of the language; a function of that name cannot be called."
            report.error("reserved-name", pointer, message, "Choose another.", at_key=True)
        elif name in built_in:
            message = f"This function hides the function '{name}' of the default catalog."
            report.lint("shadowed-function", pointer, message, f"Write '{name}@default' where you mean that one.")
    seen: set[str] = set()
    secrets = tables.get("secrets")
    for index, name in enumerate(secrets if isinstance(secrets, list) else []):
        if isinstance(name, str) and name in seen:
            report.error("duplicate-name", f"/use/secrets/{index}", f"The secret '{shown(name)}' stands here twice.")
        seen.add(str(name))


def _check_call(call: Call, report: Report, tables: dict[str, Json], functions: Functions | None) -> None:
    pointer = below(call.pointer, "call")
    own = names_in(tables, "functions")
    if call.name in own or _address.match(call.name) or "${" in call.name:
        return
    known = [*BUILT_IN_CALLS, *own, *(functions.names() if functions is not None else [])]
    found = _function.fullmatch(call.name)
    if found is None:
        hint = "Write name, name:version@catalog or a URL."
        report.error("unknown-function", pointer, f"'{shown(call.name)}' is no name of a function.", hint)
        return
    name, version, catalog = found.group("name", "version", "catalog")
    if catalog is not None and catalog != "default":
        catalogs = names_in(tables, "catalogs")
        if catalog not in catalogs:
            hint = nearest(catalog, [*catalogs, "default"]) or "Define it under use: catalogs."
            report.error("unknown-name", pointer, f"'{shown(catalog)}' is not defined in use.catalogs.", hint)
        return
    if functions is None:
        if name.casefold() in BUILT_IN_CALLS:
            message = f"There is no function '{shown(name)}'."
            report.error("unknown-function", pointer, message, f"Did you mean '{name.casefold()}'?")
    elif name not in functions.names():
        report.error("unknown-function", pointer, f"There is no function '{shown(name)}'.", nearest(name, known))
    else:
        _check_arguments(call, report, functions.schema_of(name, version))


def _check_arguments(call: Call, report: Report, schema: dict[str, Json] | None) -> None:
    """What can be told before the run: missing and unknown arguments, and constant ones as a whole."""
    given = call.task.get("with", {})
    if schema is None or not isinstance(given, dict):
        return
    pointer = below(call.pointer, "with") if "with" in call.task else call.pointer
    known = schema.get("properties", {})
    wrong = False
    for key in schema.get("required", []):
        if key not in given:
            wrong = True
            report.error("arguments", pointer, f"'{call.name}' needs the argument '{key}'.", at_key=True)
    if schema.get("additionalProperties") is False and "patternProperties" not in schema:
        for key in [key for key in given if key not in known]:
            wrong = True
            message = f"'{call.name}' takes no argument '{shown(key)}'."
            report.error("arguments", below(pointer, key), message, nearest(key, known), at_key=True)
    for key, value in given.items():
        if not wrong and key in known and _is_constant(value):
            violation = Schema({**schema, **known[key]} if "$defs" in schema else known[key]).violation(value)
            if violation is not None:
                report.error("arguments", below(pointer, key), f"The argument does not fit: {violation}")


def _is_constant(value: Json) -> bool:
    try:
        return templates.compile_template(value).is_constant
    except ExpressionFault:
        return False


def names_in(tables: dict[str, Json], table: str) -> list[str]:
    """The names that a table of `use` defines."""
    content = tables.get(table)
    return [name for name in content if isinstance(name, str)] if isinstance(content, dict | list) else []
