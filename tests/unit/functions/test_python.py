"""Python functions of the user: the decorator, schemas read off types, loading, faults."""

import asyncio
import dataclasses
import datetime as dt
import importlib.metadata
import json
import threading
from typing import Annotated, Any, Literal

import msgspec
import pytest

import perdure
from perdure.errors import Invalid
from perdure.functions import python
from perdure.functions.python import Description, PythonFunction, function, load
from perdure.ports.function import FunctionFault, Result
from tests.servers.calls import context, handle


def wrapped(code):
    return PythonFunction(code, code.__perdure_function__)


@dataclasses.dataclass
class Order:
    id: str
    amount: float = 1.0


async def test_bare_and_with_arguments():
    @function
    def double(number: int) -> int:
        """Twice the number.

        More text.
        """
        return number * 2

    @function(name="triple-it", version="2.1.0", effect="read", summary="Three times.")
    async def triple(number: int) -> int:
        return number * 3

    assert double(4) == 8
    first, second = wrapped(double), wrapped(triple)
    assert (first.name, first.version, first.effect, first.summary) == (
        "double",
        "1.0.0",
        "idempotent",
        "Twice the number.",
    )
    assert (second.name, second.version, second.effect_of({}, {}), second.summary) == (
        "triple-it",
        "2.1.0",
        "read",
        "Three times.",
    )
    assert await first.execute({"number": 4}, context()) == 8
    assert await second.execute({"number": 4}, context()) == 12
    assert repr(second) == "PythonFunction(triple-it:2.1.0, read)"


def test_the_package_offers_the_decorator():
    assert perdure.function is function


async def test_sync_functions_run_in_a_thread_and_async_ones_do_not():
    @function
    def sync():
        return threading.current_thread() is threading.main_thread()

    @function
    async def asynchronous():
        return threading.current_thread() is threading.main_thread()

    assert await wrapped(sync).execute({}, context()) is False
    assert await wrapped(asynchronous).execute(None, context()) is True


def test_the_schema_is_read_off_the_types():
    @function
    def pay(
        order: Order, currency: Literal["EUR", "USD"] = "EUR", count: Annotated[int, msgspec.Meta(ge=1)] = 1, any=None
    ):
        return None

    schema = wrapped(pay).input_schema
    assert schema["required"] == ["order"]
    assert schema["additionalProperties"] is False
    assert schema["properties"]["currency"] == {"enum": ["EUR", "USD"], "default": "EUR"}
    assert schema["properties"]["count"] == {"type": "integer", "minimum": 1, "default": 1}
    assert schema["properties"]["any"] == {}
    assert schema["properties"]["order"] == {"$ref": "#/$defs/Order"}
    assert schema["$defs"]["Order"]["required"] == ["id"]


async def test_values_are_converted_in_and_out():
    @function
    def ship(order: Order, on: dt.date) -> Order:
        assert isinstance(order, Order)
        assert on.year == 2026
        return dataclasses.replace(order, amount=order.amount + 1)

    given = {"order": {"id": "a", "amount": 2}, "on": "2026-11-21"}
    assert await wrapped(ship).execute(given, context()) == {"id": "a", "amount": 3.0}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"number": "4"}, "number"),
        ({}, "number"),
        ({"number": 4, "nubmer": 5}, "nubmer"),
        ([1], "object"),
    ],
)
async def test_arguments_that_do_not_fit_are_a_validation_fault(arguments, said):
    @function
    def double(number: int) -> int:
        return number * 2

    with pytest.raises(FunctionFault) as caught:
        await wrapped(double).execute(arguments, context())
    problem = caught.value.problem
    assert (problem["status"], caught.value.outcome) == (400, "definite")
    assert problem["type"].endswith("/validation")
    assert said in problem["detail"]
    assert "double" in problem["detail"]


async def test_a_conversion_that_fails_is_a_validation_fault():
    @function(input={})
    def ship(on: dt.date):
        return None

    with pytest.raises(FunctionFault, match="on: "):
        await wrapped(ship).execute({"on": "tomorrow"}, context())
    with pytest.raises(FunctionFault, match="must be a map"):
        await wrapped(ship).execute([], context())


