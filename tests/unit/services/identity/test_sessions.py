"""Signing in, staying signed in, and being thrown out."""

import asyncio

import pyotp
import pytest

from perdure.errors import Conflict, Denied, Invalid
from perdure.services.identity.models import Refused, TooMany, held
from perdure.services.identity.sessions import Shown
from tests.unit.services.identity.conftest import PASSWORD, somebody


def shown(**more):
    return Shown(**{"tenant": "default", "email": "ana@example.com", "password": PASSWORD} | more)


async def test_a_sign_in_gives_a_token_that_says_who_it_is(identity, ana):
    granted = await identity.sessions.sign_in(shown(), "refresh")
    tenant, session = await identity.tokens.verify(granted.access)
    caller = await identity.sessions.caller(tenant, session, "token")
    assert (caller.subject, caller.roles, caller.email) == (ana.id, held("editor"), "ana@example.com")
    assert granted.secret not in repr(granted)


async def test_a_cookie_says_who_it_is(identity, ana):
    granted = await identity.sessions.sign_in(shown(), "cookie")
    caller, session = await identity.sessions.by_session(granted.secret)
    assert (caller.subject, session) == (ana.id, granted.session.id)
    identity.clock.jump(12 * 3600)
    assert await identity.sessions.by_session(granted.secret) is None


@pytest.mark.parametrize("wrong", [
    {"password": "wrong horse battery"}, {"email": "bob@example.com"}, {"email": "no address"}, {"tenant": "acme"},
    {"password": ""},
])  # fmt: skip
async def test_every_refusal_reads_the_same(identity, ana, wrong):
    with pytest.raises(Refused, match="The e-mail address, the password or the code is not right"):
        await identity.sessions.sign_in(shown(**wrong), "refresh")


async def test_a_disabled_user_is_out_at_once(identity, ana):
    granted = await identity.sessions.sign_in(shown(), "refresh")
    await identity.users.change(somebody(), ana.id, disabled=True)
    identity.clock.jump(6)
    assert await identity.sessions.caller("default", granted.session.id, "token") is None
    with pytest.raises(Refused):
        await identity.sessions.refresh(granted.secret)
    with pytest.raises(Refused):
        await identity.sessions.sign_in(shown(), "refresh")


async def test_failures_of_others_do_not_keep_somebody_out_from_where_he_has_signed_in_before(identity, ana):
    await identity.sessions.sign_in(shown(address="192.0.2.1"), "refresh")
    for number in range(50):
        with pytest.raises(Refused):
            await identity.sessions.sign_in(shown(password="wrong", address=f"198.51.100.{number % 6}"), "refresh")
    with pytest.raises(TooMany):
        await identity.sessions.sign_in(shown(address="198.51.100.7"), "refresh")
    assert await identity.sessions.sign_in(shown(address="192.0.2.1"), "refresh")


async def test_guesses_at_the_same_moment_are_counted_too(identity, ana):
    many = [identity.sessions.sign_in(shown(password="wrong"), "refresh") for _ in range(30)]
    right = identity.sessions.sign_in(shown(), "refresh")
    *_, last = await asyncio.gather(*many, right, return_exceptions=True)
    assert isinstance(last, TooMany)


async def test_the_current_password_is_not_guessed_in_peace(identity, ana):
    me = somebody("editor", subject=ana.id)
    for _ in range(10):
        with pytest.raises(Denied, match="current"):
            await identity.users.set_password(me, ana.id, password="another password", current="wrong")
    with pytest.raises(TooMany):
        await identity.users.set_password(me, ana.id, password="another password", current=PASSWORD)


async def test_ten_failures_make_everybody_wait(identity, ana):
    for _ in range(10):
        with pytest.raises(Refused):
            await identity.sessions.sign_in(shown(password="wrong"), "refresh")
    with pytest.raises(TooMany):
        await identity.sessions.sign_in(shown(), "refresh")
    identity.clock.jump(15 * 60 + 1)
    assert await identity.sessions.sign_in(shown(), "refresh")


async def test_a_refresh_token_works_once_and_showing_it_twice_ends_the_session(identity, ana):
    first = await identity.sessions.sign_in(shown(), "refresh")
    second = await identity.sessions.refresh(first.secret)
    identity.clock.jump(11)
    with pytest.raises(Refused):
        await identity.sessions.refresh(first.secret)
    with pytest.raises(Refused):
        await identity.sessions.refresh(second.secret)
    found = (await identity.sessions.find_sign_ins("default"))[0]
    assert (found.subject, found.how, found.outcome) == (ana.id, "refresh", "reused")


async def test_a_client_that_did_not_hear_the_answer_asks_again(identity, ana):
    first = await identity.sessions.sign_in(shown(), "refresh")
    await identity.sessions.refresh(first.secret)
    heard = await identity.sessions.refresh(first.secret)
    third = await identity.sessions.refresh(heard.secret)
    assert await identity.sessions.refresh(third.secret)


async def test_of_two_that_refresh_at_once_one_branch_goes_on(identity, ana):
    """Two tabs keep what came last and go on; a thief and his victim do not both."""
    first = await identity.sessions.sign_in(shown(), "refresh")
    one, other = await asyncio.gather(*(identity.sessions.refresh(first.secret) for _ in range(2)))
    going_on = await identity.sessions.refresh(one.secret)
    with pytest.raises(Refused):
        await identity.sessions.refresh(other.secret)
    with pytest.raises(Refused):
        await identity.sessions.refresh(going_on.secret)


