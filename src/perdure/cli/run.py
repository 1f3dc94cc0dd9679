"""`perdure run FILE`: one document, from its check to its output."""

import argparse
from typing import TYPE_CHECKING

from perdure.cli import drive, given, validate
from perdure.errors import MEANINGS, Invalid, Unavailable
from perdure.language.values import Json

if TYPE_CHECKING:
    from perdure.wiring import Installation

_LONGEST_ID = 200
_EPILOG = """\
The output, and nothing else, is printed on standard output as JSON. When the run faults, the fault is the last line
of standard error, as problem JSON. Progress is shown on standard error: live on a terminal, else as plain lines.

Ctrl-C, a crash or a power cut lose nothing: the run is kept, and `perdure runs resume ID` goes on where it was. With
--run the id is yours: the same command given again goes on with the same run, or prints its output anew.

examples:
  perdure run hello.yaml
  perdure run hello.yaml --input '{"name": "Ada"}'
  perdure run order.yaml --input @order.json --run order-17
  perdure run report.yaml --functions my_functions --secrets secrets.json --quiet
  cat hello.yaml | perdure run -

exit codes: 0 completed, 1 faulted or cancelled, 2 the document or the input does not fit, 130 interrupted
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Which document, with which input."""
    parser.epilog = _EPILOG
    parser.add_argument("file", metavar="FILE", help="The document (YAML or JSON), or - for standard input.")
    parser.add_argument(
        "--input", metavar="JSON|@FILE", help="The run's input: JSON, @FILE, or - for standard input (default: {})."
    )
    parser.add_argument(
        "--workflow",
        action="append",
        default=[],
        metavar="FILE",
        help="Another document, which `run: workflow` may start; may be given several times.",
    )
    parser.add_argument("--run", metavar="ID", help="The run's id (default: a new one).")
    drive.drive_arguments(parser)


def execute(options: argparse.Namespace) -> int:
    """Check the document, start the run, drive it to its end."""
    if options.file == given.STDIN and options.input in {given.STDIN, "@-"}:
        raise Invalid("Standard input can be the document or the input, not both.", hint="Give one of them as a file.")
    if options.run is not None and not (options.run.isprintable() and 0 < len(options.run) <= _LONGEST_ID):
        raise Invalid(
            f"The id of a run has 1 to {_LONGEST_ID} letters that can be printed.", hint="Choose another --run."
        )
    desk = drive.Desk(options)
    sources = [options.file, *options.workflow]
    readings = [given.runnable(source) for source in sources]
    desk.document = readings[0].value
    input_ = given.json_argument(options.input, "--input", default={})

    async def start(installation: "Installation") -> str:
        document, *others = [reading.value for reading in readings]
        for other in others:
            await installation.engine.publish(desk.tenant, other, await _outside(installation, other))
        resources = await _outside(installation, document)
        # The id is known only once the start is durable: from here on an interruption leaves a run that can be resumed.
        desk.run = await installation.engine.start(desk.tenant, document, input_, run=options.run, resources=resources)
        return desk.run

    if not validate.are_runnable(dict(zip(sources, readings, strict=True)), desk.installation.table):
        return MEANINGS[Invalid].exit_code
    return drive.drive(desk, start)


async def _outside(installation: "Installation", document: Json) -> dict[str, Json]:
    """What the document names outside of itself. What cannot be fetched makes it invalid: nothing was started."""
    try:
        return await installation.resolve(document)
    except Unavailable as error:
        raise Invalid(
            error.message, hint=error.hint or "Nothing was started; try again when it can be reached."
        ) from None
