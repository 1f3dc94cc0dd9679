"""What client, workflow and activities say to one another: names on the server, and the shapes of what travels.

Everything here is part of recorded histories: names stay, and a field may be added only with a default.
"""

from datetime import datetime
from typing import Any
from urllib.parse import quote

import msgspec

from perdure.language.values import Json

RUN = "perdure"
"""The one workflow type for all documents."""
EXCHANGE = "perdure-exchange"
CALL, FIND, OPEN = "perdure.call", "perdure.find", "perdure.open-exchange"
HAND_OUT = "perdure.hand-out"
TELL, PATCH, LOOK, FACTS = "tell", "patch", "look", "facts"
SEND, DELIVER = "send", "deliver"

TENANT, WORKFLOW, VERSION, STATUS = "PerdureTenant", "PerdureWorkflow", "PerdureVersion", "PerdureStatus"
BEGAN = "PerdureBegan"
"""When a run began, in microseconds; only its later executions carry it."""
ATTRIBUTES = {TENANT: "Keyword", WORKFLOW: "Keyword", VERSION: "Keyword", STATUS: "Keyword", BEGAN: "Int"}
"""Search attributes. Runs carry them when the server knows all of them; the memo holds the same in any case."""

GROUPS = {"infer": "models", "model": "models", "embed": "models", "http": "http", "openapi": "http"}
"""Function -> the group whose queue its calls go to; every other function belongs to `functions`."""
QUEUES = ("workflows", "functions", "http", "models")
PLATFORM = "platform"
"""The queue of those workers that have a platform around them (`ports/outlet.py`)."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """How a run is driven. A run keeps the limits with which it began."""

    heartbeat: float = 10.0
    """Seconds after which a call whose worker says nothing is given to another one."""
    redelivery: float = 1.0
    """Seconds before a lost call is given out again, at first; doubled each time, at most a minute."""
    calls: int = 500
    """Calls after which the run goes on in a new execution as soon as none is under way."""
    events: int = 20_000
    """Events of one execution after which no new call begins until those under way are answered."""
    bytes: int = 16_000_000
    """The same for the size of an execution's history; the server ends an execution at 50 MB."""
    depth: int = 64
    """How deep workflows may start workflows."""
    open_days: float = 30.0
    """Days for which a faulted run can be mended."""


class Beginning(msgspec.Struct, frozen=True, kw_only=True):
    """The first argument of the workflow; the document and the input are the next ones."""

    tenant: str
    run: str
    installation: str
    definition: str
    program: str
    runtime: dict[str, Any]
    has_attributes: bool
    limits: Limits
    origin: str | None = None
    depth: int = 0
    parent: str | None = None
    """Workflow id of the run that waits for this one."""
    command: str | None = None
    began: int = 0
    """When the first execution began, in microseconds; 0 in the first execution."""
    past: tuple[str, ...] = ()
    """The executions before this one."""
    facts: tuple[Any, ...] = ()
    """What a fork begins with instead of a Started of its own."""
    has_outlet: bool = False
    """Whether it was begun by a platform, which takes what the run emits."""


class Carried(msgspec.Struct, kw_only=True):
    """The last argument of the workflow: what the execution before left."""

    state: dict[str, Any]
    open: list[Any]
    status: str
    updated: int


def run_id(installation: str, tenant: str, run: str) -> str:
    """The workflow id of a run."""
    return f"{installation}/{quote(tenant, safe='')}/{run}"


def exchange_id(installation: str, tenant: str) -> str:
    """The workflow id of a tenant's exchange."""
    return f"{installation}/{quote(tenant, safe='')}//exchange"


def queue(installation: str, group: str) -> str:
    """The task queue of a group of functions. Those of the group `functions` share the queue of the workflows: a worker that
    does both is handed a call in the answer that asks for it, without a way through the server."""
    return f"{installation}-{'workflows' if group == 'functions' else group}"


def group_of(function: str) -> str:
    """The group of a function."""
    return GROUPS.get(function, "functions")


def moment(time: datetime) -> int:
    """Microseconds since the epoch: by these runs are in order."""
    return round(time.timestamp() * 1_000_000)


def memo_of(document: Json, beginning: Beginning, given: str) -> dict[str, Json]:
    """What everybody may know about a run without a worker. `given` is the content hash of its input."""
    heading = document["document"]
    return {
        "tenant": beginning.tenant, "run": beginning.run, "namespace": heading["namespace"], "name": heading["name"],
        "version": heading["version"], "program": beginning.program, "definition": beginning.definition,
        "given": given, "origin": beginning.origin, "status": "pending", "began": beginning.began,
    }  # fmt: skip
