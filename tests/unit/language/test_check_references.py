"""Names: what tasks refer to is defined under `use`, in the catalog, or built into the language."""

import pytest

from tests.unit.language.documents import complete, expected, found, hints, messages


class Catalog:
    """Two functions of the default catalog."""

    def names(self):
        return ["infer", "shout", "agent", "linked"]

    def schema_of(self, name, version):
        if name in {"shout", "agent"}:
            return {} if version in {None, "1"} else None
        if name == "infer":
            return {
                "type": "object",
                "properties": {"model": {"type": "string"}, "input": {}, "limit": {"type": "integer"}},
                "required": ["model"],
                "additionalProperties": False,
            }
        return {
            "$defs": {"n": {"type": "integer"}},
            "properties": {"n": {"$ref": "#/$defs/n"}, "free": True, "never": False},
            "additionalProperties": False,
            "patternProperties": {"^x": {}},
        }


FUNCTIONS = Catalog()

NAMES = {
    "names from use": """
        use:
          secrets: [ key ]
          timeouts: { short: { after: PT1S } }
          retries: { often: { delay: PT1S } }
          errors: { bad: { type: "https://x", status: 400 } }
          authentications: { login: { basic: { use: key } } }
        timeout: short
        do:
          - a:
              try:
                - b: { call: http, timeout: short, with: { method: get, endpoint: { uri: "https://x", authentication: { use: login } } } }
              catch: { retry: often }
          - c: { raise: { error: bad } }
    """,
    "names that are not there": """
        use:
          authentications: { login: { bearer: { use: kee } } }  #! undeclared-secret 46
        timeout: short  #! unknown-name 10
        do:
          - a:
              try:
                - b: { call: http, timeout: shrt, with: { method: get, endpoint: { uri: "https://x", authentication: { use: logn } } } }  #! unknown-name 37, unknown-name 117
              catch: { retry: often }  #! unknown-name 23
          - c: { raise: { error: bad } }  #! unknown-name 26
    """,
    "tables of use": """
        use:
          secrets: [ a, b, a ]  #! duplicate-name 20
          catalogs:
            default: { endpoint: "https://x" }  #! reserved-name 5
          functions:
            http: { wait: PT1S }  #! reserved-name 5
            infer: { wait: PT1S }  #? shadowed-function 5
            own: { wait: PT1S, then: other }  #! unknown-target 30
    """,
    "functions": """
        use:
          catalogs: { mine: { endpoint: "https://x" } }
          functions: { own: { wait: PT1S } }
        do:
          - a: { call: own, with: { x: 1 } }
          - b: { call: "shout" }
          - c: { call: "shout:1" }
          - d: { call: "agent:1@default", with: { anything: [ 1 ] } }
          - e: { call: "log:1.0.0@mine" }
          - f: { call: "log:1.0.0@mein" }  #! unknown-name 16
          - g: { call: "https://example.com/functions/log/1.0.0/function.yaml" }
          - h: { call: HTTP }  #! unknown-function 16
          - i: { call: shot }  #! unknown-function 16
          - j: { call: "a b" }  #! unknown-function 16
          - l: { call: "agent:2" }  #! unknown-function 16
          - m: { call: "log@mine" }  #! unknown-function 16
          - k: { call: "own@default" }  #! unknown-function 16
    """,
    "arguments": """
        do:
          - a: { call: infer, with: { model: m, input: "${ . }", limit: 5 } }
          - b: { call: infer }  #! arguments 5
          - c: { call: infer, with: { modle: m } }  #! arguments 23, arguments 31
          - d: { call: infer, with: { model: 5, limit: "${ .n }" } }  #! arguments 38
          - e: { call: infer, with: { model: "${ .m } or so" } }  #! expression 38
          - f: { call: infer, with: text }  #! wrong-type 29
          - g: { call: linked, with: { n: 1, free: 1, xyz: 1 } }
          - h: { call: linked, with: { n: a, never: 1 } }  #! arguments 35, arguments 45
    """,
}


@pytest.mark.parametrize("body", NAMES.values(), ids=NAMES)
def test_findings_stand_where_they_are(body):
    text = complete(body)
    assert found(text, FUNCTIONS) == expected(text)


def test_hints_name_what_is_near():
    text = complete("do: [ a: { call: HTTP }, b: { call: infre }, c: { call: zzzzz } ]")
    last = "Define it under use: functions; one of your own needs its module (--functions)."
    assert hints(text, FUNCTIONS) == ["Did you mean 'http'?", "Did you mean 'infer'?", last]
    text = complete(
        "{use: {secrets: [petStore]}}"[1:-1]
        + "\ndo: [ a: { set: { v: '${ $secrets.petStoer }' } }, b: { set: { v: '${ $secrets.x }' } } ]"
    )
    assert hints(text) == ["Did you mean 'petStore'?", "Add it: use: { secrets: [ x ] }."]
    assert "Define it under use: timeouts." in messages(complete("timeout: x"))


def test_without_a_catalog_only_near_misses_of_the_language_are_refused():
    text = complete("do: [ a: { call: infer }, b: { call: HTTP } ]")
    assert found(text) == [(2, 38, "error", "unknown-function")]


def test_secrets_must_be_declared():
    text = complete(r"""
        use: { secrets: [ key ] }
        do:
          - a:
              call: http
              with:
                method: get
                endpoint: https://x
                headers: { A: '${ "Bearer \($secrets.key)" }', B: "${ $secrets.other.part }" }  #! undeclared-secret 59
    """)
    assert found(text) == expected(text)
