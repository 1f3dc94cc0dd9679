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


@pytest.mark.parametrize(
    ("listed", "found"), [("*", True), ('"a"', True), ('W/"a"', True), ('"b", "a"', True), ('"b"', False), ("", False)]
)
def test_tags(listed, found):
    assert tag_matches(listed, '"a"') is found
