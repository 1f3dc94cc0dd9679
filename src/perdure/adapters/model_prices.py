"""What requests to models cost: public list prices in US dollars per million tokens, and the sum with the price used.

The table is a starting point; `prices` of PERDURE_MODELS replaces it name by name. What is not known has no cost, and
is never guessed.
"""

import contextlib
import functools
import re
from collections.abc import AsyncGenerator, Mapping
from typing import Any

import msgspec

from perdure.ports.model import Answer, Chunk, Model, Request, Texts, Vectors


class Above(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The price of a request whose input has more tokens than `tokens`."""

    tokens: int
    input: float
    output: float
    cached: float | None = None


class Price(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """US dollars per million tokens. `cached` is for input that the provider had kept (absent: as `input`), `since` the
    day on which the price was true."""

    input: float
    output: float = 0.0
    cached: float | None = None
    since: str = ""
    above: Above | None = None


def _row(since: str, input: float, cached: float | None, output: float, above: Above | None = None) -> Price:
    return Price(input=input, output=output, cached=cached, since=since, above=above)


_A, _B, _C = "2025-11-13", "2026-07-29", "2026-08-02"

PRICES: dict[str, Price] = {
    "gpt-4o": _row(_A, 2.5, 1.25, 10),
    "gpt-4o-mini": _row(_A, 0.15, 0.075, 0.6),
    "gpt-4.1": _row(_A, 2, 0.5, 8),
    "gpt-4.1-mini": _row(_A, 0.4, 0.1, 1.6),
    "gpt-4.1-nano": _row(_A, 0.1, 0.025, 0.4),
    "gpt-5": _row(_A, 1.25, 0.125, 10),
    "gpt-5-mini": _row(_A, 0.25, 0.025, 2),
    "gpt-5-nano": _row(_A, 0.05, 0.005, 0.4),
    "gpt-5-pro": _row(_A, 15, None, 120),
    "gpt-5.1": _row(_A, 1.25, 0.125, 10),
    "gpt-5.2": _row("2025-12-11", 1.75, 0.175, 14),
    "gpt-5.2-pro": _row("2025-12-11", 21, None, 168),
    "gpt-5.3": _row("2026-05-07", 1.75, 0.175, 14),
    "gpt-5.3-codex": _row("2026-02-05", 1.75, 0.175, 14),
    "gpt-5.4": _row("2026-03-06", 2.5, 0.25, 15, Above(272_000, 5, 22.5, 0.5)),
    "gpt-5.4-mini": _row("2026-03-18", 0.75, 0.075, 4.5),
    "gpt-5.4-nano": _row("2026-03-18", 0.2, 0.02, 1.25),
    "gpt-5.4-pro": _row("2026-03-06", 30, None, 180, Above(272_000, 60, 270)),
    "gpt-5.5": _row("2026-04-24", 5, 0.5, 30),
    "gpt-5.5-pro": _row("2026-04-24", 30, None, 180),
    "gpt-5.6-luna": _row(_C, 0.2, 0.02, 1.2, Above(272_000, 0.4, 1.8, 0.04)),
    "gpt-5.6-sol": _row(_C, 5, 0.5, 30, Above(272_000, 10, 45, 1)),
    "gpt-5.6-terra": _row(_C, 2, 0.2, 12, Above(272_000, 4, 18, 0.4)),
    "o1": _row(_A, 15, 7.5, 60),
    "o3": _row(_A, 2, 0.5, 8),
    "o3-mini": _row(_A, 1.1, 0.55, 4.4),
    "o4-mini": _row(_A, 1.1, 0.275, 4.4),
    "text-embedding-3-large": _row(_A, 0.13, None, 0),
    "text-embedding-3-small": _row(_A, 0.02, None, 0),
    "text-embedding-ada-002": _row(_A, 0.1, None, 0),
    "claude-3-haiku": _row(_B, 0.25, 0.03, 1.25),
    "claude-3-5-haiku": _row(_B, 0.8, 0.08, 4),
    "claude-3-5-sonnet": _row(_B, 3, 0.3, 15),
    "claude-3-7-sonnet": _row(_B, 3, 0.3, 15),
    "claude-haiku-4-5": _row(_B, 1, 0.1, 5),
    "claude-sonnet-4": _row(_B, 3, 0.3, 15),
    "claude-sonnet-4-5": _row(_B, 3, 0.3, 15, Above(200_000, 6, 22.5, 0.6)),
    "claude-sonnet-4-6": _row(_B, 3, 0.3, 15),
    "claude-sonnet-5": _row(_B, 3, 0.3, 15),
    "claude-opus-4": _row(_B, 15, 1.5, 75),
    "claude-opus-4-1": _row(_B, 15, 1.5, 75),
    "claude-opus-4-5": _row(_B, 5, 0.5, 25),
    "claude-opus-4-6": _row(_B, 5, 0.5, 25),
    "claude-opus-4-7": _row(_B, 5, 0.5, 25),
    "claude-opus-4-8": _row(_B, 5, 0.5, 25),
    "claude-opus-5": _row(_B, 5, 0.5, 25),
    "claude-fable-5": _row(_B, 10, 1, 50),
    "gemini-2.0-flash": _row("2025-07-04", 0.1, 0.025, 0.4),
    "gemini-2.0-flash-lite": _row("2025-07-04", 0.075, None, 0.3),
    "gemini-2.5-pro": _row("2025-10-31", 1.25, 0.125, 10, Above(200_000, 2.5, 15, 0.25)),
    "gemini-2.5-flash": _row("2025-10-31", 0.3, 0.03, 2.5),
    "gemini-2.5-flash-lite": _row("2025-10-31", 0.1, 0.01, 0.4),
    "gemini-3-pro": _row("2025-11-18", 2, 0.2, 12, Above(200_000, 4, 18, 0.4)),
    "gemini-3-flash": _row("2025-12-19", 0.5, 0.05, 3),
    "gemini-3.1-pro": _row("2026-02-23", 2, 0.2, 12, Above(200_000, 4, 18, 0.4)),
    "gemini-3.1-flash-lite": _row("2026-05-12", 0.25, 0.025, 1.5),
    "gemini-3.5-flash": _row("2026-05-19", 1.5, 0.15, 9),
    "gemini-3.5-flash-lite": _row("2026-07-22", 0.3, 0.03, 2.5),
    "gemini-3.6-flash": _row("2026-08-13", 1.5, 0.15, 7.5),
    "gemini-3.7-flash": _row("2026-08-13", 1.5, 0.15, 7.5),
    "gemini-embedding-001": _row("2025-07-04", 0.15, None, 0),
    "gemini-embedding-2": _row("2026-07-22", 0.2, None, 0),
    "mistral-large": _row("2025-07-04", 2, None, 6),
    "mistral-medium-3": _row("2025-08-12", 0.4, None, 2),
    "mistral-small": _row("2025-07-04", 0.1, None, 0.3),
    "deepseek-v4-flash": _row("2026-05-12", 0.14, 0.0028, 0.28),
    "deepseek-v4-pro": _row("2026-06-02", 0.435, 0.003625, 0.87),
}
"""By the name without its date. Each day is the one on which the public price was last checked."""

FREE = Price(0.0, 0.0, since="")
"""Of a model that runs here."""

_SUFFIX = re.compile(r"(-\d{4}-\d{2}-\d{2}|[-@]20\d{6}|-latest|-preview(-\d{2}-(\d{2}|\d{4}))?|-00\d|-0)\Z")


def price_of(model: str, provider: str = "", own: Mapping[str, Price] = {}) -> Price | None:
    """The price of a model: the installation's own for `provider/model` or `model`, else the table's; without its date
    and the like when it is not listed with them. None when it is not known."""
    for name in _names(model):
        for known, key in ((own, f"{provider}/{name}"), (own, name), (PRICES, name)):
            if key in known:
                return known[key]
    return own.get(f"{provider}/*")


@functools.lru_cache(256)
def _names(model: str) -> list[str]:
    name = model.rpartition("/")[2]
    names = [model, name] if name != model else [model]
    while (shorter := _SUFFIX.sub("", names[-1])) != names[-1]:
        names.append(shorter)
    return names


def cost(price: Price, usage: Mapping[str, Any]) -> float:
    """US dollars, to a billionth."""
    into, out, cached = (int(usage.get(key, 0)) for key in ("inputTokens", "outputTokens", "inputTokensCached"))
    at: Price | Above = price if price.above is None or into <= price.above.tokens else price.above
    kept = at.input if at.cached is None else at.cached
    return round(((into - cached) * at.input + cached * kept + out * at.output) / 1_000_000, 9)


def priced(usage: dict[str, Any], provider: str, own: Mapping[str, Price], asked: str = "") -> dict[str, Any]:
    """The usage with its cost, the price it was made with, and the name of the provider."""
    told = {**usage, "provider": provider}
    price = price_of(str(usage.get("model", "")), provider, own) or price_of(asked, provider, own)
    if "cost" in usage or price is None:
        return told
    if price == FREE:
        return {**told, "cost": 0.0}
    return {**told, "cost": cost(price, usage), "price": msgspec.to_builtins(price)}


_CHARACTERS = 4
"""Of one token, as a rule."""


def reckoned(usage: dict[str, Any], into: int, out: int) -> dict[str, Any]:
    """The usage with the tokens that a provider did not tell, by so many characters: what nobody counts would pass every
    budget by. `isEstimated` says so."""
    told: dict[str, Any] = {}
    for key, characters in (("inputTokens", into), ("outputTokens", out)):
        if characters and not usage.get(key):
            told[key] = characters // _CHARACTERS + 1
    return {**usage, **told, "isEstimated": True} if told else usage


def _asked(request: Request) -> int:
    """Characters that a request says."""
    tools = msgspec.json.encode(request.tools) if request.tools else b""
    return len(tools) + sum(len(message.text) for message in request.messages)


def _said(answer: Answer) -> int:
    calls = msgspec.json.encode(answer.tool_calls) if answer.tool_calls else b""
    return len(calls) + len(answer.text)


class PricedModel:
    """Adds to every usage what it cost. `own` are the prices of the installation, `provider/*` those of all its models."""

    def __init__(self, model: Model, provider: str, own: Mapping[str, Price], default: str = "") -> None:
        self._model = model
        self._provider = provider
        self._own = own
        self._default = default

    def __repr__(self) -> str:
        return f"PricedModel({self._provider}: {self._model!r})"

    def priced(self, usage: dict[str, Any], model: str) -> dict[str, Any]:
        return priced(usage, self._provider, self._own, model or self._default)

    def _told(self, answer: Answer, request: Request) -> Answer:
        usage = answer.usage
        if not (usage.get("inputTokens") and usage.get("outputTokens")):
            usage = reckoned(usage, _asked(request), _said(answer))
        usage = self.priced(usage, request.model)
        return msgspec.structs.replace(answer, usage=usage)

    async def ask(self, request: Request) -> Answer:
        return self._told(await self._model.ask(request), request)

    async def stream(self, request: Request) -> AsyncGenerator[Chunk, None]:
        async with contextlib.aclosing(self._model.stream(request)) as chunks:
            async for chunk in chunks:
                yield self._told(chunk, request) if isinstance(chunk, Answer) else chunk

    async def embed(self, texts: Texts) -> Vectors:
        made = await self._model.embed(texts)
        usage = reckoned(made.usage, sum(map(len, texts.texts)), 0)
        usage = priced(usage, self._provider, self._own, texts.model or self._default)
        return msgspec.structs.replace(made, usage=usage)
