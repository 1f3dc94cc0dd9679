"""Publishing: immutable versions, all findings at once, pinned documents, and who may start what."""

import pytest

from perdure.errors import Conflict, NotFound, Unavailable
from perdure.services.workflows.models import NotValid, Taken
from tests.unit.services.workflows.conftest import BY, HELD, SET, TENANT, document


async def test_a_version_never_changes(world):
    first = await world.publish("w", SET)
    assert first.is_new
    assert first.workflow.id == "test.w"
    assert first.workflow.default == "1.0.0"
    again = await world.publish("w", SET)
    assert not again.is_new
    assert again.version == first.version
    with pytest.raises(Taken, match="another content"):
        await world.publish("w", HELD)
    spaced = document("w", SET).replace(b"do:", b"\n# the same\ndo:")
    same = await world.service.definitions.publish(TENANT, "bob", spaced, "application/yaml")
    assert same.version == first.version
    assert [event["type"] for event in (await world.told())] == ["dev.perdure.workflow.published.v1"]


async def test_the_highest_version_is_the_default(world):
    for version in ("1.2.0", "1.10.0-rc.1", "1.9.0", "1.10.0-rc.2"):
        await world.publish("w", SET, version=version)
    found = await world.service.definitions.get(TENANT, "test.w")
    assert found.default == "1.10.0-rc.2"
    versions = await world.service.definitions.versions(TENANT, "test.w")
    assert [one.version for one in versions] == ["1.10.0-rc.2", "1.10.0-rc.1", "1.9.0", "1.2.0"]
    rest = await world.service.definitions.versions(TENANT, "test.w", after="1.10.0-rc.1", limit=1)
    assert [one.version for one in rest] == ["1.9.0"]


async def test_all_findings_come_at_once(world):
    with pytest.raises(NotValid) as caught:
        await world.publish("w", "[{a: {set: {}}}, {b: {call: nobody}}]")
    assert len(caught.value.details["findings"]) >= 2
    assert caught.value.details["findings"][0]["line"] == 2
    assert await world.service.definitions.find(TENANT) == []
    with pytest.raises(NotValid):
        await world.service.definitions.publish(TENANT, BY, b"a: [", "application/yaml")
    assert world.service.definitions.validate(b"a: [")[0].severity == "error"
    assert world.service.definitions.validate(document("w")) == []
    assert world.service.definitions.validate(document("w", more="schedule: {cron: '0 0 * * *'}")) == []


async def test_outside_documents_are_pinned_once(world):
    schema = "[{a: {set: {n: 1}, output: {schema: {resource: {endpoint: 'https://x.example/s.json'}}}}}]"
    world.outside = {"https://x.example/s.json": {"type": "object"}}
    first = await world.publish("w", schema)
    world.outside = {"https://x.example/s.json": {"type": "array"}}
    again = await world.publish("w", schema)
    assert again.version == first.version
    assert again.version.resources == {"https://x.example/s.json": {"type": "object"}}


async def test_an_outside_document_that_cannot_be_fetched(world):
    async def unreachable(document):
        raise Unavailable("It cannot be fetched.")

    world.resolve = unreachable
    world.service = world.another()
    with pytest.raises(Unavailable):
        await world.publish("w")
    assert await world.service.definitions.find(TENANT) == []


async def test_what_the_engine_has_with_another_content_is_not_published(world):
    await world.publish("w", SET, version="0.9.0")
    other = {"document": {"dsl": "1.0.3", "namespace": "test", "name": "w", "version": "1.0.0"}, "do": [{"x": {"set": {"n": 1}}}]}  # fmt: skip
    await world.engine.publish(TENANT, other, {})
    with pytest.raises(Taken):
        await world.publish("w", SET, more="schedule: {cron: '0 0 * * *'}")
    found = await world.service.definitions.get(TENANT, "test.w")
    assert found.default == "0.9.0"
    assert await world.service.schedules.find(TENANT) == []
    await world.engine.publish(TENANT, {**other, "document": {**other["document"], "name": "x"}}, {})
    with pytest.raises(Taken):
        await world.publish("x", SET)
    with pytest.raises(NotFound):
        await world.service.definitions.get(TENANT, "test.x")


