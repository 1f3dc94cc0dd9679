"""API keys are recognised while they are good, and give no more than their maker has."""

import asyncio
import itertools

import pytest

from perdure.adapters.clock import TestClock
from perdure.adapters.database import open_database
from perdure.adapters.sealing import KeySealing
from perdure.errors import Denied, Invalid, NotFound
from perdure.services.identity import store
from perdure.services.identity.keys import Wish
from perdure.services.identity.models import INSTALLATION, ROLES, granted, held
from perdure.services.identity.service import Ground, Tenants
from tests.unit.services.identity.conftest import somebody


async def test_the_first_key_is_made_once(identity):
    assert await identity.tenants.first_key("default") is None


async def test_a_key_is_recognised_and_says_what_it_may(identity):
    key, secret = await identity.keys.create(somebody(), Wish(name="ci", role="operator"))
    caller = await identity.keys.recognise(secret)
    assert (caller.tenant, caller.subject, caller.key) == ("default", f"key:{key.id}", key.id)
    assert caller.permissions == ROLES["operator"]
    assert secret.endswith(key.ending)
    assert secret not in repr(key)


async def test_an_owner_key_of_the_home_tenant_sees_to_the_installation(identity):
    _, home = await identity.keys.create(somebody(), Wish(name="x", role="owner"))
    assert (await identity.keys.recognise(home)).permissions >= INSTALLATION
    _, other = await identity.tenants.create(somebody(), "acme", "Acme")
    assert not (await identity.keys.recognise(other)).permissions & INSTALLATION


async def test_a_key_may_have_less_than_its_role(identity):
    wish = Wish(name="reader", role="admin", permissions=frozenset(["runs:read"]))
    _, secret = await identity.keys.create(somebody("admin"), wish)
    assert (await identity.keys.recognise(secret)).permissions == {"runs:read", "self"}


@pytest.mark.parametrize(
    "shown", ["", "pdk_", "pdk_" + "x" * 43, "x" * 10_000, "pdk_' OR 1=1 --", "pdk_\ud800", "Bearer"]
)
async def test_anything_else_is_nobody(identity, shown):
    assert await identity.keys.recognise(shown) is None


async def test_a_revoked_key_is_nobody(identity):
    key, secret = await identity.keys.create(somebody(), Wish(name="x", role="viewer"))
    assert (await identity.keys.revoke(somebody(), key.id)).revoked is not None
    assert await identity.keys.recognise(secret) is None
    assert (await identity.keys.revoke(somebody(), key.id)).revoked is not None


async def test_an_expired_key_is_nobody(identity):
    _, secret = await identity.keys.create(somebody(), Wish(name="x", role="viewer", days=1))
    identity.clock.jump(86_399)
    assert await identity.keys.recognise(secret) is not None
    identity.clock.jump(1)
    assert await identity.keys.recognise(secret) is None


async def test_the_keys_of_a_tenant_that_is_shut_are_nobody(identity):
    _, secret = await identity.tenants.create(somebody(), "acme", "Acme")
    await identity.tenants.disable(somebody(), "acme", disabled=True)
    assert await identity.keys.recognise(secret) is None
    await identity.tenants.disable(somebody(), "acme", disabled=False)
    assert await identity.keys.recognise(secret) is not None


async def test_nobody_gives_what_he_does_not_have(identity):
    with pytest.raises(Denied, match="owner"):
        await identity.keys.create(somebody("admin"), Wish(name="x", role="owner"))
    with pytest.raises(Invalid, match="tenants:write"):
        wish = Wish(name="x", role="admin", permissions=frozenset(["tenants:write"]))
        await identity.keys.create(somebody("admin"), wish)
    with pytest.raises(Denied, match="owner"):  # it would decide what only owners are asked
        wish = Wish(name="x", role="owner", permissions=frozenset(["inbox:decide"]))
        await identity.keys.create(somebody("admin"), wish)
    with pytest.raises(Invalid, match="no permission 'runs:fly'"):
        await identity.keys.create(somebody(), Wish(name="x", role="owner", permissions=frozenset(["runs:fly"])))


