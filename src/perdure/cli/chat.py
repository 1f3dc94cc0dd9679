"""A conversation with an agent on a terminal: what is said, and the answer as it comes.

The answer goes to standard output, everything about it to standard error. The answer is a run of the server: what ends
here, by Ctrl-C or a lost connection, is only the looking.
"""

import argparse
import sys
import uuid
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import msgspec

from perdure.cli import given, progress, server, tables
from perdure.client import agents
from perdure.errors import Invalid, NotFound, Unavailable

if TYPE_CHECKING:
    from perdure.client import Client

_INTERRUPTED = 130
_read_outcome = msgspec.json.Decoder(agents.Outcome).decode


def say(options: argparse.Namespace) -> int:
    """`perdure agents chat`: one message, or one after the other from a terminal."""
    values = given.json_argument(options.values, "--values")
    if values is not None and not isinstance(values, dict):
        raise Invalid("--values is a map.", hint='For example --values \'{"name": "Ada"}\'.')
    context, code = options.context, 0
    with server.opened(options) as client:
        for said in _messages(options):
            wish = agents.chat(
                options.id, said, context=context, version=options.version, values=values, wait=False,
                key=str(uuid.uuid4()),
            )  # fmt: skip
            begun = client.do(wish)
            code = max(code, _followed(options, client, begun.run))
            context = begun.context
            if code == _INTERRUPTED:
                break
    return code


def follow(options: argparse.Namespace) -> int:
    """`perdure agents follow`: an answer from its beginning."""
    with server.opened(options) as client:
        run = options.run
        if run is None:
            newest = client.do(agents.executions(options.id, limit=1)).items
            if not newest:
                raise NotFound(f"{options.id} has not answered yet.", hint="Say something with `perdure agents chat`.")
            run = newest[0].run
        return _followed(options, client, run)


def _messages(options: argparse.Namespace) -> Iterator[str]:
    """What to say, one after the other."""
    if options.message != given.STDIN:
        yield options.message
    elif sys.stdin.isatty():
        yield from _typed()
    else:
        yield given.read_bytes(given.STDIN, "message").decode(errors="replace")


def _typed() -> Iterator[str]:
    import readline  # noqa: F401 - only here: lines can be edited, and earlier ones fetched back

    while True:
        try:
            line = input("> ")
        except EOFError:
            print(file=sys.stderr)
            return
        if line.strip():
            yield line


def _followed(options: argparse.Namespace, client: "Client", run: str) -> int:
    """Print what comes until the answer has ended; its exit code."""
    printed = _Screen()
    again = f"`perdure agents follow {options.id} --run {run}` shows it"
    try:
        for event in client.stream(agents.follow(options.id, run)):
            if event.type == "end":
                return _ended(options, _read_outcome(event.data.encode()), printed)
            if not options.json:
                printed.show(event.type, msgspec.json.decode(event.data.encode()))
    except KeyboardInterrupt:
        print(f"{printed.line}perdure: The answer goes on; {again}.", file=sys.stderr)
        return _INTERRUPTED
    except Unavailable as error:
        sys.stdout.write(printed.line)
        raise Unavailable(error.message, hint=f"The answer goes on when the server is back; {again}.") from None
    return 1


class _Screen:
    """What stands on the screen of the turn that is shown."""

    def __init__(self) -> None:
        self.text = ""
        self._turn = 0

    def __repr__(self) -> str:
        return f"_Screen({len(self.text)} characters of turn {self._turn})"

    @property
    def line(self) -> str:
        """What ends the line that is not ended."""
        return "" if not self.text or self.text.endswith("\n") else "\n"

    def show(self, type: str, data: dict[str, Any]) -> None:
        """An event of the stream."""
        if type in ("text", "reset"):
            is_new = type == "reset" or data["turn"] != self._turn
            sys.stdout.write(f"{self.line if is_new else ''}{tables.lines_of(data['text'])}")
            sys.stdout.flush()
            self.text, self._turn = data["text"] if is_new else self.text + data["text"], data["turn"]
        elif type == "tool" and data["state"] == "started":
            self._note(f"[{tables.printable(data['tool'])}]")
        elif type == "held":
            self._note(f"perdure: It waits: {tables.printable(_waiting(data))}")

    def _note(self, said: str) -> None:
        print(f"{self.line}{said}", file=sys.stderr)
        self.text = ""


def _waiting(data: dict[str, Any]) -> str:
    asked = data.get("approval")
    if asked is None:
        return progress.waiting({"kind": "budget", **data})
    given = msgspec.json.encode(asked.get("arguments")).decode()
    return f"for somebody to approve {asked.get('tool', 'a call')} with {given} (`perdure inbox list`)"


def _ended(options: argparse.Namespace, outcome: agents.Outcome, printed: _Screen) -> int:
    if options.json:
        tables.print_json(outcome)
    elif outcome.state == "completed":
        text = outcome.output if isinstance(outcome.output, str) else tables.text_of(outcome.output)
        is_there = printed.text == text or isinstance(outcome.output, dict | list)
        sys.stdout.write("\n" if is_there and printed.text else f"{printed.line}{tables.lines_of(text)}\n")
    else:
        error = outcome.error or {}
        told = error.get("detail") or error.get("title") or "no reason was given"
        print(f"{printed.line}perdure: The answer {outcome.state}: {tables.printable(str(told))}", file=sys.stderr)
    sys.stdout.flush()
    if not options.json:
        print(f"perdure: context {outcome.context}, run {outcome.run}", file=sys.stderr)
    return 0 if outcome.state == "completed" else 1
