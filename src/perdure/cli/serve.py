"""`perdure serve`: a gateway of a platform on several machines. It keeps nothing; workers drive the runs."""

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
Any number of gateways and workers (`perdure worker`) share a Temporal server and PostgreSQL, and where they are set a
Valkey or Redis and a broker. All of it is settings; see "Several machines" in docs/operate.md. Needed are
PERDURE_ENGINE=temporal, PERDURE_DATABASE_URL (after `perdure migrate`) and PERDURE_MASTER_KEYS. The first gateway of a
new installation shows its owner key, once.

examples:
  perdure serve --host 0.0.0.0
  perdure serve --host 0.0.0.0 --port 8420 --notice 10

While Temporal or the database is away it listens, says why it is not ready, and goes on when they are there.

exit codes: 0 stopped when told to, 2 the command or a setting does not fit
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Where it listens, and how it ends."""
    parser.epilog = _EPILOG
    drive.data_argument(parser)
    drive.functions_argument(parser)
    parser.add_argument("--secrets", metavar="FILE", help="File (JSON or YAML) that maps secret names to values.")
    parser.add_argument(
        "--host", default="127.0.0.1", help="Address to listen on (default: 127.0.0.1, this machine only)."
    )
    parser.add_argument("--port", type=int, default=8420, help="Port to listen on (default: 8420; 0: any free one).")
    parser.add_argument(
        "--notice",
        type=float,
        default=5.0,
        metavar="S",
        help="Seconds at the end in which /ready says no and requests are still taken (default: 5).",
    )
    parser.add_argument("--drain", type=float, default=25.0, metavar="S", help="Seconds for requests at the end.")


def execute(options: argparse.Namespace) -> int:
    """Serve until told to stop."""
    if not 0 <= options.port <= 65535:
        raise Invalid(f"{options.port} is no port.", hint="Use 1 to 65535, or 0 for any free one.")
    if options.notice < 0 or options.drain < 0:
        raise Invalid("--notice and --drain must be 0 or more.")
    desk = drive.Desk(options)
    try:
        from perdure.gateway.server import Place  # heavy, and part of an extra
        from perdure.platform import process
        from perdure.platform.serving import serve
    except ImportError as error:
        raise Invalid(
            f"`perdure serve` needs libraries that are not installed ({error.name}).",
            hint="Install them with `pip install 'perdure[server]'`.",
        ) from None
    place = Place(host=options.host, port=options.port, notice=options.notice, drain=options.drain)

    def opened() -> AbstractAsyncContextManager["Platform"]:
        return process.opened(
            desk.directory, desk.settings, modules=options.functions, secrets_file=options.secrets, environ=os.environ,
            role="gateway",
        )  # fmt: skip

    asyncio.run(serve(opened, place, desk.settings, ready=_welcome, say=_say))
    return 0


def _welcome(address: str, key: str | None) -> None:
    lines = [f"Perdure is ready at {address}"]
    if key is not None:
        lines += [f"  owner key     {key}", "                It is shown this once; keep it."]
    print("\n".join([*lines, "Ctrl-C stops it; workers go on with the runs."]), flush=True)


def _say(line: str) -> None:
    print(f"perdure: {line}", file=sys.stderr, flush=True)
