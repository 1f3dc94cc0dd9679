"""The shapes of authentication policies (language.md E5, E6) and of errors (E2)."""

from perdure.language.grammar.kinds import (
    Choice,
    Field,
    Items,
    Kind,
    Object,
    Reference,
    Shape,
    Template,
    Text,
    Uri,
    Whole,
)

TEXT = Template(takes=("text",))
_SCHEMES = ("basic", "bearer", "digest", "oauth2", "oidc")
_SECRET = Field(Reference("secrets"), "The name of a secret that holds the whole configuration.", "E5", alone=True)


def _schemes() -> dict[str, Field]:
    return {scheme: Field(Object(scheme), f"Authenticate with {scheme}.", "E5") for scheme in _SCHEMES}


def _named_login(scheme: str) -> Shape:
    return Shape(
        f"{scheme} authentication: a user name and a password, or a secret.",
        {
            "use": _SECRET,
            "username": Field(TEXT, "The user name.", "E5", required=True),
            "password": Field(TEXT, "The password.", "E5", required=True),
        },
    )


_TEXTS: Kind = Items(TEXT)

_TOKEN_FIELDS: dict[str, Field] = {
    "use": _SECRET,
    "authority": Field(Uri(), "The address of the authority.", "E6", required=True),
    "grant": Field(
        Choice(
            (
                "authorization_code",
                "client_credentials",
                "password",
                "refresh_token",
                "urn:ietf:params:oauth:grant-type:token-exchange",
            )
        ),
        "How the token is obtained.",
        "E6",
        required=True,
    ),
    "client": Field(Object("oauth2-client"), "Who asks for the token.", "E6"),
    "request": Field(Object("oauth2-request"), "How the request is written.", "E6"),
    "issuers": Field(_TEXTS, "The issuers whose tokens are accepted.", "E6"),
    "scopes": Field(_TEXTS, "The scopes to ask for.", "E6"),
    "audiences": Field(_TEXTS, "The audiences to ask for.", "E6"),
    "username": Field(TEXT, "The user name, for the grant password.", "E6"),
    "password": Field(TEXT, "The password, for the grant password.", "E6"),
    "subject": Field(Object("oauth2-token"), "The token of the party on whose behalf it is asked.", "E6"),
    "actor": Field(Object("oauth2-token"), "The token of the acting party.", "E6"),
}

SECURITY_SHAPES: dict[str, Shape] = {
    "authentication": Shape("How to authenticate: one scheme.", _schemes(), one_of=(_SCHEMES,)),
    "authentication-or-name": Shape(
        "How to authenticate: one scheme, or the name of a policy.",
        {"use": Field(Reference("authentications"), "The name of a policy.", "E5", alone=True), **_schemes()},
        one_of=(("use", *_SCHEMES),),
    ),
    "basic": _named_login("Basic"),
    "digest": _named_login("Digest"),
    "bearer": Shape(
        "Bearer authentication: a token, or a secret.",
        {"use": _SECRET, "token": Field(TEXT, "The token.", "E5", required=True)},
    ),
    "oauth2": Shape(
        "OAuth2: a token from an authority, or a secret that holds this configuration.",
        {**_TOKEN_FIELDS, "endpoints": Field(Object("oauth2-endpoints"), "Paths below the authority.", "E6")},
    ),
    "oidc": Shape("OpenID Connect: a token from a provider that describes itself, or a secret.", _TOKEN_FIELDS),
    "oauth2-endpoints": Shape(
        "Paths below the authority.",
        {
            "token": Field(Uri(expression=False), "Where tokens are given; /oauth2/token by default.", "E6"),
            "revocation": Field(Uri(expression=False), "Where tokens are revoked; /oauth2/revoke by default.", "E6"),
            "introspection": Field(
                Uri(expression=False), "Where tokens are described; /oauth2/introspect by default.", "E6"
            ),
        },
    ),
    "oauth2-client": Shape(
        "Who asks for the token.",
        {
            "id": Field(TEXT, "The client's id.", "E6"),
            "secret": Field(TEXT, "The client's secret.", "E6"),
            "assertion": Field(TEXT, "A signed assertion (JWT).", "E6"),
            "authentication": Field(
                Choice(("client_secret_basic", "client_secret_post", "client_secret_jwt", "private_key_jwt", "none")),
                "How the client proves itself; client_secret_post by default.",
                "E6",
            ),
        },
    ),
    "oauth2-request": Shape(
        "How the token request is written.",
        {
            "encoding": Field(
                Choice(("application/x-www-form-urlencoded", "application/json")), "The form of its body.", "E6"
            )
        },
    ),
    "oauth2-token": Shape(
        "A security token.",
        {
            "token": Field(TEXT, "The token.", "E6", required=True),
            "type": Field(TEXT, "Its type.", "E6", required=True),
        },
    ),
    "error": Shape(
        "An error, as problem details.",
        {
            "type": Field(Uri(), "The address that identifies the kind of error.", "E2, E3", required=True),
            "status": Field(Whole(), "The status code.", "E2", required=True),
            "instance": Field(
                Template(takes=("text",), pattern=r"(?:/(?:[^~/]|~[01])*)*", says="a JSON pointer"),
                "Where it happened; the raising task by default.",
                "E2",
            ),
            "title": Field(TEXT, "A short summary.", "E2"),
            "detail": Field(TEXT, "What happened this time.", "E2"),
        },
    ),
    "error-filter": Shape(
        "The errors that are caught: those with exactly these values.",
        {
            "type": Field(Text(), "The type.", "B22, T28"),
            "status": Field(Whole(), "The status.", "B22"),
            "instance": Field(Text(), "The place.", "B22"),
            "title": Field(Text(), "The title.", "B22"),
            "detail": Field(Text(), "The detail.", "B22"),
        },
        minimum=1,
    ),
}
