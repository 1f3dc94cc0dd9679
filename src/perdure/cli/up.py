"""`perdure up`: the whole platform in this process, until SIGTERM or Ctrl-C."""

import argparse
import asyncio
import os
import sys
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING

from perdure.cli import drive
from perdure.errors import Invalid

if TYPE_CHECKING:
    from perdure.platform.process import Platform

_EPILOG = """\
Nothing has to be installed or configured: runs, definitions, users and events are kept in files under --data. At the first
start it makes an owner key and shows it, once. Everything but signing in and health asks for a key.

examples:
  perdure up
  perdure up --data ./perdure-data --port 8420
  PERDURE_MODEL_URL=https://api.openai.com/v1 PERDURE_MODEL_KEY=… perdure up

exit codes: 0 stopped when told to, 1 out of reach, 2 the command or a setting does not fit
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Where it keeps things, and where it listens."""
    parser.epilog = _EPILOG
    drive.data_argument(parser)
    drive.functions_argument(parser)
    parser.add_argument("--secrets", metavar="FILE", help="File (JSON or YAML) that maps secret names to values.")
    parser.add_argument(
        "--host", default="127.0.0.1", help="Address to listen on (default: 127.0.0.1, this machine only)."
    )
    parser.add_argument("--port", type=int, default=8420, help="Port to listen on (default: 8420; 0: any free one).")
    parser.add_argument("--drain", type=float, default=25.0, metavar="S", help="Seconds for requests at the end.")


def execute(options: argparse.Namespace) -> int:
    """Serve until told to stop."""
    if not 0 <= options.port <= 65535:
        raise Invalid(f"{options.port} is no port.", hint="Use 1 to 65535, or 0 for any free one.")
    desk = drive.Desk(options)
    try:
        from perdure.gateway.server import Place  # heavy, and part of an extra
        from perdure.platform import process
        from perdure.platform.serving import serve
    except ImportError as error:
        raise Invalid(
            f"`perdure up` needs libraries that are not installed ({error.name}).",
            hint="Install them with `pip install 'perdure[server]'`.",
        ) from None
    place = Place(host=options.host, port=options.port, drain=options.drain)

    def opened() -> AbstractAsyncContextManager["Platform"]:
        return process.opened(
            desk.directory, desk.settings, modules=options.functions, secrets_file=options.secrets, environ=os.environ
        )

    def ready(address: str, key: str | None) -> None:
        _welcome(desk, address, key)

    asyncio.run(serve(opened, place, desk.settings, ready=ready, say=_say))
    return 0


def _welcome(desk: drive.Desk, address: str, key: str | None) -> None:
    lines = [f"Perdure is ready at {address}", f"  data          {desk.directory}"]
    if key is not None:
        lines += [
            f"  owner key     {key}",
            "                It is shown this once; keep it.",
            f"  sign in       perdure login {address}",
        ]
    else:
        lines += ["  sign in       with the owner key that the first start showed, or a key of yours"]
    if desk.settings.model_url or desk.settings.models:
        lines += [f"  models        {desk.settings.models or desk.settings.model_url}"]
    else:
        lines += [
            "  models        the small local one (pip install 'perdure[local]'); for others set PERDURE_MODEL_URL,",
            "                PERDURE_MODEL_KEY and PERDURE_MODEL_NAME, or a file in PERDURE_MODELS",
        ]
    print("\n".join([*lines, "Ctrl-C stops it; runs go on at the next start."]), flush=True)


def _say(line: str) -> None:
    print(f"perdure: {line}", file=sys.stderr, flush=True)
