"""The shapes of events: what is published, and which ones are waited for (language.md B10, B13, E10)."""

from perdure.language.grammar.kinds import (
    Choice,
    Either,
    Entries,
    Expression,
    Field,
    Items,
    Object,
    Shape,
    Template,
    Uri,
)
from perdure.language.grammar.security import TEXT

TIME = Template(
    takes=("text",),
    pattern=r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})",
    says="a date and time like 2026-01-31T12:00:00Z",
)

_SCALAR = Template(takes=("text", "number", "boolean"))

EVENT_SHAPES: dict[str, Shape] = {
    "strategy": Shape(
        "The events to wait for.",
        {
            "all": Field(Items(Object("event-filter")), "One event for each filter.", "B13"),
            "any": Field(Items(Object("event-filter")), "An event for any filter; empty for every event.", "B13"),
            "one": Field(Object("event-filter"), "One event.", "B13"),
        },
        one_of=(("all", "any", "one"),),
    ),
    "strategy-until": Shape(
        "The events to wait for.",
        {
            "all": Field(Items(Object("event-filter")), "One event for each filter.", "B13"),
            "any": Field(Items(Object("event-filter")), "An event for any filter; empty for every event.", "B13"),
            "one": Field(Object("event-filter"), "One event.", "B13"),
            "until": Field(
                Either(text=Expression(), object=Object("strategy")),
                "With any: goes on until this holds, or until these events.",
                "B13, T13",
            ),
        },
        one_of=(("all", "any", "one"),),
        together=(("until", "any"),),
    ),
    "event-filter": Shape(
        "Which events count.",
        {
            "with": Field(
                Object("event-match"), "Attributes: a value, or a condition on it.", "E10, T15", required=True
            ),
            "correlate": Field(Entries(Object("correlation")), "What ties the event to the run, by name.", "E10, T15"),
        },
    ),
    "correlation": Shape(
        "What ties an event to a run.",
        {
            "from": Field(Expression(), "Takes the value out of the event.", "E10", required=True, row="event"),
            "expect": Field(TEXT, "The value to expect; by default the first one that comes.", "E10"),
        },
    ),
    "event": Shape(
        "The attributes of an event to publish (CloudEvents 1.0).",
        {
            "id": Field(TEXT, "Its id; made by default.", "B10"),
            "source": Field(Uri(), "Where it comes from; this workflow by default.", "B10"),
            "type": Field(TEXT, "Its type.", "B10", required=True),
            "time": Field(TIME, "When it happened; now by default.", "B10"),
            "subject": Field(TEXT, "What it is about.", "B10"),
            "datacontenttype": Field(TEXT, "The content type of its data.", "B10"),
            "dataschema": Field(Uri(), "The schema of its data.", "B10"),
            "data": Field(Template(), "Its data.", "B10"),
            "specversion": Field(Choice(("1.0",)), "The version of CloudEvents.", "B10"),
            "extensions": Field(
                Entries(_SCALAR), "Extension attributes; they may also stand beside these keys.", "B10"
            ),
        },
        extra=_SCALAR,
        extra_keys=r"[a-z0-9]+",
    ),
    "event-match": Shape(
        "The attributes that an event must have: equal to a value, or fulfilling a condition in ${ } (T15).",
        {
            **{
                key: Field(TEXT, f"The event's {key}.", "E10, T15")
                for key in ("id", "source", "type", "time", "subject", "datacontenttype", "dataschema", "specversion")
            },
            "data": Field(Template(), "The event's data.", "E10, T15"),
        },
        minimum=1,
        extra=Template(),
        extra_keys=r"[a-z0-9]+",
    ),
}
