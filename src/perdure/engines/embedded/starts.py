"""How runs begin, with a document and an input or as a fork with facts of another run, and the documents kept for that.

A run exists once its first fact is durable; only then is its id given back.
"""

import uuid
from functools import partial

import msgspec

from perdure.engines.embedded import history
from perdure.engines.embedded.definitions import published_as, runtime
from perdure.engines.embedded.records import RunRow
from perdure.engines.embedded.values import encode, restored
from perdure.engines.embedded.views import Views
from perdure.engines.embedded.worker import Worker
from perdure.engines.plain import accepted
from perdure.errors import Conflict
from perdure.interpreter.events import Started
from perdure.interpreter.lineage import forked
from perdure.interpreter.program import Program
from perdure.language.values import Json, canonical

_KEPT = 10_000


class Starts:
    """What `start`, `publish` and `fork` of the engine do (`ports/engine.py`)."""

    def __init__(self, worker: Worker, views: Views) -> None:
        self._worker = worker
        self._views = views
        self._kept: set[str] = set()
        """Definitions that the journal holds, as far as that was looked up."""

    def __repr__(self) -> str:
        return f"Starts(kept={len(self._kept)})"

    async def start(
        self,
        tenant: str,
        document: Json,
        input: Json,
        *,
        run: str | None = None,
        resources: dict[str, Json] | None = None,
    ) -> str:
        given = accepted(input)
        definition, program = self._worker.programs.add(document, resources)
        if run is not None:
            key = self._key(tenant, run)
            if key is not None:
                await self._same(key, definition, given)
                self._worker.choose(key)
                return run
        row = self._new_row(tenant, run or str(uuid.uuid4()), definition, program)
        self._keep_definition(definition, program)
        started = Started(now=row.started, run=row.id, tenant=tenant, seed=row.id, input=given, runtime=runtime(tenant))
        self._worker.begin(row, program, started)
        await self._worker.turns.durable()
        return row.id

    async def publish(self, tenant: str, document: Json, resources: dict[str, Json]) -> str:
        known = published_as(self._worker.journal, tenant, document, resources)
        if known is not None:
            return known
        definition, program = self._worker.programs.add(document, resources)
        identity = (tenant, program.namespace, program.name, program.version)
        rows = self._worker.journal.read("published", identity)
        if rows and rows[0][0] != definition:
            name = f"{program.namespace}.{program.name}:{program.version}"
            raise Conflict(f"{name} is published with another content.", hint="Give the document a new version.")
        if not rows:
            self._keep_definition(definition, program)
            self._worker.writer.batch.add("add_published", (*identity, definition))
            await self._worker.turns.durable()
        return definition

    async def fork(
        self, tenant: str, run: str, *, path: str | None = None, input: Json = None, document: Json = None
    ) -> str:
        origin = self._views.row(tenant, run)
        program = self._worker.programs.get(origin.definition, origin.program)
        facts = list(history.facts_of(self._worker.journal, origin, self._worker.residents.blob))
        kept = facts[: history.facts_until(facts, origin, program, path) if path is not None else 1]
        definition = origin.definition
        if document is not None:
            definition, program = self._worker.programs.add(document, program.resources)
        self._worker.programs.check_tools(program)
        row = self._new_row(tenant, str(uuid.uuid4()), definition, program, origin=origin.id)
        first = kept[0][0]
        assert isinstance(first, Started)
        given = first.input if input is None or path is not None else accepted(input)
        kept[0] = (msgspec.structs.replace(forked(first, row.id, len(kept) - 1), input=given), None)
        self._keep_definition(definition, program)
        record = self._worker.begin_again(row, program, kept)
        await self._worker.turns.durable()
        return record.row.id

    def _new_row(self, tenant: str, id: str, definition: str, program: Program, *, origin: str | None = None) -> RunRow:
        worker = self._worker
        worker.last_run += 1
        return RunRow(
            key=worker.last_run, id=id, tenant=tenant, namespace=program.namespace, name=program.name,
            version=program.version, program=program.hash, definition=definition, started=self._worker.clock.now(),
            first=worker.last_fact + 1, mark=worker.last_event, origin=origin, parent=None, command=None, depth=0,
        )  # fmt: skip

    def _keep_definition(self, definition: str, program: Program) -> None:
        if definition in self._kept:
            return
        batch = self._worker.writer.batch
        if not self._worker.journal.read("definition", (definition,)):
            batch.add("add_definition", (definition, encode(program.document), encode(program.resources)))
        batch.after.append(partial(self._is_kept, definition))

    def _is_kept(self, definition: str) -> None:
        if len(self._kept) >= _KEPT:
            self._kept.clear()
        self._kept.add(definition)

    async def _same(self, key: int, definition: str, given: Json) -> None:
        await self._worker.turns.durable()
        row = self._views.row_by_key(key)
        if row.definition != definition or canonical(restored(self._views.input(row))) != canonical(given):
            raise Conflict(f"The run {row.id} exists with another document or input.", hint="Choose another id.")

    def _key(self, tenant: str, run: str) -> int | None:
        key = self._worker.residents.keys.get((tenant, run))
        if key is None:
            rows = self._worker.journal.read("key_of", (tenant, run))
            key = rows[0][0] if rows else None
        return key
