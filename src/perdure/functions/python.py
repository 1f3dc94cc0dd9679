"""Python functions of the user: a decorator that leaves a plain record on the function, and the loaders that find them.

A function takes and gives plain JSON (or what msgspec converts to it: dataclasses, structs, dates, enums). Its
parameters are the keys of the call's `with`; one named `context` gets the Context of the call. The loaders import
modules that the administrator names on the command line or installs: never a name from a document.
"""

import asyncio
import contextvars
import importlib
import importlib.util
import inspect
import os
import re
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar, get_args, get_type_hints, overload

import msgspec

from perdure.errors import Invalid, PerdureError, spelled
from perdure.functions.secret_use import SecretUse
from perdure.interpreter.faults import problem
from perdure.language.schemas import Schema
from perdure.language.values import Json
from perdure.ports.function import Context, Effect, Function, FunctionFault, Result

Code = TypeVar("Code", bound=Callable[..., Any])

GROUP = "perdure.functions"
"""Entry points of this group name modules, or single functions, with functions for every document."""

_MARK = "__perdure_function__"
_threads = ThreadPoolExecutor(256, "perdure-function")
"""Of their own, as many as the engine makes calls at once: asyncio's few also look up the names of hosts."""
_name = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}\Z")
_version = re.compile(r"\d+\.\d+\.\d+(?:-[0-9A-Za-z.-]+)?\Z")
_reserved = frozenset({"http", "openapi", "grpc", "asyncapi", "a2a", "mcp", "agent", "model"})


class Description(msgspec.Struct, frozen=True):
    """What the decorator was told; None means: read it off the function."""

    name: str | None
    version: str
    effect: Effect
    input: dict[str, Any] | None
    output: dict[str, Any] | None
    summary: str | None


@overload
def function(name: Code) -> Code: ...
@overload
def function(
    name: str | None = None,
    version: str = "1.0.0",
    effect: Effect = "idempotent",
    *,
    input: dict[str, Any] | None = None,
    output: dict[str, Any] | None = None,
    summary: str | None = None,
) -> Callable[[Code], Code]: ...
def function(
    name: Any = None,
    version: str = "1.0.0",
    effect: Effect = "idempotent",
    *,
    input: dict[str, Any] | None = None,
    output: dict[str, Any] | None = None,
    summary: str | None = None,
) -> Any:
    """Make a Python function callable from documents, bare (`@function`) or with arguments.

    `effect`: what happens when the process dies during a call: `read` and `idempotent` run again with the same
    `context.key`; `unsafe` never does, its outcome is unknown. A `read` changes nothing anywhere, so it does not even wait
    until what it depends on is stored. `input` and `output` are JSON Schemas; without `input`
    it is read off the parameters' types. A sync function runs in a thread.
    """
    if callable(name):
        return function()(name)
    if effect not in get_args(Effect):
        raise Invalid(f"{effect!r} is no effect.", hint="Use read, idempotent or unsafe.")
    if not _version.match(version):
        raise Invalid(f"{version!r} is no version.", hint="Write it like 1.0.0.")

    def mark(code: Any) -> Any:
        setattr(code, _MARK, Description(name, version, effect, input, output, summary))
        return code

    return mark


