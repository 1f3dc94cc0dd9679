"""The composition root of what documents call: the functions that come with Perdure, those of the user, and the models.

It is imported when a document calls something (`Catalog`); a mistake in a setting about it is told at once.
"""

import functools
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from perdure.adapters import model_configuration
from perdure.adapters.egress import HttpEgress
from perdure.adapters.model_catalog import ModelCatalog
from perdure.functions import python
from perdure.functions.agent import Agent
from perdure.functions.approve import Approve
from perdure.functions.authentication import Authenticator
from perdure.functions.embed import Embed
from perdure.functions.http import Http
from perdure.functions.infer import Infer
from perdure.functions.model import Model as ModelFunction
from perdure.functions.model_providers import Providers
from perdure.functions.openapi import OpenApi
from perdure.ports.clock import Clock
from perdure.ports.function import Function
from perdure.ports.guardrails import Guardrails
from perdure.ports.secrets import Secrets
from perdure.ports.spending import Spending
from perdure.settings import Settings

LOOPBACK = ("127.0.0.1",)


class Around(NamedTuple):
    """What it is built with. `way_out` makes one for the hosts that it is given."""

    directory: Path
    settings: Settings
    clock: Clock
    environ: Mapping[str, str]
    secrets: Secrets
    egress: HttpEgress
    way_out: Callable[[Iterable[str]], HttpEgress]


class Calls(NamedTuple):
    """What was built."""

    functions: list[Function]
    models: ModelCatalog
    guardrails: Guardrails | None
    to_models: HttpEgress


def build(around: Around, modules: Iterable[str], spending: Spending | None) -> Calls:
    """Everything, with the functions of these modules. Invalid when a part cannot be built."""
    settings = around.settings
    configured = _configured(settings)
    to_models = around.way_out((*settings.egress_allow, *LOOPBACK, *configured.hosts()))
    models = model_configuration.build(
        configured,
        model_configuration.Surroundings(
            egress=to_models,
            clock=around.clock,
            environ={**around.environ, model_configuration.KEY: settings.model_key},
            secret=functools.partial(around.secrets.get, settings.tenant),
            directory=around.directory / "model",
        ),
    )
    rules = _guardrails(settings, models)
    providers = Providers(models, models.providers, spending, rules)
    shipped = _shipped(Authenticator(around.egress, around.clock), providers)
    own = [function for module in modules for function in python.load(module)]
    return Calls([*shipped, *python.installed(), *own], models, rules, to_models)


def _configured(settings: Settings) -> model_configuration.Configuration:
    """The models of the settings, or of the file that they name."""
    if not settings.models:
        return model_configuration.of_settings(
            url=settings.model_url,
            name=settings.model_name,
            has_key=bool(settings.model_key),
            file=settings.model_file,
            threads=settings.model_threads,
            script=settings.model_script,
        )
    made = model_configuration.load(Path(settings.models).expanduser())
    return model_configuration.with_script(made, settings.model_script) if settings.model_script else made


def _guardrails(settings: Settings, models: ModelCatalog) -> Guardrails | None:
    """The rules of the installation. Invalid for some that cannot be read."""
    if not settings.guardrails:
        return None
    from perdure.services.agents import guardrails  # few have rules, and the service knows how to read them

    return guardrails.load(Path(settings.guardrails).expanduser(), models.known_as)


def _shipped(authenticator: Authenticator, providers: Providers) -> list[Function]:
    return [
        Http(authenticator),
        OpenApi(authenticator),
        Infer(providers),
        Agent(),
        Approve(),
        ModelFunction(providers),
        Embed(providers),
    ]
