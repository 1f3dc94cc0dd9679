"""Reading again what has not changed."""

import pytest

from perdure.gateway.conditions import tag_matches
from tests.unit.gateway.world import World

PATH = "/api/v1/notes"


async def test_who_has_it_already_gets_304():
    world = World()
    first = await world.ask("GET", PATH)
    tag = first.headers["etag"]
    assert first.headers["cache-control"] == "private, no-cache"
    again = await world.ask("GET", PATH, headers={"if-none-match": f'"other", W/{tag}'})
    assert (again.status, again.body) == (304, b"")
    assert again.headers["etag"] == tag and "content-type" not in again.headers
    await world.ask("POST", PATH, json={"text": "x"})
    changed = await world.ask("GET", PATH, headers={"if-none-match": tag})
    assert changed.status == 200 and changed.headers["etag"] != tag


async def test_errors_and_changes_have_no_tag():
    world = World()
    for answer in (await world.ask("GET", f"{PATH}/none"), await world.ask("POST", PATH, json={"text": "x"})):
        assert "etag" not in answer.headers
        assert answer.headers["cache-control"] == "no-store"


async def test_a_change_of_what_was_read():
    world = World()
    await world.ask("POST", PATH, json={"text": "one"})
    tag = (await world.ask("GET", f"{PATH}/note_1")).headers["etag"]
    changed = await world.ask("PATCH", f"{PATH}/note_1", json={"text": "two"}, headers={"if-match": f'"x", {tag}'})
    assert changed.status == 200
    for stale in (tag, f"W/{tag}", '"x"', ""):
        refused = await world.ask("PATCH", f"{PATH}/note_1", json={"text": "three"}, headers={"if-match": stale})
        assert (refused.status, refused.json["code"]) == (412, "changed"), stale
    assert (await world.ask("GET", f"{PATH}/note_1")).json["text"] == "two"
    assert (await world.ask("PATCH", f"{PATH}/note_1", json={"text": "four"}, headers={"if-match": "*"})).status == 200
    nowhere = await world.ask("POST", f"{PATH}/note_1/none", json={}, headers={"if-match": "*"})
    assert nowhere.status == 404
    unread = await world.ask("POST", PATH, json={"text": "new"}, headers={"if-match": '"x"'})
    assert unread.status == 412, "a condition that cannot be looked at is not passed over"
    of_another = await world.ask("PATCH", f"{PATH}/note_1", json={"text": "x"}, headers={"if-match": "*"}, key="key-b")
    assert of_another.status == 412
    forbidden = await world.ask(
        "PATCH", f"{PATH}/note_1", json={"text": "x"}, headers={"if-match": "*"}, key="key-viewer"
    )
    assert forbidden.status == 403


@pytest.mark.parametrize(
    ("listed", "found"), [("*", True), ('"a"', True), ('W/"a"', True), ('"b", "a"', True), ('"b"', False), ("", False)]
)
def test_tags(listed, found):
    assert tag_matches(listed, '"a"') is found
