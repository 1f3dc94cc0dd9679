"""The JSON Schema for editors: valid, accepts what the validator accepts, and agrees with the official one."""

import jsonschema_rs
import pytest

from perdure.language.check import check_value
from perdure.language.json_schema import document_schema
from perdure.language.read import read
from tests.unit.language.documents import SPECIFICATION, complete, examples, found, scenarios
from tests.unit.language.generated import Generator
from tests.unit.language.test_check import WHOLE, needs_specification
from tests.unit.language.test_check_shapes import SHAPES

SCHEMA = document_schema()
VALIDATOR = jsonschema_rs.Draft202012Validator(SCHEMA)


def official():
    text = (SPECIFICATION / "schema" / "workflow.yaml").read_text()
    return jsonschema_rs.Draft202012Validator(read(text).value)


def test_it_is_a_valid_schema():
    assert jsonschema_rs.meta.is_valid(SCHEMA)
    assert SCHEMA["$schema"].endswith("2020-12/schema")


def test_every_key_is_described():
    for name, definition in SCHEMA["$defs"].items():
        assert definition["description"], name
        for key, schema in definition.get("properties", {}).items():
            assert schema["description"], (name, key)


@needs_specification
@pytest.mark.parametrize(("name", "text"), [*examples(), *scenarios()] if SPECIFICATION.is_dir() else [])
def test_it_accepts_the_specifications_documents(name, text):
    VALIDATOR.validate(read(text).value)


def test_it_accepts_a_whole_document():
    VALIDATOR.validate(read(WHOLE).value)


@pytest.mark.parametrize("name", SHAPES)
def test_it_refuses_bad_shapes(name):
    text = complete(SHAPES[name])
    codes = {entry[3] for entry in found(text) if entry[2] == "error"} - {"not-supported-yet"}
    assert VALIDATOR.is_valid(read(text).value) == (not codes)


@needs_specification
@pytest.mark.parametrize("body", [WHOLE, complete("do: [ a: { wait: PT1S } ]")])
def test_the_official_schema_accepts_what_we_accept(body):
    official().validate(read(body).value)


@needs_specification
def test_what_the_official_schema_refuses_of_ours():
    """The known differences (language.md 4.1 and 2): numbers as header values, named arguments of scripts."""
    accepted_by_us_only = [
        "do: [ a: { call: http, with: { method: get, endpoint: 'https://x', headers: { A: 1 } } } ]",
        "do: [ a: { run: { script: { language: js, code: a, arguments: { a: b } } } } ]",
    ]
    for body in accepted_by_us_only:
        value = read(complete(body)).value
        assert VALIDATOR.is_valid(value)
        assert not official().is_valid(value)


ACCEPTED_BY_THE_OFFICIAL = [
    "do: []",
    "do: [ a: { try: [], catch: {} } ]",
    "do: [ a: { fork: { branches: [] } } ]",
    "do: [ a: { wait: PT1S }, a: { wait: PT1S } ]",
    "do: [ a: { wait: PT1S, then: nowhere } ]",
    "do: [ a: { switch: [ a: { then: end }, b: { then: end } ] } ]",
    "schedule: { cron: banana }",
    "schedule: { cron: 0 0 * * *, every: PT1M }",
    "do: [ a: { wait: { seconds: -1 } } ]",
    "do: [ a: { try: [ b: { wait: PT1S } ], catch: { errors: { wiht: {} } } } ]",
    "do: [ a: { try: [ b: { wait: PT1S } ], catch: { errors: { with: { code: 1 } } } } ]",
    "do: [ a: { call: a2a, with: { method: message/send } } ]",
    "do: [ a: { call: mcp, with: { method: tools/list, transport: { stdio: { command: a } }, extra: 1 } } ]",
    "use: { authentications: { a: { bearer: { token: a }, junk: 1 } } }",
    "junk: 1",
    "do: [ a: { call: HTTP } ]",
    "do: [ a: { call: http, with: { method: get, endpoint: 'https://x/${.id}' } } ]",
    "do: [ a: { set: { a: '${ .a } and ${ .b }' } } ]",
]


@needs_specification
@pytest.mark.parametrize("body", ACCEPTED_BY_THE_OFFICIAL)
def test_what_the_official_schema_lets_through_is_refused(body):
    text = complete(body)
    assert official().is_valid(read(text).value)
    assert {entry[3] for entry in found(text) if entry[2] == "error"} - {"not-supported-yet"}


@pytest.mark.parametrize("seed", range(30))
def test_generated_documents_are_accepted_by_all_three(seed):
    document = Generator(seed).document()
    named_only = {"unknown-name", "unknown-target", "undeclared-secret", "unknown-function", "not-supported-yet"}
    named_only |= {"duplicate-name", "fixed-text"}  # one variable for two; a condition inside an object
    assert {finding.code for finding in check_value(document) if finding.severity == "error"} <= named_only
    VALIDATOR.validate(document)
    if SPECIFICATION.is_dir():
        official().validate(document)
