"""Asks the models of this installation on somebody's account, and makes their failures faults of the run.

`infer`, `model` and `embed` ask through it. A budget that is used up is a fault of the type `BUDGET`, what a rule of the
installation does not let pass one of the type `GUARDRAIL`.
"""

import contextlib
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from typing import Any, NoReturn

import msgspec

from perdure.errors import Denied, Exhausted, Invalid
from perdure.interpreter.budget_hold import BUDGET
from perdure.interpreter.faults import problem
from perdure.ports.function import Context, FunctionFault
from perdure.ports.guardrails import Asker, Guardrails
from perdure.ports.model import Answer, Message, Model, ModelFailed, Request, TextDelta, Texts, Vectors
from perdure.ports.spending import ACCOUNT, ANSWER, MODELS, Spender, Spending, Unlimited

TIMEOUT = 600.0
"""Seconds: a model on one thread answers one call after the other."""

GUARDRAIL = "urn:perdure:error:guardrail"

_LETTERS = 3
"""Characters of a token, at the least that is usual."""


class Providers:
    """`models` are all models behind one face, which takes `provider/model` for a name; `names` are the providers;
    `spending` is asked before each request and told what it cost; `guardrails` are the rules of the installation."""

    def __init__(
        self,
        models: Model,
        names: Collection[str],
        spending: Spending | None = None,
        guardrails: Guardrails | None = None,
    ) -> None:
        self._models = models
        self._names = frozenset(names)
        self._spending: Spending = spending or Unlimited()
        self._guardrails = guardrails

    async def ask(
        self,
        provider: str | None,
        request: Request,
        context: Context,
        told: Callable[[dict[str, Any]], None] | None = None,
    ) -> Answer:
        """Ask once; the usage names the provider. With `told` the text is reported as it comes. Raises FunctionFault."""
        request = msgspec.structs.replace(request, model=self._name(provider, request.model))
        rules, asker = self._guardrails, _asker(context)
        if rules is not None:
            with _barred():
                request = rules.before(request, asker)
            if rules.holds(request, asker):
                told = None
        given = msgspec.json.encode((request.messages, request.tools, request.schema))
        tokens = len(given) // _LETTERS + request.parameters.get("maxTokens", ANSWER)
        async with self._paid(context, request.model, tokens) as bill:
            answer = await (self._models.ask(request) if told is None else self._live(request, told))
            bill.update(answer.usage)
        if rules is not None:
            with _barred():
                answer = rules.after(answer, request, asker)
        return answer if request.schema is None else _bare(answer)

    @contextlib.asynccontextmanager
    async def _paid(self, context: Context, model: str, tokens: int) -> AsyncIterator[dict[str, Any]]:
        """Around one request: what it cost is put into the bill; an empty one was not answered."""
        spender = Spender(
            tenant=context.tenant, call=context.key, run=context.run, path=context.path,
            models=tuple(context.resources.get(MODELS, ())), **context.resources.get(ACCOUNT, {}),
        )  # fmt: skip
        try:
            permit = await self._spending.begin(spender, model=model, tokens=tokens)
        except Exhausted as error:
            raise FunctionFault(_used_up(error)) from None
        except Denied as error:
            refuse("authorization", error.message)
        bill: dict[str, Any] = {}
        try:
            yield bill
        except ModelFailed as failed:
            raise _fault(failed) from None
        finally:
            await (self._spending.end(permit, bill) if bill else self._spending.abandon(permit))

    async def _live(self, request: Request, told: Callable[[dict[str, Any]], None]) -> Answer:
        answer, at = None, 0
        async with contextlib.aclosing(self._models.stream(request)) as chunks:
            async for chunk in chunks:
                if isinstance(chunk, TextDelta):
                    told({"text": chunk.text, "at": at})  # who looks on later knows that it missed something
                    at += len(chunk.text)
                answer = chunk
        if not isinstance(answer, Answer):
            raise ModelFailed("The model's stream ended without an answer.", failure="communication", sent=True)
        return answer

    async def embed(self, provider: str | None, texts: Texts, context: Context) -> Vectors:
        """Vectors of texts. Raises FunctionFault."""
        texts = msgspec.structs.replace(texts, model=self._name(provider, texts.model))
        if self._guardrails is not None:  # texts are messages of a user to them
            said = Request(messages=tuple(Message("user", text) for text in texts.texts), key="", model=texts.model)
            with _barred():
                said = self._guardrails.before(said, _asker(context))
            texts = msgspec.structs.replace(texts, texts=tuple(message.text for message in said.messages))
        tokens = sum(len(text.encode(errors="replace")) for text in texts.texts) // _LETTERS + 1
        async with self._paid(context, texts.model, tokens) as bill:
            made = await self._models.embed(texts)
            bill.update(made.usage)
        return made

    def _name(self, provider: str | None, model: str) -> str:
        if provider is None:
            return model
        if provider not in self._names:
            known = ", ".join(sorted(self._names)) or "none"
            refuse("configuration", f"There is no model provider named {provider!r} here (known: {known}).")
        return f"{provider}/{model}" if model else provider

    def __repr__(self) -> str:
        return f"Providers({self._models!r})"


def _bare(answer: Answer) -> Answer:
    """JSON without the fence that models like to put around it."""
    head, _line, rest = answer.text.strip().partition("\n")
    if head.strip().lower() not in ("```", "```json") or not rest.endswith("```"):
        return answer
    return msgspec.structs.replace(answer, text=rest.removesuffix("```").strip())


def _asker(context: Context) -> Asker:
    """For whom a run asks, as its caller would be seen."""
    account = context.resources.get(ACCOUNT, {})
    whose = account.get("key", "")
    key = whose if whose.startswith("key_") else ""
    subject = f"key:{key}" if key else whose
    return Asker(tenant=context.tenant, subject=subject, key=key, project=account.get("project", ""))


@contextlib.contextmanager
def _barred() -> Iterator[None]:
    """What a rule does not let pass is a fault: nothing was sent, or the answer was paid and is not given."""
    try:
        yield
    except Invalid as error:
        fault = {"type": GUARDRAIL, "status": 400, "title": "refused by a rule", "detail": error.message}
        raise FunctionFault(fault) from None


def _used_up(error: Exhausted) -> dict[str, Any]:
    """The fault of a budget; with `hold` it is no fault yet, but a step that waits (`interpreter/budget_hold.py`)."""
    fault: dict[str, Any] = {"type": BUDGET, "status": 429, "title": "budget used up", "detail": error.message}
    if "budget" in error.details:
        fault["budget"] = error.details["budget"]
    hold = {key: error.details[key] for key in ("question", "until") if error.details.get(key) is not None}
    return {**fault, "hold": hold} if hold else fault


def _fault(failed: ModelFailed) -> FunctionFault:
    fault = problem(failed.failure, status=failed.status, detail=str(failed))
    return FunctionFault(fault, "unknown" if failed.sent else "definite")


def refuse(name: str, detail: str) -> NoReturn:
    """Raise a fault of a standard type."""
    raise FunctionFault(problem(name, detail=detail))
