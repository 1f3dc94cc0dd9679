"""The use of secrets within one call: opens handles at the last moment, holds each secret to the hosts it is bound to,
and keeps what was opened out of messages (security.md, rules 8 and 9).
"""

from perdure.interpreter import handles
from perdure.interpreter.faults import problem
from perdure.interpreter.redaction import HIDDEN, Redaction
from perdure.language.values import Json
from perdure.ports.function import Context, FunctionFault


class SecretUse:
    """The secrets that one request uses. Open everything that goes into the request, then `hold_to` its host."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._names: dict[str, None] = {}
        self.redaction = Redaction()
        """Keeps what was opened, and what came in exchange for it, out of results and messages."""

    def __repr__(self) -> str:
        return f"SecretUse({', '.join(self._names) or 'none'})"

    def open(self, value: Json) -> Json:
        """The value with its handles opened. FunctionFault `authorization`/403 for a missing secret."""
        return handles.resolve(value, self._take)

    @property
    def has_opened(self) -> bool:
        """Whether there is anything to keep out of messages."""
        return bool(self.redaction)

    def hold_to(self, host: str) -> None:
        """FunctionFault `authorization`/403 when an opened secret is bound to other hosts than this one."""
        for name in self._names:
            bound = self._context.secret_hosts(name)
            if bound and not any(_fits(host, pattern) for pattern in bound):
                raise FunctionFault(
                    problem(
                        "authorization",
                        title="secret not for this host",
                        detail=f"The secret {name} may be sent to {', '.join(bound)} only, not to {host}.",
                    )
                )

    def redact(self, text: str) -> str:
        """The text without any opened secret in it."""
        return self.redaction.text(text)

    def hide(self, text: str) -> None:
        """Keep a text out of messages that was made of secrets, or came in exchange for one: a token, a header."""
        self.redaction.add(text)

    def _take(self, path: list[str]) -> Json:
        value = self._context.secret(path)
        self._names[path[0]] = None
        self.redaction.add(value)
        return value


def hidden(value: Json) -> Json:
    """The value as it may be shown: every secret replaced by stars."""
    return handles.resolve(value, lambda path: HIDDEN)


def has_secret(value: Json) -> bool:
    """Whether there is a handle anywhere in the value."""
    found: list[str] = []

    def note(path: list[str]) -> str:
        found.append(path[0])
        return ""

    handles.resolve(value, note)
    return bool(found)


def _fits(host: str, pattern: str) -> bool:
    """Compared whole, label by label, never by prefix or suffix of a text (rule 3)."""
    host, pattern = host.lower().removesuffix("."), pattern.lower().removesuffix(".")
    if pattern.startswith("*."):
        return host.endswith(pattern[1:]) and len(host) >= len(pattern)
    return host == pattern
