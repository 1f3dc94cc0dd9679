"""The real small model in its own process: found again, asked once for each key, alive after a kill, gone when idle."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from perdure.adapters.clock import SystemClock
from perdure.adapters.egress import HttpEgress
from perdure.adapters.local_model_client import LocalModel
from perdure.adapters.local_model_state import STATE, read_state
from perdure.adapters.local_model_weights import is_installed, weights
from perdure.ports.model import Message, ModelFailed, Request, Texts, Tool

pytestmark = pytest.mark.slow

SCHEMA = {
    "type": "object",
    "properties": {"colour": {"enum": ["red", "green", "blue"]}},
    "required": ["colour"],
    "additionalProperties": False,
}


@pytest.fixture
def installed(require, took_part):
    require(is_installed(), "skipped: the local model is not installed (make setup)")
    took_part(weights().stem)


@pytest.fixture
async def egress():
    opened = HttpEgress(["127.0.0.1"])
    yield opened
    await opened.close()


@pytest.fixture
def directory(tmp_path):
    yield tmp_path
    stop(tmp_path)


def stop(directory: Path) -> None:
    pid = read_state(directory).get("pid")
    if pid:
        os.kill(pid, signal.SIGTERM)
        wait_for(lambda: not is_alive(pid))


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # A process that ended and was not collected by its new parent yet is over all the same.
    status = Path(f"/proc/{pid}/stat")
    return not status.exists() or status.read_text().rpartition(")")[2].split()[0] != "Z"


def wait_for(condition, seconds: float = 30.0) -> None:
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends, "waited too long"
        time.sleep(0.02)


def start(directory: Path, *more: str) -> dict:
    command = [sys.executable, "-m", "perdure.adapters.local_model", "--background", "--directory", str(directory)]
    done = subprocess.run([*command, *more], capture_output=True, text=True, timeout=90, check=False)
    return json.loads(done.stdout)


def question(key: str, text: str = "Grass is", **more) -> Request:
    return Request(messages=(Message("user", text),), key=key, **more)


async def test_it_answers_under_a_schema_with_usage(installed, egress, directory):
    model = LocalModel(egress, SystemClock(), directory=directory)
    answer = await model.ask(question("k", "Which colour has grass?", schema=SCHEMA))
    assert json.loads(answer.text)["colour"] in {"red", "green", "blue"}
    assert answer.finish == "stop"
    assert answer.usage["inputTokens"] > 5
    assert answer.usage["outputTokens"] > 3
    cut = await model.ask(question("l", "Tell a story.", parameters={"maxTokens": 4}))
    assert (cut.finish, cut.usage["outputTokens"]) == ("length", 4)


async def test_it_calls_tools(installed, egress, directory):
    model = LocalModel(egress, SystemClock(), directory=directory)
    told, paint = "Paint the wall green.", Tool("paint", "Paint the wall.", SCHEMA)
    answer = await model.ask(question("k", told, tools=(paint, Tool("wait", "", {})), choice="paint"))
    [call] = answer.tool_calls
    assert (call.name, answer.finish, answer.text) == ("paint", "tools", "")
    assert call.arguments["colour"] in {"red", "green", "blue"}
    *_, last = [chunk async for chunk in model.stream(question("l", told, tools=(paint,), choice="required"))]
    assert last.tool_calls == (await model.ask(question("m", told, tools=(paint,), choice="required"))).tool_calls
    assert (last.tool_calls[0].name, last.usage["outputTokens"] > 5) == ("paint", True)
    finished = await model.ask(question("n", told, tools=(paint,), schema=SCHEMA))
    assert finished.tool_calls or json.loads(finished.text)["colour"] in {"red", "green", "blue"}
    none = question("o", told, tools=(paint,), choice="none", parameters={"maxTokens": 20})
    assert (await model.ask(none)).tool_calls == ()
    with pytest.raises(ModelFailed, match="none of the tools"):
        await model.ask(question("p", told, tools=(paint,), choice="sing"))


async def test_one_process_for_one_directory(installed, egress, directory):
    pid = start(directory, "--ledger", str(directory / "ledger"))["pid"]
    assert start(directory)["pid"] == pid
    clients = [LocalModel(egress, SystemClock(), directory=directory) for _ in range(3)]
    answers = await asyncio.gather(*(client.ask(question("same", parameters={"maxTokens": 20})) for client in clients))
    assert answers[0] == answers[1] == answers[2]
    events = [json.loads(line)["event"] for line in (directory / "ledger").read_text().splitlines()]
    assert sorted(events) == ["computed", "joined", "joined", "started"]
    assert read_state(directory)["pid"] == pid
    assert (directory / STATE).stat().st_mode & 0o077 == 0


async def test_many_clients_start_one_process(installed, egress, directory):
    clients = [LocalModel(egress, SystemClock(), directory=directory) for _ in range(3)]
    await asyncio.gather(
        *(client.ask(question(f"k{i}", parameters={"maxTokens": 2})) for i, client in enumerate(clients))
    )
    assert is_alive(read_state(directory)["pid"])


async def test_a_killed_process_is_started_again(installed, egress, directory):
    model = LocalModel(egress, SystemClock(), directory=directory)
    await model.ask(question("a", parameters={"maxTokens": 2}))
    killed = read_state(directory)["pid"]
    os.kill(killed, signal.SIGKILL)
    wait_for(lambda: not is_alive(killed))
    await model.ask(question("b", parameters={"maxTokens": 2}))
    assert read_state(directory)["pid"] != killed


async def test_other_weights_replace_the_process(installed, egress, directory):
    await LocalModel(egress, SystemClock(), directory=directory).ask(question("a", parameters={"maxTokens": 2}))
    before = read_state(directory)["pid"]
    other = LocalModel(egress, SystemClock(), directory=directory, file=str(weights()))
    await other.ask(question("b", parameters={"maxTokens": 2}))
    assert read_state(directory)["pid"] != before
    wait_for(lambda: not is_alive(before))


def test_it_ends_when_idle_and_when_told(installed, directory):
    pid = start(directory, "--idle", "0.2")["pid"]
    wait_for(lambda: not is_alive(pid))
    assert not (directory / STATE).exists()
    pid = start(directory)["pid"]
    os.kill(pid, signal.SIGTERM)
    wait_for(lambda: not is_alive(pid))


async def test_weights_that_are_none(installed, egress, directory):
    broken = directory / "broken.gguf"
    broken.write_bytes(b"GGUF but not really")
    with pytest.raises(ModelFailed) as failed:
        await LocalModel(egress, SystemClock(), directory=directory / "d", file=str(broken)).ask(question("a"))
    assert failed.value.failure == "configuration"
    assert "broken.gguf" in str(failed.value)


async def test_weights_that_are_not_there(egress, directory):
    with pytest.raises(ModelFailed) as failed:
        await LocalModel(egress, SystemClock(), directory=directory, file=str(directory / "none")).ask(question("a"))
    assert failed.value.failure == "configuration"
    assert str(failed.value).endswith(".")


async def test_streams_and_vectors_of_the_same_weights(installed, egress, directory):
    model = LocalModel(egress, SystemClock(), directory=directory)
    request = Request(messages=(Message("user", "Say hello."),), key="k", parameters={"maxTokens": 4})
    *pieces, last = [chunk async for chunk in model.stream(request)]
    assert "".join(piece.text for piece in pieces) == last.text != ""
    assert len(pieces) > 1
    *pieces, again = [chunk async for chunk in model.stream(request)]
    assert (len(pieces), again) == (1, last)
    made = await model.embed(Texts(texts=("red", "green", "red"), key="k"))
    first, second, third = made.vectors
    assert first == pytest.approx(third, abs=1e-4)
    assert first != pytest.approx(second, abs=1e-2)
    with pytest.raises(ModelFailed, match="cannot be chosen"):
        await model.embed(Texts(texts=("red",), key="k", dimensions=3))
    assert (await model.ask(request)).text == last.text
