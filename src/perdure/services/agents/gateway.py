"""The model gateway: who asks, whether there is budget for it, what may be said, who answers, and what it cost. START HERE.

One way for all wires: rules before, answers that are kept, budget, model, rules after. Nothing here reads a database
before the model is asked. HTTP is in `routes_gateway.py`.
"""

import contextlib
import os
from collections.abc import AsyncGenerator, Callable
from typing import Any, Protocol

import msgspec

from perdure.ports.clock import Clock
from perdure.ports.edge import Caller
from perdure.ports.guardrails import Guardrails
from perdure.ports.log import Log
from perdure.ports.model import Answer, CallDelta, Chunk, Model, ModelFailed, Request, TextDelta, Texts, Vectors
from perdure.ports.spending import ANSWER, Permit, Spender, Spending
from perdure.services.agents.allowance import allowed
from perdure.services.agents.answers import Answers, Mode, owner_of

_IMAGE_TOKENS = 1500
_AROUND_TOKENS = 16
"""What a provider writes around a message, and around all of them."""
_CHARACTERS = 3
"""Of one token, at least: what is held back errs to the safe side."""
_CHARACTERS_USUAL = 4
_ID, _AHEAD = 12, 64


class Models(Model, Protocol):
    """All models of the installation, by name."""

    default: str

    def names(self) -> list[str]: ...
    def find(self, name: str) -> Any:
        """ModelFailed for a name that leads nowhere."""
        ...

    def priced(self, model: str, usage: dict[str, Any]) -> dict[str, Any]:
        """The usage with its cost, where the price is known."""
        ...


class UnknownModel(ModelFailed):
    """The name leads to no model."""


class Ground(msgspec.Struct, frozen=True, kw_only=True):
    """What wiring hands over."""

    models: Models
    spending: Spending
    answers: Answers
    guardrails: Guardrails
    clock: Clock
    log: Log
    chance: Callable[[int], bytes] = os.urandom


class Asked(msgspec.Struct, kw_only=True):
    """One request on its way: what was asked, by whom, and what has become of it."""

    request: Request
    caller: Caller
    mode: Mode
    """How kept answers may be used."""
    permit: Permit | None = None
    usage: dict[str, Any] | None = None
    """What it cost, once that is known."""
    source: str = ""
    """Where the answer came from: `hit` or `miss` of what is kept, empty where that was not looked at."""
    characters: int = 0
    """Said so far, where the end of the answer may never be seen."""


