"""Bodies by content type, both ways."""

import pytest

from perdure.functions import bodies
from perdure.functions.bodies import decode, encode, text_of


@pytest.mark.parametrize(
    ("body", "declared", "sent", "kind"),
    [
        ({"b": 1, "a": [True, None]}, None, b'{"b":1,"a":[true,null]}', "application/json"),
        ("text", None, b"text", bodies.TEXT),
        (5, None, b"5", "application/json"),
        ('{"a":1}', "application/json", b'{"a":1}', "application/json"),
        ({"a": 1}, "application/vnd.x+json", b'{"a":1}', "application/vnd.x+json"),
        ({"a": "b c", "d": [1, 2], "e": None}, bodies.FORM, b"a=b+c&d=1&d=2&e=", bodies.FORM),
        ("aGk=", "application/octet-stream", b"hi", "application/octet-stream"),
        (1.5, "text/plain", b"1.5", "text/plain"),
        ("<a/>", "application/xml", b"<a/>", "application/xml"),
    ],
)
def test_a_body_is_written_by_its_type(body, declared, sent, kind):
    assert encode(body, declared) == (sent, kind)


@pytest.mark.parametrize(
    ("body", "declared", "said"),
    [
        ({"a": 1}, "text/xml", "cannot be sent as text/xml"),
        ([1], bodies.FORM, "must be an object"),
        ([1], bodies.MULTIPART, "must be an object"),
        ("!", "application/octet-stream", "base64"),
        ({"a": float("nan")}, None, "NaN"),
        ({"f": {"filename": "a", "content": "?"}}, bodies.MULTIPART, "base64"),
        ({"f": {"filename": "a", "content": "aGk=", "contentType": "a\r\nb"}}, bodies.MULTIPART, "content type"),
    ],
)
def test_a_body_that_does_not_fit_is_told(body, declared, said):
    with pytest.raises(ValueError, match=said):
        encode(body, declared)


def test_multipart_holds_texts_values_and_files():
    body = {
        'na"me\r\n': "x",
        "list": [1, 2],
        "object": {"a": 1},
        "file": {"filename": "a.txt", "content": "aGk=", "contentType": "text/plain"},
    }
    sent, kind = encode(body, bodies.MULTIPART)
    boundary = kind.partition("boundary=")[2]
    assert encode(body, bodies.MULTIPART) == (sent, kind)
    parts = sent.split(b"--" + boundary.encode())
    assert b'name="na%22me%0D%0A"\r\n\r\nx' in parts[1]
    assert [part.rpartition(b"\r\n\r\n")[2] for part in parts[2:4]] == [b"1\r\n", b"2\r\n"]
    assert b'Content-Type: application/json\r\n\r\n{"a":1}' in parts[4]
    assert b'filename="a.txt"\r\nContent-Type: text/plain\r\n\r\nhi' in parts[5]
    assert parts[6] == b"--\r\n"


@pytest.mark.parametrize(
    ("body", "kind", "value"),
    [
        (b"", "application/json", None),
        (b'{"a": 1}', "application/json; charset=utf-8", {"a": 1}),
        (b"[1]", "application/problem+json", [1]),
        (b"a=1&b=2&a=3&a=4&c=", bodies.FORM, {"a": ["1", "3", "4"], "b": "2", "c": ""}),
        ("ä".encode(), "text/plain", "ä"),
        ("ä".encode("latin-1"), 'text/html; charset="iso-8859-1"', "ä"),
        (b"\xff", "text/plain", "�"),
        (b"<a/>", "image/svg+xml", "<a/>"),
        (b"plain", None, "plain"),
        (b"\xff\x00", None, "/wA="),
        (b"hi", "image/png", "aGk="),
        (b"hi", "text/plain; charset=no-such", "aGk="),
    ],
)
def test_a_body_is_read_by_its_type(body, kind, value):
    assert decode(body, kind) == value


@pytest.mark.parametrize("body", [b"{", b"\xff", b"[" * 100_000])
def test_json_that_is_none_is_told(body):
    with pytest.raises(ValueError, match="not valid JSON"):
        decode(body, "application/json")


def test_an_answer_of_a_million_tiny_values_is_told_and_can_be_had_whole():
    body = b"[" + b"[]," * 250_000 + b"1]"
    with pytest.raises(ValueError, match=r"250,001 arrays and objects.*output: raw"):
        decode(body, "application/json")
    with pytest.raises(ValueError, match="fields"):
        decode(b"a=1&" * 100_001, "application/x-www-form-urlencoded")
    assert len(decode(b'{"text": "' + b"[,{" * 1_000_000 + b'"}', "application/json")["text"]) == 3_000_000


def test_values_as_text():
    assert [text_of(value) for value in ("a", None, True, 1.5, [1])] == ["a", "", "true", "1.5", "[1]"]
