"""The models of an installation as a file (PERDURE_MODELS, YAML or JSON) tells them: reads it, checks it, builds them.

Addresses are the administrator's; keys are named, never written down here, and opened when a request needs one.
"""

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import msgspec

from perdure.adapters.model_balancing import BalancedModel, Member
from perdure.adapters.model_breaker import Circuit, GuardedModel
from perdure.adapters.model_catalog import ModelCatalog, NamedModel
from perdure.adapters.model_endpoint import Key
from perdure.adapters.model_fallbacks import FallbackModel
from perdure.adapters.model_parameters import TrimmedModel
from perdure.adapters.model_prices import FREE, Price, PricedModel
from perdure.adapters.model_retries import Patience, RetriedModel
from perdure.adapters.model_timeouts import Limits, TimedModel
from perdure.errors import Invalid
from perdure.language.read import Unreadable, read
from perdure.ports.clock import Clock
from perdure.ports.egress import Egress
from perdure.ports.model import Model, ModelFailed
from perdure.ports.secrets import Secret

KEY = "PERDURE_MODEL_KEY"
SCRIPTED = "scripted"

_Name = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9._-]{1,64}$")]
_Seconds = Annotated[float, msgspec.Meta(gt=0)]
Parameter = Literal["temperature", "topP", "seed", "stop", "maxTokens"]


