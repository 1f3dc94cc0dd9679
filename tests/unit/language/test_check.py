"""Checking as a whole: the specification's own documents, order, limits, speed, and documents broken at random."""

import copy
import random

import pytest

from perdure.language import read
from perdure.language.check import check, check_value
from perdure.language.rules import report as check_report
from perdure.language.rules.report import CODES, listed, nearest, shown
from perdure.language.rules.survey import Survey
from tests.unit.language.documents import SPECIFICATION, complete, examples, found, scenarios
from tests.unit.language.quickness import within

needs_specification = pytest.mark.skipif(not SPECIFICATION.is_dir(), reason="../shared/ows is not here")

DOUBTFUL = {
    "conditional-task": {"skipped-then", "looks-like-expression"},
    "run-subflow": {"looks-like-expression"},
    "schedule-cron": {"schedule-needs-up"},
    "schedule-event-driven": {"schedule-needs-up"},
    "set": {"schedule-needs-up"},
    "set-expression": {"schedule-needs-up"},
    "try-catch-then": {"looks-like-expression"},
}
"""Examples and what the lints say of them: `error: $error` and `customer: .customer` stay texts (T31)."""

RUNNABLE_LATER = ("call-asyncapi", "call-grpc", "call-mcp", "run-container", "run-return", "run-script", "run-shell")

WHOLE = r"""
document:
  dsl: 1.0.3
  namespace: tests
  name: whole
  version: 1.0.0
  title: Everything
  tags: { team: a }
input: { schema: { document: { type: object } }, from: "{ a: . }" }
use:
  secrets: [ token, login ]
  authentications:
    one: { bearer: { token: "${ $secrets.token }" } }
    two: { oauth2: { authority: https://id.example.com, grant: client_credentials, client: { id: a, secret: b } } }
    three: { digest: { use: login } }
  errors: { bad: { type: https://example.com/errors/bad, status: 400, detail: '${ "no \(.a)" }' } }
  retries: { often: { delay: PT1S, backoff: { exponential: {} }, limit: { attempt: { count: 3 } } } }
  timeouts: { short: { after: { seconds: 5 } } }
  functions:
    undo: { call: http, with: { method: delete, endpoint: "https://example.com/{id}" } }
  extensions:
    - log: { extend: all, when: $task.name != "x", before: [ say: { set: { said: true } } ] }
do:
  - fetch:
      if: .go
      call: http
      with: { method: get, endpoint: { uri: "https://example.com/{id}", authentication: { use: one } }, query: { q: "${ .q }" } }
      output: { as: .items }
      export: { as: "$context + { items: . }" }
      timeout: short
      metadata: { compensate: { call: undo, with: { id: "${ .id }" } } }
  - each:
      for: { each: item, in: ., at: i }
      while: $i < 5
      do:
        - one: { set: { item: "${ $item }", i: "${ $i }" } }
  - guard:
      try:
        - wait: { wait: { seconds: 1 } }
        - fail: { raise: { error: bad } }
      catch:
        errors: { with: { status: 400 } }
        as: err
        when: $err.status == 400
        retry: often
        do: [ note: { set: { e: "${ $err.title }" } } ]
        then: choose
  - choose:
      switch:
        - yes: { when: .a == 1, then: split }
        - other: { then: exit }
  - split:
      fork:
        compete: true
        branches:
          - left: { emit: { event: { with: { type: a.b, data: { x: "${ . }" } } } } }
          - right: { listen: { to: { any: [ { with: { type: c } } ], until: ". | length > 1" }, read: envelope } }
  - child: { run: { workflow: { namespace: tests, name: other, version: latest, input: { a: "${ .a }" } }, await: false } }
output: { as: "{ done: . }" }
timeout: { after: PT1H }
"""


@needs_specification
@pytest.mark.parametrize(("name", "text"), [*examples(), *scenarios()] if SPECIFICATION.is_dir() else [])
def test_the_specifications_documents_are_valid(name, text):
    findings = check(read.read(text))
    errors = {finding.code for finding in findings if finding.severity == "error"}
    assert errors == ({"not-supported-yet"} if name.startswith(RUNNABLE_LATER) else set())
    assert {finding.code for finding in findings if finding.severity == "lint"} == DOUBTFUL.get(name, set())


@needs_specification
def test_all_of_them_are_here():
    assert len(list(examples())) == 68
    assert len(list(scenarios())) == 21


def test_a_whole_document_is_valid():
    assert found(WHOLE) == []


def test_findings_come_in_document_order_from_every_rule():
    text = complete("""
        do:
          - a: { wait: PT1S, then: nowhere }
          - b: { set: { a: "${ .x y }" }, typo: 1 }
          - c: { call: http, with: { method: get } }
    """)
    codes = ["unknown-target", "expression", "unknown-key", "missing-key"]
    assert [entry[3] for entry in found(text)] == codes
    without_text = check_value(read.read(text).value)
    assert [finding.code for finding in without_text] == codes
    assert {(finding.line, finding.column) for finding in without_text} == {(0, 0)}
    assert [finding.pointer for finding in without_text] == [finding.pointer for finding in check(read.read(text))]


def test_checking_stops_at_a_thousand_findings():
    text = complete("do:\n" + "  - a: { sett: 1, then: zzz }\n" * 14_000)
    findings = within(2, lambda: check(read.read(text)))
    assert len(findings) == check_report.MAX_FINDINGS
    assert findings[-1].code == "too-many"


def test_a_thousand_lines_are_checked_quickly():
    text = complete("do:\n" + "".join(_task(number) for number in range(95)))
    assert len(text.splitlines()) > 1_000
    reading = read.read(text)
    assert within(0.1, lambda: check(reading)) == []


@pytest.mark.parametrize("seed", range(20))
def test_no_broken_document_breaks_the_check(seed):
    chance = random.Random(seed)
    whole = read.read(WHOLE).value
    for _ in range(60):
        document = copy.deepcopy(whole)
        for _ in range(chance.randrange(1, 4)):
            owner, key = chance.choice(list(_places(document)))
            owner[key] = chance.choice(_STRANGE)
        for finding in check_value(document):
            assert finding.code in CODES
            assert finding.message.endswith((".", "?"))


def test_words_for_people():
    assert listed(["a"]) == "'a'"
    assert listed(["a", "b", "c"]) == "'a', 'b' or 'c'"
    assert shown("a\n  b" + "c" * 100) == "a b" + "c" * 56 + "…"
    assert nearest("Do", ["do", "for"]) == "Did you mean 'do'?"
    assert nearest("zzz", ["do", "for"]) is None


def test_what_holds_state_shows_its_counts():
    assert repr(check_report.Report(read.read("{}"))) == "<Report 0 findings>"
    assert repr(Survey()) == "<Survey 0 task lists, 0 expressions and templates>"


_STRANGE = [
    None,
    True,
    3,
    -1,
    2.5,
    "x",
    "",
    "${ .a",
    "${ $x }",
    "${ . } y",
    [],
    {},
    [1],
    ["x"],
    {"a": 1},
    [{}],
    {"do": []},
]


def _places(value):
    for key, item in value.items() if isinstance(value, dict) else enumerate(value):
        yield value, key
        if isinstance(item, dict | list):
            yield from _places(item)


def _task(number):
    return f"""\
  - task{number}:
      if: .a == {number}
      call: http
      with:
        method: get
        endpoint: https://example.com/{{id}}
        headers:
          Accept: application/json
          X-Trace: ${{ .trace }}
      output:
        as: .content{number}
"""
