"""`perdure keys …`: API keys of your tenant on a server."""

import argparse

from perdure.cli import server, tables
from perdure.client import keys

_EPILOG = """\
The secret of a key is shown once, when it is made; the server keeps only what it needs to recognise it.

examples:
  perdure keys create ci --role operator --days 90
  perdure keys create reader --role viewer --permission runs:read --permission workflows:read
  perdure keys create shop --role operator --model "openai/gpt-5-mini" --model "local/*"
  perdure keys change key_01… --model "openai/*"
  perdure keys list
  perdure keys revoke key_01…
"""
_COLUMNS = ("id", "name", "role", "ending", "models", "created", "expires", "revoked")


def arguments(parser: argparse.ArgumentParser) -> None:
    """One verb each."""
    parser.epilog = _EPILOG
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    create = verbs.add_parser("create", help="Make a key and show its secret, this once.")
    create.add_argument("name", metavar="NAME", help="What it is for.")
    create.add_argument("--role", required=True, choices=("viewer", "operator", "editor", "admin", "owner"))
    create.add_argument("--permission", action="append", default=[], help="Only this; may be given several times.")
    create.add_argument("--project", default="", help="Bind it to a project.")
    create.add_argument("--days", type=int, default=0, metavar="N", help="Days until it expires (default: never).")
    create.add_argument(
        "--model", action="append", default=[], metavar="PATTERN",
        help="A model that it may use, itself and in what it starts; may be given several times (default: every model).",
    )  # fmt: skip
    listing = verbs.add_parser("list", help="List the keys, without their secrets.")
    show = verbs.add_parser("show", help="Show a key, without its secret.")
    change = verbs.add_parser("change", help="Say which models a key may use; it counts within seconds.")
    revoke = verbs.add_parser("revoke", help="End a key; it is refused within seconds.")
    for verb in (show, change, revoke):
        verb.add_argument("id", metavar="ID", help="The key's id, from `perdure keys list`.")
    models = change.add_mutually_exclusive_group(required=True)
    models.add_argument("--model", action="append", default=[], metavar="PATTERN", help="As for `create`.")
    models.add_argument("--every-model", action="store_true", help="Let it use every model again.")
    for verb in (create, listing, show, change, revoke):
        verb.add_argument("--json", action="store_true", help="Print JSON.")
        server.arguments(verb)


def execute(options: argparse.Namespace) -> int:
    """Do the verb."""
    if options.verb == "list":
        found = server.pages(options, keys.find)
        tables.print_json(found) if options.json else tables.print_rows(found, _COLUMNS)
    elif options.verb == "show":
        found = server.ask(options, keys.get(options.id))
        tables.print_json(found) if options.json else _show(found)
    elif options.verb == "change":
        changed = server.ask(options, keys.change(options.id, models=options.model))
        tables.print_json(changed) if options.json else _show(changed)
    elif options.verb == "revoke":
        revoked = server.ask(options, keys.revoke(options.id))
        tables.print_json(revoked) if options.json else print(f"{revoked.id} ({revoked.name}) is revoked.")
    else:
        wish = keys.create(
            options.name, options.role, permissions=options.permission, project=options.project, days=options.days,
            models=options.model,
        )  # fmt: skip
        made = server.ask(options, wish)
        tables.print_json(made) if options.json else print(f"{made.key.id}  {made.secret}")
    return 0


def _show(key: keys.Key) -> None:
    tables.print_facts(
        {
            "key": f"{key.id} ({key.name}), ends in {key.ending}",
            "role": key.role,
            "permissions": ", ".join(key.permissions) or "all of its role",
            "models": ", ".join(key.models) or "every model",
            "project": key.project or None,
            "user": key.user or None,
            "created": f"{tables.moment(key.created)} by {key.created_by}",
            "expires": tables.moment(key.expires),
            "revoked": tables.moment(key.revoked),
        }
    )
