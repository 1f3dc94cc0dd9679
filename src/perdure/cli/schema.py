"""`perdure schema`: the JSON Schema of documents, for editors."""

import argparse
import sys

import msgspec


def arguments(parser: argparse.ArgumentParser) -> None:
    """No arguments; what to do with the output."""
    parser.epilog = """\
Editors check and complete documents as you type when they know this schema. For the YAML language server, write
it to a file and name that file in the first line of a document:

  perdure schema > perdure.schema.json
  # yaml-language-server: $schema=perdure.schema.json

`perdure validate` checks more than a schema can: targets, names, expressions.
"""


def execute(options: argparse.Namespace) -> int:
    """Print the schema."""
    from perdure.language.json_schema import document_schema  # not needed by `perdure schema --help`

    text = msgspec.json.format(msgspec.json.encode(document_schema()), indent=2)
    sys.stdout.write(text.decode() + "\n")
    return 0
