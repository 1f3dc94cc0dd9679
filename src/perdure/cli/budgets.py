"""`perdure budgets …`: how much may be spent on models on a server."""

import argparse

from perdure.cli import server, tables
from perdure.client import budgets

_EPILOG = """\
A hard budget refuses requests when it is used up; whoever sees to the tenant is asked in the inbox, and runs go on when
it is lifted.

examples:
  perdure budgets create tenant 50 --per month
  perdure budgets create agent 2.5 --subject helper --per day
  perdure budgets create run 200000 --measure tokens
  perdure budgets show bud_01… --subject helper
"""
_COLUMNS = ("id", "name", "scope", "subject", "per", "measure", "amount", "warn", "hard")


def arguments(parser: argparse.ArgumentParser) -> None:
    """One verb each."""
    parser.epilog = _EPILOG
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    listing = verbs.add_parser("list", help="List the budgets.")
    create = verbs.add_parser("create", help="Say how much may be spent.")
    create.add_argument("scope", choices=("run", "agent", "key", "project", "tenant"), help="On whose account.")
    create.add_argument("amount", type=float, metavar="AMOUNT", help="US dollars, or tokens.")
    create.add_argument("--subject", default="", help="Which one (default: each for itself).")
    create.add_argument("--per", choices=("day", "month", "total"), default="total", help="Default: total.")
    create.add_argument("--measure", choices=("cost", "tokens"), default="cost", help="Default: cost.")
    create.add_argument("--name", default="", help="What people call it.")
    change = verbs.add_parser("change", help="Another amount, name or warning.")
    show = verbs.add_parser("show", help="Show how far a budget is used up.")
    show.add_argument("--subject", default="", help="For whom, where it is for each.")
    delete = verbs.add_parser("delete", help="Let a budget count no more.")
    for verb in (change, show, delete):
        verb.add_argument("id", metavar="ID", help="The budget's id, from `perdure budgets list`.")
    change.add_argument("--amount", type=float, help="US dollars, or tokens.")
    change.add_argument("--name", help="What people call it.")
    for verb in (create, change):
        verb.add_argument("--warn", type=int, metavar="PERCENT", help="When to warn; 0: never (default: 80).")
        soft = verb.add_mutually_exclusive_group()
        soft.add_argument("--soft", dest="hard", action="store_false", default=None, help="Warn, and refuse nothing.")
        soft.add_argument("--hard", dest="hard", action="store_true", default=None, help="Refuse requests (default).")
    for verb in (listing, create, change, show, delete):
        verb.add_argument("--json", action="store_true", help="Print JSON.")
        server.arguments(verb)


def execute(options: argparse.Namespace) -> int:
    """Do the verb."""
    if options.verb == "list":
        found = server.pages(options, budgets.find)
        tables.print_json(found) if options.json else tables.print_rows(found, _COLUMNS)
    elif options.verb == "delete":
        server.ask(options, budgets.delete(options.id))
        print("The budget is gone.")
    elif options.verb == "show":
        standing = server.ask(options, budgets.get(options.id, subject=options.subject))
        columns = ("id", "scope", "subject", "period", "measure", "spent", "limit", "hard")
        tables.print_json(standing) if options.json else tables.print_rows([standing], columns)
    else:
        made = _made(options)
        tables.print_json(made) if options.json else tables.print_rows([made], _COLUMNS)
    return 0


def _made(options: argparse.Namespace) -> budgets.Budget:
    if options.verb == "create":
        wish = budgets.create(
            options.scope, options.amount, subject=options.subject, per=options.per, measure=options.measure,
            name=options.name, warn=options.warn, hard=options.hard,
        )  # fmt: skip
    else:
        wish = budgets.change(
            options.id, amount=options.amount, name=options.name, warn=options.warn, hard=options.hard
        )
    made: budgets.Budget = server.ask(options, wish)
    return made
