"""Secrets at rest open only where they belong."""

import stat

import pytest

from perdure.adapters.sealing import KeySealing, key_of_file, keys_from
from perdure.errors import Invalid, Unavailable

OLD, NEW = bytes(32), bytes(range(32))


def test_what_was_sealed_opens():
    sealing = KeySealing((OLD,))
    assert sealing.open("t", "hooks/1", sealing.seal("t", "hooks/1", b"secret")) == b"secret"


@pytest.mark.parametrize(("tenant", "place"), [("u", "hooks/1"), ("t", "hooks/2"), ("t", "")])
def test_it_opens_nowhere_else(tenant, place):
    sealing = KeySealing((OLD,))
    with pytest.raises(Unavailable, match="does not belong"):
        sealing.open(tenant, place, sealing.seal("t", "hooks/1", b"secret"))


def test_a_new_key_seals_and_the_old_one_still_opens():
    sealed = KeySealing((OLD,)).seal("t", "p", b"secret")
    both = KeySealing((NEW, OLD))
    assert both.open("t", "p", sealed) == b"secret"
    with pytest.raises(Unavailable, match="another master key"):
        KeySealing((OLD,)).open("t", "p", both.seal("t", "p", b"secret"))


@pytest.mark.parametrize("at", [0, 1, 5, 17, -1])
def test_a_changed_byte_is_seen(at):
    sealing = KeySealing((OLD,))
    sealed = bytearray(sealing.seal("t", "p", b"secret"))
    sealed[at] ^= 1
    with pytest.raises(Unavailable):
        sealing.open("t", "p", bytes(sealed))


@pytest.mark.parametrize("text", ["", "x", "AAAA", "not base64!"])
def test_a_key_that_is_none_is_refused(text):
    with pytest.raises(Invalid, match="master key"):
        KeySealing(keys_from((text,)))


def test_a_file_is_made_once_and_for_its_owner(tmp_path):
    path = tmp_path / "new" / "master.key"
    assert key_of_file(path) == key_of_file(path)
    assert len(key_of_file(path)) == 32
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [one.name for one in path.parent.iterdir()] == ["master.key"]


def test_a_key_that_was_lost_is_not_replaced_in_silence(tmp_path):
    (tmp_path / "journal.db").touch()
    (tmp_path / "identity.db").touch()
    with pytest.raises(Invalid, match=r"master\.key is missing"):
        key_of_file(tmp_path / "master.key")
    (tmp_path / "identity.db").unlink()
    assert key_of_file(tmp_path / "master.key")


@pytest.mark.parametrize("text", ["", "x", "AAAA", "\xff"])
def test_a_file_that_holds_no_key_is_named_and_left(tmp_path, text):
    path = tmp_path / "master.key"
    path.write_text(text)
    with pytest.raises(Invalid, match=r"master\.key holds no key") as caught:
        key_of_file(path)
    assert "openssl" not in caught.value.hint, "another key would lose what is sealed"
    assert path.read_text() == text
