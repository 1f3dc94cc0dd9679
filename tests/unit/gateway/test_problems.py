"""Every error as one kind of document, and nothing of our insides in it."""

from typing import Annotated

import pytest
from fastapi import APIRouter
from pydantic import Field
from starlette.exceptions import HTTPException

from perdure.errors import MEANINGS, PerdureError, Unavailable
from perdure.gateway.problems import Refused, told
from perdure.ports.edge import PROBLEMS, permission, public
from perdure.ports.shapes import Line, Shape
from tests.unit.gateway.world import FAILURES, World

PATH = "/api/v1/notes/fail?kind="


@pytest.mark.parametrize(
    ("kind", "status", "code"),
    [("invalid", 422, "invalid"), ("not-found", 404, "not-found"), ("conflict", 409, "conflict"),
     ("precondition", 412, "conflict"), ("exhausted", 429, "exhausted"), ("unavailable", 503, "unavailable"),
     ("bug", 500, "bug"), ("crash", 500, "bug")],
)  # fmt: skip
async def test_each_kind(kind, status, code):
    world = World()
    answer = await world.ask("POST", PATH + kind)
    assert answer.status == status
    problem = answer.json
    assert (problem["status"], problem["code"], problem["type"]) == (status, code, f"urn:perdure:problem:{code}")
    assert problem["title"] and problem["detail"]
    assert b"secret_path" not in answer.body and b"Traceback" not in answer.body
    if status == 500:
        logged = [line for line in world.log.lines if line["event"] == "request failed"]
        assert "secret_path" in logged[0]["trace"]


async def test_strangers_do_not_hear_where_a_part_is_looked_for():
    """Who calls is not known yet where the database that knows him is away."""
    routes = APIRouter()

    @routes.post("/sign-in", openapi_extra=public("Nobody is signed in yet."))
    async def sign_in() -> None:
        raise Unavailable("The database at 10.0.0.7 is away.", hint="Start it.")

    world = World(routers=[routes])
    answer = await world.ask("POST", "/api/v1/sign-in", key=None)
    assert (answer.status, answer.json["code"], answer.headers["retry-after"]) == (503, "unavailable", "1")
    assert b"10.0.0.7" not in answer.body and "hint" not in answer.json
    assert [line["reason"] for line in world.log.lines if line["event"] == "part away"] == [
        "The database at 10.0.0.7 is away."
    ]
    assert (await world.ask("POST", PATH + "unavailable")).json["detail"] == "The database is away."


async def test_a_text_that_is_no_line_is_told_in_words():
    routes = APIRouter()

    class Named(Shape):
        name: Annotated[str, Field(pattern=Line)]

    @routes.post("/named", openapi_extra=permission("notes:write"))
    async def named(given: Named) -> None:
        return

    world = World(routers=[routes])
    told = (await world.ask("POST", "/api/v1/named", json={"name": "a\0b"})).json["errors"]
    assert told == [{"pointer": "#/name", "detail": "Text should be one line, without control characters"}]


async def test_hints_and_details_come_along():
    problem = (await World().ask("POST", PATH + "invalid")).json
    assert problem["hint"] == "Try less." and problem["details"] == {"field": "x"}


@pytest.mark.parametrize("kind", MEANINGS)
def test_every_kind_of_error_has_its_status(kind):
    assert told(kind())[0] == MEANINGS[kind].status


def test_errors_of_others():
    assert told(HTTPException(418, "teapot"))[0] == 418
    assert told(HTTPException(502, "upstream secret"))[2]["detail"] != "upstream secret"
    assert told(PerdureError("inner"))[0] == 500
    assert told(Refused(400, "malformed", "No.", place=3))[2] == {"code": "malformed", "detail": "No.", "place": 3}
    assert told(ValueError("x"))[0] == 500


async def test_an_answer_that_has_begun_is_cut(monkeypatch):
    from fastapi import APIRouter
    from starlette.requests import Request
    from starlette.responses import StreamingResponse

    from perdure.ports.edge import permission

    routes = APIRouter()

    @routes.get("/broken", openapi_extra=permission("notes:read"))
    async def broken(request: Request) -> StreamingResponse:
        async def parts():
            yield b"begun"
            raise RuntimeError("in the middle")

        return StreamingResponse(parts())

    world = World(routers=[routes])
    with pytest.raises(BaseException, match="in the middle|unhandled"):
        await world.ask("GET", "/api/v1/broken")
    assert any(line["event"] == "answer cut short" for line in world.log.lines)


async def test_a_route_may_name_another_form():
    """Also for what is refused before the route is reached; and nothing of our insides is in it either."""
    routes = APIRouter()

    @routes.post("/fail", openapi_extra={**permission("notes:write"), PROBLEMS: "theirs"})
    async def fail(kind: str) -> None:
        raise FAILURES[kind]

    def form(status, problem):
        return status + 1, {"error": problem["code"], "text": problem["detail"]}

    world = World(others=[("/v1", routes)], forms={"theirs": form})
    expected = {"invalid": (423, "invalid"), "crash": (501, "bug")}
    for kind, told_as in expected.items():
        answer = await world.ask("POST", f"/v1/fail?kind={kind}")
        assert (answer.status, answer.json["error"]) == told_as
        assert answer.headers["content-type"] == "application/json"
        assert b"secret_path" not in answer.body
    stranger = await world.ask("POST", "/v1/fail?kind=invalid", key=None)
    assert (stranger.status, stranger.json["error"]) == (402, "unauthenticated")
    assert (await world.ask("POST", "/api/v1/notes/fail?kind=invalid")).json["type"].startswith("urn:")