async def test_a_context_is_given_when_asked_for():
    @function
    def key(context: perdure.ports.function.Context, extra: str = "") -> str:
        return context.key + extra

    assert "context" not in wrapped(key).input_schema["properties"]
    assert await wrapped(key).execute({"extra": "!"}, context(key="k7")) == "k7!"


async def test_other_arguments_may_be_taken_as_a_map():
    @function
    def all_of(**rest: Any) -> dict[str, Any]:
        return rest

    assert await wrapped(all_of).execute({"a": 1, "b": [2]}, context()) == {"a": 1, "b": [2]}


async def test_secrets_are_opened_and_kept_out_of_messages():
    @function
    def use(token: str, count: int) -> str:
        return token.upper()

    assert await wrapped(use).execute({"token": handle("t"), "count": 1}, context({"t": "abc"})) == "ABC"
    with pytest.raises(FunctionFault) as caught:
        await wrapped(use).execute({"token": "x", "count": handle("t")}, context({"t": "hidden-value"}))
    assert "hidden-value" not in str(caught.value.problem)


async def test_results_with_usage_go_through():
    @function
    def ask() -> Result:
        return Result({"when": dt.date(2026, 1, 2)}, {"tokens": 3})

    answer = await wrapped(ask).execute({}, context())
    assert (answer.output, answer.usage) == ({"when": "2026-01-02"}, {"tokens": 3})


async def test_a_result_that_is_no_json_is_a_fault_whose_outcome_is_unknown():
    @function
    def odd():
        return object()

    with pytest.raises(FunctionFault, match="not JSON") as caught:
        await wrapped(odd).execute({}, context())
    assert caught.value.outcome == "unknown"


async def test_an_output_schema_is_held():
    @function(output={"type": "integer"})
    def number(give: Any) -> Any:
        return give

    assert await wrapped(number).execute({"give": 3}, context()) == 3
    with pytest.raises(FunctionFault, match="its own output schema"):
        await wrapped(number).execute({"give": "x"}, context())


async def test_what_a_function_raises_goes_on():
    @function
    def fail():
        raise ZeroDivisionError("x")

    with pytest.raises(ZeroDivisionError):
        await wrapped(fail).execute({}, context())


def test_the_decorator_tells_what_is_wrong():
    with pytest.raises(Invalid, match="no effect"):
        function(effect="maybe")
    with pytest.raises(Invalid, match="no version"):
        function(version="1")


@pytest.mark.parametrize(
    ("code", "told", "said"),
    [
        (lambda a, /: a, Description("f", "1.0.0", "read", None, None, None), "by position"),
        (lambda *a: a, Description("f", "1.0.0", "read", None, None, None), "by position"),
        (lambda a: a, Description("http", "1.0.0", "read", None, None, None), "cannot be the name"),
        (lambda a: a, Description("a b", "1.0.0", "read", None, None, None), "cannot be the name"),
        (lambda a: a, Description("f", "1.0.0", "read", {"type": 3}, None, None), "A schema of f"),
        (lambda a: a, Description("f", "1.0.0", "read", None, {"type": 3}, None), "A schema of f"),
    ],
)
def test_functions_that_cannot_be_called_are_refused(code, told, said):
    with pytest.raises(Invalid, match=said):
        PythonFunction(code, told)


def test_types_that_say_no_schema_are_told():
    def odd(a: threading.Thread):
        return None

    def unknown(a: "NoSuchType"):  # noqa: F821
        return None

    with pytest.raises(Invalid, match="input="):
        PythonFunction(odd, Description(None, "1.0.0", "read", None, None, None))
    with pytest.raises(Invalid, match="types of unknown"):
        PythonFunction(unknown, Description(None, "1.0.0", "read", None, None, None))


