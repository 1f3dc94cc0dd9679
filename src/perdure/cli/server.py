"""Which server a command speaks to, and as whom: `--server`, else PERDURE_SERVER, else the last `perdure login`.

What is kept is one file that its owner alone can read.
"""

import argparse
import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from perdure.cli import given
from perdure.errors import Invalid, Unauthenticated

if TYPE_CHECKING:
    from perdure.client import Call, Client, Page

_Row = TypeVar("_Row")


class Login(msgspec.Struct, frozen=True):
    """A server, and the key that signs in there."""

    server: str
    key: str

    def __repr__(self) -> str:
        return f"Login({self.server!r})"


def arguments(parser: argparse.ArgumentParser) -> None:
    """The option of every command that speaks to a server."""
    parser.add_argument("--server", metavar="URL", help="Address of the server (default: that of `perdure login`).")


def place() -> Path:
    """Where the last login is kept."""
    return Path(os.environ.get("XDG_CONFIG_HOME") or "~/.config").expanduser() / "perdure" / "login.json"


def keep(login: Login) -> Path:
    """Remember a login; the file is its owner's alone from the first moment."""
    path = place()
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = path.with_suffix(f".{os.getpid()}")
    with os.fdopen(os.open(fresh, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "wb") as file:
        file.write(msgspec.json.encode(login))
    fresh.replace(path)
    return path


def kept() -> Login | None:
    """The last login, or None."""
    try:
        return msgspec.json.decode(place().read_bytes(), type=Login)
    except FileNotFoundError:
        return None
    except (msgspec.DecodeError, OSError) as error:
        raise Invalid(f"The login in {place()} cannot be read: {error}.", hint="Run `perdure login` again.") from None


def is_meant(options: argparse.Namespace) -> bool:
    """Whether a command that works on a journal too is meant for a server: one was named, or signed in at, and no
    journal was."""
    if options.server or os.environ.get("PERDURE_SERVER"):
        return True
    is_journal = (
        options.data
        or getattr(options, "engine", None)
        or os.environ.get("PERDURE_DATA")
        or os.environ.get("PERDURE_ENGINE")
    )
    return not is_journal and place().exists()


def chosen(options: argparse.Namespace) -> Login | None:
    """The server that a command shall speak to, or None when nobody has named one."""
    settings = given.read_settings()
    last = kept()
    url = options.server or settings.server or (last.server if last else "")
    if not url:
        return None
    key = settings.api_key or (last.key if last and last.server == url.rstrip("/") else "")
    return Login(url.rstrip("/"), key)


@contextlib.contextmanager
def opened(options: argparse.Namespace) -> "Iterator[Client]":
    """A client of the chosen server."""
    from perdure.client import Client  # only now: TLS is slow to import

    login = chosen(options)
    if login is None:
        raise Invalid(
            "No server is known.", hint="Sign in with `perdure login URL`, or start one here with `perdure up`."
        )
    with Client(login.server, login.key) as client:
        try:
            yield client
        except Unauthenticated as error:
            hint = f"Sign in with `perdure login {login.server}`." if not login.key else error.hint
            raise Unauthenticated(error.message, hint=hint) from None


def ask(options: argparse.Namespace, call: "Call[Any]") -> Any:
    """One call and its answer."""
    with opened(options) as client:
        return client.do(call)


def pages(options: argparse.Namespace, find: "Callable[..., Call[Page[_Row]]]") -> list[_Row]:
    """All rows of a list, page by page."""
    rows: list[_Row] = []
    cursor: str | None = ""
    with opened(options) as client:
        while cursor is not None:
            page = client.do(find(cursor=cursor))
            rows += page.items
            cursor = page.next
    return rows
