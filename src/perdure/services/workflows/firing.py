"""Schedules fire by themselves. Any number of processes may do this at once.

Two steps, each a transaction: a schedule that is due gets its firings and its next time; then each firing is decided by
the overlap policy and its run is started, under an id that follows from schedule and due time. A crash anywhere repeats
the second step, and the engine starts a run of one id once.

Overlap: `skip` lets a firing go while the run before goes on; `queue` lets one firing wait for it; `allow` starts it
beside; `cancel` cancels the run before. Firings of one schedule are decided in their order.
"""

import asyncio
import logging
from collections.abc import Iterable

import msgspec

from perdure.errors import NotFound, PerdureError, Unavailable
from perdure.ports.database import EVERY, Transaction
from perdure.ports.engine import Run
from perdure.services.workflows import due, events, store_schedules
from perdure.services.workflows.models import FIRING, Firing, Schedule
from perdure.services.workflows.runs import Runs, Start
from perdure.services.workflows.service import Ground
from perdure.services.workflows.timetable import add_firing

_log = logging.getLogger("perdure.workflows")

LEASE = 20_000
"""For how long a firing is nobody else's, in milliseconds."""
KEPT = 30 * 86_400_000
_AT_ONCE = 50
_AGAIN = 5_000
_SOON = 250
_IDLE = 1.0
_CLEAN = 3_600.0
_OPEN = frozenset({"open", "queued"})


