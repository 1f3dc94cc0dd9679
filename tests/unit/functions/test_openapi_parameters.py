"""Styles and places of OpenAPI parameters: the table of OpenAPI 3.1 (4.8.12) and Swagger's collection formats."""

import pytest

from perdure.functions.openapi_parameters import in_cookie, in_header, in_path, in_query
from perdure.ports.function import FunctionFault

LIST = ["blue", "black", "brown"]
OBJECT = {"R": 100, "G": 200, "B": 150}


@pytest.mark.parametrize(
    ("style", "explode", "value", "written"),
    [
        ("simple", False, "blue", "blue"),
        ("simple", False, LIST, "blue,black,brown"),
        ("simple", False, OBJECT, "R,100,G,200,B,150"),
        ("simple", True, OBJECT, "R=100,G=200,B=150"),
        ("label", False, "blue", ".blue"),
        ("label", False, LIST, ".blue,black,brown"),
        ("label", True, LIST, ".blue.black.brown"),
        ("label", True, OBJECT, ".R=100.G=200.B=150"),
        ("matrix", False, "blue", ";color=blue"),
        ("matrix", False, LIST, ";color=blue,black,brown"),
        ("matrix", True, LIST, ";color=blue;color=black;color=brown"),
        ("matrix", False, OBJECT, ";color=R,100,G,200,B,150"),
        ("matrix", True, OBJECT, ";R=100;G=200;B=150"),
        ("simple", False, "a/b ?ä", "a%2Fb%20%3F%C3%A4"),
        ("simple", False, True, "true"),
    ],
)
def test_paths(style, explode, value, written):
    assert in_path({"name": "color", "style": style, "explode": explode}, value) == written


@pytest.mark.parametrize(
    ("parameter", "value", "parts"),
    [
        ({}, "a b", ["color=a%20b"]),
        ({}, LIST, ["color=blue", "color=black", "color=brown"]),
        ({"explode": False}, LIST, ["color=blue,black,brown"]),
        ({}, OBJECT, ["R=100", "G=200", "B=150"]),
        ({"explode": False}, OBJECT, ["color=R,100,G,200,B,150"]),
        ({"style": "spaceDelimited"}, LIST, ["color=blue%20black%20brown"]),
        ({"style": "pipeDelimited"}, LIST, ["color=blue%7Cblack%7Cbrown"]),
        ({"style": "deepObject", "explode": True}, OBJECT, ["color[R]=100", "color[G]=200", "color[B]=150"]),
        ({"style": "deepObject"}, {"a": [1, 2]}, ["color[a]=1", "color[a]=2"]),
        ({"content": {"application/json": {}}}, {"a": 1}, ["color=%7B%22a%22%3A1%7D"]),
        ({"allowReserved": True}, "a/b?c&d", ["color=a/b?c%26d"]),
        ({"type": "array"}, LIST, ["color=blue,black,brown"]),
        ({"type": "array", "collectionFormat": "multi"}, LIST, ["color=blue", "color=black", "color=brown"]),
        ({"type": "array", "collectionFormat": "ssv"}, LIST, ["color=blue%20black%20brown"]),
        ({"type": "array", "collectionFormat": "tsv"}, LIST, ["color=blue%09black%09brown"]),
        ({"type": "array", "collectionFormat": "pipes"}, LIST, ["color=blue%7Cblack%7Cbrown"]),
        ({"type": "array", "collectionFormat": "multi"}, "blue", ["color=blue"]),
    ],
)
def test_queries(parameter, value, parts):
    assert in_query({"name": "color", **parameter}, value) == parts


def test_headers_and_cookies():
    assert in_header({"name": "X"}, LIST) == "blue,black,brown"
    assert in_header({"name": "X"}, OBJECT) == "R,100,G,200,B,150"
    assert in_header({"name": "X", "explode": True}, OBJECT) == "R=100,G=200,B=150"
    assert in_header({"name": "X", "content": {"application/json": {}}}, [1]) == "[1]"
    assert in_header({"name": "X"}, "a b") == "a b"
    assert in_cookie({"name": "c"}, "a;b") == "c=a%3Bb"


def test_path_extras():
    assert in_path({"name": "p", "content": {"application/json": {}}}, {"a": 1}) == "%7B%22a%22%3A1%7D"
    assert in_path({"name": "p", "collectionFormat": "pipes"}, ["a", "b"]) == "a%7Cb"


@pytest.mark.parametrize("value", ["", ".", "..", None])
def test_nothing_leaves_its_segment(value):
    with pytest.raises(FunctionFault, match="neither empty nor"):
        in_path({"name": "p"}, value)


@pytest.mark.parametrize("value", [[[1]], {"a": {"b": 1}}])
def test_values_within_values_fit_nowhere(value):
    for write in (in_path, in_query, in_header, in_cookie):
        with pytest.raises(FunctionFault, match="no address can carry"):
            write({"name": "p"}, value)
