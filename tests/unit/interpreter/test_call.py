"""`call`: arguments, authentication, functions (B2, B3, B8, E5, E8, T29)."""

import pytest

from perdure.errors import Invalid
from perdure.interpreter import commands as c
from perdure.interpreter import events as e
from tests.unit.interpreter.dialogue import Dialogue, run


def test_http_arguments():
    d = run(
        """
        do:
          - a:
              call: http
              with:
                method: '${ .verb }'
                endpoint: https://x.example/pets/{id}?q={q}
                headers: {X-N: '${ 1 }', X-T: '${ true }', X-S: text}
                query: '${ {n: 1.5, none: null} }'
                body: {a: '${ .id }'}
                output: response
                redirect: true
        """,
        {"verb": "put", "id": "a b"},
    )
    assert (d.call().function, d.call().version) == ("http", None)
    assert d.call().args == {
        "method": "put",
        "endpoint": {"uri": "https://x.example/pets/a%20b?q="},
        "headers": {"X-N": "1", "X-T": "true", "X-S": "text"},
        "query": {"n": "1.5", "none": None},
        "body": {"a": "a b"},
        "output": "response",
        "redirect": True,
    }


@pytest.mark.parametrize(
    ("endpoint", "uri"),
    [
        ("https://x.example/a", "https://x.example/a"),
        ("'${ .u }'", "https://u.example"),
        ("{uri: 'https://x.example/{pet.id}'}", "https://x.example/7"),
        ("{uri: '${ .u }'}", "https://u.example"),
    ],
)
def test_endpoints(endpoint, uri):
    d = run(
        f"do: [{{a: {{call: http, with: {{method: get, endpoint: {endpoint}}}}}}}]",
        {"u": "https://u.example", "pet.id": 7},
    )
    assert d.call().args["endpoint"] == {"uri": uri}


@pytest.mark.parametrize(
    ("endpoint", "what"), [("'https://x/{o}'", "array"), ("'${ .o }'", "array"), ("'${ .o.p }'", "")]
)
def test_an_endpoint_that_is_no_text_is_an_expression_fault(endpoint, what):
    error = run(f"do: [{{a: {{call: http, with: {{method: get, endpoint: {endpoint}}}}}}}]", {"o": [1]}).error
    assert error["type"].endswith("/expression")
    assert what in error["detail"]


def test_headers_must_be_an_object():
    error = run("do: [{a: {call: http, with: {method: get, endpoint: 'https://x', headers: '${ 1 }'}}}]").error
    assert "`headers` must be an object" in error["detail"]


def test_authentication_inline_by_name_and_by_secret():
    d = run(
        """
        use:
          secrets: [login]
          authentications:
            named: {basic: {username: '${ .u }', password: p}}
        do:
          - a:
              call: http
              with: {method: get, endpoint: {uri: 'https://x', authentication: {use: named}}}
              output: {as: $authorization}
          - b:
              call: http
              with: {method: get, endpoint: {uri: 'https://x', authentication: {digest: {use: login}}}}
              output: {as: $authorization}
          - c:
              call: http
              with:
                method: get
                endpoint: {uri: 'https://x', authentication: {oauth2: {authority: 'https://id/{u}', grant: client_credentials}}}
        """,
        {"u": "me"},
    )
    assert d.call().args["endpoint"]["authentication"] == {"basic": {"username": "me", "password": "p"}}
    d.complete(1)
    assert d.told("task.completed")[-1].data["output"] == {"scheme": "Basic", "parameter": None}
    assert d.call().args["endpoint"]["authentication"] == {"digest": {"$perdure.secret": ["login"]}}
    d.complete(1)
    assert d.told("task.completed")[-1].data["output"] == {
        "scheme": "Digest",
        "parameter": {"$perdure.secret": ["login"]},
    }
    assert d.call().args["endpoint"]["authentication"] == {
        "oauth2": {"authority": "https://id/", "grant": "client_credentials"}
    }


