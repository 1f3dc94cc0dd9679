"""Programs: what compiling pins is kept with the definition, so that a later catalog does not change a run."""

import pytest

from perdure.engines.embedded.programs import Programs
from perdure.errors import Bug, Invalid, NotFound
from perdure.functions.agent import Agent
from perdure.functions.python import PythonFunction, function
from perdure.functions.table import Table

HEAD = {"dsl": "1.0.3", "namespace": "n", "name": "w", "version": "1.0.0"}
DOCUMENT = {"document": HEAD, "do": [{"a": {"call": "agent", "with": {"instruction": "i", "tools": ["look"]}}}]}
PLAIN = {"document": HEAD, "do": [{"a": {"set": {"x": 1}}}]}


def table(summary):
    def look(city: str) -> str:
        return city

    function(summary=summary)(look)
    return Table([Agent(), PythonFunction(look, look.__perdure_function__)])


def test_a_definition_without_tools_is_known_by_its_own_content():
    programs = Programs(table("One."), lambda hash: None)
    assert programs.add(PLAIN, {})[0] == programs.add(PLAIN, None)[0]
    assert programs.add(PLAIN, {})[1].resources == {}


def test_a_run_goes_on_with_the_tools_that_it_began_with():
    stored = {}
    before = Programs(table("One."), stored.get)
    hash, program = before.add(DOCUMENT, {})
    assert before.add(DOCUMENT, {}) == (hash, program)
    assert program.resources["perdure:tools/look"]["description"] == "One."
    stored[hash] = (program.document, program.resources)
    after = Programs(table("Two."), stored.get)
    again = after.get(hash, program.hash)
    assert again.nodes["/do/0/a"].body.tools["look"].description == "One."
    other, newer = after.add(DOCUMENT, {})
    assert (other, newer.hash) != (hash, program.hash)
    assert newer.nodes["/do/0/a"].body.tools["look"].description == "Two."
    assert after.get(hash, program.hash) is again


def test_what_is_not_there_and_what_is_another():
    programs = Programs(table("One."), {"h": (PLAIN, {})}.get)
    with pytest.raises(NotFound):
        programs.get("x")
    with pytest.raises(Bug):
        programs.get("h", "another")


def test_a_tool_that_is_not_here_is_told_before_the_run_goes_on():
    stored = {}
    before = Programs(table("One."), stored.get)
    hash, program = before.add(DOCUMENT, {})
    before.check_tools(program)
    stored[hash] = (program.document, program.resources)
    after = Programs(Table([Agent()]), stored.get)
    with pytest.raises(Invalid, match="a tool 'look', and there is no function"):
        after.check_tools(after.get(hash))