MODULE = """
import perdure
from neighbour import WORD

@perdure.function
def greet(name: str) -> str:
    return WORD + name

again = greet

@perdure.function(name="other")
async def second() -> None: ...
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "my_own_functions.py").write_text(MODULE)
    (tmp_path / "neighbour.py").write_text("WORD = 'Hello '\n")
    (tmp_path / "json.py").write_text("import perdure\n@perdure.function\ndef named_like_a_module(): ...\n")
    (tmp_path / "nothing.py").write_text("x = 1\n")
    (tmp_path / "broken.py").write_text("1 / 0\n")
    (tmp_path / "lacking.py").write_text("import no_such_module_at_all\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", list(__import__("sys").path))
    before = set(__import__("sys").modules)
    yield tmp_path
    for name in set(__import__("sys").modules) - before:
        __import__("sys").modules.pop(name)


@pytest.mark.parametrize("how", ["my_own_functions", "my_own_functions.py", "{folder}/my_own_functions.py"])
async def test_a_module_is_loaded_by_name_or_path(folder, how):
    found = load(how.format(folder=folder))
    assert [one.name for one in found] == ["greet", "other"]
    assert await found[0].execute({"name": "Ada"}, context()) == "Hello Ada"


def test_a_file_may_be_called_like_a_module(folder):
    import json

    assert [one.name for one in load("json.py")] == ["named_like_a_module"]
    assert __import__("sys").modules["json"] is json


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("no_such_module", "There is no module no_such_module"),
        ("no_such.module", "There is no module"),
        ("none.py", "There is no file none.py"),
        ("nothing", "no function for documents"),
        ("broken", "ZeroDivisionError"),
        ("broken.py", "ZeroDivisionError"),
        ("lacking", "no_such_module_at_all"),
        ("lacking.py", "no_such_module_at_all"),
    ],
)
def test_loading_tells_what_is_wrong(folder, how, said):
    with pytest.raises(Invalid, match=said):
        load(how)


@pytest.mark.parametrize(
    "error", [BaseException("no"), SystemExit(3), KeyboardInterrupt(), GeneratorExit(), StopIteration()]
)
async def test_nothing_that_a_function_raises_ends_the_process_or_is_lost(error):
    @function
    def ends():
        raise error

    with pytest.raises(RuntimeError, match=type(error).__name__):
        await asyncio.wait_for(wrapped(ends).execute({}, context()), 10)


async def test_what_is_no_exception_of_an_async_function_is_its_fault_too():
    @function
    async def ends():
        raise SystemExit(3)

    with pytest.raises(RuntimeError, match="SystemExit: 3"):
        await wrapped(ends).execute({}, context())


async def test_a_whole_number_may_come_as_a_fraction_of_nothing():
    @function
    def twice(numbers: list[int], by: dict[str, int] | None = None) -> list[Any]:
        return [number * 2 for number in numbers] + list((by or {}).values())

    assert json.dumps(await wrapped(twice).execute({"numbers": [1.0, 2], "by": {"a": 3.0}}, context())) == "[2, 4, 3]"
    with pytest.raises(FunctionFault):
        await wrapped(twice).execute({"numbers": [1.5]}, context())


def test_a_module_that_ends_the_process_is_refused(tmp_path):
    (tmp_path / "leaving.py").write_text("import sys; sys.exit(5)")
    with pytest.raises(Invalid, match="cannot be loaded: SystemExit: 5"):
        load(str(tmp_path / "leaving.py"))
    (tmp_path / "odd.py").write_text("import perdure\n@perdure.function(effect='odd')\ndef f(): ...")
    with pytest.raises(Invalid, match="cannot be loaded: 'odd' is no effect.") as refused:
        load(str(tmp_path / "odd.py"))
    assert refused.value.hint == "Use read, idempotent or unsafe."


def test_installed_packages_offer_functions_by_entry_points(folder, monkeypatch):
    def entry(value):
        return importlib.metadata.EntryPoint(name="mine", value=value, group=python.GROUP)

    def offering(*values):
        monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: [entry(value) for value in values])

    monkeypatch.syspath_prepend(str(folder))
    offering("my_own_functions", "my_own_functions:second")
    assert [one.name for one in python.installed()] == ["greet", "other", "other"]
    offering("neighbour:WORD")
    with pytest.raises(Invalid, match="not decorated"):
        python.installed()
    offering("broken")
    with pytest.raises(Invalid, match="entry point mine cannot be loaded"):
        python.installed()