def test_openapi_arguments():
    d = run(
        """
        do:
          - a:
              call: openapi
              with:
                document: {endpoint: 'https://x/openapi.json'}
                operationId: get
                parameters: {id: '${ .id }'}
                authentication: {bearer: {token: t}}
                output: raw
        """,
        {"id": 3},
    )
    assert d.call().function == "openapi"
    assert d.call().args == {
        "document": {"endpoint": {"uri": "https://x/openapi.json"}},
        "operationId": "get",
        "parameters": {"id": 3},
        "authentication": {"bearer": {"token": "t"}},
        "output": "raw",
    }
    d = run("do: [{a: {call: openapi, with: {document: {endpoint: 'https://x'}, operationId: get}}}]")
    assert "authentication" not in d.call().args


def test_a_catalog_function_is_named_with_its_version():
    for name, function, version in (
        ("infer", "infer", None),
        ("infer:1.2.0", "infer", "1.2.0"),
        ("infer:1.2.0@default", "infer", "1.2.0"),
    ):
        d = run(f"do: [{{a: {{call: '{name}', with: {{x: '${{ .n }}'}}}}}}]", {"n": 1})
        assert (d.call().function, d.call().version, d.call().args) == (function, version, {"x": 1})


class Known:
    def schema_of(self, name, version):
        return {} if name == "known" else None

    def names(self):
        return ["known"]


def test_unknown_functions_are_refused_when_the_table_is_known():
    Dialogue("do: [{a: {call: known}}]", functions=Known())
    with pytest.raises(Invalid, match="no function 'other'"):
        Dialogue("do: [{a: {call: other}}]", functions=Known())


def test_a_function_of_the_document_is_a_task_of_its_own():
    d = run(
        """
        use:
          functions:
            double:
              input: {schema: {document: {required: [n]}}}
              call: noop
              with: {twice: '${ .n * 2 }'}
              output: {as: '{function: .}'}
        do:
          - a:
              call: double
              with: {n: '${ .x }'}
              output: {as: '{call: .}'}
        """,
        {"x": 4},
    )
    assert d.call().args == {"twice": 8}
    assert (d.call().path, d.call().ref) == ("/do/0/a/function", "/do/0/a")
    assert d.complete("out").output == {"call": {"function": "out"}}


def test_a_fault_in_a_function_has_the_calls_instance():
    text = "use: {functions: {f: {do: [{x: {raise: {error: {type: t, status: 1}}}}]}}}\ndo: [{a: {call: f}}]"
    assert run(text).error["instance"] == "/do/0/a"


def test_loop_variables_of_the_caller_do_not_reach_a_function():
    with pytest.raises(Invalid, match="item"):
        Dialogue("use: {functions: {f: {set: {v: '${ $item }'}}}}\ndo: [{l: {for: {in: '[1]'}, do: [{a: {call: f}}]}}]")


def test_functions_may_call_functions_but_not_for_ever():
    d = run(
        "use: {functions: {f: {call: g}, g: {set: {v: '${ . }'}}}}\ndo: [{a: {call: f}}, {b: {call: g, with: {z: 1}}}]"
    )
    assert d.output == {"v": {"z": 1}}
    error = run("use: {functions: {f: {do: [{x: {call: f}}]}}}\ndo: [{a: {call: f}}]").error
    assert error["type"].endswith("/runtime")
    assert "deep" in error["detail"]


def test_a_fork_and_a_saga_inside_a_function_keep_the_calls_instance():
    text = """
    use:
      functions:
        f: {fork: {branches: [{x: {call: noop}}, {y: {call: g}}]}}
        g: {call: noop}
    do: [{a: {call: f}}]
    """
    assert run(text).fail(500, position=1).error["instance"] == "/do/0/a"


def test_functions_of_outside_catalogs_and_addresses_come_from_the_resources():
    body = {"set": {"v": "${ .n }"}}
    text = "use: {catalogs: {mine: {endpoint: {uri: 'https://c.example/'}}, other: {endpoint: 'https://o'}}}\ndo: [{a: {call: 'f:1.0.0@mine', with: {n: 1}}}]"
    resources = {"https://c.example/functions/f/1.0.0/function.yaml": body, "https://f.example/f.yaml": body}
    assert run(text, resources=resources).output == {"v": 1}
    assert run("do: [{a: {call: 'https://f.example/f.yaml', with: {n: 2}}}]", resources=resources).output == {"v": 2}
    for bad in (text, text.replace("@mine", "@unknown"), "do: [{a: {call: 'https://f.example/other.yaml'}}]"):
        with pytest.raises(Invalid):
            Dialogue(bad)


