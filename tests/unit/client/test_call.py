"""Calls say what is sent, and read what comes back."""

import datetime as dt

import msgspec
import pytest

from perdure import errors
from perdure.client import keys, tenants, users
from perdure.client.call import Page, call


def problem(status, **more):
    return msgspec.json.encode({"type": "about:blank", "title": "T", "status": status, **more})


def test_every_part_of_a_path_is_escaped():
    assert call("GET", "runs", "a/b?c #", query={"x": "1 2", "many": ["a", "b"], "yes": True, "none": None}).target == (
        "/api/v1/runs/a%2Fb%3Fc%20%23?x=1+2&many=a&many=b&yes=true"
    )


def test_an_answer_is_read_as_its_type():
    body = b'{"items": [{"id": "mail", "name": "Mail", "created": "2026-01-01T00:00:00Z", "later": 1}], "next": "mail"}'
    assert tenants.find_projects().read(200, body) == Page(
        [tenants.Project(id="mail", name="Mail", created="2026-01-01T00:00:00Z")], "mail"
    )
    assert users.set_password("u", "p").read(204, b"") is None


@pytest.mark.parametrize("kind", errors.MEANINGS)
def test_an_error_comes_back_as_what_it_was(kind):
    meaning = errors.MEANINGS[kind]
    with pytest.raises(kind, match="the detail") as caught:
        keys.get("k").read(meaning.status, problem(meaning.status, code=kind.code, detail="the detail", hint="do this"))
    assert caught.value.hint == "do this"


def test_a_code_that_we_do_not_know_goes_by_its_status():
    with pytest.raises(errors.Conflict):
        keys.get("k").read(409, problem(409, code="version-taken", detail="x"))


@pytest.mark.parametrize(("status", "kind"), [(502, errors.Unavailable), (404, errors.NotFound), (302, errors.Invalid)])
def test_what_no_perdure_answered_is_said(status, kind):
    with pytest.raises(kind, match=f"answered {status}"):
        keys.get("k").read(status, b"<html>")


def test_an_answer_that_does_not_fit_is_a_bug():
    with pytest.raises(errors.Bug, match="cannot be read"):
        keys.get("k").read(200, b"{}")


def test_what_does_not_fit_is_said_with_its_place():
    errors_found = [{"pointer": "#/cron", "detail": "Input should be a valid string"}, {"pointer": "", "detail": "no"}]
    body = problem(422, code="invalid", detail="The request does not fit.", errors=errors_found)
    with pytest.raises(
        errors.Invalid, match=r"^The request does not fit: cron: Input should be .* string; the body: no\.$"
    ):
        keys.get("k").read(422, body)


def test_what_goes_out_is_what_was_given():
    given = {"a": "é\u2028", "n": 2**70, "f": 0.1, "at": dt.date(2026, 1, 2), 5: [None, True]}
    sent = call("POST", "runs", body=given).body
    assert msgspec.json.decode(sent) == {"a": "é\u2028", "n": 2**70, "f": 0.1, "at": "2026-01-02", "5": [None, True]}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "\ud800", object(), {1, object()}])
def test_what_json_does_not_have_is_not_sent_as_something_else(value):
    with pytest.raises(errors.Invalid, match="cannot be sent as JSON"):
        call("POST", "runs", body={"input": {"x": value}})
