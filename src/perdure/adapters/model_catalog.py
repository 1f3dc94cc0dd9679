"""All models of an installation by name, behind the one port: what functions and the gateway ask.

A request names `provider/model`, a route, a provider, or a model of the default provider; empty is the default.
"""

import contextlib
import difflib
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from perdure.ports.model import Answer, Chunk, Model, ModelFailed, Request, Texts, Vectors


class Place(NamedTuple):
    """Where a name leads: the model to ask, the name it has there, and what the usage calls the provider."""

    model: Model
    name: str
    provider: str


class NamedModel:
    """One model of a provider, whatever a request names."""

    def __init__(self, model: Model, name: str) -> None:
        self._model = model
        self._name = name

    def __repr__(self) -> str:
        return f"NamedModel({self._name}: {self._model!r})"

    def ask(self, request: Request) -> Awaitable[Answer]:
        return self._model.ask(msgspec.structs.replace(request, model=self._name))

    def stream(self, request: Request) -> AsyncGenerator[Chunk, None]:
        return self._model.stream(msgspec.structs.replace(request, model=self._name))

    def embed(self, texts: Texts) -> Awaitable[Vectors]:
        return self._model.embed(msgspec.structs.replace(texts, model=self._name))

    def priced(self, usage: dict[str, Any], model: str) -> dict[str, Any]:
        return _priced(self._model, self._name, usage)


class ModelCatalog:
    """`providers` by name, each knows its models; `default` is the one meant when a request names none. A route is a
    provider of one model. `listed` are the models (`provider/model`) that `names` tells besides; `asks` are those that a
    provider or a route asks under its own name. With `is_strict` a name before a slash has to be a provider; else what is
    unknown goes to the default provider as it is."""

    def __init__(
        self, providers: Mapping[str, Model], default: str, *, listed: Sequence[str] = (), is_strict: bool = False,
        asks: Mapping[str, tuple[str, ...]] | None = None,
    ) -> None:  # fmt: skip
        self._providers = dict(providers)
        self._listed = tuple(listed)
        self._is_strict = is_strict
        self._asks = dict(asks or {})
        self.default = default

    def __repr__(self) -> str:
        return f"ModelCatalog({', '.join(sorted(self._providers))}; default {self.default})"

    @property
    def providers(self) -> list[str]:
        """The names of providers and routes."""
        return sorted(self._providers)

    def names(self) -> list[str]:
        """All names that are worth telling: providers, routes, and the models that are listed."""
        return sorted({*self._providers, *self._listed})

    def find(self, name: str) -> Place:
        """Where a name leads. ModelFailed `configuration` for an unknown provider."""
        provider, slash, model = name.partition("/")
        if name in self._providers:
            return Place(self._providers[name], "", name)
        if slash and provider in self._providers:
            return Place(self._providers[provider], model, provider)
        if (slash and self._is_strict) or self.default not in self._providers:
            raise self._unknown(provider if slash else self.default)
        return Place(self._providers[self.default], name, self.default)

    def known_as(self, name: str) -> tuple[str, ...]:
        """Every name of what a name leads to: itself, the whole name, and the models that answer for a provider or a route."""
        try:
            place = self.find(name)
        except ModelFailed:
            return (name,)
        whole = f"{place.provider}/{place.name}" if place.name else place.provider
        asks = self._asks.get(place.provider, ())
        if place.name:  # a provider asks that very model then, and a route what it always asks
            asks = tuple(one for one in asks if one.partition("/")[0] != place.provider)
        return tuple(dict.fromkeys((name, whole, *asks)))

    def _unknown(self, name: str) -> ModelFailed:
        known = ", ".join(sorted(self._providers)) or "none"
        near = difflib.get_close_matches(name, self._providers, n=1)
        hint = f" Did you mean {near[0]}?" if near else ""
        return ModelFailed(
            f"There is no model provider named {name!r} here (known: {known}).{hint}", failure="configuration"
        )

    def priced(self, model: str, usage: dict[str, Any]) -> dict[str, Any]:
        """The usage with its cost, where the price is known: for what was reckoned, and for no answer."""
        place = self.find(model)
        return _priced(place.model, place.name, {"provider": place.provider, **usage})

    async def ask(self, request: Request) -> Answer:
        """One request; the usage names the provider unless it does already."""
        place = self.find(request.model)
        answer = await place.model.ask(msgspec.structs.replace(request, model=place.name))
        return _told(answer, place.provider)

    async def embed(self, texts: Texts) -> Vectors:
        place = self.find(texts.model)
        made = await place.model.embed(msgspec.structs.replace(texts, model=place.name))
        return msgspec.structs.replace(made, usage={"provider": place.provider, **made.usage})

    async def stream(self, request: Request) -> AsyncGenerator[Chunk, None]:
        place = self.find(request.model)
        wanted = msgspec.structs.replace(request, model=place.name)
        async with contextlib.aclosing(place.model.stream(wanted)) as chunks:
            async for chunk in chunks:
                yield _told(chunk, place.provider) if isinstance(chunk, Answer) else chunk


def _priced(model: Model, name: str, usage: dict[str, Any]) -> dict[str, Any]:
    priced: Callable[[dict[str, Any], str], dict[str, Any]] | None = getattr(model, "priced", None)
    return usage if priced is None else priced(usage, name)


def _told(answer: Answer, provider: str) -> Answer:
    return msgspec.structs.replace(answer, usage={"provider": provider, **answer.usage})