async def test_another_tenants_key_is_not_there(identity):
    key, _ = await identity.keys.create(somebody(), Wish(name="x", role="viewer"))
    with pytest.raises(NotFound):
        await identity.keys.get("acme", key.id)
    with pytest.raises(NotFound):
        await identity.keys.revoke(somebody(tenant="acme"), key.id)
    assert await identity.keys.find("acme") == []


async def test_a_key_is_bound_to_a_project_that_exists(identity):
    with pytest.raises(NotFound):
        await identity.keys.create(somebody(), Wish(name="x", role="viewer", project="mail"))
    await identity.tenants.create_project("default", "mail", "Mail")
    _, secret = await identity.keys.create(somebody(), Wish(name="x", role="viewer", project="mail"))
    assert (await identity.keys.recognise(secret)).project == "mail"


@pytest.mark.parametrize("id", ["agents", "perdure"])
async def test_no_project_is_called_as_what_is_our_own(identity, id):
    with pytest.raises(Invalid, match="Perdure's own"):
        await identity.tenants.create_project("default", id, "Mine")


async def test_who_is_bound_to_a_project_makes_no_key_for_another(identity):
    for id in ("mail", "shop"):
        await identity.tenants.create_project("default", id, id)
    _, secret = await identity.keys.create(somebody(), Wish(name="x", role="admin", project="mail"))
    bound = await identity.keys.recognise(secret)
    with pytest.raises(Denied, match="'mail'"):
        await identity.keys.create(bound, Wish(name="y", role="viewer", project="shop"))
    made, _ = await identity.keys.create(bound, Wish(name="y", role="viewer"))
    assert made.project == "mail"


async def test_an_owner_without_the_installation_does_not_give_it(identity):
    """One who signs in through a provider is such an owner of the home tenant: a key of his would be more than he is."""
    owner = somebody(is_home=False)
    with pytest.raises(Denied):
        await identity.keys.create(owner, Wish(name="x", role="owner"))
    with pytest.raises(Denied):
        await identity.users.create(owner, email="o@example.com", name="", role="owner", password=None)
    _, secret = await identity.keys.create(somebody(tenant="acme", is_home=False), Wish(name="x", role="owner"))
    assert secret


async def test_an_administrator_ends_no_key_that_may_more_than_he(identity):
    owners, _ = await identity.keys.create(somebody(), Wish(name="x", role="owner"))
    small = frozenset(["runs:read"])
    little, _ = await identity.keys.create(somebody(), Wish(name="x", role="owner", permissions=small))
    admin = somebody("admin")
    with pytest.raises(Denied):
        await identity.keys.revoke(admin, owners.id)
    assert (await identity.keys.revoke(admin, little.id)).revoked is not None
    assert (await identity.keys.revoke(somebody(), owners.id)).revoked is not None


async def test_two_processes_that_start_at_once_show_one_owner_key(tmp_path):
    path = f"sqlite:///{tmp_path}/identity.db"
    databases = [open_database(path, "identity", store.metadata if not index else None) for index in range(2)]
    try:
        for turn in range(10):
            grounds = [Ground(database=one, clock=TestClock(), sealing=KeySealing((bytes(32),))) for one in databases]
            tenants = [Tenants(ground) for ground in grounds]
            made = await asyncio.gather(*(one.first_key(f"t{turn}") for one in tenants))
            assert sorted(secret is None for secret in made) == [False, True]
    finally:
        for one in databases:
            await one.close()


def test_roles_hold_one_another():
    roles = list(ROLES.values())
    assert all(lower < higher for lower, higher in itertools.pairwise(roles))
    assert granted("owner", is_home=True) == ROLES["owner"] | INSTALLATION
    assert granted("admin", is_home=True) == ROLES["admin"]


