"""Shapes: every object has its keys, every value its type; a task is checked against its own kind only."""

import pytest

from tests.unit.language.documents import complete, expected, found, hints, messages

SHAPES = {
    "an unknown key at top level": """
        inputs: {}  #! unknown-key 1
    """,
    "not an object": """
        use: [a]  #! wrong-type 6
        do:
          - a: { set: { a: 1 } }
    """,
    "empty lists": """
        do:  #! empty 1
          []
    """,
    "an empty list of a do, a try, branches, a catch and cases": """
        do:
          - a:
              do: []  #! empty 7
          - b:
              try: []  #! empty 7
              catch:
                do: []  #! empty 9
          - c: { fork: { branches: [] } }  #! empty 18
          - d: { switch: [] }  #! empty 10
          - e: { set: {} }  #! empty 10
          - f: { for: { in: . }, do: [] }  #! empty 26
    """,
    "do as a map": """
        do:
          first: { set: { a: 1 } }  #! wrong-type 3
    """,
    "tasks that are none": """
        do:
          - text  #! wrong-type 5
          - {}  #! empty 5
          - { a: { set: { a: 1 } }, b: { set: { a: 1 } } }  #! conflict 5
          - c:  #! wrong-type 7
          - d: {}  #! task-kind 5
          - e: { if: .a, sett: { a: 1 } }  #! task-kind 5
          - f: { if: 1 }  #! task-kind 5, wrong-type 14
    """,
    "a task that is two": """
        do:
          - a: { set: { a: 1 }, wait: PT1S }  #! task-kind 25
          - b: { for: { in: . }, do: [ a: { set: { b: 1 } } ], set: { c: 1 } }  #! task-kind 56
    """,
    "unknown keys of a task come with those of its kind": """
        do:
          - a:
              call: http
              witt: {}  #! unknown-key 7
              with: { method: get, endpoint: "https://x", headrs: {} }  #! unknown-key 51
    """,
    "missing keys stand at the key around": """
        do:
          - a:
              call: http
              with:  #! missing-key 7
                method: get
          - b:  #! missing-key 5
              call: openapi
          - c:  #! missing-key 5
              for: { in: . }
          - d:  #! missing-key 5
              try: [ a: { set: { b: 1 } } ]
          - e: { emit: { event: { with: { source: /x } } } }  #! missing-key 27
          - f: { if: .a, raise: { error: { status: 400 } } }  #! missing-key 27
          - g: { run: {} }  #! missing-key 10
          - h: { listen: { to: {} } }  #! missing-key 20
          - i: { listen: { to: { one: { with: {} } } } }  #! empty 39
    """,
    "keys that exclude each other": """
        schedule:  #? schedule-needs-up 1
          every: PT1M
          cron: 0 0 * * *  #! conflict 3
          read: data  #! conflict 3
        do:
          - a: { listen: { to: { one: { with: { type: a } }, until: . } } }  #! conflict 54
          - b: { run: { workflow: { namespace: a, name: b, version: latest }, shell: { command: a } } }  #! conflict 71, not-supported-yet 71
          - c: { wait: { } }  #! empty 16
    """,
    "names": """
        do:
          - a: { run: { workflow: { namespace: a.b, name: c_d, version: "1" } } }  #! bad-text 40, bad-text 51, bad-text 65
          - b: { run: { workflow: { namespace: a, name: "${ .b }", version: latest } } }  #! fixed-text 49
          - c: { run: { workflow: { namespace: a, name: 7, version: latest } } }  #! wrong-type 49
    """,
    "durations": """
        do:
          - a: { wait: 30 }  #! wrong-type 16
          - b: { wait: { seconds: 0.5 } }  #! wrong-type 27
          - c: { wait: { minutes: 0.5 } }  #! wrong-type 27
          - d: { wait: { seconds: -1 } }  #! out-of-range 27
          - e: { wait: { seconds: "${ .a }" } }  #! wrong-type 27
          - f: { wait: { weeks: "${ .a }", milliseconds: "${ .b }" } }  #! unknown-key 18, wrong-type 50
          - g: { wait: { seconds: "5" } }  #! wrong-type 27
          - h: { wait: [] }  #! wrong-type 16
          - i: { wait: PT5M, timeout: { after: "${ \\"PT1S\\" }" } }
          - j: { wait: { days: 1, hours: 2, minutes: 3, seconds: 4, milliseconds: 5 } }
    """,
    "types of single values": """
        do:
          - a: { fork: { compete: yes, branches: [ a: { set: { a: 1 } } ] } }  #! wrong-type 27
          - b: { run: { workflow: { namespace: a, name: b, version: latest }, return: everything } }  #! unknown-value 79
          - c: { run: { workflow: { namespace: a, name: b, version: latest }, return: 1 } }  #! wrong-type 79
          - d: { if: true, set: { a: 1 } }  #! wrong-type 14
          - e: { if: 5, set: { a: 1 } }  #! wrong-type 14
          - f: { set: [ 1 ] }  #! wrong-type 15
          - g: { set: null }  #! wrong-type 15
          - h: { input: { from: [ 1 ] }, set: { a: 1 } }  #! wrong-type 25
          - i: { if: .a, raise: { error: { type: "https://x", status: "400" } } }  #! wrong-type 63
          - j: { if: .a, raise: { error: { type: "https://x", status: 400, instance: a/b } } }  #! bad-text 78
          - k: { emit: { event: { with: { type: [ a ], time: today } } } }  #! wrong-type 41, bad-text 54
          - l: { emit: { event: { with: { type: a, Extra: 1, other: [ 1 ] } } } }  #! unknown-key 44, wrong-type 61
          - m: { wait: PT1S, then: 5 }  #! wrong-type 28
          - n: { call: 5 }  #! wrong-type 16
          - o: { call: "${ .a }" }  #! fixed-text 16
          - p: { call: other, with: "${ . }" }  #! wrong-type 29
          - q: { wait: PT1S, metadata: text }  #! wrong-type 32
    """,
    "loops": """
        do:
          - a: { for: { in: [ a, b ] }, do: [ x: { set: { a: 1 } } ] }  #! wrong-type 23, wrong-type 26
          - b: { for: { in: [ { n: 1 } ], each: "1a", at: input }, do: [ x: { set: { a: 1 } } ] }  #! bad-text 41, reserved-name 51
          - c: { for: { in: ., each: $x, at: 5 }, do: [ x: { set: { a: 1 } } ] }  #! bad-text 30, wrong-type 38
    """,
    "http": """
        do:
          - a:
              call: http
              with:
                method: get
                endpoint: { uri: "https://x", authentication: { use: none, basic: {} }, junk: 1 }  #! alone 57, unknown-name 62, missing-key 68, missing-key 68, unknown-key 81
                headers: { A: 1, B: true, D: "${ .d }" }  #? number-as-text 23, number-as-text 29
          - b: { call: http, with: { method: 1, endpoint: 5, query: text, output: all } }  #! wrong-type 38, wrong-type 51, expression 61, unknown-value 75
    """,
    "authentication": """
        use:
          secrets: [ key, 5, "" ]  #! wrong-type 19, empty 22
          authentications:
            a: { basic: { username: a } }  #! missing-key 10
            b: { basic: { use: key } }
            c: { basic: { use: key, username: a } }  #! alone 19
            d: { bearer: { token: a }, realm: b }  #! unknown-key 32
            e: {}  #! missing-key 5
            f: { oauth2: { authority: "https://x", grant: client, scopes: a } }  #! unknown-value 51, wrong-type 67
            g: { oidc: { authority: "https://x", grant: refresh_token, endpoints: {} } }  #! unknown-key 64
            h: { bearer: {}, basic: { use: key } }  #! missing-key 10, conflict 22
            i: { oauth2: { use: key } }
            j: { oauth2: { } }  #! missing-key 10, missing-key 10
    """,
    "errors and retries": """
        use:
          retries:
            a: { delay: PT1S, backoff: {}, limit: { attempt: { count: -1 } }, jitter: { from: PT1S } }  #! missing-key 23, out-of-range 63, missing-key 71
            b: { backoff: { linear: { factor: 0, maxDelay: PT1M }, constant: { rate: 1 } } }  #! out-of-range 39, conflict 60, unknown-key 72
        do:
          - a:
              try: [ x: { set: { a: 1 } } ]
              catch:
                errors: { wiht: {} }  #! unknown-key 19
                retry: 5  #! wrong-type 16
          - b:
              try: [ x: { set: { a: 1 } } ]
              catch: { errors: { with: { code: 404 } } }  #! unknown-key 34
          - c:
              try: [ x: { set: { a: 1 } } ]
              catch: { errors: { with: {} } }  #! empty 32
    """,
    "extensions and schemas": """
        use:
          extensions:
            - one: { extend: do, before: [ a: { set: { a: 1 } } ] }  #! unknown-value 22
            - two: { extend: all }  #! missing-key 7
            - three  #! wrong-type 7
        input:
          schema: { format: avro, document: [ 1 ], resource: { endpoint: "https://x" } }  #! bad-text 21, wrong-type 37, conflict 44
        output: { schema: {} }  #! missing-key 11
        evaluate: { language: js, mode: lax }  #! unknown-value 23, unknown-value 33
    """,
    "merge keys": """
        do:
          - a: &a { set: { a: 1 } }
          - b: { <<: *a, wait: PT1S }  #! unknown-key 10
    """,
    "what Perdure reads in metadata": """
        do:
          - a:
              set: { a: 1 }
              metadata: { compensate: { cal: x }, saga: 5, other: [ 1 ] }  #! task-kind 19, wrong-type 49 #? metadata-place 43
          - b:
              do: [ x: { set: { a: 1 } } ]
              metadata: { saga: true, compete: any }  #? metadata-place 31
          - c:
              fork: { branches: [ x: { set: { a: 1 } } ] }
              metadata: { compete: some }  #! unknown-value 28
    """,
    "a schedule of another type": """
        schedule: { cron: 5 }  #! wrong-type 19 #? schedule-needs-up 1
    """,
    "what is to come is checked in full": """
        do:
          - z: { call: asyncapi, with: { document: { endpoint: "https://x" }, channel: c, subscription: { filter: 5, consume: { amount: 0 } } } }  #! not-supported-yet 10, wrong-type 107, out-of-range 129
          - a: { call: grpc, with: { proto: { endpoint: "file://x" }, service: { name: S, host: h, port: 99999 }, method: M } }  #! not-supported-yet 10, out-of-range 98
          - b: { call: asyncapi, with: { document: { endpoint: "https://x" }, operation: o, channel: c, message: {} } }  #! not-supported-yet 10, conflict 85
          - c: { call: a2a, with: { method: message/sent } }  #! not-supported-yet 10, missing-key 21, unknown-value 37
          - d: { call: mcp, with: { method: tools/list, transport: { http: { endpoint: "https://x" } }, extra: 1 } }  #! not-supported-yet 10, unknown-key 97
          - e: { run: { script: { language: ruby, arguments: { a: 1 } } } }  #! not-supported-yet 17, missing-key 17, unknown-value 37
          - f: { run: { shell: { command: a, arguments: [ b, 1 ] } } }  #! not-supported-yet 17, wrong-type 54
          - g: { run: { container: { image: a, lifetime: { cleanup: eventually } } } }  #! not-supported-yet 17, missing-key 40
          - h: { run: { container: { image: a, lifetime: { cleanup: never, after: PT1S } } } }  #! not-supported-yet 17, conflict 68
          - i: { run: { container: { image: a, lifetime: { cleanup: eventually, after: PT1S } } } }  #! not-supported-yet 17
          - j: { run: { container: { image: a, lifetime: {} } } }  #! not-supported-yet 17, missing-key 40
          - k: { call: mcp }  #! missing-key 5, not-supported-yet 10
    """,
}


