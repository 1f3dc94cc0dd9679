"""Single values and lints: schemas, cron expressions, and what works but may not be meant."""

import pytest

from perdure.interpreter import faults
from perdure.language.rules import lints
from tests.unit.language.documents import complete, expected, found, messages

VALUES = {
    "schemas": """
        input: { schema: { document: { type: objekt } } }  #! schema 30
        do:
          - a: { wait: PT1S, output: { schema: { document: true } } }
          - b: { wait: PT1S, export: { schema: { format: "json:2020-12", document: { pattern: "[" } } } }  #! schema 76
          - c: { wait: PT1S, input: { schema: { resource: { endpoint: "https://x/s.json" } } } }
    """,
    "cron": """
        schedule: { cron: banana }  #! cron 19 #? schedule-needs-up 1
    """,
    "keys that stand for secrets": """
        do:
          - b: { wait: PT1S, metadata: { a: [ { $perdure.secret: [ t ] } ] } }  #! reserved-name 41
          - a: { set: { a: { $$perdure.parts: [] }, $perdure: 1 } }  #! reserved-name 22
    """,
    "one variable for two": """
        do:
          - a: { for: { each: index, in: "[1]" }, do: [ b: { wait: PT1S } ] }  #! duplicate-name 17
          - b: { listen: { to: { any: [] } }, foreach: { at: item } }  #! duplicate-name 50
          - c: { for: { each: index, at: item, in: "[1]" }, do: [ b: { wait: PT1S } ] }
    """,
    "a jitter that runs backwards": """
        use:
          retries:
            a: { jitter: { from: PT5S, to: { seconds: 1 } } }  #! out-of-range 32
            b: { jitter: { from: PT1S, to: PT1S } }
            c: { jitter: { from: PT5S, to: "${ .x }" } }
            d: { jitter: { from: PT5S } }  #! missing-key 10
        do: [ a: { wait: PT1S } ]
    """,
    "a race that is none": """
        do:
          - a: { fork: { branches: [ b: { wait: PT1S } ] }, metadata: { compete: any } }  #? metadata-place 65
          - b: { fork: { compete: true, branches: [ b: { wait: PT1S } ] }, metadata: { compete: any } }
          - c: { fork: 5, metadata: { compete: any } }  #! wrong-type 16 #? metadata-place 31
    """,
    "a good schedule": """
        schedule: { cron: "0 0 * * *" }  #? schedule-needs-up 1
    """,
    "the password grant": """
        use:
          authentications:
            a: { oidc: { authority: "https://x", grant: password, username: a, password: b } }  #? password-grant 42
            b: { oauth2: { authority: "https://x", grant: client_credentials } }
    """,
    "what a workflow returns": """
        use:
          functions:
            f: { run: { workflow: { namespace: n, name: w, version: 1.0.0 }, return: code } }  #! workflow-return 78
        do:
          - a: { run: { workflow: { namespace: n, name: w, version: 1.0.0 }, return: all } }  #! workflow-return 78
          - b: { run: { workflow: { namespace: n, name: w, version: 1.0.0 }, return: none } }
          - c: { run: { workflow: { namespace: n, name: w, version: 1.0.0 }, return: stdout } }
          - d: { run: { workflow: { namespace: n, name: w, version: 1.0.0 }, return: stderr } }  #! workflow-return 78
    """,
    "names of standard errors": """
        use:
          errors:
            late: { type: timeout, status: 408 }  #? error-name 19
            own: { type: "https://example.com/timeout", status: 408 }
        do:
          - a: { if: .x, raise: { error: { type: Runtime, status: 500 } } }  #? error-name 42
          - b:
              try: [ c: { raise: { error: late } } ]
              catch:
                errors: { with: { type: communication } }  #? error-name 33
          - d:
              try: [ e: { raise: { error: own } } ]
              catch:
                errors: { with: { type: "https://open-workflow-specification.org/spec/1.0.0/errors/runtime" } }
    """,
    "skipped tasks": """
        do:
          - a: { if: .x, wait: PT1S, then: end }  #? skipped-then 30
          - b: { do: [ c: { if: .y, wait: PT1S, then: exit } ] }  #? skipped-then 41
    """,
}


@pytest.mark.parametrize("body", VALUES.values(), ids=VALUES)
def test_findings_stand_where_they_are(body):
    text = complete(body)
    assert found(text) == expected(text)


def test_the_hint_for_a_cron_expression_is_an_example():
    assert "For example '0 8 * * 1-5'" in messages(complete("schedule: { cron: banana }"))


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("schedule: { every: PT1H }", "`perdure run` runs the document once, now"),
        ("evaluate: { language: js }", "'js' is not 'jq', the only choice here."),
        ("use: { memories: {} }", "It may have 'authentications'"),
    ],
)
def test_a_hint_promises_nothing_that_does_not_exist(body, words):
    assert words in messages(complete(body))


def test_the_standard_errors_are_those_that_runs_have():
    assert lints.ERRORS == faults.BASE
    assert faults.STANDARD.keys() == lints.ERROR_NAMES