class PythonFunction:
    """A Python function in the table."""

    def __init__(self, code: Callable[..., Any], told: Description) -> None:
        self._code = code
        self.name = told.name or code.__name__
        self.version = told.version
        self.effect: Effect = told.effect
        self.summary = told.summary or (inspect.getdoc(code) or "").partition("\n\n")[0].replace("\n", " ")
        if not _name.match(self.name) or self.name in _reserved:
            raise Invalid(
                f"{self.name!r} cannot be the name of a function.",
                hint="Use letters, digits, _ and -, and none of the built-in calls.",
            )
        self._is_async = inspect.iscoroutinefunction(code)
        self._types, self._takes_context = _parameters(code, self.name)
        self.input_schema = told.input if told.input is not None else _derived(code, self._types, self.name)
        self.output_schema: dict[str, Any] = told.output or {}
        self._input = Schema(self.input_schema)
        self._output = Schema(self.output_schema) if told.output else None
        self._takes_nothing = False
        """Whether a call without arguments is known to fit."""
        _check_schemas(self.name, self._input, self._output)

    def __repr__(self) -> str:
        return f"PythonFunction({self.name}:{self.version}, {self.effect})"

    def effect_of(self, arguments: Json, resources: dict[str, Json]) -> Effect:
        return self.effect

    async def execute(self, arguments: Json, context: Context) -> Json | Result:
        """Call it. FunctionFault `validation` when the arguments do not fit; what the function raises goes on."""
        if self._takes_nothing and (arguments is None or arguments == {}):
            return await self._made({}, context)
        use = SecretUse(context)
        given = self._fitted({} if arguments is None else arguments, use)
        try:
            return await self._made(given, context)
        except FunctionFault as fault:
            raise FunctionFault(redacted(fault.problem, use), fault.outcome) from None
        except Exception as error:
            if not use.has_opened:
                raise
            detail = use.redact(f"{type(error).__name__}: {error}")
            raise FunctionFault(problem("runtime", title=f"{self.name} failed", detail=detail), "unknown") from None

    async def _made(self, given: dict[str, Any], context: Context) -> Json | Result:
        if self._takes_context:
            given["context"] = context
        answer = await (_awaited(self._code, given) if self._is_async else self._in_thread(given))
        if isinstance(answer, Result):
            return msgspec.structs.replace(answer, output=self._plain(answer.output))
        return self._plain(answer)

    async def _in_thread(self, given: dict[str, Any]) -> Any:
        run = partial(contextvars.copy_context().run, _called, self._code, given)
        return await asyncio.get_running_loop().run_in_executor(_threads, run)

    def _fitted(self, arguments: Json, use: SecretUse) -> dict[str, Any]:
        opened = use.open(arguments)
        violation = self._input.violation(opened)
        if violation is not None:
            raise _refused(self.name, use.redact(violation))
        if not isinstance(opened, dict):
            raise _refused(self.name, "`with` must be a map of arguments.")
        self._takes_nothing = self._takes_nothing or not opened
        converted = dict(opened)
        for name, kind in self._types.items():
            if name in converted and kind is not Any:
                try:
                    converted[name] = _as(converted[name], kind)
                except msgspec.ValidationError as error:
                    raise _refused(self.name, f"{name}: {use.redact(str(error))}") from None
        return converted

    def _plain(self, answer: Any) -> Json:
        if answer is None and self._output is None:
            return None
        try:
            plain = msgspec.to_builtins(answer, str_keys=True)
        except (TypeError, ValueError, RecursionError) as error:
            raise FunctionFault(
                problem("runtime", title="result refused", detail=f"{self.name} gave what is not JSON: {error}."),
                "unknown",
            ) from None
        violation = self._output.violation(plain) if self._output is not None else None
        if violation is not None:
            raise FunctionFault(
                problem(
                    "validation", title="result refused", detail=f"{self.name} broke its own output schema: {violation}"
                ),
                "unknown",
            )
        return plain


def load(module_name: str) -> list[Function]:
    """The functions of a module, by its dotted name or the path of a `.py` file. Invalid says what is wrong."""
    is_path = module_name.endswith(".py") or os.sep in module_name
    module = _from_path(Path(module_name)) if is_path else _by_name(module_name)
    found = _functions_of(module)
    if not found:
        raise Invalid(
            f"{module_name} holds no function for documents.", hint="Decorate one: `@perdure.function` above its `def`."
        )
    return found


def installed() -> list[Function]:
    """The functions of all installed packages that offer some (entry points of the group `perdure.functions`)."""
    from importlib.metadata import entry_points  # 20 ms, only where functions are wanted

    found: list[Function] = []
    for entry in entry_points(group=GROUP):
        try:
            loaded = entry.load()
        except (Exception, SystemExit) as error:
            raise _broken(f"the entry point {entry.name}", error) from error
        found.extend(_functions_of(loaded) if isinstance(loaded, ModuleType) else [_described(loaded, entry.name)])
    return found


def redacted(problem: dict[str, Any], use: SecretUse) -> dict[str, Any]:
    """A problem with no opened secret in its texts."""
    return {key: use.redact(value) if isinstance(value, str) else value for key, value in problem.items()}


