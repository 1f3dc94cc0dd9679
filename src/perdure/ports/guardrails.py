"""Rules of an installation about what models may be asked and what they may answer, whoever asks: the model gateway, an
agent, a step of a workflow."""

from typing import Protocol

import msgspec

from perdure.ports.model import Answer, Request


class Asking(Protocol):
    """Who asks, as rules see it."""

    @property
    def tenant(self) -> str: ...
    @property
    def subject(self) -> str: ...
    @property
    def key(self) -> str:
        """The id of the API key, or empty."""
        ...

    @property
    def project(self) -> str: ...


class Asker(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody for whom a run asks."""

    tenant: str
    subject: str = ""
    key: str = ""
    project: str = ""


class Guardrails(Protocol):
    """All rules. What they do not let pass is an errors.Invalid with the sentence of the rule."""

    def holds(self, request: Request, caller: Asking) -> bool:
        """Whether an answer has to be seen whole before a piece of it is given."""
        ...

    def before(self, request: Request, caller: Asking) -> Request:
        """The request as it may be sent. Raises Invalid."""
        ...

    def after(self, answer: Answer, request: Request, caller: Asking) -> Answer:
        """The answer as it may be given. Raises Invalid."""
        ...
