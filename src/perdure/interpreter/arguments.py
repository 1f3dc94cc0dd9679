"""The arguments of `call: http` and `call: openapi`, and authentication policies (language.md B2, B3, E5, T29).

Policies are resolved here: `use: name` becomes the policy of that name, `use: secret` inside a scheme a handle.
"""

from typing import Any

from perdure.interpreter import dataflow
from perdure.interpreter.compiler import Builder, Surroundings
from perdure.interpreter.handles import SECRET
from perdure.interpreter.program import Frame, Site, invalid
from perdure.interpreter.state import Run
from perdure.language.expressions import ExpressionFault, json_text
from perdure.language.templates import whole
from perdure.language.uri_templates import expand
from perdure.language.values import Json

_SCHEMES = {"basic": "Basic", "bearer": "Bearer", "digest": "Digest", "oauth2": "Bearer", "oidc": "Bearer"}


class Uri:
    """A URI template on the transformed input, or an expression that gives the whole URI."""

    __slots__ = ("site", "template")

    def __init__(self, site: Site | None, template: str) -> None:
        self.site = site
        self.template = template


class Endpoint:
    """Where to, and with which policy."""

    __slots__ = ("authentication", "uri")

    def __init__(self, uri: Uri, authentication: "Authentication | None") -> None:
        self.uri = uri
        self.authentication = authentication


class Authentication:
    """A resolved policy: a template, and the authority apart, which is a URI template."""

    __slots__ = ("authority", "policy", "scheme", "secret")

    def __init__(self, scheme: str, policy: Site, authority: Uri | None, secret: str | None) -> None:
        self.scheme = scheme
        self.policy = policy
        self.authority = authority
        self.secret = secret

    @property
    def authorization(self) -> dict[str, Json]:
        """`$authorization`: its parameter is a handle, or null where no secret is named (1.1)."""
        parameter = None if self.secret is None else {SECRET: [self.secret]}
        return {"scheme": _SCHEMES[self.scheme], "parameter": parameter}


def uri(builder: Builder, text: Any, around: Surroundings, pointer: str) -> Uri:
    if not isinstance(text, str):
        raise invalid(pointer, "a URI is expected.")
    if whole(text) is not None:
        return Uri(builder.field(text, "body", around, pointer), "")
    try:
        expand(text, {})
    except ExpressionFault as fault:
        raise invalid(pointer, fault.message) from None
    return Uri(None, text)


def endpoint(builder: Builder, definition: Any, around: Surroundings, pointer: str) -> Endpoint:
    if isinstance(definition, dict):
        policy = authentication(builder, definition.get("authentication"), around, pointer + "/authentication")
        return Endpoint(uri(builder, definition.get("uri"), around, pointer + "/uri"), policy)
    return Endpoint(uri(builder, definition, around, pointer), None)


def authentication(builder: Builder, policy: Any, around: Surroundings, pointer: str) -> Authentication | None:
    if policy is None:
        return None
    if "use" in policy:
        policy = builder.named("authentications", policy["use"], pointer)
    for scheme, settings in policy.items():
        if scheme in _SCHEMES and isinstance(settings, dict):
            if "use" in settings:
                handle = {scheme: {SECRET: [settings["use"]]}}
                return Authentication(scheme, Site(None, (), handle), None, settings["use"])
            authority = settings.get("authority")
            where = None if authority is None else uri(builder, authority, around, f"{pointer}/{scheme}/authority")
            rest = {scheme: {key: value for key, value in settings.items() if key != "authority"}}
            return Authentication(scheme, builder.template(rest, "body", around, pointer), where, None)
    raise invalid(pointer, "no known authentication scheme is given.")


# At run time


def uri_value(run: Run, frame: Frame, given: Uri) -> Json:
    """The URI as text, or as parts around a secret."""
    if given.site is not None:
        value = dataflow.evaluate(run, frame, given.site, frame["input"])
        if isinstance(value, str | dict):
            return value
        raise dataflow.fault("expression", f"A URI must be text, not {dataflow.kind(value)}.")
    if "{" not in given.template:
        return given.template
    try:
        return expand(given.template, frame["input"])
    except ExpressionFault as failed:
        raise dataflow.fault("expression", failed.message) from None


def policy_value(run: Run, frame: Frame, given: Authentication) -> dict[str, Json]:
    policy: dict[str, Json] = dataflow.evaluate(run, frame, given.policy, frame["input"])
    if given.authority is None:
        return policy
    settings = {**policy[given.scheme], "authority": uri_value(run, frame, given.authority)}
    return {given.scheme: settings}


def endpoint_value(run: Run, frame: Frame, given: Endpoint) -> dict[str, Json]:
    """`{"uri": text, "authentication"?: policy}`."""
    made: dict[str, Json] = {"uri": uri_value(run, frame, given.uri)}
    if given.authentication is not None:
        made["authentication"] = policy_value(run, frame, given.authentication)
    return made


def texts(values: Json, what: str) -> Json:
    """Header and query values: numbers and booleans become their JSON text."""
    if not isinstance(values, dict):
        raise dataflow.fault("expression", f"`{what}` must be an object, not {dataflow.kind(values)}.")
    return {key: json_text(value) if isinstance(value, int | float) else value for key, value in values.items()}
