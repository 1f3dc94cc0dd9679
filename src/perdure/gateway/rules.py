"""What an installation may set about its edge. Values come from the settings; wiring hands them in."""

import msgspec

KIB = 1024


class Rate(msgspec.Struct, frozen=True):
    """So many requests in so many seconds."""

    amount: int
    seconds: int = 60


RATES: dict[str, Rate] = {
    "read": Rate(6000),
    "write": Rate(1200),
    "run": Rate(6000),
    "model": Rate(6000),
    "stream": Rate(600),
    "sign-in": Rate(30),
    "public": Rate(1200),
    "refused": Rate(60),
}
"""By class, for one key, session or user; for public routes for one address. A tenant has `tenant_factor` times that.

`refused` are credentials that are not valid: more from one address hear 429 instead of 401.
"""


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """All of it has defaults that are safe for one machine."""

    hosts: tuple[str, ...] = ()
    """Names under which we are reached, whole or `*.example.com`; empty: any."""
    proxies: tuple[str, ...] = ()
    """Networks of the proxies before us, whose `X-Forwarded-*` headers are believed."""
    origins: tuple[str, ...] = ()
    """Web origins that may call us from a browser (CORS), exactly as written."""
    body: int = 1024 * KIB
    rates: dict[str, Rate] = msgspec.field(default_factory=lambda: dict(RATES))
    tenant_factor: int = 10
    streams: int = 2000
    streams_tenant: int = 1000
    streams_caller: int = 200
    heartbeat: float = 15.0
    """Seconds between signs of life in a stream."""
    stall: float = 20.0
    """Seconds after which a reader of a stream that takes nothing is dropped."""
    remember: float = 3.0
    """Seconds for which a verified credential is trusted without asking again: a revoked one works so long at most."""
    keep_answers: float = 24 * 3600.0
    """Seconds for which the answer to an `Idempotency-Key` is kept."""
    metrics_open: bool = False
    """Whether `/metrics` answers everybody, not only this machine and who may `system:read`."""
