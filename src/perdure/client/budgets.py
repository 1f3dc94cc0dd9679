"""How much may be spent on models, and how much was."""

from typing import Any

import msgspec

from perdure.client.call import Call, Page, call


class Budget(msgspec.Struct, frozen=True, kw_only=True):
    """`amount` is US dollars, or tokens where `measure` says so."""

    id: str
    name: str
    scope: str
    subject: str
    per: str
    measure: str
    amount: float
    warn: int
    hard: bool
    created: str
    updated: str
    by: str


class Standing(Budget, frozen=True, kw_only=True):
    """How far it is used up in this period."""

    period: str
    spent: float
    limit: float


def find(*, limit: int = 100, cursor: str = "") -> Call[Page[Budget]]:
    return call("GET", "budgets", query={"limit": limit, "cursor": cursor}, answer=Page[Budget])


def get(id: str, *, subject: str = "") -> Call[Standing]:
    return call("GET", "budgets", id, query={"subject": subject}, answer=Standing)


def create(scope: str, amount: float, **given: Any) -> Call[Budget]:
    """`scope`: `run`, `agent`, `key`, `project`, `tenant`; and `name subject per measure warn hard`."""
    body = {"scope": scope, "amount": amount, **{name: value for name, value in given.items() if value is not None}}
    return call("POST", "budgets", body=body, answer=Budget)


def change(id: str, **given: Any) -> Call[Budget]:
    """`name amount warn hard`."""
    body = {name: value for name, value in given.items() if value is not None}
    return call("PATCH", "budgets", id, body=body, answer=Budget)


def delete(id: str) -> Call[None]:
    return call("DELETE", "budgets", id)
