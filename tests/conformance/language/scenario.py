"""One scenario under way: what it was given, the driver that runs it, and what can be asked afterwards."""

import asyncio
import re
from typing import Any, Protocol

from perdure.adapters.clock import SystemClock
from perdure.errors import PerdureError
from perdure.functions.agent import Agent
from perdure.functions.approve import Approve
from perdure.functions.authentication import Authenticator
from perdure.functions.http import Http
from perdure.functions.openapi import OpenApi
from perdure.functions.resolve import resolve
from perdure.functions.table import Table
from perdure.language.check import check
from perdure.language.findings import Finding
from perdure.language.read import Reading, Unreadable, read
from perdure.language.values import Json
from perdure.ports.egress import Egress
from tests.conformance.language.driver import Seen
from tests.conformance.language.world import ScriptedFunction, ScriptedHosts, ScriptedSecrets, Sleep

DURATION = re.compile(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?")


class AnyDriver(Protocol):
    """What every driver of scenarios can do; times in milliseconds."""

    table: Any

    async def sleep(self, seconds: float) -> None: ...
    def publish(self, document: Json, resources: dict[str, Json]) -> None: ...
    def start(self, document: Json, resources: dict[str, Json], input: Json) -> str: ...
    def deliver(self, event: dict[str, Any]) -> None: ...
    def cancel(self, run: str, *, compensate: bool = False) -> None: ...
    def suspend(self, run: str) -> None: ...
    def resume(self, run: str) -> None: ...
    def retry(self, run: str) -> None: ...
    def skip(self, run: str, output: Json) -> None: ...
    def settle(self) -> None: ...
    def advance(self, milliseconds: int) -> None: ...
    def finish(self, run: str) -> None: ...
    def kill(self) -> None: ...
    def seen(self, run: str) -> Seen: ...
    def kept(self) -> bytes: ...


class Scenario:
    """Steps talk to this. Nothing starts before `execute`, so the steps of `Given` may come in any order."""

    def __init__(self, driver: AnyDriver, loop: asyncio.Runner, secrets: ScriptedSecrets) -> None:
        self.driver = driver
        self.loop = loop
        self.secrets = secrets
        self.hosts = ScriptedHosts()
        self.egress: Egress = self.hosts
        self.functions: dict[str, ScriptedFunction] = {}
        self.children: list[str] = []
        self.definition = ""
        self.input: Json = None
        self.has_input = False
        self.findings: list[Finding] = []
        self.refusal: PerdureError | None = None
        self.run = ""
        self.jumps = False
        self.events = 0

    def __repr__(self) -> str:
        return f"Scenario({self.run or 'not started'}, {len(self.functions)} functions)"

    # Given

    def function(self, name: str, turns: list[dict[str, Any]] | None) -> None:
        sleep: Sleep = self.driver.sleep
        for turn in turns or []:
            if "after" in turn:
                turn["after"] = milliseconds(turn["after"]) / 1000
        self.functions[name] = ScriptedFunction(name, sleep, turns)

    # When

    def validate(self) -> None:
        self.driver.table = self._table()
        self.findings = findings(self.definition, self.driver.table)

    def execute(self, *, jumps: bool) -> None:
        """Publish the children, start the run, and let time jump (or stand still)."""
        self.driver.table = self._table()
        self.jumps = jumps
        try:
            for child in self.children:
                document, resources = self._prepared(child)
                self.driver.publish(document, resources)
            document, resources = self._prepared(self.definition)
        except PerdureError as refusal:
            self.refusal = refusal
            return
        self.run = self.driver.start(document, resources, self.input if self.has_input else {})
        self.go_on()

    def go_on(self) -> None:
        """Whatever can happen now happens."""
        self.driver.settle()
        if self.jumps:
            self.driver.finish(self.run)

    def event(self, attributes: dict[str, Any]) -> None:
        self.events += 1
        made = {"specversion": "1.0", "id": f"event-{self.events}", "source": "https://acme.example"}
        self.driver.deliver(made | attributes)
        self.driver.settle()

    def _table(self) -> Table:
        authenticator = Authenticator(self.egress, SystemClock())
        return Table([Http(authenticator), OpenApi(authenticator), Agent(), Approve(), *self.functions.values()])

    def _prepared(self, text: str) -> tuple[Json, dict[str, Json]]:
        errors = [finding for finding in findings(text, self.driver.table) if finding.severity == "error"]
        assert not errors, f"the document was refused: {errors}"
        document = read(text).value
        return document, self.loop.run(resolve(document, self.egress))

    # Then

    @property
    def seen(self) -> Seen:
        assert self.run, f"no run was started: {self.refusal}"
        return self.driver.seen(self.run)

    def ran(self) -> list[str]:
        """The names of the tasks in the order in which they were started."""
        return [name_of(entry.ref) for entry in self.seen.entries if entry.type == "task.started.v1" and entry.ref]


def findings(text: str, functions: Any) -> list[Finding]:
    """What reading and checking say about a document."""
    try:
        reading: Reading = read(text)
    except Unreadable as unreadable:
        return list(unreadable.findings)
    return check(reading, functions=functions)


def name_of(ref: str) -> str:
    """The name of the task at a JSON pointer."""
    return ref.rsplit("/", 1)[-1].replace("~1", "/").replace("~0", "~")


def milliseconds(text: str) -> int:
    """An ISO 8601 duration of a step, as whole milliseconds."""
    found = DURATION.fullmatch(text)
    assert found, f"{text} is not a duration"
    days, hours, minutes, seconds = (float(part or 0) for part in found.groups())
    return round((((days * 24 + hours) * 60 + minutes) * 60 + seconds) * 1000)


def property_of(value: Json, path: str) -> Json:
    """The value at a dotted path; AssertionError when it is not there."""
    for key in path.split("."):
        assert isinstance(value, dict) and key in value, f"there is no {path} in {value}"
        value = value[key]
    return value
