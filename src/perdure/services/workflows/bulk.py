"""One verb for many runs. A few are done at once; for more there is a job, which goes on in the background and after a
crash: what is done of it is stored after every few runs, and doing a verb twice to a run does no harm.
"""

import asyncio
import logging

import msgspec

from perdure.errors import Invalid, PerdureError, Unavailable
from perdure.ports.database import EVERY, Transaction
from perdure.ports.engine import Query
from perdure.services.workflows import events, store_jobs
from perdure.services.workflows.models import ANSWERS, Answer, Job, Verb, no_job
from perdure.services.workflows.runs import Runs, Steer
from perdure.services.workflows.service import Ground

_log = logging.getLogger("perdure.workflows")

AT_ONCE = 50
"""Runs that are done before the answer, at most."""
MOST = 10_000
"""Runs named one by one, at most."""
_STEP = 50
_PARALLEL = 8
_LEASE = 60_000
_LOOK = 1.0


class Bulk:
    """Jobs: verbs for many runs."""

    def __init__(self, ground: Ground, runs: Runs) -> None:
        self._ground = ground
        self._runs = runs
        self._news = asyncio.Event()

    async def steer(
        self, tenant: str, by: str, verb: Verb, *, runs: list[str] | None = None, query: Query | None = None,
        how: Steer = Steer(),
    ) -> Job:  # fmt: skip
        """Do a verb to runs by their ids, or to all that a query finds. What came of each is in the answer, or in the
        job's later ones while it is `working`."""
        if (runs is None) == (query is None):
            raise Invalid("Say which runs: either their ids or a query.")
        if runs is not None and not 0 < len(runs) <= MOST:
            raise Invalid(f"Name 1 to {MOST:,} runs.", hint="Use a query for more.")
        ground = self._ground
        job = Job(
            tenant=tenant, id=ground.id("job"), verb=verb, arguments=msgspec.to_builtins(how),
            runs=tuple(dict.fromkeys(runs or ())), query=None if query is None else msgspec.to_builtins(query),
            created=ground.clock.now(), by=by,
        )  # fmt: skip
        if query is None and len(job.runs) <= AT_ONCE:
            job = await self._done(job)
        until = ground.clock.now() if job.state == "working" else None
        named = list(job.runs or (answer.run for answer in job.answers))[:100]

        def work(tx: Transaction) -> None:
            store_jobs.add_job(tx.connection, tenant, job, until)
            tx.tell(events.runs_changed(verb, named, by))

        await ground.database.write(tenant, work)
        self._news.set()
        return job

    async def get(self, tenant: str, id: str) -> Job:
        found = await self._ground.database.read(tenant, lambda connection: store_jobs.job(connection, tenant, id))
        if found is None:
            raise no_job(id)
        return found

    async def run(self) -> None:
        """Work on jobs until cancelled. In any number of processes."""
        while True:
            try:
                busy = await self.sweep()
            except PerdureError as error:
                _log.warning("Jobs wait: %s", error)
                busy = False
            if not busy:
                self._news.clear()
                waiting = asyncio.ensure_future(self._news.wait())
                pause = asyncio.ensure_future(self._ground.clock.sleep(_LOOK))
                await asyncio.wait({waiting, pause}, return_when=asyncio.FIRST_COMPLETED)
                waiting.cancel()
                pause.cancel()

    async def sweep(self) -> bool:
        """One step of each job that nobody works on; whether there was any."""
        ground = self._ground
        now = ground.clock.now()
        moment = await ground.database.read(EVERY, lambda c: store_jobs.next_moment(c, EVERY))
        if moment is None or moment > now:
            return False
        found = await ground.database.write(
            EVERY, lambda tx: store_jobs.claim_jobs(tx.connection, EVERY, now, now + _LEASE, 4)
        )
        for job in found:
            await self._keep(await self._step(job), job.done)
        return bool(found)

    async def _keep(self, job: Job, before: int) -> None:
        """Keep how far it is, and tell which runs it has changed since so many were done."""
        free = None if job.state == "done" else self._ground.clock.now()
        changed = (
            [answer.run for answer in job.answers[-(job.done - before) :] if answer.ok] if job.done > before else []
        )

        def work(tx: Transaction) -> None:
            store_jobs.put_job(tx.connection, job.tenant, job, free)
            if changed:
                tx.tell(events.runs_changed(job.verb, changed, job.by))

        await self._ground.database.write(job.tenant, work)

    async def _step(self, job: Job) -> Job:
        if not job.runs and job.query is not None:
            query = msgspec.convert(job.query, Query)
            page = await self._ground.engine.find(job.tenant, query, limit=_STEP, before=job.before)
            last = page[-1].id if len(page) == _STEP else None
            job = msgspec.structs.replace(
                job, runs=tuple(run.id for run in page), before=last, query=None if last is None else job.query
            )
        return await self._done(job)

    async def _done(self, job: Job) -> Job:
        now, later = job.runs[:_STEP], job.runs[_STEP:]
        how, limit = msgspec.convert(job.arguments, Steer), asyncio.Semaphore(_PARALLEL)
        answers = await asyncio.gather(*(self._one(job, run, how, limit) for run in now))
        return msgspec.structs.replace(
            job, runs=later, done=job.done + len(answers), failed=job.failed + sum(not one.ok for one in answers),
            answers=(*job.answers, *answers)[-ANSWERS:],
            state="working" if later or job.query is not None else "done",
        )  # fmt: skip

    async def _one(self, job: Job, run: str, how: Steer, limit: asyncio.Semaphore) -> Answer:
        async with limit:
            try:
                await self._runs.apply(job.tenant, job.verb, run, how)
            except Unavailable:
                raise
            except PerdureError as error:
                return Answer(run=run, ok=False, detail=error.message)
            return Answer(run=run, ok=True)
