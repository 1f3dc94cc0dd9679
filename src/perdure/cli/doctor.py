"""`perdure doctor`: looks at every part that is configured, and says in words what is wrong."""

import argparse
import asyncio
import logging
import os

from perdure.cli import drive, tables
from perdure.errors import extra

_EPILOG = """\
Looks at the data directory, the engine, the databases, secrets, models, and whatever else the settings name, and changes
nothing. A server may be running meanwhile.

exit codes: 0 nothing is failing, 1 something is
"""
_SIGNS = {"ok": "ok     ", "warning": "warning", "failing": "FAILING"}


def arguments(parser: argparse.ArgumentParser) -> None:
    """Which installation."""
    parser.epilog = _EPILOG
    drive.data_argument(parser)
    parser.add_argument("--json", action="store_true", help="Print a JSON array.")


def execute(options: argparse.Namespace) -> int:
    """Look, one line a part."""
    desk = drive.Desk(options)
    with extra("server", "`perdure doctor`"):
        from perdure.platform import checks  # heavy

    async def work() -> list[checks.Finding]:
        found = []
        async for finding in checks.look(desk.directory, desk.settings, os.environ):
            found.append(finding)
            if not options.json:
                print(f"{_SIGNS[finding.state]}  {finding.part}: {finding.sentence}", flush=True)
                if finding.hint and finding.state != "ok":
                    print(f"         {finding.hint}", flush=True)
        return found

    logging.disable()  # what libraries say of a part is in its finding
    findings = asyncio.run(work())
    if options.json:
        tables.print_json(findings)
    return int(any(finding.state == "failing" for finding in findings))