class KeyName(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a key is: a secret of the installation, or a variable of the environment."""

    secret: str = ""
    env: str = ""


class Deployment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One place of a provider: its address, its key, and its share of the requests."""

    url: str = ""
    key: KeyName | None = None
    weight: Annotated[float, msgspec.Meta(gt=0)] = 1.0


class Timeouts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Seconds until the first piece of a stream, between two pieces, and for the whole."""

    first: _Seconds = 120.0
    idle: _Seconds = 60.0
    total: _Seconds = 600.0


class Breaker(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """After how many failures in a row a place is left alone, and for how many seconds."""

    failures: Annotated[int, msgspec.Meta(ge=1)] = 5
    rest: _Seconds = 30.0


class Provider(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One provider. Without `deployments` it has one, of `url` and `key`. The first of `models` is the default one."""

    kind: Literal["openai", "openai-responses", "anthropic", "gemini", "ollama", "local", "scripted"]
    url: str = ""
    key: KeyName | None = None
    deployments: tuple[Deployment, ...] = ()
    models: tuple[str, ...] = ()
    timeouts: Timeouts = Timeouts()
    retries: Annotated[int, msgspec.Meta(ge=0, le=10)] = 2
    breaker: Breaker = Breaker()
    without: tuple[Parameter, ...] = ()
    file: str = ""
    threads: Annotated[int, msgspec.Meta(ge=1, le=256)] = 1


class Route(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A name for models that are asked one after the other until one answers."""

    use: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]


class Configuration(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the file says. `is_strict` is for installations without one."""

    providers: Annotated[dict[_Name, Provider], msgspec.Meta(min_length=1)]
    default: str = ""
    routes: dict[_Name, Route] = {}
    prices: dict[str, Price] = {}
    is_strict: bool = True

    def hosts(self) -> list[str]:
        """The places that the administrator names, wherever they are."""
        urls = [provider.url for provider in self.providers.values()]
        urls += [place.url for provider in self.providers.values() for place in provider.deployments]
        places = (urlsplit(url).netloc.rpartition("@")[2] for url in urls)
        return [place for place in places if place]


def load(path: Path) -> Configuration:
    """Read and check the file. Invalid with one sentence."""
    try:
        made = msgspec.convert(read(path.read_bytes()).value, Configuration)
    except (OSError, Unreadable, msgspec.ValidationError) as error:
        raise _invalid(path, str(error).rstrip(".")) from None
    for name, provider in made.providers.items():
        wrong = _wrong(provider)
        if wrong:
            raise _invalid(path, f"provider {name}: {wrong}")
    for name, route in made.routes.items():
        if name in made.providers:
            raise _invalid(path, f"{name} is a provider and a route")
        for used in route.use:
            if used.partition("/")[0] not in made.providers:
                raise _invalid(path, f"route {name}: there is no provider {used.partition('/')[0]!r}")
    if not made.is_strict:
        raise _invalid(path, "it has no key `is_strict`")
    if made.default and made.default not in made.providers and made.default not in made.routes:
        raise _invalid(path, f"the default {made.default!r} is neither a provider nor a route")
    return made


def _wrong(provider: Provider) -> str:
    """What does not fit in one provider."""
    places = provider.deployments or (Deployment(provider.url, provider.key),)
    if provider.deployments and (provider.url or provider.key):
        return "`url` and `key` stand in its deployments, or there are none of these"
    if provider.kind == "scripted" and not provider.file:
        return "a scripted model needs a `file`"
    if provider.kind in ("openai", "openai-responses") and not all(place.url for place in places):
        return "`url` is missing (https://api.openai.com/v1, or that of a compatible server)"
    for place in places:
        parts = urlsplit(place.url)
        if place.url and (parts.scheme not in ("http", "https") or not parts.hostname or parts.username):
            return f"{place.url[:100]!r} is no http(s) address without a user name"
        if place.key and bool(place.key.secret) == bool(place.key.env):
            return "a key is named by `secret` or by `env`, one of the two"
    return ""


def _invalid(path: Path, what: str) -> Invalid:
    return Invalid(f"The models file {path} does not fit: {what}.", hint="See docs/operate.md, section Models.")


def of_settings(
    *, url: str = "", name: str = "", has_key: bool = False, file: str = "", threads: int = 1, script: str = ""
) -> Configuration:
    """What an installation without such a file has: the local model, one endpoint, a script, as far as they are set."""
    patient = Timeouts(first=600.0, idle=600.0)  # a long question keeps a small machine busy for minutes
    providers = {"local": Provider("local", file=file, threads=threads, timeouts=patient)}
    if url:
        key = KeyName(env=KEY) if has_key else None
        providers["openai"] = Provider("openai", url, key, models=(name,) if name else ())
    made = Configuration(providers, "openai" if url else "local", is_strict=False)
    return with_script(made, script) if script else made


def with_script(configuration: Configuration, file: str) -> Configuration:
    """The same with a script that stands in for every model that is not named."""
    providers = {**configuration.providers, SCRIPTED: Provider("scripted", file=file)}
    return msgspec.structs.replace(configuration, providers=providers, default=SCRIPTED)


class Surroundings(msgspec.Struct, frozen=True, kw_only=True):
    """What models are built with. `secret` opens a secret of the installation."""

    egress: Any  # Egress
    clock: Any  # Clock
    environ: Mapping[str, str]
    secret: Callable[[str], Awaitable[Secret | None]]
    directory: Path


def build(configuration: Configuration, around: Surroundings) -> ModelCatalog:
    """All models of the configuration behind one face."""
    own = dict(configuration.prices)
    made: dict[str, Model] = {}
    for name, provider in configuration.providers.items():
        if provider.kind in ("local", "scripted"):
            own.setdefault(f"{name}/*", FREE)
        made[name] = PricedModel(_provider(name, provider, around), name, own, next(iter(provider.models), ""))
    listed = [f"{name}/{model}" for name, provider in configuration.providers.items() for model in provider.models]
    asks = {
        name: (f"{name}/{provider.models[0]}",) for name, provider in configuration.providers.items() if provider.models
    }
    for name, route in configuration.routes.items():
        asks[name] = tuple(one for used in route.use for one in (used, *(() if "/" in used else asks.get(used, ()))))
        chain = []
        for used in route.use:
            provider_name, _slash, model = used.partition("/")
            chain.append(NamedModel(made[provider_name], model))
        made[name] = FallbackModel(chain, around.clock)
    default = configuration.default or next(iter(configuration.providers))
    return ModelCatalog(made, default, listed=listed, is_strict=configuration.is_strict, asks=asks)


def _provider(name: str, provider: Provider, around: Surroundings) -> Model:
    limits = Limits(provider.timeouts.first, provider.timeouts.idle, provider.timeouts.total)
    members = []
    for place in provider.deployments or (Deployment(provider.url, provider.key),):
        model = TimedModel(_adapter(name, provider, place, around), limits)
        guarded = GuardedModel(model, Circuit(provider.breaker.failures, provider.breaker.rest), around.clock)
        members.append(Member(guarded, place.weight, lambda guarded=guarded: guarded.is_ready))  # type: ignore[misc]
    one: Model = members[0].model if len(members) == 1 else BalancedModel(members)
    if provider.without:
        one = TrimmedModel(one, frozenset(provider.without))
    return RetriedModel(one, around.clock, Patience(retries=provider.retries))


def _adapter(name: str, provider: Provider, place: Deployment, around: Surroundings) -> Model:
    """The adapter of a kind; each is imported only where one is wanted."""
    egress: Egress = around.egress
    clock: Clock = around.clock
    default = next(iter(provider.models), "")
    if provider.kind == "scripted":
        from perdure.adapters.scripted_model import ScriptedModel

        return ScriptedModel(Path(provider.file).expanduser())
    if provider.kind == "local":
        from perdure.adapters.local_model_client import LocalModel

        return LocalModel(egress, clock, directory=around.directory, file=provider.file, threads=provider.threads)
    made = _kind(provider.kind)
    given: dict[str, Any] = {"url": place.url} if place.url else {}
    if place.key is not None:
        given["key"] = _key(place.key, f"the provider {name!r}", place.url, around)
        given["where"] = place.key.env or f"the secret {place.key.secret}"
    built: Model = made(egress, clock, model=default, **given)
    return built


def _kind(kind: str) -> Any:
    match kind:
        case "openai":
            from perdure.adapters.openai import OpenAIModel

            return OpenAIModel
        case "openai-responses":
            from perdure.adapters.openai_responses import OpenAIResponsesModel

            return OpenAIResponsesModel
        case "anthropic":
            from perdure.adapters.anthropic import AnthropicModel

            return AnthropicModel
        case "gemini":
            from perdure.adapters.gemini import GeminiModel

            return GeminiModel
        case _:
            from perdure.adapters.ollama import OllamaModel

            return OllamaModel


def _key(key: KeyName, where: str, url: str, around: Surroundings) -> Key:
    host = urlsplit(url).hostname or ""

    async def opened() -> str:
        if key.env:
            value: Any = around.environ.get(key.env, "")
            source = f"the variable {key.env}"
        else:
            secret = await around.secret(key.secret)
            source = f"the secret {key.secret}"
            value = "" if secret is None else secret.value
            if secret is not None and secret.hosts and host and not _reaches(host, secret.hosts):
                raise _keyless(where, f"{source} may not be sent to {host}")
        if not isinstance(value, str) or not value.strip():
            raise _keyless(where, f"{source} is not set, or is no text")
        return value.strip()

    return opened


def _reaches(host: str, patterns: tuple[str, ...]) -> bool:
    return any(host == one or (one.startswith("*.") and host.endswith(one[1:])) for one in patterns)


def _keyless(where: str, why: str) -> ModelFailed:
    return ModelFailed(f"There is no key for {where}: {why}.", failure="configuration")