class ModelGateway:
    """Every request ends with `settle`, whatever became of it."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._models = ground.models
        self._spending = ground.spending
        self._ids: list[str] = []

    def __repr__(self) -> str:
        return f"ModelGateway({self._models!r}, {self._ground.guardrails!r}, {self._ground.answers!r})"

    def id(self) -> str:
        """For a request, an answer: nobody can guess it, nobody can choose it. It begins with the moment, so that rows that come
        one after the other stand beside one another. Chance is asked for many at once."""
        if not self._ids:
            made = self._ground.chance(_ID * _AHEAD).hex()
            self._ids = [made[at : at + 2 * _ID] for at in range(0, len(made), 2 * _ID)]
        return f"{self._ground.clock.now():011x}{self._ids.pop()}"

    def now(self) -> int:
        """Seconds since the epoch."""
        return self._ground.clock.now() // 1000

    def names(self, caller: Caller) -> list[str]:
        """What the caller can ask for."""
        return allowed(caller.models, self._models.names())

    def name(self, model: str) -> str:
        """The name under which an answer is given."""
        return model or self._models.default

    def mode(self, asked: str) -> Mode:
        """How kept answers may be used by a request that says so."""
        return self._ground.answers.mode(asked)

    def log(self, event: str, **fields: Any) -> None:
        self._ground.log("warning", event, **fields)

    async def ask(self, asked: Asked) -> Answer:
        """The whole answer. Raises ModelFailed and PerdureError."""
        self._check(asked)
        found = await self._kept(asked)
        if found is not None:
            return self._judged(asked, found)
        await self._begin(asked)
        answer = await self._models.ask(asked.request)
        self._paid(asked, answer.usage)
        await self._keep(asked, answer)
        return self._judged(asked, answer)

    async def stream(self, asked: Asked) -> AsyncGenerator[Chunk, None]:
        """The answer as it comes; held back to its end where a rule wants to see the whole. Raises as `ask`."""
        self._check(asked)
        found = await self._kept(asked)
        if found is not None:
            for chunk in pieces(self._judged(asked, found)):
                yield chunk
            return
        await self._begin(asked)
        is_held = self._ground.guardrails.holds(asked.request, asked.caller)
        async with contextlib.aclosing(self._models.stream(asked.request)) as chunks:
            async for chunk in chunks:  # to its end: who stops at the answer loses the connection to the provider
                if isinstance(chunk, Answer):
                    self._paid(asked, chunk.usage)
                    await self._keep(asked, chunk)
                    for piece in pieces(self._judged(asked, chunk)) if is_held else (chunk,):
                        yield piece
                    continue
                asked.characters += len(chunk.arguments if isinstance(chunk, CallDelta) else chunk.text)
                if not is_held:
                    yield chunk

    async def embed(self, asked: Asked, texts: Texts) -> Vectors:
        """Vectors. `asked.request` holds the texts as messages, for the rules."""
        self._check(asked)
        await self._begin(asked, reckoned(asked.request, 0))
        checked = msgspec.structs.replace(texts, texts=tuple(message.text for message in asked.request.messages))
        made = await self._models.embed(checked)
        self._paid(asked, made.usage)
        return made

    async def settle(self, asked: Asked) -> None:
        """Tell what it cost. Of an answer that nobody waited for, or that broke off, it is reckoned by its length."""
        permit, asked.permit = asked.permit, None
        if permit is None:
            return
        usage = asked.usage
        if usage is None and asked.characters:
            usage = self._reckoned(asked)
        try:
            if usage is None:
                await self._spending.abandon(permit)
            else:
                await self._spending.end(permit, usage)
        except Exception as error:  # noqa: BLE001 - no answer fails because its cost could not be told
            self._ground.log("error", "usage not recorded", call=permit.spender.call, usage=usage, error=str(error))

    def _check(self, asked: Asked) -> None:
        """Names and rules, before anything is spent."""
        asked.request = self._ground.guardrails.before(asked.request, asked.caller)
        try:
            self._models.find(asked.request.model)
        except ModelFailed as failed:
            raise UnknownModel(str(failed), failure="configuration", status=404) from None

    async def _begin(self, asked: Asked, tokens: int | None = None) -> None:
        caller = asked.caller
        spender = Spender(
            tenant=caller.tenant, call=self.id(), key=caller.key or caller.subject, project=caller.project,
            models=caller.models,
        )  # fmt: skip
        asked.permit = await self._spending.begin(
            spender,
            model=self.name(asked.request.model),
            tokens=reckoned(asked.request) if tokens is None else tokens,
        )

    def _paid(self, asked: Asked, usage: dict[str, Any]) -> None:
        """Before anything of the answer leaves, so that a process that is killed then has its bill. What a budget waits for
        is left to `settle`."""
        asked.usage = usage
        if asked.permit is not None and self._spending.end_soon(asked.permit, usage):
            asked.permit = None

    async def _kept(self, asked: Asked) -> Answer | None:
        """An answer that was given before. It costs nothing, and is counted nevertheless."""
        answers = self._ground.answers
        if not answers.may_keep(asked.request, asked.mode):
            return None
        owner = owner_of(asked.caller)
        found = await answers.exact(owner, asked.request)
        if found is None and asked.mode.is_semantic:
            vectors = await self._question(asked)
            found = await answers.similar(owner, asked.request, vectors) if vectors else None
        asked.source = "miss" if found is None else "hit"
        if found is not None:
            await self._begin(asked, 0)
            self._paid(asked, {**found.usage, "cost": 0.0, "isKept": True})
        return found

    async def _question(self, asked: Asked) -> tuple[float, ...] | None:
        """The vector of the last question, which is a request of its own. None when there is none to be had."""
        answers = self._ground.answers
        text = answers.question(asked.request)
        if not text or not answers.embedding:
            return None
        own = Asked(
            request=Request(messages=(), key=asked.request.key, model=answers.embedding),
            caller=msgspec.structs.replace(asked.caller, models=()),  # it was not the caller who chose this model
            mode=Mode(),
        )
        try:
            await self._begin(own, len(text) // _CHARACTERS + 1)
            made = await self._models.embed(Texts(texts=(text,), key=self.id(), model=answers.embedding))
            self._paid(own, made.usage)
        except ModelFailed as failed:
            self.log("no vector of a question", error=str(failed))
            return None
        finally:
            await self.settle(own)
        asked.mode.vector = made.vectors[0]
        return made.vectors[0]

    async def _keep(self, asked: Asked, answer: Answer) -> None:
        if asked.source == "miss":
            await self._ground.answers.keep(owner_of(asked.caller), asked.request, answer, asked.mode.vector)

    def _judged(self, asked: Asked, answer: Answer) -> Answer:
        return self._ground.guardrails.after(answer, asked.request, asked.caller)

    def _reckoned(self, asked: Asked) -> dict[str, Any]:
        model = self.name(asked.request.model)
        into = sum(len(message.text) for message in asked.request.messages)
        usage = {
            "inputTokens": into // _CHARACTERS_USUAL + 1,
            "outputTokens": asked.characters // _CHARACTERS_USUAL + 1,
            "model": model,
            "isEstimated": True,
        }
        return self._models.priced(model, usage)


def reckoned(request: Request, longest: int = ANSWER) -> int:
    """The most tokens that a request may take in and give out, `longest` where it does not say how many."""
    characters = images = 0
    for message in request.messages:
        characters += len(message.text)
        images += 0 if isinstance(message.content, str) else len(message.content)
    if request.tools or request.schema is not None:
        characters += len(msgspec.json.encode((request.tools, request.schema)))
    most = request.parameters.get("maxTokens") or longest
    around = _AROUND_TOKENS * (1 + len(request.messages))
    return characters // _CHARACTERS + around + images * _IMAGE_TOKENS + int(most)


def pieces(answer: Answer) -> list[Chunk]:
    """A whole answer as a stream."""
    made: list[Chunk] = [TextDelta(answer.text)] if answer.text else []
    for index, call in enumerate(answer.tool_calls):
        arguments = call.arguments if isinstance(call.arguments, str) else msgspec.json.encode(call.arguments).decode()
        made += [CallDelta(index, call.id, call.name), CallDelta(index, arguments=arguments)]
    return [*made, answer]