async def test_an_own_key_does_what_its_user_can_now(identity):
    ana = await identity.users.create(somebody(), email="a@example.com", name="", role="editor", password=None)
    me = somebody("editor", subject=ana.id)
    key, secret = await identity.keys.create(me, Wish(name="mine", role="editor"), user=ana.id)
    caller = await identity.keys.recognise(secret)
    assert (caller.subject, caller.roles, caller.email) == (ana.id, held("editor"), "a@example.com")
    assert [one.id for one in await identity.keys.find("default", user=ana.id)] == [key.id]
    await identity.users.change(somebody(), ana.id, role="viewer")
    assert (await identity.keys.recognise(secret)).permissions == ROLES["viewer"]
    with pytest.raises(NotFound):
        await identity.keys.revoke(me, key.id, user="usr_other")
    await identity.users.change(somebody(), ana.id, disabled=True)
    assert await identity.keys.recognise(secret) is None


async def test_a_key_is_held_to_models(identity):
    wish = Wish(name="shop", role="operator", models=("openai/*", "local", "openai/*"))
    key, secret = await identity.keys.create(somebody(), wish)
    assert (await identity.keys.recognise(secret)).models == key.models == ("openai/*", "local")
    assert (await identity.keys.get("default", key.id)).models == key.models
    changed = await identity.keys.change(somebody(), key.id, ("local",))
    assert changed.models == (await identity.keys.recognise(secret)).models == ("local",)
    await identity.keys.change(somebody(), key.id, ())
    assert (await identity.keys.recognise(secret)).models == ()


async def test_models_are_kept_only_from_a_key_that_cannot_go_around_it(identity):
    for role in ("editor", "admin", "owner"):
        with pytest.raises(Invalid, match="cannot be held to some models"):
            await identity.keys.create(somebody(), Wish(name="x", role=role, models=("m",)))
    few = Wish(name="x", role="editor", permissions=frozenset(["models:use"]), models=("m",))
    await identity.keys.create(somebody(), few)
    free, _ = await identity.keys.create(somebody(), Wish(name="y", role="editor"))
    with pytest.raises(Invalid, match="cannot be held to some models"):
        await identity.keys.change(somebody(), free.id, ("m",))
    sends = Wish(name="x", role="operator", permissions=frozenset(["events:write"]), models=("m",))
    with pytest.raises(Invalid, match="events:write"):
        await identity.keys.create(somebody(), sends)


async def test_a_key_that_is_held_to_models_sends_no_events(identity):
    """What an event starts is on the account of whoever made the schedule, and asks for the models of that."""
    key, secret = await identity.keys.create(somebody(), Wish(name="x", role="operator", models=("m",)))
    assert (await identity.keys.recognise(secret)).permissions == ROLES["operator"] - {"events:write"}
    await identity.keys.change(somebody(), key.id, ())
    assert (await identity.keys.recognise(secret)).permissions == ROLES["operator"]


async def test_nobody_widens_a_key_that_is_not_his_to_change(identity):
    key, secret = await identity.keys.create(somebody(), Wish(name="x", role="operator", models=("m",)))
    own = await identity.keys.recognise(secret)
    with pytest.raises(Denied):
        await identity.keys.change(own, key.id, ())
    with pytest.raises(Denied):
        await identity.keys.change(somebody("viewer"), key.id, ())
    with pytest.raises(NotFound):
        await identity.keys.change(somebody(), "key_0", ("m",))


@pytest.mark.parametrize("pattern", ["", " ", "a b", "a\n", "x" * 201, "mod\u00e9l", "\x00"])
async def test_what_is_no_pattern_of_models_is_refused(identity, pattern):
    with pytest.raises(Invalid, match="no pattern of models"):
        await identity.keys.create(somebody(), Wish(name="x", role="operator", models=(pattern,)))
