"""`perdure contexts …`: conversations with agents on a server."""

import argparse
import sys

from perdure.cli import server, tables
from perdure.client import contexts

_EPILOG = """\
A context is a conversation with an agent: `perdure agents chat NAME MESSAGE --context ID` goes on with it.

examples:
  perdure contexts list --agent helper
  perdure contexts messages ctx_01…
  perdure contexts branch ctx_01… --message 4 --title "Another way"
  perdure contexts delete ctx_01…
"""
_COLUMNS = ("id", "agent", "title", "size", "run", "updated")
_NONE = "No conversations here yet; `perdure agents chat NAME MESSAGE` begins one."


def arguments(parser: argparse.ArgumentParser) -> None:
    """One verb each."""
    parser.epilog = _EPILOG
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    listing = verbs.add_parser("list", help="List conversations, the newest first.")
    listing.add_argument("--agent", default="", help="Only those with this agent.")
    show = verbs.add_parser("show", help="Show a conversation: with whom, how long, where it comes from.")
    messages = verbs.add_parser("messages", help="Print what was said.")
    branch = verbs.add_parser("branch", help="Begin another conversation with what was said so far.")
    branch.add_argument("--message", type=int, metavar="N", help="The last message that both have (default: all).")
    branch.add_argument("--title", default="", help="What people call the new one.")
    delete = verbs.add_parser("delete", help="Delete what was said; an answer under way is cancelled.")
    for verb in (show, messages, branch, delete):
        verb.add_argument("id", metavar="CONTEXT", help="Its id, from `perdure contexts list`.")
    for verb in (listing, show, messages, branch, delete):
        verb.add_argument("--json", action="store_true", help="Print JSON.")
        server.arguments(verb)


def execute(options: argparse.Namespace) -> int:
    """Do the verb."""
    if options.verb == "list":
        found = server.pages(options, lambda cursor: contexts.find(agent=options.agent, cursor=cursor))
        tables.print_json(found) if options.json else tables.print_rows(found, _COLUMNS, _NONE)
    elif options.verb == "show":
        context = server.ask(options, contexts.get(options.id))
        tables.print_json(context) if options.json else _show(context)
    elif options.verb == "messages":
        said = server.pages(options, lambda cursor: contexts.messages(options.id, cursor=cursor))
        tables.print_json(said) if options.json else _print_messages(said)
    elif options.verb == "branch":
        made = server.ask(options, contexts.branch(options.id, options.message, title=options.title))
        tables.print_json(made) if options.json else print(made.id)
    else:
        server.ask(options, contexts.delete(options.id))
        if not options.json:
            print("The conversation is gone.")
    return 0


def _show(context: contexts.Context) -> None:
    tables.print_facts(
        {
            "context": context.id,
            "title": context.title or None,
            "agent": context.agent,
            "messages": str(context.size),
            "answering": context.run or None,
            "branched": f"from {context.origin}, message {context.origin_message}" if context.origin else None,
            "project": context.project or None,
            "created": f"{tables.moment(context.created)} by {context.by}",
            "updated": tables.moment(context.updated),
        }
    )


def _print_messages(said: list[contexts.Message]) -> None:
    for one in said:
        sys.stdout.write(f"{one.number} {one.role}, {tables.moment(one.at)}\n{tables.lines_of(one.content)}\n\n")
