"""What the settings say about the edge, in the gateway's words."""

from perdure.errors import Invalid
from perdure.gateway.rules import RATES, Rate, Rules
from perdure.settings import Settings


def rules(settings: Settings) -> Rules:
    """The rules of the gateway. Invalid for a class of rate limits that does not exist."""
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
