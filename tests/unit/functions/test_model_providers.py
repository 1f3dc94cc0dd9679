"""What stands around every request of a run to a model: the rules of the installation, and what is made of its answer."""

import msgspec
import pytest

from perdure.adapters.model_catalog import ModelCatalog
from perdure.functions.embed import Embed
from perdure.functions.infer import Infer
from perdure.functions.model import Model
from perdure.functions.model_providers import GUARDRAIL, Providers
from perdure.ports.function import FunctionFault
from perdure.ports.model import Answer, ToolCall
from perdure.ports.spending import account
from perdure.services.agents.guardrails import Guardrails, Rule, Rules
from tests.unit.adapters.model_fakes import USAGE, Listed
from tests.unit.functions.test_infer import context

NO_KINGS = Rule(name="king", when='.messages[-1].content | test("king")', refuse="No kings.")
DIGITS = Rule(name="digits", mask=r"\d{4,}", by="[number]")


def asking(kind, *answers, before=(), after=()):
    """A function, and the model behind it."""
    inner = Listed(*answers or ("x",))
    rules = Guardrails(Rules(before=tuple(before), after=tuple(after)))
    return kind(Providers(ModelCatalog({"p": inner}, "p"), ["p"], None, rules)), inner


def turn(text, **more):
    return {"messages": [{"role": "user", "content": text}], **more}


REQUESTS = [
    (Infer, lambda text: {"instruction": "Say.", "input": text}),
    (Model, turn),
    (Embed, lambda text: {"input": text}),
]


@pytest.mark.parametrize(("kind", "arguments"), REQUESTS)
async def test_rules_hold_for_whatever_a_run_asks(kind, arguments):
    function, inner = asking(kind, before=[DIGITS, NO_KINGS])
    await function.execute(arguments("call 12345"), context())
    sent = inner.requests[0]
    assert (sent.texts if kind is Embed else [sent.messages[-1].text])[0] == "call [number]"
    with pytest.raises(FunctionFault, match="No kings") as fault:
        await function.execute(arguments("the king"), context())
    assert (fault.value.problem["type"], fault.value.outcome) == (GUARDRAIL, "definite")
    assert len(inner.requests) == 1


async def test_what_is_told_of_tools_is_masked_and_no_longer_than_their_results():
    function, inner = asking(Model, before=[DIGITS])
    tool = {"name": "t", "description": "Calls 12345. " + "y" * 20_000, "parameters": {"type": "object"}}
    await function.execute(turn("x", tools=[tool]), context())
    told = inner.requests[0].tools[0].description
    assert told.startswith("Calls [number]. y")
    assert "\n[cut: " in told
    assert len(told) < 16_100


async def test_a_rule_about_answers_sees_the_whole_before_anybody_else():
    told = []
    function, _inner = asking(Model, ["the sec", "ret word"], after=[Rule(name="m", mask="secret")])
    listening = msgspec.structs.replace(context(), progress=told.append)
    result = await function.execute(turn("x", stream=True), listening)
    assert (result.output["text"], told) == ("the [masked] word", [])
    function, _inner = asking(Model, after=[Rule(name="n", when='.text == "x"', refuse="Not that.")])
    with pytest.raises(FunctionFault, match="Not that"):
        await function.execute(turn("x"), context())


@pytest.mark.parametrize(
    ("whose", "seen"),
    [("key_1", {"subject": "key:key_1", "key": "key_1"}), ("ana", {"subject": "ana", "key": ""})],
)
async def test_a_rule_knows_on_whose_account_a_run_asks(whose, seen):
    wanted = {"tenant": "t", "project": "red", **seen}
    rule = Rule(name="who", when=f"$caller == {msgspec.json.encode(wanted).decode()}", refuse="It is.")
    function, _inner = asking(Model, before=[rule])
    mine = msgspec.structs.replace(context(), resources=account(key=whose, project="red"))
    with pytest.raises(FunctionFault, match=r"It is\."):
        await function.execute(turn("x"), mine)
    await function.execute(turn("x"), context())


@pytest.mark.parametrize(
    "said", ['```json\n{"a": 1}\n```', '\n```\n{"a": 1}```  ', '{"a": 1}', '```JSON \r\n{"a": 1}\r\n```']
)
async def test_json_may_stand_in_a_fence(said):
    function, _inner = asking(Infer, said)
    wanted = {"instruction": "x", "output": {"type": "object"}}
    assert (await function.execute(wanted, context())).output == {"a": 1}
    if "```" in said:  # only where JSON was asked for
        assert (await function.execute({"instruction": "x"}, context())).output == said


async def test_a_fence_within_other_words_stays():
    function, _inner = asking(Model, 'Here: ```json\n{"a": 1}\n```')
    result = await function.execute(turn("x", output={"type": "object"}), context())
    assert result.output["text"].startswith("Here:")


async def test_calls_of_tools_pass_the_rules_too():
    call = ToolCall("1", "t", {"to": "12345"})

    class Calling(Listed):
        async def ask(self, request):
            return Answer(text="", finish="tools", usage=dict(USAGE), tool_calls=(call,))

    rules = Guardrails(Rules(after=(DIGITS,)))
    function = Model(Providers(ModelCatalog({"p": Calling()}, "p"), ["p"], None, rules))
    result = await function.execute(turn("x"), context())
    assert result.output["toolCalls"] == [{"id": "1", "name": "t", "arguments": {"to": "[number]"}}]
