"""Every setting: its name, its default and one sentence. Read once, by the CLI; values travel on as arguments.

A setting `egress_allow` is the environment variable `PERDURE_EGRESS_ALLOW`. `docs/operate.md` holds the same table; a
test keeps the two equal. This module reads no environment itself: it is handed a mapping.
"""

import difflib
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec

PREFIX = "PERDURE_"
SECRET_PREFIX = "PERDURE_SECRET_"
"""`PERDURE_SECRET_TOKEN=…` is the secret `TOKEN` of a document, for those who have no secrets file."""

_Text = Annotated[str, msgspec.Meta(max_length=4096)]


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All settings of one process. The sentence of each stands in SENTENCES."""

    data: _Text = ""
    tenant: Annotated[str, msgspec.Meta(min_length=1, max_length=63)] = "default"
    functions: tuple[str, ...] = ()
    secrets: _Text = ""
    egress_allow: tuple[str, ...] = ()
    models: _Text = ""
    model_url: _Text = ""
    model_name: _Text = ""
    model_key: _Text = ""
    model_file: _Text = ""
    model_script: _Text = ""
    model_threads: Annotated[int, msgspec.Meta(ge=1, le=256)] = 1
    model_cache: Literal["off", "exact", "semantic"] = "off"
    model_cache_seconds: Annotated[float, msgspec.Meta(gt=0)] = 3600.0
    model_cache_embedding: _Text = ""
    model_cache_likeness: Annotated[float, msgspec.Meta(gt=0, le=1)] = 0.95
    guardrails: _Text = ""
    engine: Literal["embedded", "temporal"] = "embedded"
    temporal_address: _Text = "127.0.0.1:7233"
    temporal_namespace: _Text = "default"
    temporal_installation: Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9._-]{1,63}$")] = "perdure"
    temporal_store: _Text = ""
    temporal_calls: Annotated[int, msgspec.Meta(ge=1)] = 500
    temporal_open_days: Annotated[float, msgspec.Meta(ge=0)] = 30.0
    temporal_keys: tuple[str, ...] = ()
    temporal_heartbeat: Annotated[float, msgspec.Meta(ge=1, le=3600)] = 10.0
    s3_endpoint: _Text = ""
    s3_region: _Text = "us-east-1"
    s3_access_key: _Text = ""
    s3_secret_key: _Text = ""
    s3_ca: _Text = ""
    temporal_tls: bool = False
    temporal_ca: _Text = ""
    temporal_certificate: _Text = ""
    temporal_private_key: _Text = ""
    temporal_api_key: _Text = ""
    database_url: _Text = ""
    bus_url: _Text = ""
    redis_url: _Text = ""
    master_keys: tuple[str, ...] = ()
    public_url: _Text = ""
    oidc: _Text = ""
    hosts: tuple[str, ...] = ()
    proxies: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    body_bytes: Annotated[int, msgspec.Meta(ge=1024, le=1_073_741_824)] = 10_485_760
    rate_limits: tuple[str, ...] = ()
    streams: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 2000
    metrics_open: bool = False
    otlp_endpoint: _Text = ""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    server: _Text = ""
    api_key: _Text = ""
    debug: bool = False

    def __repr__(self) -> str:
        shown = {
            field: "…" if field in HIDDEN and getattr(self, field) else getattr(self, field) for field in SENTENCES
        }
        return f"Settings({', '.join(f'{field}={value!r}' for field, value in shown.items())})"


SENTENCES: dict[str, str] = {
    "data": "Directory of the journal; when empty `$XDG_DATA_HOME/perdure`, else `~/.local/share/perdure`.",
    "tenant": "The tenant under which the CLI starts and finds runs.",
    "functions": "Python modules with functions of your own, separated by commas; `--functions` adds to them.",
    "secrets": "File (JSON or YAML) that maps secret names to values; `--secrets` replaces it.",
    "egress_allow": "Hosts and networks that documents may reach although they are private, separated by commas.",
    "models": "File (YAML or JSON) with providers of models, routes and prices; it takes the place of the `MODEL_` settings.",
    "model_url": "Base address of an OpenAI-compatible model endpoint for `infer` and `agent`; when empty the local model is used.",
    "model_name": "Model asked for when `infer` or `agent` names none.",
    "model_key": "API key sent to the model endpoint, and to no other host.",
    "model_file": "Weights (GGUF) of the local model; when empty those of the extra `local`.",
    "model_script": "File (JSON or YAML) of a scripted model that stands in for every model, for tests and examples.",
    "model_threads": "Threads of the local model; more than one helps only on a quiet machine.",
    "model_cache": "Whether the model gateway answers requests at temperature 0 that it answered before: `off`, `exact`, or `semantic` for questions that mean the same; `x-perdure-cache` of a request comes first.",
    "model_cache_seconds": "Seconds for which answers are kept.",
    "model_cache_embedding": "Model whose vectors tell which questions mean the same; without one there is no `semantic`.",
    "model_cache_likeness": "Cosine of two questions' vectors from which they count as one.",
    "guardrails": "File (YAML or JSON) with rules about what models may be asked and answer, through the gateway and by runs.",
    "engine": "Where runs go: `embedded` in this process, or `temporal` on a Temporal server; `--engine` replaces it.",
    "temporal_address": "Host and port of the Temporal server.",
    "temporal_namespace": "Namespace of the Temporal server.",
    "temporal_installation": "Name in front of task queues and workflow ids, for several installations in one namespace.",
    "temporal_store": "Place of values too big for the server, the same for all workers: a directory, or `s3://bucket/prefix`; when empty `temporal` beside the journal.",
    "temporal_calls": "Calls after which a run goes on in a new execution on the server, whose history is bounded.",
    "temporal_open_days": "Days for which a faulted run stays open on the server, so that it can be mended.",
    "temporal_keys": "Keys (32 bytes in base64, separated by commas) that seal all values; the first seals, any opens.",
    "temporal_heartbeat": "Seconds without a word from a worker after which its calls are given to another one.",
    "s3_endpoint": "Address of the S3 server (`https://host`); when empty AWS.",
    "s3_region": "Region of the bucket.",
    "s3_access_key": "Access key for S3.",
    "s3_secret_key": "Secret key for S3.",
    "s3_ca": "File (PEM) with the certificate authority of the S3 server, when it is one of your own.",
    "temporal_tls": "Speak TLS with the Temporal server (1 or 0); the next settings and an API key turn it on too.",
    "temporal_ca": "File (PEM) with the certificate authority of the Temporal server.",
    "temporal_certificate": "File (PEM) with the certificate of this client.",
    "temporal_private_key": "File (PEM) with the private key of this client.",
    "temporal_api_key": "API key sent to the Temporal server, and to no other host.",
    "database_url": "Database of the services, `postgresql://…`; when empty SQLite files under the data directory.",
    "bus_url": "Broker of the services' events, `amqp://…` or `kafka://…`; when empty they stay in the process.",
    "redis_url": "Valkey or Redis for limits, leases and caches, `redis://…`; when empty the process's memory.",
    "master_keys": "Keys (32 bytes in base64, separated by commas) that seal secrets at rest; the first seals, any opens; when empty `master.key` in the data directory.",
    "public_url": "Address under which users reach the server; when empty the one it listens on.",
    "oidc": "File (YAML or JSON) with the OpenID providers whose tokens are trusted.",
    "hosts": "Names under which the server may be reached, separated by commas; when empty any.",
    "proxies": "Networks of the proxies before the server, whose forwarding headers are believed, separated by commas.",
    "origins": "Web origins that may call the server from a browser (CORS), separated by commas.",
    "body_bytes": "Largest body of a request in bytes.",
    "rate_limits": "Requests a minute that a key or user may make, by class, `read=6000,write=1200,run=6000,model=6000,stream=600,sign-in=30`; 0 for no limit.",
    "streams": "Open event streams at once in one process; half of them for one tenant, a tenth for one caller.",
    "metrics_open": "Let everybody read `/metrics` (1 or 0), not only this machine and who may `system:read`.",
    "otlp_endpoint": "OpenTelemetry collector that traces go to (OTLP over HTTP); when empty nothing is traced.",
    "log_level": "Least level of the log of a server: `debug`, `info`, `warning` or `error`.",
    "server": "Address of the server that the CLI speaks to; when empty that of `perdure login`.",
    "api_key": "API key with which the CLI signs in at the server; when empty that of `perdure login`.",
    "debug": "Show the traceback of a bug on standard error instead of keeping it in a file (1 or 0).",
}

HIDDEN = frozenset(
    {
        "api_key",
        "bus_url",
        "database_url",
        "master_keys",
        "redis_url",
        "model_key",
        "temporal_keys",
        "temporal_api_key",
        "s3_secret_key",
    }
)
"""Settings whose values are never shown."""

TEST_ONLY = frozenset({"PERDURE_REQUIRE_SERVERS"})
"""Names that belong to the test suite and are no setting."""


def read(environ: Mapping[str, str]) -> Settings:
    """The settings of this environment. ValueError with one sentence when a value does not fit.

    An empty variable counts as absent. Unknown names are not refused; `warnings` tells of them.
    """
    given: dict[str, Any] = {}
    for field in Settings.__struct_fields__:
        text = environ.get(variable(field), "").strip()
        if text:
            given[field] = _parts(text) if isinstance(getattr(_DEFAULTS, field), tuple) else text
    for field, value in given.items():
        try:
            msgspec.convert({field: value}, Settings, strict=False)
        except msgspec.ValidationError as error:
            reason = str(error).split(" - at ")[0]
            raise ValueError(f"The setting {variable(field)} does not fit: {reason}.") from None
    return msgspec.convert(given, Settings, strict=False)


def warnings(environ: Mapping[str, str]) -> list[str]:
    """One line for each `PERDURE_…` name that is no setting, with the nearest name that is."""
    known = {variable(field) for field in Settings.__struct_fields__} | TEST_ONLY
    lines = []
    for name in sorted(environ):
        if name.startswith(PREFIX) and not name.startswith(SECRET_PREFIX) and name not in known:
            names = [other.removeprefix(PREFIX) for other in sorted(known)]
            nearest = difflib.get_close_matches(name.removeprefix(PREFIX), names, n=1)
            hint = f" Did you mean {PREFIX}{nearest[0]}?" if nearest else ""
            lines.append(f"{name} is not a setting and is ignored.{hint}")
    return lines


def variable(field: str) -> str:
    """The environment variable of a setting."""
    return PREFIX + field.upper()


def _parts(text: str) -> list[str]:
    return [part for part in (piece.strip() for piece in text.split(",")) if part]


_DEFAULTS = Settings()