class FiringLoop:
    """Looks for what is due, and starts it."""

    def __init__(self, ground: Ground, runs: Runs) -> None:
        self._ground = ground
        self._runs = runs
        self._news = asyncio.Event()
        self._moment: int | None = None
        """The next one, as the last sweep has seen it."""
        self._cleaned = 0.0

    def __repr__(self) -> str:
        return f"FiringLoop({self._ground.database!r})"

    def wake(self) -> None:
        """Something may be due earlier than was known."""
        self._news.set()

    async def run(self) -> None:
        """Fire until cancelled. What a database refuses now is tried again (F8)."""
        while True:
            pause = _IDLE
            self._news.clear()
            try:
                pause = 0.0 if await self.sweep() else self._pause()
            except PerdureError as error:
                _log.warning("Schedules wait: %s", error)
            except Exception:  # noqa: BLE001 - one schedule's trouble must not stop all others for ever
                _log.exception("Schedules could not be looked at")
            if pause:
                await self._rest(pause)

    async def _rest(self, seconds: float) -> None:
        woken = asyncio.ensure_future(self._news.wait())
        slept = asyncio.ensure_future(self._ground.clock.sleep(seconds))
        try:
            await asyncio.wait({woken, slept}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            woken.cancel()
            slept.cancel()

    def _pause(self) -> float:
        """Until the next moment, at most `_IDLE`: other processes make schedules as well."""
        if self._moment is None:
            return _IDLE
        return min(_IDLE, max(0.001, (self._moment - self._ground.clock.now()) / 1000))

    async def _next(self) -> int | None:
        return await self._ground.database.read(EVERY, lambda c: store_schedules.next_moment(c, EVERY))

    async def sweep(self) -> bool:
        """Everything that is due now; whether there was anything. Sees when the next is due."""
        ground = self._ground
        now = ground.clock.now()
        await self._clean(now)
        self._moment = await self._next()  # nothing is written while nothing is due
        if self._moment is None or self._moment > now:
            return False
        planned = await ground.database.write(EVERY, lambda tx: _planned(tx, now))
        found = await ground.database.write(
            EVERY, lambda tx: store_schedules.claim_firings(tx.connection, EVERY, now, now + LEASE, _AT_ONCE)
        )
        by_schedule: dict[tuple[str, str], list[Firing]] = {}
        for one in sorted(found, key=lambda one: one.due):
            by_schedule.setdefault((one.tenant, one.schedule), []).append(one)
        await asyncio.gather(*(self._in_order(firings) for firings in by_schedule.values()))
        if planned or found:
            return True
        self._moment = await self._next()  # another process was there first
        return False

    async def _clean(self, now: int) -> None:
        steady = self._ground.clock.monotonic()
        if steady - self._cleaned > _CLEAN:
            self._cleaned = steady
            await self._ground.database.write(
                EVERY, lambda tx: store_schedules.forget_firings(tx.connection, EVERY, now - KEPT)
            )

    async def _in_order(self, firings: Iterable[Firing]) -> None:
        for firing in firings:
            try:
                await self._decide(firing)
            except Unavailable as error:
                _log.warning("The firing of %s at %d waits: %s", firing.schedule, firing.due, error)
                await self._settle(firing, firing.state, _AGAIN, detail=error.message)
                return

    async def _decide(self, firing: Firing) -> None:
        tenant = firing.tenant
        schedule = await self._ground.database.read(
            tenant, lambda c: store_schedules.schedule(c, tenant, firing.schedule)
        )
        if schedule is None:
            return
        if firing.state == "started":
            await self._look_after(schedule, firing)
            return
        if schedule.overlap != "allow" and not await self._is_free(schedule, firing):
            return
        try:
            await self._start(schedule, firing)
        except Unavailable:
            raise
        except PerdureError as error:
            await self._fail(schedule, firing, error)

    async def _start(self, schedule: Schedule, firing: Firing) -> None:
        input = firing.input if firing.input is not None else schedule.input
        wish = Start(
            workflow=schedule.workflow, version=schedule.version, input=input, id=firing.run, by=schedule.by,
            project=schedule.project,
        )  # fmt: skip
        await self._runs.start(firing.tenant, wish)
        look = _look(schedule) if schedule.kind == "after" else None
        settled = msgspec.structs.replace(firing, state="started", detail="")
        now = self._ground.clock.now()

        def work(tx: Transaction) -> None:
            free = None if look is None else now + look
            if store_schedules.settle(tx.connection, firing.tenant, settled, _OPEN, free):  # type: ignore[arg-type]
                store_schedules.set_last_run(tx.connection, firing.tenant, schedule.id, firing.run)
                tx.tell(events.schedule_fired(schedule.workflow, settled))

        await self._ground.database.write(firing.tenant, work)

    async def _fail(self, schedule: Schedule, firing: Firing, error: PerdureError) -> None:
        settled = msgspec.structs.replace(firing, state="failed", detail=error.message[:1000])
        now = self._ground.clock.now()

        def work(tx: Transaction) -> None:
            if not store_schedules.settle(tx.connection, firing.tenant, settled, _OPEN, None):  # type: ignore[arg-type]
                return
            tx.tell(events.schedule_fired(schedule.workflow, settled))
            if schedule.kind == "after":  # what follows a run must not end because one could not start
                again = now + max(int(schedule.spec), due.LATE)
                store_schedules.set_due(tx.connection, firing.tenant, schedule.id, again)

        await self._ground.database.write(firing.tenant, work)

    # Overlap

    async def _is_free(self, schedule: Schedule, firing: Firing) -> bool:
        """Whether the firing may start now; if not, it was decided here."""
        tenant = firing.tenant
        ahead, before = await self._ground.database.read(
            tenant,
            lambda c: (
                store_schedules.ahead(c, tenant, schedule.id, firing.due),
                store_schedules.last_started(c, tenant, schedule.id),
            ),
        )
        if ahead == "open":
            await self._settle(firing, firing.state, _SOON)
            return False
        if ahead == "queued":
            await self._settle(firing, "skipped", None, detail="One firing waits already.")
            return False
        run = None if before is None else await self._under_way(tenant, before.run)
        if run is None:
            return True
        if schedule.overlap == "cancel":
            try:
                await self._ground.engine.cancel(tenant, run.id)
            except (PerdureError, NotFound) as error:
                if isinstance(error, Unavailable):
                    raise
            return True
        if schedule.overlap == "queue":
            await self._settle(firing, "queued", _look(schedule), detail=f"The run {run.id} goes on.")
        else:
            await self._settle(firing, "skipped", None, detail=f"The run {run.id} goes on.")
        return False

    async def _under_way(self, tenant: str, id: str) -> Run | None:
        try:
            run = await self._ground.engine.describe(tenant, id)
        except NotFound:
            return None
        return run if run.ended is None else None

    async def _look_after(self, schedule: Schedule, firing: Firing) -> None:
        """`after`: the run goes on, or the next firing follows it."""
        tenant = firing.tenant
        run: Run | None = None
        try:
            run = await self._ground.engine.describe(tenant, firing.run)
        except NotFound:
            run = None
        if run is not None and run.ended is None:
            await self._settle(firing, "started", _look(schedule))
            return
        ended = firing.at if run is None or run.ended is None else run.ended
        now = self._ground.clock.now()

        def work(tx: Transaction) -> None:
            found = store_schedules.schedule(tx.connection, tenant, schedule.id, lock=True)
            store_schedules.settle(tx.connection, tenant, firing, frozenset({"started"}), None)
            if found is not None and found.kind == "after" and found.due is None:
                store_schedules.set_due(tx.connection, tenant, found.id, due.armed(found, now, ended=ended))

        await self._ground.database.write(tenant, work)

    async def _settle(self, firing: Firing, state: str, wait: int | None, *, detail: str = "") -> None:
        """Write what became of a firing; `wait`: how long until somebody looks again."""
        changed = msgspec.structs.replace(firing, state=state, detail=detail)
        free = None if wait is None else self._ground.clock.now() + wait

        def work(tx: Transaction) -> None:
            settled = store_schedules.settle(tx.connection, firing.tenant, changed, frozenset({firing.state}), free)
            if settled and not FIRING[changed.state]:
                schedule = store_schedules.schedule(tx.connection, firing.tenant, firing.schedule)
                if schedule is not None and changed.state != "started":
                    tx.tell(events.schedule_fired(schedule.workflow, changed))

        await self._ground.database.write(firing.tenant, work)


def _planned(tx: Transaction, now: int) -> int:
    """Firings for every schedule that is due, and its next time."""
    found = store_schedules.claim_due(tx.connection, EVERY, now, _AT_ONCE)
    for one in found:
        plan = due.plan(one, now)
        for moment in plan.fire:
            missed = plan.missed if moment == plan.fire[0] else 0
            _add(tx, one, moment, missed, now)
        store_schedules.set_due(tx.connection, one.tenant, one.id, plan.next)
    return len(found)


def _add(tx: Transaction, one: Schedule, moment: int, missed: int, now: int) -> None:
    if store_schedules.firing(tx.connection, one.tenant, one.id, moment) is not None:
        return
    made = add_firing(tx, one, moment, now)
    if missed:
        store_schedules.settle(
            tx.connection, one.tenant, msgspec.structs.replace(made, missed=missed), frozenset({"open"}), now
        )


def _look(schedule: Schedule) -> int:
    """How long until the run before is looked at again."""
    spec = schedule.spec if isinstance(schedule.spec, int) else 0
    return min(15_000, max(1_000, spec // 4))