async def test_a_stolen_token_is_found_out_though_its_owner_was_here_a_moment_ago(identity, ana):
    first = await identity.sessions.sign_in(shown(), "refresh")
    second = await identity.sessions.refresh(first.secret)
    await identity.sessions.refresh(second.secret)
    with pytest.raises(Refused):
        await identity.sessions.refresh(first.secret)
    with pytest.raises(Refused):
        await identity.sessions.refresh(second.secret)


@pytest.mark.parametrize("token", ["", "pdr_", "pdr_x", "pds_x", "x" * 200])
async def test_what_is_no_refresh_token_is_refused(identity, token):
    with pytest.raises(Refused):
        await identity.sessions.refresh(token)


async def test_signing_out_ends_one_or_all(identity, ana):
    one, other = [await identity.sessions.sign_in(shown(), "cookie") for _ in range(2)]
    caller, session = await identity.sessions.by_session(one.secret)
    await identity.sessions.sign_out(caller, session=session)
    assert await identity.sessions.by_session(one.secret) is None
    assert await identity.sessions.by_session(other.secret) is not None
    await identity.sessions.sign_out(caller, everywhere=True)
    assert await identity.sessions.by_session(other.secret) is None


async def test_a_second_factor_is_asked_for_once_confirmed_and_each_code_works_once(identity, ana):
    me = somebody("editor", subject=ana.id)
    secret = pyotp.parse_uri(await identity.users.begin_totp(me))
    code = lambda: secret.at(identity.clock.now() // 1000)  # noqa: E731
    assert await identity.sessions.sign_in(shown(), "refresh"), "not confirmed yet"
    with pytest.raises(Invalid):
        await identity.users.confirm_totp(me, "000000" if code() != "000000" else "000001")
    await identity.users.confirm_totp(me, code())
    with pytest.raises(Refused, match="second factor"):
        await identity.sessions.sign_in(shown(), "refresh")
    with pytest.raises(Refused):
        await identity.sessions.sign_in(shown(code=code()), "refresh")  # used when it was confirmed
    identity.clock.jump(30)
    assert await identity.sessions.sign_in(shown(code=code()), "refresh")
    with pytest.raises(Refused):
        await identity.sessions.sign_in(shown(code=code()), "refresh")
    with pytest.raises(Conflict):
        await identity.users.begin_totp(me)
    await identity.users.remove_totp(somebody(), ana.id)
    assert await identity.sessions.sign_in(shown(), "refresh")


async def test_a_new_password_ends_all_sessions(identity, ana):
    me = somebody("editor", subject=ana.id)
    granted = await identity.sessions.sign_in(shown(), "refresh")
    with pytest.raises(Denied, match="current"):
        await identity.users.set_password(me, ana.id, password="another password", current="wrong")
    with pytest.raises(Invalid, match="12 characters"):
        await identity.users.set_password(me, ana.id, password="short", current=PASSWORD)
    await identity.users.set_password(me, ana.id, password="another password", current=PASSWORD)
    with pytest.raises(Refused):
        await identity.sessions.refresh(granted.secret)
    assert await identity.sessions.sign_in(shown(password="another password"), "refresh")


async def test_the_last_owner_stays(identity):
    owner = await identity.users.create(somebody(), email="o@example.com", name="", role="owner", password=None)
    with pytest.raises(Conflict, match="last owner"):
        await identity.users.change(somebody(), owner.id, role="viewer")
    with pytest.raises(Conflict, match="last owner"):
        await identity.users.change(somebody(), owner.id, disabled=True)


async def test_two_owners_cannot_demote_each_other_at_once(identity):
    owners = [
        await identity.users.create(somebody(), email=f"{name}@example.com", name="", role="owner", password=None)
        for name in "ab"
    ]
    done = await asyncio.gather(
        *(identity.users.change(somebody(), owner.id, role="viewer") for owner in owners), return_exceptions=True
    )
    assert [type(one) for one in done if isinstance(one, Exception)] == [Conflict]
    left = [user.role for user in await identity.users.find("default")]
    assert sorted(left) == ["owner", "viewer"]


async def test_an_editor_changes_nobody_above_him(identity):
    owner = await identity.users.create(somebody(), email="o@example.com", name="", role="owner", password=PASSWORD)
    with pytest.raises(Denied):
        await identity.users.set_password(somebody("editor"), owner.id, password="another password", current=None)
    with pytest.raises(Denied):
        await identity.users.change(somebody("admin"), owner.id, role="viewer")


async def test_an_address_belongs_to_one_user(identity, ana):
    with pytest.raises(Conflict):
        await identity.users.create(somebody(), email="ANA@example.com", name="", role="viewer", password=None)


async def test_the_record_tells_of_every_attempt_newest_first(identity, ana):
    with pytest.raises(Refused):
        await identity.sessions.sign_in(shown(password="wrong", address="192.0.2.1"), "refresh")
    identity.clock.jump(1)
    await identity.sessions.sign_in(shown(), "refresh")
    found = await identity.sessions.find_sign_ins("default")
    assert [(one.subject, one.outcome, one.address) for one in found] == [
        (ana.id, "granted", ""), ("ana@example.com", "denied", "192.0.2.1"),
    ]  # fmt: skip
    assert await identity.sessions.find_sign_ins("acme") == []
