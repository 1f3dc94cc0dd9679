"""Outside documents at publish: what is fetched, under which key, and what is told when it cannot be."""

import pytest
from aiohttp import web

from perdure.adapters.egress import HttpEgress
from perdure.errors import Invalid, Unavailable
from perdure.functions.resolve import Need, raw_address, resolve
from tests.servers.recorder import recording


def served(files):
    def answer(asked):
        body = files.get(asked.target)
        if body is None:
            return web.Response(status=404)
        if isinstance(body, str) and body.startswith("->"):
            return web.Response(status=302, headers={"Location": body[2:]})
        return web.json_response(body) if isinstance(body, dict | list | bool) else web.Response(text=body)

    return recording(answer)


@pytest.mark.parametrize(
    ("address", "raw"),
    [
        ("https://github.com/o/r/tree/main/a/b", "https://raw.githubusercontent.com/o/r/main/a/b"),
        ("https://github.com/o/r/blob/main/f.yaml", "https://raw.githubusercontent.com/o/r/main/f.yaml"),
        (
            "https://github.com/o/r/tree/main/functions/log/1.0.0/function.yaml",
            "https://raw.githubusercontent.com/o/r/main/functions/log/1.0.0/function.yaml",
        ),
        (
            "https://github.com/o/r/functions/log/1.0.0/function.yaml",
            "https://raw.githubusercontent.com/o/r/HEAD/functions/log/1.0.0/function.yaml",
        ),
        ("https://gitlab.com/g/s/r/-/tree/main/a", "https://gitlab.com/g/s/r/-/raw/main/a"),
        ("https://git.corp.example/g/r/-/blob/v1/f.yaml", "https://git.corp.example/g/r/-/raw/v1/f.yaml"),
        ("https://raw.githubusercontent.com/o/r/main/f.yaml", "https://raw.githubusercontent.com/o/r/main/f.yaml"),
        ("https://github.com.evil.example/o/r/tree/main/a", "https://github.com.evil.example/o/r/tree/main/a"),
    ],
)
def test_pages_of_code_hosts_become_their_files(address, raw):
    assert raw_address(address) == raw
    assert repr(Need(address, "function")) == f"Need(function at {address})"


async def test_everything_fixed_is_fetched_once_under_its_address(egress):
    files = {
        "/api.json": {"openapi": "3.1.0", "paths": {}},
        "/in.json": {"type": "object"},
        "/out.yaml": "type: string\n",
        "/cat/functions/log/1.0.0/function.yaml": "call: {url}/deep.yaml\nwith: { schema: { resource: x } }\n",
        "/deep.yaml": "input: { schema: { resource: { endpoint: {url}/in.json } } }\nset: { a: 1 }\n",
        "/direct.yaml": "->/moved.yaml",
        "/moved.yaml": "set: { a: 1 }\n",
        "/used.json": True,
    }
    async with served(files) as server:
        for name, text in files.items():
            if isinstance(text, str):
                files[name] = text.replace("{url}", server.url)
        url = server.url
        document = {
            "document": {"schema": {"resource": {"endpoint": "https://never.example/"}}},
            "use": {
                "catalogs": {"c": {"endpoint": {"uri": f"{url}/cat/"}}},
                "functions": {
                    "schema": {"input": {"schema": {"resource": {"endpoint": f"{url}/used.json"}}}, "set": {"a": 1}}
                },
                "extensions": [{"e": {"extend": "all", "before": [{"x": {"call": f"{url}/direct.yaml"}}]}}],
            },
            "input": {"schema": {"resource": {"name": "i", "endpoint": {"uri": f"{url}/in.json"}}}},
            "do": [
                {
                    "call": {
                        "call": "openapi",
                        "with": {"document": {"endpoint": f"{url}/api.json"}, "operationId": "a"},
                    }
                },
                {
                    "again": {
                        "call": "openapi",
                        "with": {"document": {"endpoint": f"{url}/api.json"}, "operationId": "b"},
                    }
                },
                {"set": {"call": "log:1.0.0@c", "output": {"schema": {"resource": {"endpoint": f"{url}/out.yaml"}}}}},
                {"own": {"call": "schema"}},
                {"default": {"call": "infer:1@default"}},
                {"data": {"set": {"call": "https://never.example/x", "schema": {"resource": {"endpoint": "x"}}}}},
                {"late": {"call": "openapi", "with": {"document": {"endpoint": "${ .where }"}, "operationId": "a"}}},
                {
                    "template": {
                        "call": "openapi",
                        "with": {"document": {"endpoint": "https://x/{y}"}, "operationId": "a"},
                    }
                },
                {
                    "guarded": {
                        "call": "openapi",
                        "with": {"document": {"endpoint": {"uri": "https://never.example/", "authentication": {}}}},
                    }
                },
                {"fork": {"fork": {"branches": [{"b": {"metadata": {"compensate": {"call": f"{url}/moved.yaml"}}}}]}}},
                {"inline": {"input": {"schema": {"document": {"resource": {"endpoint": "x"}}}}, "wait": "PT1S"}},
            ],
        }
        found = await resolve(document, egress)
    assert set(found) == {
        f"{url}{path}"
        for path in (
            *("/api.json", "/in.json", "/out.yaml", "/cat/functions/log/1.0.0/function.yaml", "/deep.yaml"),
            *("/direct.yaml", "/moved.yaml", "/used.json"),
        )
    }
    assert found[f"{url}/direct.yaml"] == {"set": {"a": 1}}
    assert found[f"{url}/used.json"] is True
    assert sum(asked.target == "/api.json" for asked in server.asked) == 1


