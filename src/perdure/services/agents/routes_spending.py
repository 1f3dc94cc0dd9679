"""Usage and budgets over HTTP."""

import datetime as dt
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Response
from fastapi import Path as InPath

from perdure.errors import Invalid, NotFound
from perdure.ports.edge import Caller, caller, permission
from perdure.ports.shapes import Line
from perdure.services.agents import shapes
from perdure.services.agents.bills import Bills
from perdure.services.agents.budgets import Budgets, Wanted
from perdure.services.agents.usage import FIELDS, MOST, Records, cursor, rows_as_csv, sums_as_csv

By = Annotated[Caller, Depends(caller)]
Limit = Annotated[int, Query(ge=1, le=200)]
Cursor = Annotated[str, Query(max_length=300, pattern=Line, description="`next` of the page before.")]
Id = Annotated[str, InPath(min_length=1, max_length=64, pattern=Line)]
Of = Annotated[str, Query(max_length=200, pattern=Line)]
Day = Annotated[str | None, Query(pattern=r"^\d{4}-\d{2}-\d{2}$", description="A day, UTC.", examples=["2026-01-31"])]
_READ, _WRITE = permission("budgets:read"), permission("budgets:write")
_USAGE = permission("usage:read", project=True)
_CSV: dict[int | str, dict[str, Any]] = {
    200: {"description": "One line a row.", "content": {"text/csv": {"schema": {"type": "string"}}}}
}
_DAY = 86_400_000


class _Wish:
    """Which requests are meant."""

    def __init__(
        self, by: By, run: Of = "", agent: Of = "", key: Of = "", project: Of = "", model: Of = "",
        provider: Of = "", since: Day = None, until: Day = None,
    ) -> None:  # fmt: skip
        if by.project and project not in ("", by.project):
            raise NotFound(f"There is no project {project!r}.")
        given = dict(zip(FIELDS, (run, agent, key, by.project or project, model, provider), strict=True))
        self.where = {name: value for name, value in given.items() if value}
        self.since, self.until = since, until

    @property
    def moments(self) -> dict[str, int | None]:
        """`since` is the first day and `until` the last, as milliseconds."""
        return {
            "since": None if self.since is None else _midnight(self.since),
            "until": None if self.until is None else _midnight(self.until) + _DAY,
        }

    @property
    def days(self) -> dict[str, Any]:
        until = None if self.until is None else _midnight(self.until) + _DAY
        after = "" if until is None else dt.datetime.fromtimestamp(until / 1000, dt.UTC).date().isoformat()
        return {"since": self.since or "", "until": after}


def _midnight(day: str) -> int:
    try:
        return round(dt.datetime.fromisoformat(f"{day}T00:00:00+00:00").timestamp() * 1000)
    except ValueError:
        raise Invalid(f"{day} is no day.", hint="Write it like 2026-01-31.") from None


Wish = Annotated[_Wish, Depends()]
Group = Annotated[
    list[str], Query(default_factory=list, max_length=5, description="Any of day, model, key, agent, project.")
]


def router(records: Records, budgets: Budgets, bills: Bills) -> APIRouter:
    """Everything about money. Whoever asks sees what was answered before."""
    all_routes = APIRouter(dependencies=[Depends(bills.settled)])
    for part in (_usage(records), _exports(records), _budgets(budgets)):
        all_routes.include_router(part)
    return all_routes


def _usage(records: Records) -> APIRouter:
    routes = APIRouter(prefix="/usage", tags=["usage"])

    @routes.get("", openapi_extra=_USAGE)
    async def rows(by: By, wish: Wish, limit: Limit = 100, cursor_: Annotated[Cursor, Query(alias="cursor")] = "") -> shapes.UsageRows:  # fmt: skip
        """Requests to models, the newest first: what each took and cost, and at which price."""
        found = await records.rows(by.tenant, where=wish.where, **wish.moments, before=cursor_, limit=limit)
        next = cursor(found[-1]) if len(found) == limit else None
        return shapes.UsageRows(items=[shapes.UsageShape.of(one) for one in found], next=next)

    @routes.get("/sums", openapi_extra=_USAGE)
    async def sums(by: By, wish: Wish, group: Group) -> shapes.Sums:
        """Added up by day, model, key, agent or project; all together without `group`."""
        found = await records.sums(by.tenant, by=_once(group), where=wish.where, **wish.days)
        return shapes.Sums(items=[shapes.SumShape.of(one) for one in found])

    return routes


def _exports(records: Records) -> APIRouter:
    routes = APIRouter(prefix="/usage", tags=["usage"])

    @routes.get("/export", openapi_extra=_USAGE, response_class=Response, responses=_CSV)
    async def export(
        by: By,
        wish: Wish,
        limit: Annotated[int, Query(ge=1, le=MOST)] = MOST,
        cursor_: Annotated[Cursor, Query(alias="cursor")] = "",
    ) -> Response:
        """The same rows as CSV; `Perdure-Next` is the cursor of what is left."""
        found = await records.rows(by.tenant, where=wish.where, **wish.moments, before=cursor_, limit=limit)
        more = {"perdure-next": cursor(found[-1])} if len(found) == limit else {}
        return Response(rows_as_csv(found), media_type="text/csv", headers=more)

    @routes.get("/sums/export", openapi_extra=_USAGE, response_class=Response, responses=_CSV)
    async def export_sums(by: By, wish: Wish, group: Group) -> Response:
        """The same sums as CSV."""
        names = _once(group)
        found = await records.sums(by.tenant, by=names, where=wish.where, **wish.days)
        return Response(sums_as_csv(names, found), media_type="text/csv")

    return routes


def _once(names: list[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))


def _budgets(budgets: Budgets) -> APIRouter:
    routes = APIRouter(prefix="/budgets", tags=["budgets"])

    @routes.get("", openapi_extra=_READ)
    async def find(by: By, limit: Limit = 100, cursor: Cursor = "") -> shapes.Budgets:
        """Budgets, the newest first."""
        found = await budgets.find(by.tenant, after=cursor, limit=limit)
        next = found[-1].id if len(found) == limit else None
        return shapes.Budgets(items=[shapes.BudgetShape.of(one) for one in found], next=next)

    @routes.post("", status_code=201, openapi_extra=_WRITE)
    async def create(given: shapes.NewBudget, by: By) -> shapes.BudgetShape:
        """Say how much may be spent. What was spent before counts."""
        return shapes.BudgetShape.of(await budgets.create(by.tenant, by.subject, Wanted(**given.model_dump())))

    @routes.get("/{id}", openapi_extra=_READ)
    async def get(
        id: Id,
        by: By,
        subject: Annotated[
            str, Query(max_length=200, pattern=Line, description="For whom, where it is for each.")
        ] = "",
    ) -> shapes.StandingShape:
        """One budget, and how far it is used up in this period."""
        return shapes.StandingShape.now(await budgets.standing(by.tenant, id, subject))

    @routes.patch("/{id}", openapi_extra=_WRITE)
    async def change(id: Id, given: shapes.BudgetChange, by: By) -> shapes.BudgetShape:
        """Another name, amount, warning, or hardness."""
        return shapes.BudgetShape.of(await budgets.change(by.tenant, by.subject, id, **given.model_dump()))

    @routes.delete("/{id}", status_code=204, openapi_extra=_WRITE)
    async def delete(id: Id, by: By) -> None:
        """Let it count no more."""
        await budgets.delete(by.tenant, by.subject, id)

    return routes
