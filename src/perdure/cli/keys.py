"""`perdure keys …`: API keys of your tenant on a server."""

import argparse

from perdure.cli import server, tables
from perdure.client import keys

_EPILOG = """\
The secret of a key is shown once, when it is made; the server keeps only what it needs to recognise it.

examples:
  perdure keys create ci --role operator --days 90
  perdure keys create reader --role viewer --permission runs:read --permission workflows:read
  perdure keys list
  perdure keys revoke key_01…
"""
_COLUMNS = ("id", "name", "role", "ending", "created", "expires", "revoked")


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
    listing = verbs.add_parser("list", help="List the keys, without their secrets.")
    revoke = verbs.add_parser("revoke", help="End a key; it is refused within seconds.")
    revoke.add_argument("id", metavar="ID", help="The key's id, from `perdure keys list`.")
    for verb in (create, listing, revoke):
        verb.add_argument("--json", action="store_true", help="Print JSON.")
        server.arguments(verb)


def execute(options: argparse.Namespace) -> int:
    """Do the verb."""
    if options.verb == "list":
        found = server.pages(options, keys.find)
        tables.print_json(found) if options.json else tables.print_rows(found, _COLUMNS)
    elif options.verb == "revoke":
        revoked = server.ask(options, keys.revoke(options.id))
        tables.print_json(revoked) if options.json else print(f"{revoked.id} ({revoked.name}) is revoked.")
    else:
        wish = keys.create(
            options.name, options.role, permissions=options.permission, project=options.project, days=options.days
        )
        made = server.ask(options, wish)
        tables.print_json(made) if options.json else print(f"{made.key.id}  {made.secret}")
    return 0
