"""The steps: what each sentence of a scenario does. The first thirteen are those of the conformance kit."""

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import msgspec
import pytest
from pytest_bdd import given, parsers, then, when
from pytest_bdd.scenario import scenario_wrapper_template_registry

from perdure.interpreter.faults import BASE
from perdure.language.read import read
from perdure.language.values import Json
from tests.conformance.language import engine_driver
from tests.conformance.language.driver import MODES, Driver
from tests.conformance.language.scenario import AnyDriver, Scenario, milliseconds, name_of, property_of
from tests.conformance.language.world import Request, ScriptedSecrets

RUNNING = ("the workflow is executed", "the workflow is started")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Scenarios that run something run in every mode; the others say the same in all of them.

    One that makes an `@unsafe` call is not killed: a cut call of that kind ends as `outcome unknown`, rightly.
    """
    template = scenario_wrapper_template_registry.get(metafunc.function)
    if template is None:
        return
    runs = any(step.name in RUNNING for step in template.steps)
    modes = (*MODES, *engine_driver.MODES, "temporal") if runs else MODES[:1]
    metafunc.parametrize("mode", [m for m in modes if m != "killed" or "unsafe" not in template.tags], indirect=True)


def pytest_bdd_apply_tag(tag: str, function: object) -> bool:
    """Tags name rows and rules of the language; they are no marks of pytest."""
    return True


@pytest.fixture(autouse=True)
def mode(request: pytest.FixtureRequest) -> str:
    return str(getattr(request, "param", MODES[0]))


@pytest.fixture
def loop() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture
def scenario(mode: str, loop: asyncio.Runner, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Scenario]:
    secrets = ScriptedSecrets()
    driver: AnyDriver
    if mode in MODES:
        driver = Driver(loop, secrets, mode)
    elif mode == "temporal":
        server = request.getfixturevalue("temporal_server")
        request.getfixturevalue("took_part")("Temporal server")
        from tests.conformance.language.temporal_driver import TemporalDriver  # its libraries may be absent

        driver = TemporalDriver(loop, secrets, server.target, tmp_path)
    else:
        driver = engine_driver.EngineDriver(loop, secrets, tmp_path, mode)
    made = Scenario(driver, loop, secrets)
    yield made
    try:
        compare(request.node.nodeid.replace(f"[{mode}", "["), mode, made)
    finally:
        driver.close()


HISTORIES: dict[str, list[tuple[Any, ...]]] = {}
"""Scenario -> what the embedded engine told of its run; the Temporal engine has to tell the same."""


def compare(name: str, mode: str, scenario: Scenario) -> None:
    """One canonical history on both engines."""
    if mode not in {"engine", "temporal"} or not scenario.run:
        return
    # A real server's answers hold the time of day; of a scripted one they are the same each time.
    is_scripted = scenario.egress is scenario.hosts
    told = [
        (entry.number, entry.type, entry.path, entry.ref, entry.data if is_scripted else None)
        for entry in scenario.seen.entries
    ]
    if mode == "engine":
        HISTORIES[name] = told
    else:
        wanted = HISTORIES.pop(name, told)
        if "fork:" in scenario.definition:  # which branch is ahead is an outcome: each of them tells the same
            told.sort(key=_by_branch)
            wanted.sort(key=_by_branch)
            told, wanted = list(map(_without_order, told)), list(map(_without_order, wanted))
        assert told == wanted


def _without_order(entry: tuple[Any, ...]) -> str:
    """What an entry says, but for its number and for ids that are made from how many there were before."""
    return re.sub(r"[0-9a-f]{32}", "…", repr(entry[1:]))


def _by_branch(entry: tuple[Any, ...]) -> list[str]:
    return re.findall(r"/fork/branches/\d+", entry[2])


def data(docstring: str) -> Json:
    """The value that a step spells as YAML 1.2."""
    return read(docstring).value


# The steps of the conformance kit


@given("a workflow with definition:")
def _definition(scenario: Scenario, docstring: str) -> None:
    scenario.definition = docstring


@given("given the workflow input is:")
def _input(scenario: Scenario, docstring: str) -> None:
    scenario.input, scenario.has_input = data(docstring), True


@when("the workflow is executed")
def _executed(scenario: Scenario) -> None:
    scenario.execute(jumps=True)


@then("the workflow should complete")
def _completed(scenario: Scenario) -> None:
    assert scenario.seen.status == "completed", scenario.seen.error or scenario.seen.status


@then("the workflow should complete with output:")
def _completed_with(scenario: Scenario, docstring: str) -> None:
    _completed(scenario)
    assert scenario.seen.output == data(docstring)


@then("the workflow should fault")
def _faulted(scenario: Scenario) -> None:
    assert scenario.seen.status == "faulted", scenario.seen.output


@then("the workflow should fault with error:")
def _faulted_with(scenario: Scenario, docstring: str) -> None:
    _faulted(scenario)
    assert scenario.seen.error == data(docstring)


@then(parsers.re(r"the workflow output should have properties (?P<names>'.+')"))
def _has_properties(scenario: Scenario, names: str) -> None:
    for name in names.split(","):
        property_of(scenario.seen.output, name.strip().strip("'"))


@then(parsers.parse("the workflow output should have a '{name}' property with value:"))
def _has_property(scenario: Scenario, name: str, docstring: str) -> None:
    assert property_of(scenario.seen.output, name) == data(docstring)


@then(parsers.parse("the workflow output should have a '{name}' property containing {count:d} items"))
def _has_items(scenario: Scenario, name: str, count: int) -> None:
    assert len(property_of(scenario.seen.output, name)) == count


@then(parsers.re(r"(?P<name>\S+) should run first"))
def _first(scenario: Scenario, name: str) -> None:
    assert scenario.ran()[0] == name


@then(parsers.re(r"(?P<name>\S+) should run last"))
def _last(scenario: Scenario, name: str) -> None:
    assert scenario.ran()[-1] == name


@then(parsers.re(r"(?P<name>\S+) should run after (?P<other>\S+)"))
def _after(scenario: Scenario, name: str, other: str) -> None:
    ran = scenario.ran()
    assert ran.index(name) > ran.index(other)


# What a scenario is given


@given("a published workflow with definition:")
def _child(scenario: Scenario, docstring: str) -> None:
    scenario.children.append(docstring)


@given(parsers.parse("the function '{name}' returns:"))
def _returns(scenario: Scenario, name: str, docstring: str) -> None:
    scenario.function(name, [{"output": data(docstring)}])


@given(parsers.parse("the function '{name}' always fails with:"))
def _fails(scenario: Scenario, name: str, docstring: str) -> None:
    scenario.function(name, [{"fault": data(docstring)}])


@given(parsers.parse("the function '{name}' answers in turn:"))
def _in_turn(scenario: Scenario, name: str, docstring: str) -> None:
    scenario.function(name, data(docstring))


@given(parsers.parse("the function '{name}' gives back its arguments"))
def _echo(scenario: Scenario, name: str) -> None:
    scenario.function(name, None)


@given(parsers.parse("the host '{origin}' answers:"))
def _host(scenario: Scenario, origin: str, docstring: str) -> None:
    scenario.hosts.answers[origin] = data(docstring)


@given(parsers.parse("the secret '{name}' is:"))
def _secret(scenario: Scenario, name: str, docstring: str) -> None:
    scenario.secrets.values[name] = data(docstring)


# What happens


@when("the workflow is started")
def _started(scenario: Scenario) -> None:
    scenario.execute(jumps=False)


@when("the workflow is validated")
def _validated(scenario: Scenario) -> None:
    scenario.validate()


@when("an event arrives:")
def _event(scenario: Scenario, docstring: str) -> None:
    scenario.event(data(docstring))


@when(parsers.parse("time passes: {duration}"))
def _time(scenario: Scenario, duration: str) -> None:
    scenario.driver.advance(milliseconds(duration))


@when("the process is killed and started")
def _killed(scenario: Scenario) -> None:
    scenario.driver.kill()
    scenario.driver.settle()


@when("the run is cancelled")
def _cancelled(scenario: Scenario) -> None:
    scenario.driver.cancel(scenario.run)
    scenario.go_on()


@when("the run is cancelled with compensation")
def _cancelled_and_undone(scenario: Scenario) -> None:
    scenario.driver.cancel(scenario.run, compensate=True)
    scenario.go_on()


@when("the run is suspended")
def _suspended(scenario: Scenario) -> None:
    scenario.driver.suspend(scenario.run)
    scenario.go_on()


@when("the run is resumed")
def _resumed(scenario: Scenario) -> None:
    scenario.driver.resume(scenario.run)
    scenario.go_on()


@when("the failed task is retried")
def _retried(scenario: Scenario) -> None:
    scenario.driver.retry(scenario.run)
    scenario.go_on()


@when("the failed task is skipped with output:")
def _skipped(scenario: Scenario, docstring: str) -> None:
    scenario.driver.skip(scenario.run, data(docstring))
    scenario.go_on()


# What is so afterwards


@then(parsers.re(r"the workflow should be (?P<status>running|waiting|suspended|cancelled)"))
def _status(scenario: Scenario, status: str) -> None:
    assert scenario.seen.status == status, scenario.seen.error or scenario.seen.output


@then(parsers.parse("the workflow should fault with the standard error '{name}' and status {status:d}"))
def _faulted_standard(scenario: Scenario, name: str, status: int) -> None:
    _faulted(scenario)
    error = scenario.seen.error or {}
    assert (error["type"], error["status"]) == (BASE + name, status), error


@then(parsers.parse("the error should have instance '{pointer}'"))
def _instance(scenario: Scenario, pointer: str) -> None:
    assert (scenario.seen.error or {}).get("instance") == pointer


@then(parsers.parse("the error should have status {status:d}"))
def _error_status(scenario: Scenario, status: int) -> None:
    assert (scenario.seen.error or {}).get("status") == status


@then(parsers.parse("the error's detail should name '{text}'"))
def _detail(scenario: Scenario, text: str) -> None:
    assert text in str((scenario.seen.error or {}).get("detail"))


@then(parsers.re(r"(?P<name>\S+) should not run"))
def _not_run(scenario: Scenario, name: str) -> None:
    assert name not in scenario.ran()


@then(parsers.re(r"(?P<name>\S+) should run (?P<times>\d+) times"))
def _runs(scenario: Scenario, name: str, times: str) -> None:
    assert scenario.ran().count(name) == int(times)


@then(parsers.parse("the run should have taken {duration}"))
def _took(scenario: Scenario, duration: str) -> None:
    entries = [entry for entry in scenario.seen.entries if entry.type.startswith("workflow.")]
    assert entries[-1].at - entries[0].at == milliseconds(duration)


@then(parsers.parse("the call '{name}' should have been made {times:d} times"))
def _calls(scenario: Scenario, name: str, times: int) -> None:
    assert len(scenario.functions[name].calls) == times


@then(parsers.parse("the call '{name}' should have been made with:"))
def _call_with(scenario: Scenario, name: str, docstring: str) -> None:
    assert [call.arguments for call in scenario.functions[name].calls.values()][-1] == data(docstring)


@then(parsers.parse("the calls of '{name}' should have been made with:"))
def _calls_with(scenario: Scenario, name: str, docstring: str) -> None:
    assert [call.arguments for call in scenario.functions[name].calls.values()] == data(docstring)


@then(parsers.parse("the call '{name}' should have used {count:d} idempotency keys"))
def _keys(scenario: Scenario, name: str, count: int) -> None:
    assert len({call.key for call in scenario.functions[name].calls.values()}) == count


def asked(scenario: Scenario, origin: str) -> Request:
    requests = scenario.hosts.asked(origin)
    assert requests, f"{origin} was never asked"
    return requests[-1]


@then(parsers.parse("'{origin}' should have been asked {times:d} times"))
def _asked_times(scenario: Scenario, origin: str, times: int) -> None:
    assert len(scenario.hosts.asked(origin)) == times


@then(parsers.parse("'{origin}' should have been asked with headers:"))
def _asked_headers(scenario: Scenario, origin: str, docstring: str) -> None:
    sent = asked(scenario, origin).headers
    assert sent | data(docstring) == sent


@then(parsers.parse("'{origin}' should have been asked with body:"))
def _asked_body(scenario: Scenario, origin: str, docstring: str) -> None:
    assert msgspec.json.decode(asked(scenario, origin).body or b"null") == data(docstring)


@then(parsers.parse("'{origin}' should have been asked with a form:"))
def _asked_form(scenario: Scenario, origin: str, docstring: str) -> None:
    form = parse_qs((asked(scenario, origin).body or b"").decode())
    assert {name: values[0] for name, values in form.items()} == data(docstring)


@then("an event should have been emitted with:")
def _emitted(scenario: Scenario, docstring: str) -> None:
    wanted: dict[str, Any] = data(docstring)
    assert isinstance(scenario.seen.output, dict)
    assert scenario.seen.output | wanted == scenario.seen.output


@then(parsers.parse("nothing that is kept should contain '{text}'"))
def _kept(scenario: Scenario, text: str) -> None:
    assert text.encode() not in scenario.driver.kept()


@then(parsers.parse("the outside documents should be refused with a message about '{text}'"))
def _refused_outside(scenario: Scenario, text: str) -> None:
    assert text in str(scenario.refusal)


# What the history says


def told(scenario: Scenario, type_: str, name: str | None = None) -> list[dict[str, Any]]:
    entries = [entry for entry in scenario.seen.entries if entry.type == type_]
    return [entry.data for entry in entries if name is None or name_of(entry.ref) == name]


@then(parsers.re(r"the history should contain '(?P<type_>[^']+)' once"))
def _once(scenario: Scenario, type_: str) -> None:
    assert len(told(scenario, type_)) == 1


@then(parsers.re(r"the history should contain '(?P<type_>[^']+)' (?P<times>\d+) times"))
def _times(scenario: Scenario, type_: str, times: str) -> None:
    assert len(told(scenario, type_)) == int(times)


@then(parsers.re(r"the history should contain '(?P<type_>[^']+)' for '(?P<name>[^']+)' once"))
def _once_for(scenario: Scenario, type_: str, name: str) -> None:
    assert len(told(scenario, type_, name)) == 1


@then(parsers.re(r"'(?P<type_>[a-z.-]+v1)' should come with:"))
def _comes_with(scenario: Scenario, type_: str, docstring: str) -> None:
    found = told(scenario, type_)[-1]
    assert found | data(docstring) == found


# What validation says


def errors(scenario: Scenario) -> list[Any]:
    return [finding for finding in scenario.findings if finding.severity == "error"]


@then("the workflow should be accepted")
def _accepted(scenario: Scenario) -> None:
    assert not errors(scenario)


@then(parsers.parse("the workflow should be accepted with a remark at line {line:d}"))
def _accepted_with(scenario: Scenario, line: int) -> None:
    assert not errors(scenario)
    assert line in [finding.line for finding in scenario.findings]


@then("the workflow should be refused")
def _refused(scenario: Scenario) -> None:
    assert errors(scenario)


@then(parsers.parse("the workflow should be refused at line {line:d}"))
def _refused_at(scenario: Scenario, line: int) -> None:
    assert [finding.line for finding in errors(scenario)] == [line], scenario.findings


@then(parsers.parse("the workflow should be refused with code '{code}' at line {line:d}"))
def _refused_with(scenario: Scenario, code: str, line: int) -> None:
    assert [(finding.code, finding.line) for finding in errors(scenario)] == [(code, line)], scenario.findings


@then(parsers.parse("the finding should propose '{text}'"))
def _proposes(scenario: Scenario, text: str) -> None:
    assert text in str(errors(scenario)[0].hint)


@then(parsers.parse("the finding should say '{text}'"))
def _says(scenario: Scenario, text: str) -> None:
    assert text in errors(scenario)[0].message
