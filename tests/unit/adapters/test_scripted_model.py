"""The scripted model: answers from a file, chosen by the request alone."""

import pytest

from perdure.adapters.scripted_model import ScriptedModel
from perdure.ports.model import Answer, Message, ModelFailed, Request, ToolCall

SCRIPT = """
- toolCalls: [{name: weather, arguments: {city: Lisbon}}, {name: note, id: mine}]
  usage: {inputTokens: 12}
- It is sunny.
- {text: no, refused: true}
"""


def request(*roles, instruction="Plan."):
    said = [Message("system", instruction), *(Message(role, "x") for role in roles)]
    return Request(messages=tuple(said), key="k")


def scripted(tmp_path, text=SCRIPT):
    file = tmp_path / "script.yaml"
    file.write_text(text)
    return ScriptedModel(file)


async def test_answers_in_turn_and_the_same_when_asked_again(tmp_path):
    model = scripted(tmp_path)
    first = await model.ask(request("user"))
    assert first == Answer(
        text="",
        finish="tools",
        usage={"inputTokens": 12, "outputTokens": 0, "model": "scripted"},
        tool_calls=(ToolCall("call-0-0", "weather", {"city": "Lisbon"}), ToolCall("mine", "note", {})),
    )
    assert await model.ask(request("user")) == first
    second = await model.ask(request("user", "assistant", "tool"))
    assert (second.text, second.finish, second.tool_calls) == ("It is sunny.", "stop", ())
    assert (await model.ask(request("assistant", "assistant"))).finish == "refused"
    assert len(model.requests) == 4
    assert "4 requests" in repr(model)


async def test_several_conversations_by_their_instruction(tmp_path):
    model = scripted(tmp_path, "{Plan: [a], Sum up: [b]}")
    assert (await model.ask(request("user", instruction="Sum up it all."))).text == "b"
    with pytest.raises(ModelFailed, match="no answers for this instruction"):
        await model.ask(request(instruction="Else."))


async def test_a_script_that_is_over(tmp_path):
    with pytest.raises(ModelFailed, match="no answer number 2") as failed:
        await scripted(tmp_path, "[one]").ask(request("assistant"))
    assert (failed.value.failure, failed.value.sent) == ("configuration", False)


@pytest.mark.parametrize("text", ["7", "[{txt: a}]", "[", "{a: b}", "\x00"])
async def test_a_file_that_is_no_script(tmp_path, text):
    with pytest.raises(ModelFailed, match="cannot be used"):
        await scripted(tmp_path, text).ask(request())


async def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(ModelFailed, match="cannot be used"):
        await ScriptedModel(tmp_path / "none.yaml").ask(request())
