"""Expressions: valid jq, in the right wrapping, using only what is offered where they stand."""

import pytest

from perdure.language.grammar.table import ARGUMENTS
from tests.unit.language.documents import complete, expected, found, hints, messages

EXPRESSIONS = {
    "bare or wrapped": r"""
        do:
          - a: { if: .a, wait: PT1S }
          - b: { if: "${ .a }", wait: PT1S }
          - c: { if: "${ .a } and ${ .b }", wait: PT1S }  #! expression 14
          - d: { if: ".a |", wait: PT1S }  #! expression 14
          - e: { set: "{ a: 1 }" }
          - f: { set: { a: "${ .a }", b: "x ${ .b }", c: [ "${ .c", "$ {" ] } }  #! expression 34, expression 52
          - g: { set: { a: "${ }" } }  #! expression 20
    """,
    "wrapped only": """
        do:
          - a: { call: http, with: { method: get, endpoint: "https://x", headers: .headers } }  #! expression 75
          - b: { call: http, with: { method: get, endpoint: "https://x", headers: "${ .headers }", query: "${ .q } x" } }  #! expression 99
    """,
    "uris": r"""
        do:
          - a: { call: http, with: { method: get, endpoint: "https://x/{id}" } }
          - b: { call: http, with: { method: get, endpoint: "https://x/${.id}" } }  #! uri 53
          - c: { call: http, with: { method: get, endpoint: { uri: "https://x/{id" } } }  #! uri 60
          - d: { call: http, with: { method: get, endpoint: "" } }  #! uri 53
          - e: { call: http, with: { method: get, endpoint: '${ "https://x/\(.id)" }' } }
          - f: { call: http, with: { method: get, endpoint: "${ .a } x" } }  #! uri 53
          - g: { call: http, with: { method: get, endpoint: "${ .a b }" } }  #! expression 53
    """,
    "fixed uris": r"""
        use:
          authentications:
            a: { oauth2: { authority: "https://x", grant: refresh_token, endpoints: { token: "${ .x }", revocation: /r } } }  #! expression 86
    """,
    "addresses that are fetched at publish": """
        use:
          catalogs: { a: { endpoint: "${ .x }" }, b: { endpoint: { uri: "https://x/{y}" } }, c: { endpoint: "https://x" } }  #! expression 30, uri 65
        input: { schema: { resource: { endpoint: "https://x/{y}" } } }  #! uri 42
    """,
    "durations": """
        do:
          - a: { wait: PT30S }
          - b: { wait: "30s" }  #! duration 16
          - c: { wait: P1M }  #! duration 16
          - d: { wait: "${ .for }" }
          - e: { wait: "in ${ .for }" }  #! expression 16
          - f: { wait: "${ $nothing }" }  #! expression 16
    """,
    "loop variables": """
        do:
          - a:
              for: { each: pet, in: "$item" }  #! expression 29
              while: $pet != null and $index < 5
              do:
                - b: { set: { a: "${ $pet }", b: "${ $index }", c: "${ $item }" } }  #! expression 60
                - c:
                    for: { in: .x, at: i }
                    do: [ d: { set: { a: "${ [$pet, $item, $i, $index] }" } } ]
              output: { as: $pet }  #! expression 21
              export: { as: "{ i: $index }" }  #! expression 21
    """,
    "the caught error": """
        use:
          retries:
            a: { when: $error.status == 503, exceptWhen: $other }  #! expression 50
        do:
          - a:
              try: [ x: { set: { a: "${ $error }" } } ]  #! expression 29
              catch:
                when: $error.status == 503
                exceptWhen: $err == 1  #! expression 21
                retry: { when: $error.status == 1, delay: PT1S }
                do: [ y: { set: { a: "${ $error.title }" } } ]
              output: { as: $error }  #! expression 21
          - b:
              try: [ x: { wait: PT1S } ]
              catch: { as: err, when: $err.status == 1, do: [ y: { set: { a: "${ $error }" } } ] }  #! expression 70
    """,
    "the caught error in policies that have a name": """
        use:
          retries:
            mine: { when: $err.status == 503, exceptWhen: $error }  #! expression 51
            both: { when: $err.status == 503, exceptWhen: $error }  #! expression 19, expression 51
            plain: { when: $error.status == 503, exceptWhen: $err }  #! expression 54
        do:
          - a: { try: [ x: { wait: PT1S } ], catch: { retry: mine, as: err } }
          - b: { try: [ x: { wait: PT1S } ], catch: { retry: both, as: err } }
          - c: { try: [ x: { wait: PT1S } ], catch: { retry: both } }
          - d: { try: [ x: { wait: PT1S } ], catch: { retry: plain } }
    """,
    "events one by one": """
        do:
          - a:
              listen: { to: { any: [], until: ". | length > 3" } }
              foreach:
                item: event
                do: [ x: { set: { a: "${ [$event, $index] }", b: "${ $item }" } } ]  #! expression 58
                output: { as: $event }
                export: { as: "$context + { last: $index }" }
              output: { as: $event }  #! expression 21
    """,
    "arguments of each place": """
        input: { from: $context }  #! expression 16
        output: { as: "[$context, $workflow.id]" }
        timeout: { after: "${ $input.t }" }  #! expression 19
        schedule: { on: { one: { with: { type: a, data: "${ .x == $input }" } } } }  #! expression 49 #? schedule-needs-up 1
        do:
          - a:
              if: $input == 1  #! expression 11
              timeout: { after: "${ $input.t }" }
              input: { from: $output }  #! expression 22
              set: { a: "${ $output }", b: "${ [$input, $authorization, $runtime] }" }  #! expression 17
              output: { as: "[$input, $output]" }
              export: { as: "$context + { o: $output }" }
              metadata: { compensate: { if: $input == 1, set: { a: "${ [$output, $input, $context] }" } } }
    """,
    "timeouts that have a name": """
        use:
          timeouts:
            task: { after: "${ $input.t }" }
            run: { after: "${ $context.t }" }  #! expression 19
            plain: { after: "${ $workflow.input.t }" }
        timeout: run
        do:
          - a: { wait: PT1S, timeout: task }
          - b: { wait: PT1S, timeout: run }
          - c: { wait: PT1S, timeout: plain }
    """,
    "secrets that would have to be looked at": r"""
        use: { secrets: [ s ] }
        do:
          - a: { if: $secrets.s, wait: PT1S }  #! expression 14
          - b: { switch: [ c: { when: '"\($secrets.s)"', then: end } ] }  #! expression 31
          - c: { set: { until: "${ $secrets.s }" } }
          - d: { wait: "${ $secrets.s }" }  #! expression 16
          - e: { for: { in: $secrets.s }, do: [ f: { wait: PT1S } ] }  #! expression 21
          - one: { call: own, with: { type: "${ $secrets.s }" } }
          - f:
              listen:
                to:
                  any:
                    - with: { type: "${ $secrets.s }" }  #! expression 29
                      correlate: { a: { from: .id, expect: "${ $secrets.s }" } }  #! expression 52
    """,
    "what correlates sees the event only": """
        do:
          - a:
              for: { in: "[1]" }
              do:
                - b: { listen: { to: { one: { with: { type: a }, correlate: { c: { from: ".data[$item]" } } } } } }  #! expression 82
                - c: { listen: { to: { one: { with: { type: a }, correlate: { c: { from: .id == $context.id } } } } } }  #! expression 82
    """,
    "conditions inside objects": """
        do:
          - a: { listen: { to: { one: { with: { type: a, data: { x: [ "${ . > 1 }" ], y: plain } } } } } }  #! fixed-text 63
          - b: { listen: { to: { one: { with: { type: a, data: "${ .x > 1 }" } } } } }
    """,
    "filters": """
        do:
          - a:
              listen:
                to:
                  all:
                    - with: { type: a, data: "${ .t > $input.limit }", x: "${ $y }" }  #! expression 67
                      correlate: { id: { from: .data.id, expect: "${ $workflow.id }" }, b: { from: "..[" } }  #! expression 92
                    - { with: { type: a }, correlate: { c: {} } }  #! missing-key 49
    """,
    "several outputs": r"""
        do:
          - a: { set: "{ a: 1 }, { a: 2 }" }  #? several-outputs 15
          - b: { set: { a: "${ .[] }", b: "${ [.[] | .x, .y] }", c: "${ first(.[]) }" } }  #? several-outputs 20
          - c: { set: { a: "${ reduce .[] as $x (0; . + $x) }", b: '${ "a, b[]" }', c: "${ {a: 1, b: [2, [3]]} + [] }" } }
          - d: { set: '.a["b"][] | .x' }  #? several-outputs 15
    """,
    "texts that look like expressions": """
        do:
          - a: { set: { a: .customer, b: $input.x, c: $nothing, d: ".", e: ".5", f: .hidden file, g: $5 } }  #? looks-like-expression 20, looks-like-expression 34
          - b: { set: { a: ".a." } }
    """,
    "keys are no templates": """
        do:
          - a: { set: { "${ .a b }": 1 } }
    """,
}


