"""`perdure tenants …` and `perdure projects …`: who shares a server, and the parts of your own tenant."""

import argparse
from typing import Any

from perdure.cli import server, tables
from perdure.client import tenants

_EPILOG = """\
Tenants are seen to by the owners of the installation's own tenant. The owner key of a new tenant is shown once.

examples:
  perdure tenants create acme --name "Acme Ltd"
  perdure tenants list
  perdure tenants disable acme
  perdure tenants create-project mail --name "Mail"
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """One verb each."""
    parser.epilog = _EPILOG
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    create = verbs.add_parser("create", help="Make a tenant and show its owner key, this once.")
    project = verbs.add_parser(
        "create-project",
        help="Make a project in your own tenant: the documents of the namespace that is called like it.",
    )
    for verb in (create, project):
        verb.add_argument("id", metavar="ID", help="Lower-case letters, digits and hyphens; never changes.")
        verb.add_argument("--name", help="How people call it (default: the id).")
    listing = verbs.add_parser("list", help="List the tenants.")
    projects = verbs.add_parser("projects", help="List the projects of your own tenant.")
    disable = verbs.add_parser("disable", help="Keep everybody of a tenant out; its runs go on.")
    enable = verbs.add_parser("enable", help="Let everybody of a tenant in again.")
    for verb in (disable, enable):
        verb.add_argument("id", metavar="ID")
    for verb in (create, project, listing, projects, disable, enable):
        verb.add_argument("--json", action="store_true", help="Print JSON.")
        server.arguments(verb)


def execute(options: argparse.Namespace) -> int:
    """Do the verb."""
    if options.verb in ("list", "projects"):
        is_tenants = options.verb == "list"
        found: list[Any] = (
            server.pages(options, tenants.find) if is_tenants else server.pages(options, tenants.find_projects)
        )
        columns = ("id", "name", "created", "disabled") if is_tenants else ("id", "name", "created")
        tables.print_json(found) if options.json else tables.print_rows(found, columns)
    elif options.verb == "create":
        made = server.ask(options, tenants.create(options.id, options.name or options.id))
        tables.print_json(made) if options.json else print(f"{made.tenant.id}  {made.owner_key}")
    elif options.verb == "create-project":
        project = server.ask(options, tenants.create_project(options.id, options.name or options.id))
        tables.print_json(project) if options.json else print(project.id)
    else:
        tenant = server.ask(options, tenants.disable(options.id, disabled=options.verb == "disable"))
        tables.print_json(tenant) if options.json else print(f"{tenant.id} is {options.verb}d.")
    return 0