def _as(value: Json, kind: Any) -> Any:
    """The value as the parameter's type. 2.0 is a whole number to JSON Schema, and an expression may give it for 2."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError:
        return msgspec.convert(_whole(value), kind)


def _whole(value: Json) -> Json:
    if isinstance(value, dict):
        return {key: _whole(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_whole(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _called(code: Callable[..., Any], given: dict[str, Any]) -> Any:
    try:
        return code(**given)
    except BaseException as error:
        # No future can carry a StopIteration (the call would never be answered), and what is no Exception would end the
        # whole process, or nobody would hear of it; an interruption of the program itself never comes to a thread.
        if isinstance(error, Exception) and not isinstance(error, StopIteration):
            raise
        raise RuntimeError(spelled(error)) from error


async def _awaited(code: Callable[..., Any], given: dict[str, Any]) -> Any:
    try:
        return await code(**given)
    except (Exception, asyncio.CancelledError, GeneratorExit, KeyboardInterrupt):
        raise
    except BaseException as error:
        raise RuntimeError(spelled(error)) from error


def _described(code: Any, name: str) -> Function:
    told = getattr(code, _MARK, None)
    if told is None:
        raise Invalid(f"The entry point {name} is not decorated with `@perdure.function`.")
    return PythonFunction(code, told)


def _functions_of(module: ModuleType) -> list[Function]:
    """In the order of the module's text; a function under two names counts once."""
    codes = {
        id(value): value for value in vars(module).values() if isinstance(getattr(value, _MARK, None), Description)
    }
    return [PythonFunction(code, getattr(code, _MARK)) for code in codes.values()]


def _by_name(name: str) -> ModuleType:
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)  # a console script does not look where it was called
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(error.name + ".")):
            hint = "Give a module that can be imported from here, or the path of a .py file."
            raise Invalid(f"There is no module {name}.", hint=hint) from None
        raise _broken(name, error) from error
    except (Exception, SystemExit) as error:
        raise _broken(name, error) from error


def _from_path(path: Path) -> ModuleType:
    if not path.is_file():
        raise Invalid(f"There is no file {path}.", hint="Give the path of a .py file, or the name of a module.")
    folder = str(path.resolve().parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)  # its neighbours are imported by name
    name = path.stem if path.stem not in sys.modules else f"{path.stem} of {folder}"  # a file may be called json.py
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise Invalid(f"{path} is no Python file.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        sys.modules.pop(name, None)
        raise _broken(str(path), error) from error
    return module


def _broken(name: str, error: BaseException) -> Invalid:
    if isinstance(error, PerdureError):
        return Invalid(f"{name} cannot be loaded: {error.message}", hint=error.hint)
    return Invalid(f"{name} cannot be loaded: {spelled(error)}.")


def _parameters(code: Callable[..., Any], name: str) -> tuple[dict[str, Any], bool]:
    """Each named parameter's type (Any without one), and whether there is a `context`."""
    signature = inspect.signature(code)
    try:
        hints = get_type_hints(code, include_extras=True)
    except NameError as error:
        raise Invalid(f"The types of {name} cannot be read: {error}.") from None
    types: dict[str, Any] = {}
    for parameter in signature.parameters.values():
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.VAR_POSITIONAL):
            raise Invalid(f"{name} takes {parameter.name} by position.", hint="A call gives arguments by name only.")
        if parameter.kind is not parameter.VAR_KEYWORD and parameter.name != "context":
            types[parameter.name] = hints.get(parameter.name, Any)
    return types, "context" in signature.parameters


def _derived(code: Callable[..., Any], types: dict[str, Any], name: str) -> dict[str, Any]:
    """The input schema that the parameters' types say."""
    try:
        schemas, components = msgspec.json.schema_components(list(types.values()), ref_template="#/$defs/{name}")
    except TypeError as error:
        raise Invalid(
            f"No schema can be read off the types of {name}: {error}.", hint="Give one: @function(input={...})."
        ) from None
    properties = dict(zip(types, schemas, strict=True))
    parameters = inspect.signature(code).parameters
    required = [key for key in types if parameters[key].default is inspect.Parameter.empty]
    for key in types:
        default = parameters[key].default
        if isinstance(default, str | int | float | bool):
            properties[key] = {**properties[key], "default": default}
    is_open = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    schema: dict[str, Any] = {"type": "object", "properties": properties, "additionalProperties": is_open}
    if required:
        schema["required"] = required
    if components:
        schema["$defs"] = components
    return schema


def _check_schemas(name: str, *schemas: Schema | None) -> None:
    for schema in schemas:
        if schema is not None:
            try:
                schema.check()
            except ValueError as error:
                raise Invalid(f"A schema of {name} does not fit: {error}") from None


def _refused(name: str, reason: str) -> FunctionFault:
    return FunctionFault(problem("validation", title="arguments refused", detail=f"{name}: {reason}"))
