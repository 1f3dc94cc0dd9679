"""Calls of `agent`: tools that exist, and nothing that an expression would have to make."""

import pytest

from perdure.interpreter.agent_arguments import FIXED as FIXED_BY_THE_MACHINE
from perdure.interpreter.agent_arguments import INPUT
from perdure.interpreter.tasks import call_
from perdure.language.check import check
from perdure.language.read import read
from perdure.language.rules import agents

DOCUMENT = """
document: { dsl: '1.0.3', namespace: test, name: agent, version: '1.0.0' }
use: { functions: { lookup: { set: { a: 1 } } } }
do:
  - ask:
      call: agent
      with: %s
"""


class Catalog:
    def names(self):
        return ["agent", "weather"]

    def schema_of(self, name, version):
        return INPUT if name == "agent" else {} if name == "weather" and version in (None, "1.0.0") else None


def found(with_):
    findings = check(read(DOCUMENT % with_), functions=Catalog())
    return [(finding.code, finding.pointer, finding.message, finding.hint) for finding in findings]


def test_what_fits():
    tools = "[lookup, weather, 'weather:1.0.0@default', {name: weather, version: 1.0.0, parameters: {}}]"
    assert found(f"{{instruction: '${{ .i }}', tools: {tools}, approval: [lookup, weather], output: true}}") == []
    assert found("{instruction: i, tools: [weather], handover: [lookup], approval: [lookup]}") == []


@pytest.mark.parametrize(
    ("with_", "code", "place", "said"),
    [
        ("tools: [wether]", "unknown-function", "tools/0", "There is no function 'wether'."),
        ("tools: [{name: lokup}]", "unknown-function", "tools/0", "There is no function 'lokup'."),
        ("tools: ['weather:2']", "unknown-function", "tools/0", "has no such version"),
        ("tools: [{name: weather, version: '2'}]", "unknown-function", "tools/0", "has no such version"),
        ("tools: [http]", "unknown-function", "tools/0", "'http' cannot be a tool itself."),
        ("tools: [agent]", "unknown-function", "tools/0", "'agent' cannot be a tool itself."),
        ("tools: '${ .tools }'", "fixed-text", "tools", "an expression cannot make it"),
        ("tools: ['${ .tool }']", "fixed-text", "tools", "an expression cannot make it"),
        ("output: '${ .s }'", "fixed-text", "output", "an expression cannot make it"),
        ("approval: ['${ .s }']", "fixed-text", "approval", "an expression cannot make it"),
        ("handover: ['${ .s }']", "fixed-text", "handover", "an expression cannot make it"),
        ("handover: [lookpu]", "unknown-function", "handover/0", "to hand over to"),
        ("tools: [weather], approval: [wether]", "unknown-name", "approval/0", "none of the agent's tools"),
    ],
)
def test_what_does_not_fit(with_, code, place, said):
    ((seen, pointer, message, _hint),) = found(f"{{instruction: i, {with_}}}")
    assert (seen, pointer) == (code, f"/do/0/ask/with/{place}")
    assert said in message


def test_hints_name_the_nearest():
    assert found("{instruction: i, tools: [wether]}")[0][3] == "Did you mean 'weather'?"
    assert "'lookup'" in found("{instruction: i, tools: [lokup]}")[0][3]


@pytest.mark.parametrize(
    "with_",
    [
        "{instruction: i, tools: 7, handover: 7, approval: 7}",
        "{instruction: i, tools: [7], handover: [7], approval: [7]}",
    ],
)
def test_shapes_are_left_to_the_schema(with_):
    assert {code for code, *_ in found(with_)} == {"arguments"}


def test_arguments_that_are_one_expression_are_refused():
    assert [code for code, *_ in found("'${ . }'")] == ["wrong-type"]


def test_both_floors_mean_the_same():
    assert (agents.AGENT, agents.FIXED) == (call_.AGENT, FIXED_BY_THE_MACHINE)
