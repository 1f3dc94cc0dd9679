"""Webhooks in: addresses with a secret of their own, for systems that cannot sign in (security.md, rule 12).

What is wrong with a call is nobody's business: unknown address, wrong signature, an old or repeated attempt all give the
same answer. A message counts once: its effect is idempotent by its id. A sender that heard no answer sends it again, signed
with the time of the new attempt, and gets the answer; the same attempt twice is a replay.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from perdure.errors import Invalid, Unauthenticated
from perdure.ports.database import EVERY, Transaction
from perdure.services.workflows import events, signatures, store_webhooks
from perdure.services.workflows.cloud_events import RESERVED
from perdure.services.workflows.definitions import Definitions
from perdure.services.workflows.intake import Intake
from perdure.services.workflows.models import Webhook, checked_text, decoded_json, no_webhook, run_id
from perdure.services.workflows.runs import Runs, Start
from perdure.services.workflows.service import Ground
from perdure.services.workflows.signatures import Message

LONGEST_GRACE = 7 * 86_400_000
_NOBODY = signatures.new_secret(bytes(32))


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    """What a message came to."""

    message: str
    run: str | None = None


class Webhooks:
    """The webhooks of all tenants."""

    def __init__(self, ground: Ground, definitions: Definitions, runs: Runs, intake: Intake) -> None:
        self._ground = ground
        self._definitions = definitions
        self._runs = runs
        self._intake = intake
        self._cleaned = 0.0

    async def create(
        self, tenant: str, by: str, name: str, *, workflow: str = "", version: str | None = None, event: str = "",
        project: str = "",
    ) -> tuple[Webhook, str]:  # fmt: skip
        """A new webhook, and its secret, shown this once. It starts a workflow or delivers an event of a type."""
        if bool(workflow) == bool(event):
            raise Invalid("A webhook starts a workflow or delivers an event: name one of the two.")
        if event.startswith(RESERVED):
            raise Invalid(f"Events of the type {event[:80]!r} are told by Perdure only.")
        if workflow:
            await self._definitions.version(tenant, workflow, version)
        ground = self._ground
        made = Webhook(
            tenant=tenant, id=ground.id("hook"), name=checked_text(name, "name", 200), workflow=workflow,
            version=version if workflow else None, event=checked_text(event, "type", 200), created=ground.clock.now(),
            by=by, project=project,
        )  # fmt: skip
        secret = signatures.new_secret(ground.chance(32))
        sealed = ground.sealing.seal(tenant, _place(made.id), secret.encode())

        def work(tx: Transaction) -> None:
            store_webhooks.add_webhook(tx.connection, tenant, made, sealed)
            tx.tell(events.webhook_changed(made, "created", by))

        await ground.database.write(tenant, work)
        return made, secret

    async def get(self, tenant: str, id: str) -> Webhook:
        found = await self._ground.database.read(tenant, lambda c: store_webhooks.webhook(c, tenant, id))
        if found is None:
            raise no_webhook(id)
        return found

    async def find(self, tenant: str, *, after: str = "", limit: int = 100, project: str = "") -> list[Webhook]:
        """The newest first, without their secrets."""

        def work(connection: Connection) -> list[Webhook]:
            return store_webhooks.find_webhooks(connection, tenant, after=after, limit=limit, project=project)

        return await self._ground.database.read(tenant, work)

    async def rotate(self, tenant: str, by: str, id: str, *, grace: int = 86_400_000) -> tuple[Webhook, str]:
        """Another secret, shown this once. The one before is good for `grace` milliseconds more."""
        if not 0 <= grace <= LONGEST_GRACE:
            raise Invalid("The secret before is good for 7 days more at most.")
        ground = self._ground
        now, secret = ground.clock.now(), signatures.new_secret(ground.chance(32))
        sealed = ground.sealing.seal(tenant, _place(id), secret.encode())

        def work(tx: Transaction) -> Webhook:
            found = store_webhooks.secrets_of(tx.connection, tenant, id)
            if found is None:
                raise no_webhook(id)
            changed = msgspec.structs.replace(found[0], rotated=now, until=now + grace if grace else None)
            store_webhooks.put_webhook(tx.connection, tenant, changed, sealed, found[1] if grace else None)
            tx.tell(events.webhook_changed(changed, "rotated", by))
            return changed

        return await ground.database.write(tenant, work), secret

    async def delete(self, tenant: str, by: str, id: str) -> None:
        def work(tx: Transaction) -> None:
            found = store_webhooks.webhook(tx.connection, tenant, id)
            if found is None or not store_webhooks.drop_webhook(tx.connection, tenant, id):
                raise no_webhook(id)
            tx.tell(events.webhook_changed(found, "deleted", by))

        await self._ground.database.write(tenant, work)

    # What others send

    async def take(self, id: str, headers: Mapping[str, str], body: bytes) -> Taken:
        """A signed message. Unauthenticated for whatever does not prove itself; then nothing was done."""
        known = id if id.isprintable() and len(id) < 100 else "-"
        found = await self._ground.database.read(EVERY, lambda c: store_webhooks.secrets_of(c, EVERY, known))
        message = signatures.of_headers(headers, body)
        hook = self._verified(found, message or Message("-", "0", "-", body))
        if hook is None or message is None or await self._is_known(hook, message):
            raise _refused()
        made = await self._do(hook, message)
        await self._remember(hook, message)
        return made

    def _verified(self, found: tuple[Webhook, bytes, bytes | None] | None, message: Message) -> Webhook | None:
        """The webhook whose message this is. The same work is done for one that does not exist."""
        now = self._ground.clock.now()
        if found is None:
            signatures.is_signed(message, [signatures.key_of(_NOBODY)])
            return None
        hook, sealed, earlier = found
        live = [sealed] if earlier is None or hook.until is None or hook.until <= now else [sealed, earlier]
        keys = [
            signatures.key_of(self._ground.sealing.open(hook.tenant, _place(hook.id), one).decode()) for one in live
        ]
        is_signed = signatures.is_signed(message, keys)
        return hook if is_signed and signatures.is_timely(message, now) else None

    async def _is_known(self, hook: Webhook, message: Message) -> bool:
        return await self._ground.database.read(
            hook.tenant, lambda c: store_webhooks.is_received(c, hook.tenant, hook.id, message.attempt)
        )

    async def _do(self, hook: Webhook, message: Message) -> Taken:
        given = decoded_json(message.body) if message.body else {}
        if hook.workflow:
            id = run_id("webhook", hook.tenant, hook.id, message.id)
            wish = Start(
                workflow=hook.workflow, version=hook.version, input=given, id=id, by=hook.by, project=hook.project
            )
            started = await self._runs.start(hook.tenant, wish)
            return Taken(message=message.id, run=started.run)
        at = datetime.fromtimestamp(int(message.timestamp), UTC).isoformat().replace("+00:00", "Z")
        event: dict[str, Any] = {
            "specversion": "1.0", "id": message.id, "source": f"/perdure/webhooks/{hook.id}", "type": hook.event,
            "time": at, "datacontenttype": "application/json", "data": given,
        }  # fmt: skip
        await self._intake.take(hook.tenant, event)
        return Taken(message=message.id)

    async def _remember(self, hook: Webhook, message: Message) -> None:
        ground, now = self._ground, self._ground.clock.now()
        try:
            await ground.database.write(
                hook.tenant,
                lambda tx: store_webhooks.receive(tx.connection, hook.tenant, hook.id, message.attempt, now),
            )
        except IntegrityError:  # the same attempt twice at the same time: one effect, one answer
            raise _refused() from None
        if ground.clock.monotonic() - self._cleaned > signatures.WINDOW:
            self._cleaned = ground.clock.monotonic()
            old = now - 3 * signatures.WINDOW * 1000
            await ground.database.write(EVERY, lambda tx: store_webhooks.forget_receipts(tx.connection, EVERY, old))


def _place(id: str) -> str:
    return f"webhooks/{id}/secret"


def _refused() -> Unauthenticated:
    return Unauthenticated(
        "The message is not signed as it has to be.",
        hint="See standardwebhooks.com: webhook-id, webhook-timestamp and webhook-signature; each attempt once.",
    )
