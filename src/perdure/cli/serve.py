"""`perdure serve`: a gateway of a platform on several machines. It keeps nothing; workers drive the runs."""

import argparse

from perdure.cli import drive, serving

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
    serving.arguments(parser)
    parser.add_argument(
        "--notice",
        type=float,
        default=5.0,
        metavar="S",
        help="Seconds at the end in which /ready says no and requests are still taken (default: 5).",
    )


def execute(options: argparse.Namespace) -> int:
    """Serve until told to stop."""
    return serving.serve(options, "gateway", _welcome, notice=options.notice)


def _welcome(desk: drive.Desk, address: str, key: str | None) -> list[str]:
    lines = [f"Perdure is ready at {address}"]
    if key is not None:
        lines += [f"  owner key     {key}", "                It is shown this once; keep it."]
    return [*lines, "Ctrl-C stops it; workers go on with the runs."]