@pytest.mark.parametrize("body", SHAPES.values(), ids=SHAPES)
def test_findings_stand_where_they_are(body):
    text = complete(body)
    assert sorted(found(text)) == expected(text)


def test_a_document_must_be_an_object():
    assert found("[1]") == [(1, 1, "error", "wrong-type")]
    assert found("text") == [(1, 1, "error", "wrong-type")]
    assert found("{}") == [(1, 1, "error", "missing-key")] * 2


def test_the_document_section():
    text = "document: { dsl: 1.1.0, namespace: my.space, name: my_flow, version: 1.0, titel: a }\ndo: [ a: { wait: PT1S } ]"
    assert found(text) == [
        (1, 18, "error", "bad-text"),
        (1, 36, "error", "bad-text"),
        (1, 52, "error", "bad-text"),
        (1, 70, "error", "wrong-type"),
        (1, 75, "error", "unknown-key"),
    ]
    assert hints(text) == [
        "Write '1.0.3'.",
        "Write 'my-space'.",
        "Write 'my-flow'.",
        'Put it into quotes: "1.0".',
        "Did you mean 'title'?",
    ]
    assert found(complete("").replace("sample", "s" * 64)) == [(1, 49, "error", "bad-text")]
    assert hints(complete("").replace("sample", "'...'")) == [None]
    assert hints(complete("").replace("1.0.0", "'7'")) == ["Write three numbers, for example '1.0.0'."]
    assert not found(complete("").replace("1.0.0", "1.0.0-beta.1+build.5"))


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("input: { form: a }", "Did you mean 'from'?"),
        ("do: [ a: { cal: http } ]", "Did you mean 'call'?"),
        ("do: [ a: { wait: { seconds: 1.5 } } ]", "For parts of a second write milliseconds."),
        ("do: [ a: { wait: { seconds: '${ .n }' } } ]", '${ "PT\\(.n)S" }'),
        (
            "do: [ a: { run: { workflow: { namespace: a, name: b, version: latest }, await: yes } } ]",
            "only true and false",
        ),
        ("do: [ a: { for: { in: [ a ] }, do: [ b: { wait: PT1S } ] } ]", "Write the list as an expression"),
        ("do: [ a: { for: { in: ., each: $pet }, do: [ b: { wait: PT1S } ] } ]", "Write 'pet'."),
        (
            "use: { extensions: [ a: { extend: fork, after: [ b: { wait: PT1S } ] } ] }",
            "'composite': it stands for do and fork",
        ),
        ("do: [ a: { if: true, wait: PT1S } ]", "Write it as a text: 'true'."),
        ("do: [ a: { <<: { b: 1 }, wait: PT1S } ]", "no merge keys"),
        ("do: [ a: { <<: { wait: PT1S } } ]", "no merge keys"),
        ("do: [ a: { parallel: [] } ]", "What others call 'parallel' is 'fork' here."),
        ("do: [ a: { set: { b: 1 }, output: .b } ]", "It may have 'as' or 'schema'."),
        ("do: [ a: { set: { b: 1 }, timeout: 30 } ]", "It may have 'after'."),
        ("do: [ a: { set: { b: 1 }, timeout: PT30S } ]", "Write a duration as { after: PT30S }."),
        ("do: [ a: { run: { workflow: other } } ]", "It may have 'namespace'"),
        ("do: [ a: { emit: { event: { type: a } } } ]", "Put it under 'with'."),
        ("do: [ a: { try: [ b: { wait: PT1S } ], catch: {}, retry: {} } ]", "Put it under 'catch'."),
        ("do: [ a: { call: f, with: '${ . }' } ]", "Write a map"),
        ("do: [ a: { emit: { event: { with: { type: a, Typ: b } } } } ]", "Did you mean 'type'?"),
        ("do: [ a: { emit: { event: { with: { type: a, X-Y-Z: b } } } } ]", "lower-case letters and digits"),
        ("do: [ a: { zzzz: 1 } ]", "A task needs one of 'call', 'emit'"),
        ("do: [ a: { wait: PT1S, do: [ b: { wait: PT1S } ] } ]", "Make two tasks of them."),
        ("do: { a: { wait: PT1S } }", "Begin each task with '- '."),
        ("do: [ a: { call: http, with: { method: get, endpoint: 'https://x', headers: { A: 1 } } } ]", 'Write "1".'),
        (
            "do: [ a: { call: http, with: { method: get, endpoint: 5 } } ]",
            "An object or a text is expected, not the number 5.",
        ),
        ("do: [ a: { call: http, with: { method: get, endpoint: true } } ]", "not the boolean true"),
        ("do: [ a: { raise: { error: { type: 'https://x', status: null } } } ]", "not null"),
        (
            "do: [ a: { emit: { event: { with: { type: a, b: {} } } } } ]",
            "A text, a number or true or false is expected",
        ),
    ],
)
def test_the_hint_says_what_to_write(body, words):
    assert words in messages(complete(body))


def test_an_attribute_that_is_spelt_nearly_right():
    text = complete("do: [ a: { emit: { event: { with: { type: a, sorce: b, roomid: c } } } } ]")
    assert found(text) == [(2, 46, "lint", "attribute-spelling")]
    assert hints(text) == ["Did you mean 'source'?"]
