"""What `perdure up` and `perdure serve` share: a process that listens until SIGTERM or Ctrl-C."""

import argparse
import asyncio
import gc
import os
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING

from perdure.cli import drive
from perdure.errors import Invalid, extra

if TYPE_CHECKING:
    from perdure.platform.process import Platform
    from perdure.platform.roles import Role

Welcome = Callable[[drive.Desk, str, str | None], list[str]]
"""The lines that are shown once it is ready, of its address and the owner key of a new installation."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Where things are kept, where it listens, and how it ends."""
    drive.data_argument(parser)
    drive.functions_argument(parser)
    drive.secrets_argument(parser)
    parser.add_argument(
        "--host", default="127.0.0.1", help="Address to listen on (default: 127.0.0.1, this machine only)."
    )
    parser.add_argument("--port", type=int, default=8420, help="Port to listen on (default: 8420; 0: any free one).")
    parser.add_argument(
        "--drain", type=float, default=25.0, metavar="S", help="Seconds for requests at the end (default: 25)."
    )


def serve(options: argparse.Namespace, role: "Role", welcome: Welcome, *, notice: float = 0.0) -> int:
    """Serve until told to stop."""
    if not 0 <= options.port <= 65535:
        raise Invalid(f"{options.port} is no port.", hint="Use 1 to 65535, or 0 for any free one.")
    if notice < 0 or options.drain < 0:
        raise Invalid("Seconds at the end must be 0 or more.")
    desk = drive.Desk(options)
    gc.disable()  # a tenth of the start went into looking for garbage among what is loaded for good
    with extra("server", f"`perdure {options.command}`"):
        from perdure.gateway.server import Place  # heavy
        from perdure.platform import process, serving
    gc.enable()
    place = Place(host=options.host, port=options.port, notice=notice, drain=options.drain)

    def opened() -> AbstractAsyncContextManager["Platform"]:
        return process.opened(
            desk.directory, desk.settings, modules=options.functions, secrets_file=options.secrets, environ=os.environ,
            role=role,
        )  # fmt: skip

    def ready(address: str, key: str | None) -> None:
        print("\n".join(welcome(desk, address, key)), flush=True)

    asyncio.run(serving.serve(opened, place, desk.settings, ready=ready, say=drive.say))
    return 0