@pytest.mark.parametrize("body", EXPRESSIONS.values(), ids=EXPRESSIONS)
def test_findings_stand_where_they_are(body):
    text = complete(body)
    assert found(text) == expected(text)


def test_loose_mode_keeps_as_text_what_is_no_expression():
    loose = "evaluate: { mode: loose }\n"
    body = 'do: [ a: { set: { a: "${ .a b }", b: "x ${ .b }", c: .c, d: "$secrets.s" } }, b: { if: "${ .a b }", wait: PT1S } ]'
    assert [entry[3] for entry in found(complete(loose + body))] == ["undeclared-secret", "expression"]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("do: [ a: { set: { a: 'Hello ${ .name }' } } ]", r'${ "text \(.field) text" }'),
        ("do: [ a: { call: http, with: { method: get, endpoint: 'https://x/${.id}' } } ]", r'${ "https://x/\(.id)" }'),
        ("do: [ a: { call: http, with: { method: get, endpoint: 'https://x', query: .q } } ]", "Write ${ .q }."),
        ("do: [ a: { set: { a: '${ $inputs }' } } ]", "$inputs"),
        ("do: [ a: { set: { a: $input.x } } ]", "Write ${ $input.x }."),
        ("do: [ a: { set: { a: '${ 1e400 }' } } ]", "The number is too large, at character 2 of the expression. "),
        ("do: [ a: { if: \".a == 'x'\", wait: PT1S } ]", "Texts of jq stand in double quotes"),
        ("do: [ a: { if: .a && .b, wait: PT1S } ]", "Write `and`."),
        ('do: [ a: { if: "!.a", wait: PT1S } ]', "Write `| not` behind"),
        ("do: [ a: { set: { a: '${ [.a }' } } ]", "Close every bracket and quote"),
        ("do: [ a: { call: http, with: { method: get, endpoint: '${ .x' } } ]", "begins with ${ never ends"),
        ("do: [ a: { raise: { error: $error } } ]", "An expression cannot stand for a whole entry"),
        (
            "do: [ a: { try: [ b: { wait: PT1S } ], catch: { errors: { with: { status: '503' } } } } ]",
            "Write 503 without",
        ),
        ("do: [ a: { wait: '${ $x }' } ]", "$x is not offered here (at character 2 of the expression)."),
        ("do: [ a: { call: http, with: { method: get, endpoint: 'h://x/${.a}' } } ]", "(at character 7 of the text)."),
    ],
)
def test_the_hint_says_what_to_write(body, words):
    assert words in messages(complete(body))


def test_every_row_offers_what_the_table_says():
    places = {
        "workflow-input": "input: { from: %s }",
        "workflow-output": "output: { as: %s }",
        "task-entry": "do: [ a: { if: %s, wait: PT1S } ]",
        "task-body": "do: [ a: { set: %s } ]",
        "task-output": "do: [ a: { wait: PT1S, output: { as: %s } } ]",
        "task-export": "do: [ a: { wait: PT1S, export: { as: %s } } ]",
        "event": "do: [ a: { listen: { to: { one: { with: { type: a }, correlate: { c: { from: %s } } } } } } ]",
        "schedule": "schedule: { on: { one: { with: { type: a, data: '${ . == %s }' } } } }",
    }
    assert set(places) == set(ARGUMENTS)
    for row, body in places.items():
        for name in sorted(frozenset().union(*ARGUMENTS.values()) - {"secrets"}):
            errors = [entry for entry in found(complete(body % f"${name}")) if entry[2] == "error"]
            assert bool(errors) == (name not in ARGUMENTS[row]), (row, name)


def test_a_finding_has_no_hint_where_none_is_known():
    assert hints(complete("do: [ a: { wait: '30s' } ]")) == [None]
