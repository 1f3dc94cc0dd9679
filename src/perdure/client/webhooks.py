"""Addresses that others may call, each signed with a secret of its own."""

import msgspec

from perdure.client.call import Call, Page, call


class Webhook(msgspec.Struct, frozen=True, kw_only=True):
    """Without its secret. `address` is below the API's prefix."""

    id: str
    name: str
    address: str
    workflow: str
    version: str | None = None
    event: str
    created: str
    rotated: str | None = None
    earlier_until: str | None = None
    """Until then the secret before is good as well."""


class NewWebhook(msgspec.Struct, frozen=True):
    """A webhook and its secret, which is shown this once."""

    webhook: Webhook
    secret: str


def find(*, project: str = "", limit: int = 100, cursor: str = "") -> Call[Page[Webhook]]:
    query = {"project": project, "limit": limit, "cursor": cursor}
    return call("GET", "webhooks", query=query, answer=Page[Webhook])


def get(id: str) -> Call[Webhook]:
    return call("GET", "webhooks", id, answer=Webhook)


def create(name: str, *, workflow: str = "", version: str | None = None, event: str = "") -> Call[NewWebhook]:
    """It starts a workflow with the message as input, or delivers an event of a type: name one of both."""
    body = {"name": name, "workflow": workflow, "version": version, "event": event}
    return call("POST", "webhooks", body=body, answer=NewWebhook)


def rotate(id: str, *, grace: int = 86_400) -> Call[NewWebhook]:
    """Another secret; the one before is good for `grace` seconds."""
    return call("POST", "webhooks", id, "rotate", body={"grace": grace}, answer=NewWebhook)


def delete(id: str) -> Call[None]:
    """End a webhook; what it started goes on."""
    return call("DELETE", "webhooks", id)
