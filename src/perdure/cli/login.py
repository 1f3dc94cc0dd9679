"""`perdure login`: remember a server, and the key that signs in there."""

import argparse
import getpass
import socket
import sys

from perdure.cli import given, server
from perdure.client import Client, keys, users
from perdure.errors import Invalid, Unauthenticated

_EPILOG = """\
Without options you are asked for an API key, such as the owner key that `perdure up` shows at its first start. With
--email you are asked for your password, and a key of your own is made with it, which expires after --days.

examples:
  perdure login http://127.0.0.1:8420
  perdure login https://perdure.example --email ana@example.com
  echo "$KEY" | perdure login https://perdure.example --stdin
  perdure login --forget
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Where, and as whom."""
    parser.epilog = _EPILOG
    parser.add_argument("url", nargs="?", metavar="URL", help="Address of the server.")
    parser.add_argument("--email", help="Sign in with this e-mail address and a password.")
    parser.add_argument("--tenant", help="Tenant of the e-mail address (default: PERDURE_TENANT, else `default`).")
    parser.add_argument(
        "--days", type=int, default=30, help="Days until the key made for --email expires (default: 30)."
    )
    parser.add_argument("--stdin", action="store_true", help="Read the API key from standard input.")
    parser.add_argument("--forget", action="store_true", help="Forget the server and its key here.")


def execute(options: argparse.Namespace) -> int:
    """Sign in, and remember it."""
    if options.forget:
        server.place().unlink(missing_ok=True)
        print("Forgotten.")
        return 0
    settings = given.read_settings()
    url = (options.url or settings.server).rstrip("/")
    if not url:
        raise Invalid("Say which server: `perdure login URL`.")
    with Client(url) as nobody:
        key = _key_of_user(nobody, url, options, options.tenant or settings.tenant) if options.email else _key(options)
    with Client(url, key) as client:
        me = client.do(users.me())
    path = server.keep(server.Login(url, key))
    print(f"Signed in at {url} as {me.subject} of the tenant {me.tenant} ({', '.join(me.roles)}). Kept in {path}.")
    return 0


def _key(options: argparse.Namespace) -> str:
    if options.stdin:
        key = sys.stdin.readline().strip()
    elif sys.stdin.isatty():
        key = getpass.getpass("API key: ").strip()
    else:
        raise Invalid("There is no terminal to ask for a key.", hint="Hand it in with --stdin.")
    if not key:
        raise Invalid("No key was given.")
    return key


def _key_of_user(nobody: Client, url: str, options: argparse.Namespace, tenant: str) -> str:
    if options.stdin:
        password = sys.stdin.readline().rstrip("\n")
    elif sys.stdin.isatty():
        password = getpass.getpass(f"Password of {options.email}: ")
    else:
        raise Invalid("There is no terminal to ask for a password.", hint="Hand it in with --stdin.")
    try:
        tokens = nobody.do(users.sign_in(tenant, options.email, password))
    except Unauthenticated as error:
        if "second factor" not in error.message or not sys.stdin.isatty():
            raise
        code = input("Code of your second factor: ").strip()
        tokens = nobody.do(users.sign_in(tenant, options.email, password, code=code))
    with Client(url, tokens.access_token) as client:
        return client.do(keys.create_own(f"perdure login on {socket.gethostname()}", days=options.days)).secret
