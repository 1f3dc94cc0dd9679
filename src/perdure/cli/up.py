"""`perdure up`: the whole platform in this process, until SIGTERM or Ctrl-C."""

import argparse

from perdure.cli import drive, serving

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
    serving.arguments(parser)


def execute(options: argparse.Namespace) -> int:
    """Serve until told to stop."""
    return serving.serve(options, "everything", _welcome)


def _welcome(desk: drive.Desk, address: str, key: str | None) -> list[str]:
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
    return [*lines, "Ctrl-C stops it; runs go on at the next start."]
