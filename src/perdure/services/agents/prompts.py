"""Prompt templates: named texts in versions, with `${ jq }` anywhere in them.

A template sees what it is given as `.` and nothing else. It is filled in before the run begins: what comes of it is text
of the run's input, and never looked at for expressions again.
"""

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from perdure.errors import Conflict, Invalid, NotFound
from perdure.language.guard.faults import ExpressionFault
from perdure.language.templates import pieces
from perdure.language.values import Json, canonical
from perdure.ports.database import Transaction
from perdure.services.agents import events, store_agents
from perdure.services.agents.models import Template, checked_name, checked_text
from perdure.services.agents.service import Ground

LONGEST = 100_000


class Prompts:
    """The prompts of all tenants."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    def __repr__(self) -> str:
        return f"Prompts({self._ground.database!r})"

    async def write(self, tenant: str, by: str, name: str, text: str) -> Template:
        """A new version of a prompt, or its first. The newest version again is that version."""
        checked_name(name, "a prompt")
        compiled(checked_text(text, "prompt", LONGEST))
        now = self._ground.clock.now()

        def work(tx: Transaction) -> Template:
            newest = store_agents.prompt(tx.connection, tenant, name)
            if newest is not None and newest.text == text:
                return newest
            number = 1 if newest is None else newest.version + 1
            made = Template(tenant=tenant, name=name, version=number, text=text, created=now, by=by)
            store_agents.add_prompt(tx.connection, tenant, made)
            tx.tell(events.prompt_written(made))
            return made

        try:
            return await self._ground.database.write(tenant, work)
        except IntegrityError:
            raise Conflict("Somebody else wrote this prompt at the same moment.", hint="Look at it again.") from None

    async def get(self, tenant: str, name: str, version: int | None = None) -> Template:
        """A version; the newest without a number."""
        found = await self._ground.database.read(tenant, lambda c: store_agents.prompt(c, tenant, name, version))
        if found is None:
            which = "" if version is None else f" version {version} of"
            raise NotFound(f"There is no{which} prompt {name[:80]!r}." if not which else f"There is no{which} the prompt {name[:80]!r}.")  # fmt: skip
        return found

    async def find(self, tenant: str, *, after: str = "", limit: int = 100) -> list[Template]:
        """The newest version of each, in order of their names."""
        return await self._ground.database.read(
            tenant, lambda c: store_agents.find_prompts(c, tenant, after=after, limit=limit)
        )

    async def versions(self, tenant: str, name: str, *, before: int = 2**31 - 1, limit: int = 100) -> list[Template]:
        """The newest first."""

        def work(connection: Connection) -> list[Template]:
            return store_agents.prompt_versions(connection, tenant, name, before=before, limit=limit)

        await self.get(tenant, name)
        return await self._ground.database.read(tenant, work)


def compiled(text: str) -> list[object]:
    """Invalid when an expression cannot be read, or asks for more than it is given."""
    try:
        found = pieces(text)
    except ExpressionFault as error:
        raise Invalid(f"The prompt cannot be read: {error.message}", hint=error.hint) from None
    for piece in found:
        if not isinstance(piece, str) and piece.names:
            raise Invalid(f"A prompt sees `.` only, not ${min(piece.names)}.")
    return list(found)


def filled(text: str, values: Json) -> str:
    """The text with what its expressions give. Invalid when one fails or gives nothing."""
    compiled(text)
    parts = []
    for piece in pieces(text):
        if isinstance(piece, str):
            parts.append(piece)
            continue
        try:
            value = piece.evaluate(values, {})
        except ExpressionFault as error:
            raise Invalid(f"The prompt cannot be filled in: {error.message}", hint=error.hint) from None
        if value is None:  # "You help null." would be an instruction like any other
            said = f"The prompt cannot be filled in: {piece.source.strip()[:200]} gives nothing."
            raise Invalid(
                said, hint='Give it among the values, or write in the prompt what stands for it: `// "friend"`.'
            )
        parts.append(value if isinstance(value, str) else canonical(value).decode())
    return checked_text("".join(parts), "instruction", LONGEST)
