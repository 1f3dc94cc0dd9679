"""The models of this installation by the names of their providers, and how their failures become faults.

`infer` and `model` ask through it.
"""

from collections.abc import Mapping
from typing import NoReturn

import msgspec

from perdure.interpreter.faults import problem
from perdure.ports.function import FunctionFault
from perdure.ports.model import Answer, Model, ModelFailed, Request

TIMEOUT = 600.0
"""Seconds: a model on one thread answers one call after the other."""


class Providers:
    """`default` is the provider meant when a call names none."""

    def __init__(self, providers: Mapping[str, Model], default: str) -> None:
        self._providers = dict(providers)
        self.default = default

    async def ask(self, provider: str | None, request: Request) -> Answer:
        """Ask once; the usage names the provider. Raises FunctionFault."""
        name = self.default if provider is None else provider
        model = self._providers.get(name)
        if model is None:
            known = ", ".join(sorted(self._providers)) or "none"
            refuse("configuration", f"There is no model provider named {name!r} here (known: {known}).")
        try:
            answer = await model.ask(request)
        except ModelFailed as failed:
            fault = problem(failed.failure, status=failed.status, detail=str(failed))
            raise FunctionFault(fault, "unknown" if failed.sent else "definite") from None
        return msgspec.structs.replace(answer, usage={**answer.usage, "provider": name})

    def __repr__(self) -> str:
        return f"Providers({', '.join(sorted(self._providers))}; default {self.default})"


def refuse(name: str, detail: str) -> NoReturn:
    """Raise a fault of a standard type."""
    raise FunctionFault(problem(name, detail=detail))
