"""`perdure inbox …`: questions of runs to people, and their answers."""

import argparse

from perdure.cli import given, server, tables
from perdure.client import inbox

_EPILOG = """\
What you decide is what you were shown: when it was changed meanwhile, the decision is refused.

examples:
  perdure inbox list
  perdure inbox show ask_01…
  perdure inbox approve ask_01… --reason "checked with Ana"
  perdure inbox decline ask_01… --reason "too much"
  perdure inbox delegate ask_01… --to role:admin
"""
_COLUMNS = ("id", "state", "title", "run", "asked", "deadline")


def arguments(parser: argparse.ArgumentParser) -> None:
    """One verb each."""
    parser.epilog = _EPILOG
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    listing = verbs.add_parser("list", help="List the open questions.")
    listing.add_argument("--all", action="store_true", help="Also those that were decided, or are over.")
    listing.add_argument("--mine", action="store_true", help="Only what you may decide.")
    show = verbs.add_parser("show", help="Show a question as it is asked.")
    approve = verbs.add_parser("approve", help="Say yes.")
    decline = verbs.add_parser("decline", help="Say no.")
    delegate = verbs.add_parser("delegate", help="Give the question to others.")
    for verb in (show, approve, decline, delegate):
        verb.add_argument("id", metavar="ID", help="The question's id, from `perdure inbox list`.")
    for verb in (approve, decline):
        verb.add_argument("--data", metavar="JSON|@FILE", help="What the question's form asks for.")
        verb.add_argument("--hash", help="Of what you were shown (default: as it is now; you are shown it first).")
    delegate.add_argument("--to", action="append", required=True, metavar="WHO", help="user:<id> or role:<name>.")
    for verb in (approve, decline, delegate):
        verb.add_argument("--reason", default="", help="Why; the run gets it.")
    for verb in (listing, show, approve, decline, delegate):
        verb.add_argument("--json", action="store_true", help="Print JSON.")
        server.arguments(verb)


def execute(options: argparse.Namespace) -> int:
    """Do the verb."""
    if options.verb == "list":
        states = [] if options.all else ["open"]
        found = server.pages(options, lambda cursor: inbox.find(state=states, mine=options.mine, cursor=cursor))
        tables.print_json(found) if options.json else tables.print_rows(
            found, _COLUMNS, "Nothing is asked." if options.all else "Nothing is open."
        )
        return 0
    if options.verb == "show":
        found_item = server.ask(options, inbox.get(options.id))
        tables.print_json(found_item) if options.json else _show(found_item)
        return 0
    if options.verb == "delegate":
        item = server.ask(options, inbox.delegate(options.id, options.to, reason=options.reason))
        tables.print_json(item) if options.json else print(f"{item.id} is with {', '.join(item.to)} now.")
        return 0
    return _decide(options)


def _show(item: inbox.Item) -> None:
    tables.print_facts(
        {
            "question": item.id,
            "title": item.title,
            "state": item.state,
            "run": item.run or None,
            "asked": tables.moment(item.asked),
            "deadline": tables.moment(item.deadline),
            "may decide": ", ".join(item.to) or None,
            "details": tables.text_of(item.details) if item.details is not None else None,
            "form": tables.text_of(item.form) if item.form is not None else None,
            "decision": tables.text_of(item.decision) if item.decision is not None else None,
        }
    )


def _decide(options: argparse.Namespace) -> int:
    data = given.json_argument(options.data, "--data")
    shown = options.hash
    if shown is None:
        item = server.ask(options, inbox.get(options.id))
        shown = item.hash
        if not options.json:
            _show(item)
    approved = options.verb == "approve"
    item = server.ask(options, inbox.decide(options.id, shown, approved=approved, reason=options.reason, data=data))
    tables.print_json(item) if options.json else print(f"{item.id} is {'approved' if approved else 'declined'}.")
    return 0