async def test_a_document_without_outside_parts_needs_no_network():
    assert await resolve({"do": [{"a": {"set": {"b": 1}}}]}, HttpEgress()) == {}
    assert await resolve("not a document", HttpEgress()) == {}


@pytest.mark.parametrize(
    ("task", "said"),
    [
        ({"call": "log@c"}, "needs a version"),
        ({"call": "log:1.0.0@nowhere"}, "needs the fixed address of the catalog nowhere"),
        ({"call": "log:1.0.0@late"}, "needs the fixed address of the catalog late"),
        ({"call": "log:1.0.0@guarded"}, "asks for authentication"),
        ({"input": {"schema": {"resource": {"endpoint": "${ .x }"}}}}, "must be fixed"),
        ({"input": {"schema": {"resource": {"endpoint": "schemas/a.json"}}}}, "is relative"),
        (
            {"input": {"schema": {"resource": {"endpoint": {"uri": "https://a/", "authentication": {"use": "x"}}}}}},
            "asks for authentication",
        ),
        ({"call": "http://10.0.0.1/f.yaml"}, "may not be fetched"),
    ],
)
async def test_what_cannot_be_used_is_invalid(egress, task, said):
    catalogs = {
        "c": {"endpoint": "https://c/"},
        "late": {"endpoint": "${ .x }"},
        "guarded": {"endpoint": {"uri": "https://g/", "authentication": {"use": "x"}}},
    }
    with pytest.raises(Invalid, match=said):
        await resolve({"use": {"catalogs": catalogs}, "do": [{"a": task}]}, egress)


@pytest.mark.parametrize(
    ("text", "kind", "said"),
    [
        (None, Unavailable, "answered 404"),
        ("[1", Invalid, "not valid JSON"),
        ("a: [", Invalid, "cannot be read"),
        ("[1]", Invalid, "is no function"),
        ("true", Invalid, "is no function"),
    ],
)
async def test_what_is_fetched_must_be_what_it_should_be(egress, text, kind, said):
    async with served({"/f.yaml": text}) as server:
        with pytest.raises(kind, match=said):
            await resolve({"do": [{"a": {"call": f"{server.url}/f.yaml"}}]}, egress)


async def test_a_host_that_is_not_there_is_unavailable():
    async def resolver(host, port):
        raise OSError(2, "Name or service not known")

    egress = HttpEgress(resolver=resolver)
    with pytest.raises(Unavailable, match="cannot be fetched: .*name is not known"):
        await resolve({"do": [{"a": {"call": "https://nowhere.example/f.yaml"}}]}, egress)
    await egress.close()


async def test_functions_that_call_one_another_end(egress):
    def answer(asked):
        number = int(asked.target.strip("/"))
        return web.Response(text=f"call: http://{asked.headers['host']}/{number + 1}\n")

    async with recording(answer) as server:
        with pytest.raises(Invalid, match="more than 16 deep"):
            await resolve({"do": [{"a": {"call": f"{server.url}/0"}}]}, egress)


async def test_a_function_that_calls_itself_is_fetched_once(egress):
    files = {}
    async with served(files) as server:
        files["/f.yaml"] = f"call: {server.url}/f.yaml\n"
        found = await resolve({"do": [{"a": {"call": f"{server.url}/f.yaml"}}]}, egress)
    assert list(found) == [f"{server.url}/f.yaml"]


async def test_so_many_documents_and_no_more(egress):
    tasks = [{f"t{n}": {"call": f"https://a.example/{n}"}} for n in range(201)]
    with pytest.raises(Invalid, match="more than 200"):
        await resolve({"do": tasks}, egress)
