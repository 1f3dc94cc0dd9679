"""Publishing workflows: checked, pinned, immutable versions, and whether runs of them may start.

A version is stored first and then given to the engine: whoever publishes it again after a crash in between gets the
same answer and completes it.
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

import msgspec
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from perdure.errors import Conflict, NotFound
from perdure.interpreter.machine import compile
from perdure.language.check import check
from perdure.language.findings import Finding
from perdure.language.read import Reading, Unreadable, read
from perdure.language.values import canonical, content_hash
from perdure.ports.database import EVERY, Transaction
from perdure.services.workflows import differences, events, store, timetable
from perdure.services.workflows.models import (
    Change,
    NotValid,
    Taken,
    Version,
    Workflow,
    WorkflowState,
    moved,
    no_workflow,
    precedence,
)
from perdure.services.workflows.projects import check_reach
from perdure.services.workflows.service import Ground

_CACHED = 512
_FINDINGS = 100


class Published(NamedTuple):
    """What publishing came to. `is_new` is False when the very same was there already."""

    workflow: Workflow
    version: Version
    is_new: bool


class Differences(NamedTuple):
    """What is different between two versions."""

    changes: list[Change]
    text: str


class _Heading(NamedTuple):
    """What starting a run needs to know of a workflow, and until when it is good."""

    state: WorkflowState
    default: str
    until: float


class Definitions:
    """Workflows and their versions."""

    def __init__(self, ground: Ground, changed: Callable[[str], None] = lambda tenant: None) -> None:
        self._ground = ground
        self._changed = changed
        """Called when schedules of a tenant may be others now."""
        self._versions: OrderedDict[tuple[str, str, str], Version] = OrderedDict()
        self._headings: OrderedDict[tuple[str, str], _Heading] = OrderedDict()

    def __repr__(self) -> str:
        return f"Definitions({len(self._versions)} versions in memory)"

    # Publishing

    def validate(self, text: bytes) -> list[Finding]:
        """Everything that is wrong or doubtful about a document, as publishing would see it; nothing is fetched."""
        try:
            return self._findings(read(text))
        except Unreadable as error:
            return error.findings

    async def publish(self, tenant: str, by: str, text: bytes, media: str, *, project: str = "") -> Published:
        """Keep a document as a version of its workflow. NotValid with all findings, Taken when the version is another; with a
        project Denied for what is of another namespace, or reaches into one."""
        reading, findings = self._checked(text)
        document = reading.value
        heading = document["document"]
        id, number = f"{heading['namespace']}.{heading['name']}", heading["version"]
        if project:
            check_reach(project, [{"workflow": heading}, document])
        made = await self._stored(tenant, id, number)
        is_new = made is None
        if made is None:
            resources = await self._ground.resolve(document)
            if project:
                check_reach(project, list(resources.values()))
            compile(document, dict(resources), self._ground.functions)
            made = Version(
                tenant=tenant, workflow=id, version=number, hash=content_hash([document, resources]), document=document,
                resources=resources, text=text.decode("utf-8-sig"), media=media,
                lints=tuple(finding for finding in findings if finding.severity == "lint"),
                created=self._ground.clock.now(), by=by,
            )  # fmt: skip
            made, is_new = await self._keep(tenant, made)
        if canonical(made.document) != canonical(document):
            raise Taken(f"{id} {number} is published with another content.", hint="Give the document a new version.")
        await self._tell_engine(made, is_new=is_new)
        self._forget(tenant, id)
        return Published(await self.get(tenant, id), made, is_new)

    def _checked(self, text: bytes) -> tuple[Reading, list[Finding]]:
        try:
            reading = read(text)
        except Unreadable as error:
            raise NotValid(
                error.message, hint=error.hint, findings=[msgspec.to_builtins(finding) for finding in error.findings]
            ) from None
        findings = self._findings(reading)
        errors = [finding for finding in findings if finding.severity == "error"]
        if errors:
            count = "1 error" if len(errors) == 1 else f"{len(errors)} errors"
            raise NotValid(
                f"The document has {count}; the first: {errors[0].message}",
                hint=errors[0].hint,
                findings=[msgspec.to_builtins(finding) for finding in findings[:_FINDINGS]],
            )
        return reading, findings

    def _findings(self, reading: Reading) -> list[Finding]:
        """What checking says, but for what holds elsewhere only: here schedules are followed."""
        found = check(reading, functions=self._ground.functions)
        return [finding for finding in found if finding.code != "schedule-needs-up"]

    async def _stored(self, tenant: str, workflow: str, version: str) -> Version | None:
        return await self._ground.database.read(
            tenant, lambda connection: store.version(connection, tenant, workflow, version)
        )

    async def _keep(self, tenant: str, made: Version) -> tuple[Version, bool]:
        try:
            await self._ground.database.write(tenant, lambda tx: _keep(tx, made))
        except IntegrityError:  # somebody else published it meanwhile
            found = await self._stored(tenant, made.workflow, made.version)
            if found is None:
                raise
            return found, False
        return made, True

    async def _tell_engine(self, made: Version, *, is_new: bool) -> None:
        try:
            await self._ground.engine.publish(made.tenant, made.document, dict(made.resources))
        except Conflict as error:
            if is_new:
                await self._ground.database.write(made.tenant, lambda tx: _take_back(tx, made))
            raise Taken(error.message, hint=error.hint) from None

    async def restore(self) -> int:
        """Tell the engine of everything that is published; how many versions. For an engine whose store is new."""
        count, after = 0, ("", "", "")
        while found := await self._ground.database.read(EVERY, lambda c, a=after: store.all_versions(c, EVERY, a, 50)):  # type: ignore[misc]
            for made in found:
                await self._ground.engine.publish(made.tenant, made.document, dict(made.resources))
            count, after = count + len(found), (found[-1].tenant, found[-1].workflow, found[-1].version)
        return count

    # Reading

    async def get(self, tenant: str, id: str) -> Workflow:
        found = await self._ground.database.read(tenant, lambda connection: store.workflow(connection, tenant, id))
        if found is None:
            raise no_workflow(id)
        return found

    async def find(
        self,
        tenant: str,
        *,
        after: str = "",
        limit: int = 100,
        states: tuple[WorkflowState, ...] = (),
        project: str = "",
    ) -> list[Workflow]:
        """In order of their names; all, or those of a project."""

        def work(connection: Connection) -> list[Workflow]:
            return store.find_workflows(connection, tenant, after=after, limit=limit, states=states, project=project)

        return await self._ground.database.read(tenant, work)

    async def versions(self, tenant: str, id: str, *, after: str = "", limit: int = 100) -> list[Version]:
        """The highest first, those below `after`."""

        def work(connection: Connection) -> list[Version]:
            names = sorted(store.version_names(connection, tenant, id), key=precedence, reverse=True)
            if after:
                names = [name for name in names if precedence(name) < precedence(after)]
            found = {made.version: made for made in store.versions_named(connection, tenant, id, names[:limit])}
            return [found[name] for name in names[:limit]]

        await self.get(tenant, id)
        return await self._ground.database.read(tenant, work)

    async def version(self, tenant: str, id: str, version: str | None = None) -> Version:
        """A version; the default one without a name."""
        number = version or (await self._heading(tenant, id)).default
        found = self._versions.get((tenant, id, number))
        if found is None:
            found = await self._stored(tenant, id, number)
            if found is None:
                if not await self._has(tenant, id):
                    raise no_workflow(id)
                raise NotFound(f"The workflow {id} has no version {number[:80]}.")
            self._versions[tenant, id, number] = found
            if len(self._versions) > _CACHED:
                self._versions.popitem(last=False)
        return found

    async def _has(self, tenant: str, id: str) -> bool:
        return await self._ground.database.read(tenant, lambda c: store.workflow(c, tenant, id)) is not None

    async def differences(self, tenant: str, id: str, before: str, after: str | None = None) -> Differences:
        """From one version to another, the default one when it is not named."""
        old, new = await self.version(tenant, id, before), await self.version(tenant, id, after)
        changes = differences.structural(old.document, new.document)
        return Differences(changes, differences.textual(old.text, new.text, (old.version, new.version)))

    async def startable(self, tenant: str, id: str, version: str | None = None) -> Version:
        """The version that a new run gets. Conflict while the workflow is not enabled. No query when it is known here."""
        heading = await self._heading(tenant, id)
        if heading.state != "enabled":
            hint = "Restore and enable it." if heading.state == "archived" else "Enable it first."
            raise Conflict(f"The workflow {id} is {heading.state}.", hint=hint)
        return await self.version(tenant, id, version or heading.default)

    async def _heading(self, tenant: str, id: str) -> _Heading:
        now = self._ground.clock.monotonic()
        found = self._headings.get((tenant, id))
        if found is None or found.until <= now:
            workflow = await self.get(tenant, id)
            found = self._headings[tenant, id] = _Heading(workflow.state, workflow.default, now + self._ground.recent)
            if len(self._headings) > _CACHED:
                self._headings.popitem(last=False)
        return found

    def _forget(self, tenant: str, id: str) -> None:
        self._headings.pop((tenant, id), None)
        self._changed(tenant)

    # Whether it starts

    async def change(self, tenant: str, by: str, id: str, verb: str) -> Workflow:
        """`enable`, `disable`, `archive` or `restore`. Runs under way go on."""
        now = self._ground.clock.now()

        def work(tx: Transaction) -> Workflow:
            found = store.workflow(tx.connection, tenant, id, lock=True)
            if found is None:
                raise no_workflow(id)
            changed = msgspec.structs.replace(found, state=moved(found, verb), updated=now)
            if changed.state != found.state:
                store.put_workflow(tx.connection, tenant, changed, is_new=False)
                timetable.hold(tx.connection, tenant, changed, now)
                tx.tell(events.workflow_changed(changed, by))
            return changed

        changed = await self._ground.database.write(tenant, work)
        self._forget(tenant, id)
        return changed


def _keep(tx: Transaction, made: Version) -> None:
    tenant, heading = made.tenant, made.document["document"]
    found = store.workflow(tx.connection, tenant, made.workflow, lock=True)
    if found is not None and found.state == "archived":
        raise Conflict(f"The workflow {made.workflow} is archived.", hint="`restore` it first.")
    is_default = found is None or precedence(made.version) > precedence(found.default)
    store.add_version(tx.connection, tenant, made)
    if is_default:
        tags = heading.get("tags")
        workflow = Workflow(
            tenant=tenant, id=made.workflow, namespace=heading["namespace"], name=heading["name"],
            state="enabled" if found is None else found.state, default=made.version,
            title=str(heading.get("title", "")), summary=str(heading.get("summary", "")),
            tags=tags if isinstance(tags, dict) else {},
            created=made.created if found is None else found.created, updated=made.created,
        )  # fmt: skip
        store.put_workflow(tx.connection, tenant, workflow, is_new=found is None)
        timetable.follow(tx.connection, tenant, workflow, made.document.get("schedule"), made.by)
    tx.tell(events.workflow_published(made, is_default=is_default))


def _take_back(tx: Transaction, made: Version) -> None:
    """The engine has this version with another content: nothing of it stays."""
    tenant, id = made.tenant, made.workflow
    store.drop_version(tx.connection, tenant, id, made.version)
    found = store.workflow(tx.connection, tenant, id, lock=True)
    names = store.version_names(tx.connection, tenant, id)
    if found is None or found.default != made.version:
        return
    if not names:
        timetable.follow(tx.connection, tenant, found, None)
        store.drop_workflow(tx.connection, tenant, id)
        return
    before = max(names, key=precedence)
    store.put_workflow(tx.connection, tenant, msgspec.structs.replace(found, default=before), is_new=False)
    earlier = store.version(tx.connection, tenant, id, before)
    document, by = ({}, "") if earlier is None else (earlier.document, earlier.by)
    timetable.follow(tx.connection, tenant, found, document.get("schedule"), by)
