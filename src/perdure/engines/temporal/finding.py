"""Finds runs by the server's search attributes: it filters and counts; only a page's runs and few more are fetched.

The server lists what closed last first, and knows no other order. So a page is what began in a window of time, and the
window is found by counting.
"""

from datetime import UTC, datetime, timedelta

from temporalio.client import Client

from perdure.engines.tally import OPEN
from perdure.engines.temporal import protocol
from perdure.engines.temporal.connection import border
from perdure.engines.temporal.reading import row_of
from perdure.ports.engine import Query, Run

Found = dict[str, tuple[int, Run]]
"""Run -> when it began (microseconds), and its row."""
_AT_ONCE = 500
"""So many are listed without looking for a window."""
_NARROWEST, _WIDEST = 1_000_000, 200 * 365 * 86_400 * 1_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_CLOSED = {"faulted": '"Failed", "TimedOut"', "cancelled": '"Canceled", "Terminated"'}
"""Status -> how the server says that it ended such a run itself."""


class Finder:
    """Finds runs of one installation."""

    def __init__(self, client: Client, installation: str, *, has_attributes: bool) -> None:
        self._client = client
        self._installation = installation
        self._has_attributes = has_attributes

    def __repr__(self) -> str:
        return f"Finder({self._installation!r}, has_attributes={self._has_attributes})"

    async def find(self, tenant: str, query: Query, limit: int, last: int | None) -> Found:
        """At least the newest `limit` runs that are meant and began before `last`, if there are so many."""
        found: Found = {}
        meant = self._meant(tenant, query)
        if meant is None:
            return found
        if not self._has_attributes:
            await self._list(tenant, meant, found)
            return {id: item for id, item in found.items() if last is None or item[0] < last}
        top = protocol.moment(datetime.now(UTC)) + 86_400_000_000 if last is None else last
        while True:
            low = await self._low(meant, top, limit)
            await self._list(tenant, f"{meant} AND {_window(low, top)}", found)
            # What the attributes say may be older than the row: then the window held too few.
            if low == 0 or sum(is_meant(run, query) for _, run in found.values()) >= limit:
                return found
            top = low

    async def standing(self) -> dict[str, int]:
        """How many runs of all tenants there are that may still change, by status; nothing where the server cannot tell."""
        if not self._has_attributes:
            return {}
        queue = _quoted(protocol.queue(self._installation, "workflows"))
        ours = f'WorkflowType = {_quoted(protocol.RUN)} AND TaskQueue = {queue} AND ExecutionStatus = "Running"'
        return {status: await self._count(f"{ours} AND {protocol.STATUS} = {_quoted(status)}") for status in OPEN}

    async def _low(self, meant: str, top: int, limit: int) -> int:
        """Where a window below `top` begins that holds at least `limit` runs and not many more; 0 for all there are."""
        total = await self._count(f"{meant} AND {_window(0, top)}")
        if total <= max(_AT_ONCE, limit):
            return 0
        narrow, width = 0, 60 * _NARROWEST
        while (count := await self._count(f"{meant} AND {_window(top - width, top)}")) < limit:
            narrow, width = width, width * 8
        while count > limit + _AT_ONCE and width - narrow > _NARROWEST:
            middle = (narrow + width) // 2
            held = await self._count(f"{meant} AND {_window(top - middle, top)}")
            if held >= limit:
                width, count = middle, held
            else:
                narrow = middle
        return top - width

    async def _count(self, query: str) -> int:
        with border("There is no list."):
            return (await self._client.count_workflows(query)).count

    async def _list(self, tenant: str, query: str, found: Found) -> None:
        with border("There is no list."):
            async for listed in self._client.list_workflows(query):
                memo = await listed.memo()
                if memo.get("tenant") == tenant:
                    began = memo.get("began") or protocol.moment(listed.start_time)
                    found[memo["run"]] = (began, row_of(memo["run"], memo, listed))

    def _meant(self, tenant: str, query: Query) -> str | None:
        """The conditions as the server is asked; None when nothing can fit."""
        queue = protocol.queue(self._installation, "workflows")
        conditions = [
            f"WorkflowType = {_quoted(protocol.RUN)}", f"TaskQueue = {_quoted(queue)}",
            'ExecutionStatus != "ContinuedAsNew"',
        ]  # fmt: skip
        if not self._has_attributes:
            return " AND ".join(conditions)
        conditions.append(f"{protocol.TENANT} = {_quoted(f'{self._installation}/{tenant}')}")
        for attribute, text in ((protocol.WORKFLOW, query.workflow), (protocol.VERSION, query.version)):
            if text is None:
                continue
            if not text.isascii() or any(sign in text for sign in "\"'\\"):
                return None
            name = text.rpartition(".")[2] if attribute == protocol.WORKFLOW else text
            if name:  # of a whole namespace the server knows nothing
                conditions.append(f"{attribute} = {_quoted(name)}")
        if query.statuses:
            conditions.append("(" + " OR ".join(map(_has_status, query.statuses)) + ")")
        if query.since is not None:
            conditions.append(_window(query.since * 1000, _WIDEST))
        if query.until is not None:
            conditions.append(_window(0, query.until * 1000))
        return " AND ".join(conditions)


def is_meant(run: Run, query: Query) -> bool:
    """Whether every condition of the query holds for the run."""
    return (
        (not query.statuses or run.status in query.statuses)
        and query.workflow in {None, run.name, f"{run.namespace}.{run.name}", f"{run.namespace}."}
        and query.version in {None, run.version}
        and (query.since is None or run.started >= query.since)
        and (query.until is None or run.started < query.until)
    )


def _has_status(status: str) -> str:
    closed = _CLOSED.get(status)
    own = f'({protocol.STATUS} = {_quoted(status)} AND ExecutionStatus IN ("Running", "Completed"))'
    return f"{own} OR ExecutionStatus IN ({closed})" if closed else own


def _window(low: int, high: int) -> str:
    """Began in [low, high): a first execution when it was started, a later one as it was told."""
    low, high = max(0, low), min(high, _WIDEST)
    told = f"{protocol.BEGAN} >= {low} AND {protocol.BEGAN} < {high}"
    first = f"StartTime >= {_quoted(_time(low))} AND StartTime < {_quoted(_time(high))}"
    return f"(({protocol.BEGAN} IS NULL AND {first}) OR ({told}))"


def _time(moment: int) -> str:
    return (_EPOCH + timedelta(microseconds=moment)).isoformat()


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
