"""`perdure agents …`: make agents on a server, and talk to them."""

import argparse
from typing import Any

from perdure.cli import chat, given, server, tables
from perdure.client import agents
from perdure.errors import Invalid

_EPILOG = """\
An agent is an instruction, a model and tools; what it says and does is a run with the same id, so `perdure runs` shows it.

examples:
  perdure agents create helper --instruction "Answer in one sentence." --tool embed
  perdure agents create clerk --file clerk.yaml
  perdure agents chat helper "What is a mutex?"
  perdure agents chat helper "And a semaphore?" --context ctx_01…
  perdure agents chat helper -                     # a conversation: a line each, until Ctrl-D
  perdure agents follow helper                     # its newest answer again, or what is still to come of it
  perdure agents executions helper

An answer goes on whatever happens to this command: interrupted with Ctrl-C it is only not shown any more.

exit codes: 0 done, 1 the answer faulted or the server cannot be reached, 2 what was given does not fit, 130 interrupted
"""
_COLUMNS = ("id", "state", "newest", "description", "updated")
_VERSIONS = ("version", "created", "by")
_EXECUTIONS = ("run", "state", "version", "context", "created", "ended")


def arguments(parser: argparse.ArgumentParser) -> None:
    """One verb each."""
    parser.epilog = _EPILOG
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    create = verbs.add_parser("create", help="Make an agent, or its next version.")
    create.add_argument("id", metavar="NAME", help="Lower-case letters, digits and hyphens.")
    create.add_argument("--file", metavar="FILE", help="The whole agent as JSON or YAML (`-`: standard input).")
    create.add_argument("--instruction", help="What it is to do.")
    create.add_argument("--model", help="For example openai/gpt-4o-mini (default: the server's).")
    create.add_argument("--tool", action="append", default=[], help="A function; may be given several times.")
    create.add_argument("--description", default="", help="One line for people.")
    listing = verbs.add_parser("list", help="List the agents.")
    show = verbs.add_parser("show", help="Show a version of an agent.")
    show.add_argument("--version", type=int, help="Its number (default: the newest).")
    versions = verbs.add_parser("versions", help="List the versions of an agent.")
    say = verbs.add_parser("chat", help="Say something, and print the answer as it comes.")
    say.add_argument("--context", default="", help="The conversation to go on with, from `perdure contexts list`.")
    say.add_argument("--version", type=int, help="A version (default: the newest).")
    say.add_argument("--values", metavar="JSON|@FILE", help="For the expressions of its prompt.")
    follow = verbs.add_parser("follow", help="Print an answer from its beginning, as it comes, until its end.")
    executions = verbs.add_parser("executions", help="List what an agent answered.")
    archive = verbs.add_parser("archive", help="Let an agent answer no more.")
    restore = verbs.add_parser("restore", help="Let it answer again.")
    for verb in (show, versions, say, follow, executions, archive, restore):
        verb.add_argument("id", metavar="NAME", help="The agent's name, from `perdure agents list`.")
    say.add_argument(
        "message", metavar="MESSAGE", help="What to say (`-`: standard input; on a terminal one line after the other)."
    )
    follow.add_argument("--run", metavar="RUN", help="Which answer (default: the newest of this agent).")
    for verb in (create, listing, show, versions, say, follow, executions, archive, restore):
        verb.add_argument("--json", action="store_true", help="Print JSON.")
        server.arguments(verb)


def execute(options: argparse.Namespace) -> int:
    """Do the verb."""
    if options.verb == "chat":
        return chat.say(options)
    if options.verb == "follow":
        return chat.follow(options)
    if options.verb == "list":
        found = server.pages(options, agents.find)
        tables.print_json(found) if options.json else tables.print_rows(found, _COLUMNS)
    elif options.verb == "executions":
        answered = server.pages(options, lambda cursor: agents.executions(options.id, cursor=cursor))
        tables.print_json(answered) if options.json else tables.print_rows(answered, _EXECUTIONS)
    elif options.verb == "versions":
        made = server.pages(options, lambda cursor: agents.versions(options.id, cursor=cursor))
        tables.print_json(made) if options.json else tables.print_rows(made, _VERSIONS)
    elif options.verb == "show":
        _show(options)
    elif options.verb == "create":
        version = _create(options)
        tables.print_json(version) if options.json else print(f"{version.agent} version {version.version}")
    else:
        verb = agents.archive if options.verb == "archive" else agents.restore
        changed = server.ask(options, verb(options.id))
        tables.print_json(changed) if options.json else print(f"{changed.id} is {changed.state}.")
    return 0


def _create(options: argparse.Namespace) -> agents.Version:
    definition = _definition(options)
    with server.opened(options) as client:
        known = {agent.id for agent in _all(client)}
        if options.id in known:
            return client.do(agents.add_version(options.id, definition))
        return client.do(agents.create(options.id, definition, description=options.description))


def _all(client: Any) -> list[agents.Agent]:
    found: list[agents.Agent] = []
    cursor: str | None = ""
    while cursor is not None:
        page = client.do(agents.find(limit=200, cursor=cursor))
        found, cursor = found + page.items, page.next
    return found


def _definition(options: argparse.Namespace) -> dict[str, Any]:
    if options.file is None:
        if not options.instruction:
            raise Invalid("Say what the agent is to do.", hint="Give --instruction, or the whole agent with --file.")
        told = {"instruction": options.instruction, "model": options.model, "tools": options.tool}
        return {name: value for name, value in told.items() if value}
    source = options.file if options.file == given.STDIN else f"@{options.file}"
    definition = given.json_argument(source, "--file")
    if not isinstance(definition, dict):
        raise Invalid("An agent is a map.", hint="See docs/operate.md.")
    more = {"instruction": options.instruction, "model": options.model, "tools": options.tool}
    return {**definition, **{name: value for name, value in more.items() if value}}


def _show(options: argparse.Namespace) -> None:
    with server.opened(options) as client:
        agent = client.do(agents.get(options.id))
        version = client.do(agents.version(options.id, options.version or agent.newest))
    if options.json:
        tables.print_json(version)
        return
    tables.print_facts(
        {
            "agent": agent.id,
            "state": agent.state,
            "version": f"{version.version} of {agent.newest}",
            "made": f"{tables.moment(version.created)} by {version.by}",
            **{name: _fact(value) for name, value in version.definition.items()},
        }
    )


def _fact(value: Any) -> str:
    return value if isinstance(value, str) else tables.text_of(value)
