"""`perdure webhooks …`: addresses of a server that others may call, each signed with a secret of its own."""

import argparse

import msgspec

from perdure.cli import server, tables
from perdure.client import webhooks
from perdure.client.call import PREFIX

_EPILOG = """\
Messages are signed as Standard Webhooks has it: HMAC-SHA256 over id, time and body. Each counts once.

examples:
  perdure webhooks create "Payments" --workflow shop.orders
  perdure webhooks create "Shop events" --event com.example.paid
  perdure webhooks rotate hook_01…
"""
_COLUMNS = ("id", "name", "address", "workflow", "event", "created")


def arguments(parser: argparse.ArgumentParser) -> None:
    """One verb each."""
    parser.epilog = _EPILOG
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    create = verbs.add_parser("create", help="Make a webhook and show its secret, this once.")
    create.add_argument("name", metavar="NAME", help="What it is for.")
    what = create.add_mutually_exclusive_group(required=True)
    what.add_argument("--workflow", default="", help="Start this workflow with the message as input.")
    what.add_argument("--event", default="", metavar="TYPE", help="Deliver the message as an event of this type.")
    create.add_argument("--version", help="A version of the workflow (default: the highest at that time).")
    listing = verbs.add_parser("list", help="List the webhooks, without their secrets.")
    rotate = verbs.add_parser("rotate", help="Make another secret; the one before is good for a while.")
    rotate.add_argument("--grace", type=int, default=86_400, metavar="S", help="Seconds (default: a day).")
    delete = verbs.add_parser("delete", help="End a webhook.")
    for verb in (rotate, delete):
        verb.add_argument("id", metavar="ID", help="The webhook's id, from `perdure webhooks list`.")
    for verb in (create, listing, rotate, delete):
        verb.add_argument("--json", action="store_true", help="Print JSON.")
        server.arguments(verb)


def execute(options: argparse.Namespace) -> int:
    """Do the verb."""
    if options.verb == "list":
        found = [_placed(options, hook) for hook in server.pages(options, webhooks.find)]
        none = "No webhooks here; see `perdure webhooks create --help`."
        tables.print_json(found) if options.json else tables.print_rows(found, _COLUMNS, none)
        return 0
    if options.verb == "delete":
        server.ask(options, webhooks.delete(options.id))
        print("The webhook is gone.")
        return 0
    if options.verb == "rotate":
        made = server.ask(options, webhooks.rotate(options.id, grace=options.grace))
    else:
        made = server.ask(
            options,
            webhooks.create(options.name, workflow=options.workflow, version=options.version, event=options.event),
        )
    made = msgspec.structs.replace(made, webhook=_placed(options, made.webhook))
    tables.print_json(made) if options.json else print(f"{made.webhook.id}  {made.webhook.address}  {made.secret}")
    return 0


def _placed(options: argparse.Namespace, hook: webhooks.Webhook) -> webhooks.Webhook:
    """With the whole address, which is to be handed to whoever calls it."""
    login = server.chosen(options)
    base = f"{login.server}{PREFIX}" if login else ""
    return msgspec.structs.replace(hook, address=base + hook.address)
