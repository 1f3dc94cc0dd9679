"""Every operation by every role: what the one table of identity says is what happens, before a body is read."""

import itertools

import pytest

from perdure.services.identity.models import EVERYTHING, INSTALLATION, ORDER, ROLES, granted
from tests.security.estate import Estate
from tests.security.operations import example, operations

SELF = "self"
OUTSIDE = {"models:use"}
"""What the model gateway asks for: its API is that of others, and not in our description."""
LATER = {"agents:read", "agents:write", "agents:run", "usage:read", "budgets:read", "budgets:write", "system:read"}
"""Of the table, and of no operation of the description as yet, or of one beside it (`/metrics`)."""


@pytest.fixture(scope="module")
def keys(served) -> dict[str, str]:
    """A key of each role in a tenant of its own, and one of the home tenant's owner."""
    estate = Estate(served, "tenant-roles")
    made = {
        role: estate.ask("POST", "/api/v1/keys", json={"name": role, "role": role}).json["secret"] for role in ORDER
    }
    return made | {"home owner": served.key}


def permissions(role: str) -> frozenset[str]:
    return granted("owner", is_home=True) if role == "home owner" else ROLES[role]


def refused(answer) -> bool:
    """Refused for want of a permission: some routes refuse keys for another reason."""
    return answer.status == 403 and answer.json.get("hint", "").startswith("It needs the permission ")


def test_every_operation_by_every_role(served, openapi, keys):
    asked = 0
    for operation, role in itertools.product(operations(openapi), keys):
        if operation.is_public or operation.streams:
            continue
        path = operation.at() + operation.required_query()
        may = operation.permission == SELF or operation.permission in permissions(role)
        body = example(openapi, operation)
        answer = served.ask(operation.method, path, key=keys[role], json=body if may else None)
        assert refused(answer) != may, (operation.name, role, answer)
        if not may:
            assert answer.json["hint"] == f"It needs the permission {operation.permission}."
            broken = served.ask(
                operation.method, path, key=keys[role], body=b"{", headers={"content-type": "application/json"}
            )
            assert refused(broken), (operation.name, role, "its body was read first")
        asked += 1
    assert asked > 6 * 60


def test_streams_by_every_role(served, openapi, keys):
    for operation, role in itertools.product(operations(openapi), ORDER):
        if operation.streams:
            answer = served.ask(operation.method, operation.at(), key=keys[role])
            assert answer.status == 404, (operation.name, role, answer)
            assert operation.permission in ROLES[role]


def test_the_table_and_the_operations_know_the_same_words(openapi):
    used = {operation.permission for operation in operations(openapi) if not operation.is_public}
    assert used <= EVERYTHING
    assert EVERYTHING - used <= LATER | OUTSIDE
    assert all(operation.permission for operation in operations(openapi) if not operation.is_public)


def test_who_only_looks_changes_nothing(openapi):
    """A viewer has no operation but GET, and one that asks whether a document is right; and what is his own."""
    writing = {
        operation.name
        for operation in operations(openapi)
        if operation.permission in ROLES["viewer"] - {SELF} and operation.method != "GET"
    }
    assert writing == {"POST /api/v1/workflows/validate"}


def test_roles_hold_one_another_and_the_installation_is_the_home_owners_alone():
    assert all(ROLES[low] < ROLES[high] for low, high in itertools.pairwise(ORDER))
    assert not INSTALLATION & frozenset().union(*ROLES.values())
    for role in ORDER:
        assert bool(granted(role, is_home=True) & INSTALLATION) == (role == "owner")


def test_a_key_with_less_than_its_role_has_just_that(served, openapi):
    given = {"name": "little", "role": "owner", "permissions": ["runs:read"]}
    key = served.ask("POST", "/api/v1/keys", json=given).json["secret"]
    for operation in operations(openapi):
        if operation.is_public or operation.streams:
            continue
        answer = served.ask(operation.method, operation.at() + operation.required_query(), key=key)
        assert refused(answer) == (operation.permission not in {"runs:read", SELF}), (operation.name, answer)