async def test_a_publish_that_was_cut_off_is_completed_by_the_next(world):
    await world.publish("child", SET)
    assert await world.service.definitions.restore() == 1
    run = await world.engine.start(TENANT, {"document": {"dsl": "1.0.3", "namespace": "n", "name": "p", "version": "1.0.0"},
        "do": [{"r": {"run": {"workflow": {"namespace": "test", "name": "child", "version": "latest", "input": {"n": 1}}}}}]}, {})  # fmt: skip
    assert (await world.settle(run)).output == {"n": 1}


async def test_tenants_do_not_see_one_another(world):
    await world.publish("w")
    with pytest.raises(NotFound):
        await world.service.definitions.get("other", "test.w")
    with pytest.raises(NotFound):
        await world.service.definitions.version("other", "test.w", "1.0.0")
    with pytest.raises(NotFound):
        await world.service.definitions.change("other", BY, "test.w", "disable")
    assert await world.service.definitions.find("other") == []
    await world.service.definitions.publish("other", BY, document("w", HELD), "application/yaml")


async def test_states(world):
    definitions = world.service.definitions
    await world.publish("w")
    assert (await definitions.change(TENANT, BY, "test.w", "disable")).state == "disabled"
    with pytest.raises(Conflict, match="disabled"):
        await definitions.startable(TENANT, "test.w")
    await world.publish("w", version="1.1.0")
    assert (await definitions.get(TENANT, "test.w")).state == "disabled"
    assert (await definitions.change(TENANT, BY, "test.w", "archive")).state == "archived"
    with pytest.raises(Conflict, match="archived"):
        await world.publish("w", version="1.2.0")
    with pytest.raises(Conflict, match="archived"):
        await definitions.change(TENANT, BY, "test.w", "enable")
    assert (await definitions.change(TENANT, BY, "test.w", "restore")).state == "disabled"
    with pytest.raises(Conflict):
        await definitions.change(TENANT, BY, "test.w", "restore")
    assert (await definitions.change(TENANT, BY, "test.w", "enable")).state == "enabled"
    assert (await definitions.startable(TENANT, "test.w")).version == "1.1.0"
    assert [one.id for one in await definitions.find(TENANT, states=("archived",))] == []
    told = [event["data"]["state"] for event in (await world.told()) if event["type"].endswith("changed.v1")]
    assert told == ["disabled", "archived", "disabled", "enabled"]


async def test_another_process_learns_of_a_state_within_seconds(world):
    await world.publish("w")
    second = world.another()
    await second.definitions.startable(TENANT, "test.w")
    await world.service.definitions.change(TENANT, BY, "test.w", "disable")
    await second.definitions.startable(TENANT, "test.w")
    world.clock.advance(2.1)
    with pytest.raises(Conflict):
        await second.definitions.startable(TENANT, "test.w")


async def test_differences(world):
    await world.publish("w", "[{a: {set: {n: 1}}}, {b: {wait: {seconds: 1}}}]")
    await world.publish("w", "[{b: {wait: {seconds: 2}}}, {new: {set: {x: 1}}}, {a: {set: {n: 1}}}]", version="1.1.0")
    found = await world.service.definitions.differences(TENANT, "test.w", "1.0.0")
    assert [(change.kind, change.pointer) for change in found.changes] == [
        ("changed", "/document/version"),
        ("moved", "/do/0/b"),
        ("changed", "/do/0/b/wait/seconds"),
        ("added", "/do/1/new"),
        ("moved", "/do/2/a"),
    ]
    assert "-document:" in found.text
    with pytest.raises(NotFound, match="no version"):
        await world.service.definitions.differences(TENANT, "test.w", "7.0.0")
    with pytest.raises(NotFound, match="no workflow"):
        await world.service.definitions.differences(TENANT, "test.nobody", "7.0.0")
