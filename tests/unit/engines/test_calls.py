"""What a function says of the secrets it was given is hidden before anything else sees it."""

import pytest

from perdure.adapters.clock import SystemClock
from perdure.engines.calls import Caller, Calls
from perdure.interpreter import handles
from perdure.interpreter.commands import ScheduleCall
from perdure.interpreter.faults import problem
from perdure.ports.function import FunctionFault, Result
from perdure.ports.secrets import Secret

SECRET = "s3cr3t-canary-0451"


class Chatterbox:
    """A function that tells what it was given, in one of several ways."""

    def effect_of(self, arguments, resources):
        return "read"

    async def execute(self, arguments, context):
        opened = handles.resolve(arguments, context.secret)
        context.progress({"with": opened["token"]})
        if arguments["how"] == "result":
            return Result({"said": [f"Bearer {opened['token']}"], opened["token"]: 1}, usage={"by": opened["token"]})
        if arguments["how"] == "fault":
            raise FunctionFault(problem("communication", detail=f"401 for {opened['token']}"))
        raise ValueError(f"what is {opened['token']}?")


class OneSecret:
    async def get(self, tenant, name):
        return Secret({"key": SECRET, "region": "north"})


class Quiet(Chatterbox):
    async def execute(self, arguments, context):
        return ["north", SECRET]


class Table:
    def __init__(self, function):
        self.function = function

    def get(self, name, version):
        return self.function


def calls_of(function, progress=None):
    return Calls(
        Table(function), SystemClock(), secrets=OneSecret(), limit=1, result_bytes=1000,
        answer=lambda key, outcome: None, mark=None, progress=progress,
    )  # fmt: skip


@pytest.mark.parametrize("how", ["result", "fault", "error"])
async def test_a_secret_that_comes_back_is_hidden(how):
    progress = []
    calls = calls_of(Chatterbox(), lambda *told: progress.append(told))
    args = {"how": how, "token": {"$perdure.secret": ["t", "key"]}, "place": "north"}
    command = ScheduleCall(id="1", path="/0/a", ref="/do/0/a", function="f", args=args, key="k")
    outcome = await calls.call(Caller(1, "t", "r", {}), command)
    assert "***" in repr(outcome)
    assert SECRET not in repr(outcome) + repr(progress)
    assert progress[0][2] == {"with": "***"}


class Unspeakable(Exception):
    def __str__(self):
        raise RuntimeError("no")


class Raising(Chatterbox):
    def __init__(self, error):
        self.error = error

    async def execute(self, arguments, context):
        handles.resolve(arguments, context.secret)
        raise self.error


@pytest.mark.parametrize(
    ("error", "detail"),
    [
        (ValueError("no"), "ValueError: no"),
        (MemoryError(), "MemoryError"),
        (FileNotFoundError("r\udce9sum\udce9.txt"), r"FileNotFoundError: r\udce9sum\udce9.txt"),
        (ValueError("z" * 40_000_000), f"ValueError: {'z' * 15_988}… (40,000,012 characters)"),
        (ValueError(f"{'z' * 15_980}{SECRET}"), f"ValueError: {'z' * 15_980}***"),
        (Unspeakable(), "Unspeakable: its text cannot be had (RuntimeError)"),
    ],
    ids=["plain", "silent", "half a character", "huge", "a secret where it is cut", "unspeakable"],
)
async def test_what_an_exception_says_can_be_kept(error, detail):
    args = {"token": {"$perdure.secret": ["t", "key"]}}
    command = ScheduleCall(id="1", path="/0/a", ref="/do/0/a", function="f", args=args, key="k")
    outcome = await calls_of(Raising(error)).call(Caller(1, "t", "r", {}), command)
    assert outcome.error["detail"] == detail


async def test_what_was_not_opened_is_not_hidden():
    command = ScheduleCall(id="1", path="/0/a", ref="/do/0/a", function="f", args={}, key="k")
    outcome = await calls_of(Quiet()).call(Caller(1, "t", "r", {}), command)
    assert outcome.output == ["north", SECRET]
