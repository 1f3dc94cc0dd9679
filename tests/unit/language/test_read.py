"""Reading: the YAML 1.2 core schema, positions, and every way in which a text is refused."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from perdure.language import read as module
from perdure.language.read import CODES, MAX_NODES, Reading, Unreadable, read
from tests.unit.language.quickness import within


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("null", None),
        ("~", None),
        ("Null", None),
        ("a:", {"a": None}),
        ("true", True),
        ("FALSE", False),
        ("on: yes", {"on": "yes"}),
        ("no: off", {"no": "off"}),
        ("12:30:00", "12:30:00"),
        ("2001-12-14", "2001-12-14"),
        ("2001-12-14T21:59:43Z", "2001-12-14T21:59:43Z"),
        ("1_000", "1_000"),
        ("0b11", "0b11"),
        ("017", 17),
        ("0o17", 15),
        ("0xFf", 255),
        ("-12", -12),
        ("+12", 12),
        ("-0o17", "-0o17"),
        ("1.5", 1.5),
        (".5", 0.5),
        ("1.", 1.0),
        ("1e3", 1000.0),
        ("-1.5E-3", -0.0015),
        ("-", [None]),
        ("+", "+"),
        (".", "."),
        ("1.0.3", "1.0.3"),
        ("inf", "inf"),
        ("nan", "nan"),
        ("'1'", "1"),
        ('"true"', "true"),
        ("|\n  null\n", "null\n"),
        ("123456789012345678901234567890", 123456789012345678901234567890),
        ("a: <<", {"a": "<<"}),
        ("<<: x", {"<<": "x"}),
        ("%YAML 1.2\n---\na: 1\n", {"a": 1}),
        ("---\na: 1\n...\n", {"a": 1}),
        ("\ufeffa: 1", {"a": 1}),
        ("x: &n [1, 2]\ny: *n\n", {"x": [1, 2], "y": [1, 2]}),
        ("x: &n text\ny: [*n, *n]\n", {"x": "text", "y": ["text", "text"]}),
        ("{}", {}),
        ("[]", []),
        ("a: 'é €'", {"a": "é €"}),
    ],
)
def test_a_text_is_read_by_the_core_schema(text, value):
    assert read(text).value == value
    assert read(text.encode()).value == value


@pytest.mark.parametrize(
    ("text", "code", "line", "column"),
    [
        ("", "empty-document", 1, 1),
        ("# only a comment\n", "empty-document", 1, 1),
        ("a: 1\nb:\n  c: 1\n  c: 2\n", "duplicate-key", 4, 3),
        ("a: !!str 1", "tag", 1, 4),
        ("!thing\na: 1", "tag", 1, 1),
        ("!!str a: 1", "key-not-text", 1, 1),
        ("%TAG ! tag:example.com,2000:\n---\na: 1", "tag", 1, 1),
        ("%YAML 1.1\n---\na: 1", "yaml-version", 1, 1),
        ("a: 1\n1: b", "key-not-text", 2, 1),
        ("a: 1\ntrue: b", "key-not-text", 2, 1),
        ("a: 1\n? \n: b", "key-not-text", 2, 2),
        ("? [a]\n: b", "key-not-text", 1, 3),
        ("&k a: b", "key-not-text", 1, 1),
        ("x: &k a\n*k : b", "key-not-text", 2, 1),
        ("a: .nan", "number", 1, 4),
        ("a: -.INF", "number", 1, 4),
        ("a: 1e999", "number", 1, 4),
        ('{"a": 1e999}', "number", 1, 7),
        (f"a: {'9' * 401}", "number", 1, 4),
        ("a: *b", "alias", 1, 4),
        ("a: &b [1, *b]", "alias", 1, 11),
        ("a: 1\n---\nb: 2\n", "several-documents", 2, 1),
        ("a: 1\n\tb: 2", "yaml-syntax", 2, 1),
        ("a: @b", "yaml-syntax", 1, 4),
        ("a: b: c", "yaml-syntax", 1, 5),
        ("a: 'b", "yaml-syntax", 1, 6),
        ("a: [1, 2\nb: 3", "yaml-syntax", 2, 2),
        ("a: 1\n  b: 2", "yaml-syntax", 2, 4),
        ("a: \x01", "yaml-syntax", 1, 4),
        ("a: 1\0", "yaml-syntax", 1, 5),
        ("é: 1\nb: \x07", "yaml-syntax", 2, 4),
        ("a: 1\nb: x\u2028y", "yaml-syntax", 2, 5),
        ("a: \x85", "yaml-syntax", 1, 4),
        ("a: \ud800", "not-utf-8", 1, 4),
        ('{"a": "\\ud800"}', "yaml-syntax", 1, 10),
        ("[" * 10_000, "too-deep", 1, 201),
        ('{"a":' * 10_000 + "1" + "}" * 10_000, "too-deep", 1, 1001),
        ('{"a":' * 250 + "1" + "}" * 250, "too-deep", 1, 1001),
        ("a:\n" + "- 1\n" * (MAX_NODES + 1), "too-many-values", MAX_NODES - 1, 3),
        ("a: &a 1\nb: [" + ", ".join(["*a"] * 1001) + "]", "too-many-aliases", 2, 4005),
    ],
)
def test_what_is_no_document_is_refused_with_its_place(text, code, line, column):
    finding = refusal(text)
    assert (finding.code, finding.line, finding.column) == (code, line, column)


def test_bytes_that_are_no_utf_8_are_refused():
    assert refusal(b"a: 1\nb: x\xff") == refusal(b"a: 1\nb: x\xff")
    finding = refusal("a: 1\né: x".encode() + b"\xff")
    assert (finding.code, finding.line, finding.column) == ("not-utf-8", 2, 5)
    assert refusal("a: 1".encode("utf-16")).message == "The document is UTF-16 text."
    assert read(b"\xef\xbb\xbfa: 1").value == {"a": 1}


def test_the_message_says_where_and_what_to_do():
    with pytest.raises(Unreadable) as caught:
        read("a: 1\n\tb: 2")
    assert str(caught.value).startswith("line 2, column 1: This is not valid YAML: ")
    assert str(caught.value).endswith("YAML indents with spaces: replace the tab.")
    assert "neither valid JSON nor YAML: " in refusal('{"document": ').message
    assert refusal("1: a").hint == 'Put it into quotes: "1".'
    assert refusal("a: `b`").hint == "Put the text into quotes."
    assert refusal("a: 'b").hint == "Close the quote or bracket that is open here."


@pytest.mark.parametrize(
    "text",
    [
        "a: b\n" * 20_000_000,
        b"a: b\n" * 20_000_000,
        "[" * 5_000_000,
        "{" * 5_000_000,
        "{a: " * 1_000_000,
        "- " * 1_000_000,
        "? " * 1_000_000,
        "a: &a ["
        + "x," * 9
        + "]\n"
        + "".join(f"a{i}: &a{i} [{('*a' + (str(i - 1) if i else '') + ',') * 9}]\n" for i in range(20)),
        "!" * 5_000_000,
        "a: " + "9" * 5_000_000,
    ],
    ids=["large", "large-bytes", "brackets", "braces", "maps", "dashes", "keys", "aliases", "tag", "digits"],
)
def test_hostile_texts_are_refused_quickly(text):
    finding = within(0.25, lambda: refusal(text))
    assert len(finding.message) < 300


def test_places_of_values_and_keys():
    reading = read("a: 1\nbé:\n  - x\n  - { c/d: [true], e~f: z }\n")
    assert reading.place("") == (1, 1)
    assert reading.place("/a") == (1, 4)
    assert reading.place_of_key("/a") == (1, 1)
    assert reading.place("/bé") == (3, 3)
    assert reading.place_of_key("/bé") == (2, 1)
    assert reading.place("/bé/0") == (3, 5)
    assert reading.place("/bé/1/c~1d/0") == (4, 13)
    assert reading.place_of_key("/bé/1/e~0f") == (4, 20)
    assert reading.place("/bé/1/e~0f") == (4, 25)
    assert repr(reading) == "<Reading dict of 8 nodes>"


@pytest.mark.parametrize("pointer", ["/bé/7", "/bé/x", "/bé/0/deeper/still", "/bé/-1"])
def test_a_place_that_is_not_there_is_that_of_the_nearest_ancestor(pointer):
    reading = read("a: 1\nbé:\n  - x\n")
    assert reading.place(pointer) in {(3, 3), (3, 5)}


def test_an_alias_stands_where_it_is_written_and_its_content_where_that_is():
    reading = read("a: &n { b: 1 }\nc: *n\n")
    assert reading.place("/c") == (2, 4)
    assert reading.place("/c/b") == (1, 12)


def test_json_has_places_too():
    reading = read('\t{"a": [1,\n "\\ud83d\\ude00", {"b\\"": -1.5e3}],\n\n "c": null}')
    assert reading.value == {"a": [1, "😀", {'b"': -1500.0}], "c": None}
    assert reading.place("/a/1") == (2, 2)
    assert reading.place_of_key('/a/2/b"') == (2, 19)
    assert reading.place("/c") == (4, 7)


def test_a_value_without_text_has_order_but_no_places():
    reading = Reading.of({"a": [1, {"b": 2}], "c": 3})
    assert reading.place("/a/1/b") == reading.place_of_key("/c") == (0, 0)
    pointers = ["", "/a", "/a/0", "/a/1", "/a/1/b", "/c"]
    assert sorted({*pointers}, key=reading.order) == pointers
    assert repr(reading) == "<Reading dict of 6 nodes>"


def test_a_value_that_is_too_deep_or_too_big_is_refused():
    deep: list[object] = []
    for _ in range(500):
        deep = [deep]
    with pytest.raises(Unreadable, match="nested more than"):
        Reading.of(deep)
    with pytest.raises(Unreadable, match="more than 100000 values"):
        Reading.of([0] * MAX_NODES)


def test_every_code_is_in_the_table():
    assert set(module.CODES) >= {refusal(text).code for text in ("", "a: [", "!x a", "[" * 300, "1: 2")}


def test_a_thousand_lines_are_read_quickly():
    text = "do:\n" + "".join(f"- t{i}:\n    set:\n      a: 1\n      b: [x, y]\n" for i in range(250))
    within(0.05, lambda: read(text))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=5),
    max_leaves=20,
)


@given(json_values, st.sampled_from([None, 2, "\t"]), st.booleans())
def test_json_is_read_as_it_is(value, indent, ascii_only):
    text = json.dumps({"v": value}, indent=indent, ensure_ascii=ascii_only)
    assert read(text).value == {"v": value}


yaml_pieces = st.sampled_from(
    [
        "a ",
        " : ",
        ":",
        "- ",
        "\n",
        "  ",
        "\t",
        "[",
        "]",
        "{",
        "}",
        ",",
        "&a ",
        "*a",
        "!",
        "!!str ",
        ">",
        "'",
        '"',
        "#",
        "%",
        "? ",
        "---",
        "...",
        "<<",
        "1",
        "0x",
        ".inf",
        "\\",
        "\\u",
        "é",
        "\x00",
        "\x85",
        "\ufeff",
        "@",
    ]
)


@settings(suppress_health_check=[HealthCheck.too_slow], max_examples=300)
@given(st.lists(yaml_pieces, max_size=40).map("".join) | st.binary(max_size=60) | st.text(max_size=60))
def test_any_text_is_read_or_refused(text):
    try:
        value = read(text).value
    except Unreadable:
        finding = refusal(text)
        assert finding.code in CODES
        assert finding.line >= 1
    else:
        json.dumps(value, allow_nan=False)


def refusal(text):
    with pytest.raises(Unreadable) as caught:
        read(text)
    assert caught.value.code == "unreadable"
    (finding,) = caught.value.findings
    assert finding.severity == "error"
    return finding
