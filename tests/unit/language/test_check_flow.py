"""Flow: names of tasks and cases, targets of `then`, defaults, and tasks that no path leads to."""

import pytest

from tests.unit.language.documents import complete, expected, found, messages

FLOWS = {
    "targets of the same list, both ways": """
        do:
          - a: { wait: PT1S, then: c }
          - b: { wait: PT1S, then: end }
          - c: { wait: PT1S, then: b }
    """,
    "targets of other lists and none": """
        do:
          - a:
              do:
                - inner: { wait: PT1S, then: b }  #! unknown-target 38
          - b: { wait: PT1S, then: inner }  #! unknown-target 28
          - c: { wait: PT1S, then: Exit }  #! unknown-target 28
          - d: { wait: PT1S, then: exit }
    """,
    "branches are no list": """
        do:
          - a:
              fork:
                branches:
                  - b: { wait: PT1S, then: c }  #! unknown-target 36
                  - c: { wait: PT1S, then: exit }
                  - d: { wait: PT1S, then: end }
                  - c: { wait: PT1S }  #! duplicate-name 13
                  - e: { do: [ x: { wait: PT1S, then: y }, y: { wait: PT1S } ] }
    """,
    "names": """
        do:
          - a: { wait: PT1S }
          - a: { wait: PT1S }  #! duplicate-name 5
          - continue: { wait: PT1S }  #! reserved-name 5
          - end: { wait: PT1S }  #! reserved-name 5
          - " ": { wait: PT1S }  #! empty 5
          - b: { do: [ a: { wait: PT1S } ] }
          - c: { fork: { branches: [ exit: { wait: PT1S } ] } }  #! reserved-name 30
    """,
    "a switch": """
        do:
          - a:
              switch:
                - one: { when: .x == 1, then: b }
                - two: { then: continue }
                - two: { when: .x == 3, then: nowhere }  #! duplicate-name 11, unknown-target 39
                - four: { then: end }  #! two-defaults 11
                - five: 5  #! wrong-type 17
                - 6  #! wrong-type 11
                - seven: { when: .y }  #! missing-key 11
          - b: { wait: PT1S }
    """,
    "a switch that is none": """
        do:
          - a: { switch: { b: { then: end } } }  #! wrong-type 18
    """,
    "a catch": """
        do:
          - a:
              try: [ x: { wait: PT1S, then: b } ]  #! unknown-target 37
              catch:
                do: [ y: { wait: PT1S, then: a } ]  #! unknown-target 38
                then: c
          - b: { wait: PT1S, then: end }
          - c:
              try: [ x: { wait: PT1S } ]
              catch: { then: d }  #! unknown-target 22
    """,
    "tasks in no list": """
        do:
          - a: { wait: PT1S, metadata: { compensate: { wait: PT1S, then: a } } }  #! unknown-target 66
          - b: { wait: PT1S, metadata: { compensate: { switch: [ x: { then: b } ] } } }  #! unknown-target 69
    """,
    "no path": """
        do:
          - a: { wait: PT1S, then: c }
          - b: { wait: PT1S }  #? unreachable-task 5
          - c: { switch: [ x: { when: .a, then: e }, y: { then: f } ], then: d }
          - d: { wait: PT1S }  #? unreachable-task 5
          - e: { raise: { error: { type: "https://x", status: 400 } }, then: g }
          - f: { wait: PT1S, then: end }
          - g: { wait: PT1S }  #? unreachable-task 5
    """,
    "paths around": """
        do:
          - a: { if: .x, wait: PT1S, then: end }  #? skipped-then 30
          - b: { switch: [ x: { when: .a, then: e } ] }
          - c: { switch: [ x: { when: .a, then: e } ], then: g }
          - d: { wait: PT1S }  #? unreachable-task 5
          - e: { if: .y, raise: { error: { type: "https://x", status: 400 } } }
          - f: { try: [ x: { wait: PT1S, then: exit } ], catch: { then: g }, then: end }
          - g: { wait: PT1S, then: nowhere }  #! unknown-target 28
          - h: { wait: PT1S, then: continue }
    """,
    "exports in branches": """
        do:
          - a:
              export: { as: . }
              fork:
                branches:
                  - b: { wait: PT1S, export: { as: . } }  #? branch-export 30
                  - c: { do: [ d: { wait: PT1S, export: { as: . } } ] }  #? branch-export 41
    """,
}


@pytest.mark.parametrize("body", FLOWS.values(), ids=FLOWS)
def test_findings_stand_where_they_are(body):
    text = complete(body)
    assert found(text) == expected(text)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("do: [ a: { wait: PT1S, then: contine } ]", "Did you mean 'continue'?"),
        ("do: [ first: { wait: PT1S, then: frist } ]", "Did you mean 'first'?"),
        ("do: [ a: { wait: PT1S, then: zzzzz } ]", "A target is a task of the same list."),
        ("do: [ a: { fork: { branches: [ b: { wait: PT1S, then: b } ] } } ]", "Write continue, exit or end."),
    ],
)
def test_the_hint_says_what_to_write(body, words):
    assert words in messages(complete(body))