def test_outside_schemas_come_from_the_resources():
    text = "do: [{a: {input: {schema: {resource: {endpoint: {uri: 'https://s'}}}}, set: {v: 1}}}]"
    assert run(text, [], resources={"https://s": {"type": "object"}}).error["type"].endswith("/validation")
    with pytest.raises(Invalid, match="was not fetched"):
        Dialogue(text)
    with pytest.raises(Invalid, match="was not fetched"):
        Dialogue(text.replace("{uri: 'https://s'}", "'https://s'"))


@pytest.mark.parametrize(
    "call",
    [
        "{call: grpc, with: {}}",
        "{call: mcp, with: {}}",
        "{call: http}",
        "{call: http, with: {method: get}}",
        "{call: http, with: {method: get, endpoint: 'https://x/${.id}'}}",
        "{call: http, with: {method: get, endpoint: {uri: 'https://x', authentication: {use: nobody}}}}",
        "{call: http, with: {method: get, endpoint: {uri: 'https://x', authentication: {magic: {}}}}}",
        "{call: http, with: {method: '${ broken', endpoint: 'https://x'}}",
        "{set: '${ broken'}",
        "{if: 7, set: {v: 1}}",
        "{wait: {seconds: -1}}",
        "{timeout: nobody, set: {v: 1}}",
        "{raise: {error: nobody}}",
        "{listen: {to: {one: {with: {}}}}}",
        "{listen: {to: {}}}",
        "{for: {}, do: []}",
        "{nothing: 1}",
        "7",
        "{do: 7}",
        "{do: [7]}",
        "{switch: 7}",
    ],
)
def test_what_never_passed_a_check_is_invalid(call):
    with pytest.raises(Invalid):
        Dialogue(f"do: [{{a: {call}}}]")


@pytest.mark.parametrize("document", [None, 7, [], {}, {"document": {}}, {"do": []}, "text"])
def test_what_is_no_document_is_invalid(document):
    with pytest.raises(Invalid):
        Dialogue(document if not isinstance(document, str) else {"document": document})


def test_usage_and_progress_are_on_the_timeline():
    d = run("do: [{a: {call: infer}}]")
    d.do(e.CallProgress, id=d.call().id, data={"tokens": 3})
    assert d.told("task.progress")[0].data == {"progress": {"tokens": 3}}
    d.complete("x", usage={"inputTokens": 5})
    assert d.told("task.completed")[0].data == {"output": "x", "usage": {"inputTokens": 5}}


def test_attempts_and_deadlines_travel_with_the_call():
    d = run(
        "do: [{t: {timeout: {after: PT10S}, try: [{a: {call: x, timeout: {after: PT20S}}}], catch: {retry: {limit: {attempt: {duration: PT4S}}}}}}]"
    )
    assert (d.call().attempt, d.call().deadline) == (1, d.now + 4_000)
    start = d.now
    d.pass_time(1_000).fail()
    assert (d.call().attempt, d.call().deadline) == (2, start + 5_000)
    assert isinstance(next(iter(d.open.values())), c.StartTimer)


def test_a_fault_inside_a_function_names_the_place_there():
    functions = "use: {functions: {f: {do: [{i: %s}]}, g: {call: f, with: {v: 1}}}}\ndo: [{a: {call: g}}]"
    where = "This happened at /use/functions/f/do/0/i."
    error = run(functions % "{set: {x: '${ .v.w }'}}").error
    assert (error["instance"], error["detail"]) == ("/do/0/a", f'Cannot index number with "w". {where}')
    error = run(functions % "{call: foo}").fail(503).error
    assert (error["instance"], error["detail"]) == ("/do/0/a", where)
    late = run(functions % "{wait: PT9S, timeout: {after: PT1S}}").pass_time(1000).error
    assert late["detail"] == f"The task took longer than its timeout allows. {where}"
    raised = run(functions % "{raise: {error: {type: t, status: 1}}}").error
    assert raised == {"type": "t", "status": 1, "instance": "/do/0/a"}
