"""What the settings say about the edge, in the gateway's words; and the model gateway, built."""

import re
from pathlib import Path
from urllib.parse import urlsplit

from starlette.types import Receive, Scope, Send

from perdure.adapters.anthropic_serving import MessagesWire
from perdure.adapters.model_catalog import ModelCatalog
from perdure.adapters.openai_chat_serving import ChatWire, EmbeddingsWire
from perdure.adapters.openai_responses_serving import ResponsesWire
from perdure.errors import Invalid
from perdure.gateway.hosts import Hosts
from perdure.gateway.rules import RATES, Rate, Rules
from perdure.ports.cache import Cache
from perdure.ports.log import Log
from perdure.ports.model import ModelFailed
from perdure.ports.model_wire import ModelWire
from perdure.ports.spending import Spending
from perdure.services.agents import guardrails
from perdure.services.agents.answers import Answers
from perdure.services.agents.gateway import Ground, ModelGateway
from perdure.settings import Settings
from perdure.wiring import Installation

WIRES: tuple[ModelWire, ...] = (ChatWire(), ResponsesWire(), MessagesWire())
VECTORS = EmbeddingsWire()
_MILLION = 1_000_000
_HOST = re.compile(r"(\*\.)?[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*|\[[0-9A-Fa-f:.]+\]")


def model_gateway(
    installation: Installation, settings: Settings, cache: Cache, spending: Spending, log: Log
) -> ModelGateway:
    """The model gateway. Invalid for rules that cannot be read."""
    answers = Answers(
        cache,
        default=settings.model_cache,
        seconds=settings.model_cache_seconds,
        embedding=settings.model_cache_embedding,
        likeness=settings.model_cache_likeness,
    )
    ground = Ground(
        models=installation.models,
        spending=spending,
        answers=answers,
        guardrails=installation.guardrails or guardrails.Guardrails(),
        clock=installation.clock,
        log=log,
    )
    return ModelGateway(ground)


def canonical(installation: Installation, model: str) -> str:
    """The whole name of a model, `provider/model` or a provider or route; as it is when it leads nowhere."""
    try:
        place = installation.models.find(model)
    except ModelFailed:
        return model
    return f"{place.provider}/{place.name}" if place.name else place.provider


def price(installation: Installation, model: str) -> float | None:
    """The most that a token costs, of whatever may answer under this name; None when no price is known."""
    found = [_price(installation.models, name) for name in installation.models.known_as(model)]
    return max((one for one in found if one is not None), default=None)


def _price(models: ModelCatalog, name: str) -> float | None:
    """Of input or output, also where much input makes both dearer."""
    costs: list[float] = []
    for many in ((_MILLION, 0), (0, _MILLION), (_MILLION, _MILLION)):
        usage = {"inputTokens": many[0], "outputTokens": many[1]}
        try:
            cost = models.priced(name, usage).get("cost")
        except ModelFailed:
            return None
        if not isinstance(cost, int | float):
            return None
        costs.append(cost)
    into, out, both = costs
    return max(into, out, both - into) / _MILLION


def checked(settings: Settings) -> None:
    """Invalid for the first rule of the edge that cannot be meant."""
    found = rules(settings)
    Hosts(_nothing, found.hosts, found.proxies)
    if settings.guardrails:
        guardrails.load(Path(settings.guardrails).expanduser())


async def _nothing(scope: Scope, receive: Receive, send: Send) -> None:
    return


def rules(settings: Settings) -> Rules:
    """The rules of the gateway. Invalid for what would never hold: a class of limits that does not exist, or an address that
    no request can have."""
    _check_addresses(settings)
    return Rules(
        hosts=settings.hosts,
        proxies=settings.proxies,
        origins=settings.origins,
        body=settings.body_bytes,
        rates=rates(settings.rate_limits),
        streams=settings.streams,
        streams_tenant=max(1, settings.streams // 2),
        streams_caller=max(1, settings.streams // 10),
        metrics_open=settings.metrics_open,
    )


def _check_addresses(settings: Settings) -> None:
    for host in settings.hosts:
        if not _HOST.fullmatch(host):
            raise Invalid(
                f"{host!r} in PERDURE_HOSTS is no name of a server.",
                hint="Write example.com or *.example.com, without scheme, port and path.",
            )
    for origin in settings.origins:
        if origin != _origin(origin):
            raise Invalid(
                f"{origin!r} in PERDURE_ORIGINS is no origin of a web page.",
                hint="Write each as browsers send it: https://app.example.com, with a port if it has one, and nothing after it.",
            )
    for name, url in (("PERDURE_PUBLIC_URL", settings.public_url), ("PERDURE_OTLP_ENDPOINT", settings.otlp_endpoint)):
        if url and not _origin(url):
            raise Invalid(f"{name} is no address.", hint="Write https://HOST or http://HOST:PORT.")


def _origin(url: str) -> str:
    """The origin of an address as browsers write it; empty when it is none."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return ""
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
        return ""
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    is_named = port is not None and port != {"http": 80, "https": 443}[parts.scheme]
    return f"{parts.scheme}://{host}:{port}" if is_named else f"{parts.scheme}://{host}"


def rates(given: tuple[str, ...]) -> dict[str, Rate]:
    """Rates by class, with those of the settings in the place of the defaults; a class with 0 has no limit."""
    found = dict(RATES)
    for part in given:
        name, _, amount = part.partition("=")
        if name not in RATES or not (amount.isascii() and amount.isdigit()):
            raise Invalid(
                f"{part!r} in PERDURE_RATE_LIMITS is no limit.",
                hint=f"Write class=amount with one of the classes {', '.join(RATES)}.",
            )
        found[name] = Rate(int(amount))
    return {name: rate for name, rate in found.items() if rate.amount}
