"""`perdure users …`: people of your tenant on a server."""

import argparse
import getpass
import sys

from perdure.cli import server, tables
from perdure.client import Call, users
from perdure.errors import Invalid

_EPILOG = """\
examples:
  perdure users create ana@example.com --role editor
  perdure users change usr_01… --role operator
  perdure users disable usr_01…
"""
_COLUMNS = ("id", "email", "name", "role", "has_totp", "created", "disabled")
_ROLES = ("viewer", "operator", "editor", "admin", "owner")


def arguments(parser: argparse.ArgumentParser) -> None:
    """One verb each."""
    parser.epilog = _EPILOG
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    create = verbs.add_parser("create", help="Make a user; you are asked for a first password.")
    create.add_argument("email", metavar="EMAIL")
    create.add_argument("--role", required=True, choices=_ROLES)
    create.add_argument("--name", default="", help="How people call him.")
    create.add_argument("--no-password", action="store_true", help="Signs in through an OpenID provider.")
    listing = verbs.add_parser("list", help="List the users.")
    change = verbs.add_parser("change", help="Give a user another role.")
    change.add_argument("--role", required=True, choices=_ROLES)
    password = verbs.add_parser("password", help="Give a user a new password; all his sessions end.")
    disable = verbs.add_parser("disable", help="Keep a user out; all his sessions end.")
    enable = verbs.add_parser("enable", help="Let a user in again.")
    totp = verbs.add_parser("remove-totp", help="Remove the second factor of a user who lost his device.")
    for verb in (change, password, disable, enable, totp):
        verb.add_argument("id", metavar="ID", help="The user's id, from `perdure users list`.")
    for verb in (create, listing, change, password, disable, enable, totp):
        verb.add_argument("--json", action="store_true", help="Print JSON.")
        server.arguments(verb)


def execute(options: argparse.Namespace) -> int:
    """Do the verb."""
    if options.verb == "list":
        found = server.pages(options, users.find)
        tables.print_json(found) if options.json else tables.print_rows(found, _COLUMNS)
        return 0
    if options.verb == "password":
        server.ask(options, users.set_password(options.id, _password()))
        print("The password is changed.")
        return 0
    if options.verb == "remove-totp":
        server.ask(options, users.remove_totp(options.id))
        print("The second factor is removed.")
        return 0
    user = server.ask(options, _change(options))
    tables.print_json(user) if options.json else tables.print_rows([user], _COLUMNS)
    return 0


def _change(options: argparse.Namespace) -> Call[users.User]:
    if options.verb == "create":
        password = None if options.no_password else _password()
        return users.create(options.email, options.role, name=options.name, password=password)
    if options.verb == "change":
        return users.change(options.id, role=options.role)
    return users.change(options.id, disabled=options.verb == "disable")


def _password() -> str:
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\n")
    first = getpass.getpass("Password (at least 12 characters): ")
    if getpass.getpass("Once more: ") != first:
        raise Invalid("The two passwords differ.")
    return first
