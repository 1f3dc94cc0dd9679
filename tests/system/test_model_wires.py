"""A real model behind llama.cpp's own server, over all the wires that it speaks: few tokens, no judgement of what it says."""

import contextlib
import json
import subprocess
import sys

import pytest

from perdure.adapters.anthropic import AnthropicModel
from perdure.adapters.clock import SystemClock
from perdure.adapters.egress import HttpEgress
from perdure.adapters.local_model_weights import is_installed, weights
from perdure.adapters.openai import OpenAIModel
from perdure.adapters.openai_responses import OpenAIResponsesModel
from perdure.ports.model import Answer, Message, Request, Texts, Tool

pytestmark = pytest.mark.slow

ADAPTERS = [OpenAIModel, OpenAIResponsesModel, AnthropicModel]
SCHEMA = {
    "type": "object",
    "properties": {"colour": {"enum": ["red", "green"]}},
    "required": ["colour"],
    "additionalProperties": False,
}


@contextlib.contextmanager
def native(way=""):
    command = [sys.executable, "-m", "tests.servers.native_model", way]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        yield process.stdout.readline().strip()
    finally:
        process.stdin.close()
        process.stdout.close()
        process.kill()
        process.wait(30)


@pytest.fixture(scope="module")
def server():
    if not is_installed():
        pytest.skip("skipped: the local model is not installed (make setup)")
    with native() as url:
        yield url


@pytest.fixture
async def egress():
    opened = HttpEgress(["127.0.0.1"])
    yield opened
    await opened.close()


def asked(**more):
    parameters = {"temperature": 0, "maxTokens": more.pop("tokens", 6), "seed": 1}
    return Request(messages=(Message("user", "Say hello."),), key="k", parameters=parameters, **more)


each = pytest.mark.parametrize("adapter", ADAPTERS, ids=lambda adapter: adapter.__name__)


@each
async def test_a_stream_says_what_a_whole_answer_says(server, egress, adapter, took_part):
    took_part(weights().stem)
    model = adapter(egress, SystemClock(), url=server, model="local")
    whole = await model.ask(asked())
    chunks = [chunk async for chunk in model.stream(asked())]
    last = chunks[-1]
    assert isinstance(last, Answer)
    assert "".join(chunk.text for chunk in chunks[:-1]) == last.text == whole.text != ""
    assert (whole.usage["outputTokens"], last.usage["outputTokens"]) == (6, 6)
    assert whole.usage["inputTokens"] > 0


async def test_a_structured_answer(server, egress):
    """On the chat wire only: this server binds neither the answers of the others nor the choice of a tool."""
    model = OpenAIModel(egress, SystemClock(), url=server, model="local")
    answer = await model.ask(asked(schema=SCHEMA, tokens=24))
    assert json.loads(answer.text)["colour"] in ("red", "green")


@each
async def test_tools_may_be_told(server, egress, adapter):
    model = adapter(egress, SystemClock(), url=server, model="local")
    tool = Tool("weather", "The weather.", {"type": "object", "properties": {"city": {"type": "string"}}})
    assert (await model.ask(asked(tools=(tool,)))).finish in ("stop", "length", "tools")


async def test_embeddings(egress, require):
    require(is_installed(), "skipped: the local model is not installed (make setup)")
    with native("embed") as url:
        model = OpenAIModel(egress, SystemClock(), url=url, model="local")
        made = await model.embed(Texts(texts=("red", "green", "red"), key="k"))
    first, second, third = made.vectors
    assert len(first) > 100
    assert first == pytest.approx(third, abs=1e-4)
    assert first != pytest.approx(second, abs=1e-2)
    assert made.usage["inputTokens"] > 0
