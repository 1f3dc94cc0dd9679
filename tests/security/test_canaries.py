"""T9: one secret of every kind goes through a whole `perdure up`, its failures included, and is nowhere afterwards.

Searched: every answer but the one that shows it, the log at `debug`, every byte of every file (journal, databases, their
logs and free pages, temporary files, files about bugs), what the commands print, and what other processes are told.
"""

import base64
import http.server
import json
import re
import secrets
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from pathlib import Path

import pyotp
import pytest

from tests.security.spoken import bytes_forms, forms, hits, hits_in_files
from tests.system.platform_process import PlatformProcess

CALLS = """\
document: {dsl: 1.0.3, namespace: shop, name: calls, version: 1.0.0}
use:
  secrets: [env-token, file-token]
  authentications:
    fixed: {bearer: {token: "${ $secrets[\\"env-token\\"] }"}}
do:
  - bearer:
      call: http
      with: {method: get, endpoint: {uri: "URL/echo", authentication: {use: fixed}}}
  - basic:
      call: http
      with:
        method: post
        endpoint: {uri: "URL/echo", authentication: {basic: {username: ana, password: "${ $secrets[\\"file-token\\"] }"}}}
        body: {text: '${ "Here it is: \\($secrets["file-token"])" }'}
  - query:
      call: http
      with: {method: get, endpoint: {uri: "URL/echo"}, query: {token: "${ $secrets[\\"env-token\\"] }"}}
  - asks: {call: infer, with: {instruction: Say it., input: anything}}
  - refused:
      try:
        - fail:
            call: http
            with: {method: get, endpoint: {uri: "URL/fail", authentication: {use: fixed}}}
      catch: {as: error, do: [{kept: {set: {error: "${ $error }"}}}]}
  - WAY
"""
WAYS = {
    "ok": "last: {set: {done: true}}",
    "fails": 'last: {call: http, with: {method: post, endpoint: {uri: "URL/fail"}, body: "${ $secrets[\\"file-token\\"] }"}}',
    "nowhere": 'last: {call: http, with: {method: get, endpoint: {uri: "http://127.0.0.1:1/x", authentication: {use: fixed}}}}',
    "foreign": 'last: {call: http, with: {method: get, endpoint: {uri: "http://localhost:PORT/echo"}, headers: {x-key: "${ $secrets[\\"file-token\\"] }"}}}',
    "model": "last: {call: infer, with: {instruction: fail}}",
}  # fmt: skip


class Echo(http.server.BaseHTTPRequestHandler):
    """Sends back all that it was sent, in four spellings, as a careless server does in its errors."""

    protocol_version = "HTTP/1.1"

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        told = "\n".join([self.path, *(f"{name}: {value}" for name, value in self.headers.items()), body.decode()])
        spelt = {"raw": told, "base64": base64.b64encode(told.encode()).decode(), "hex": told.encode().hex()}
        if self.path.endswith("/completions") and b"fail" not in body:
            message = {"role": "assistant", "content": f"You said {told}"}
            spelt = {"id": "c", "object": "chat.completion", "model": "m", "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
                     "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}  # fmt: skip
        content = json.dumps(spelt | ({} if "choices" in spelt else {"error": {"message": told}})).encode()
        self.send_response(500 if "fail" in self.path else 401 if b"fail" in body else 200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = _answer

    def log_message(self, format: str, *more: object) -> None:
        """Says nothing."""


class Trial:
    """A platform with a canary in every place, and every answer that it gave."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder, self.port = folder, port
        self.made = {name: f"cnry{secrets.token_hex(16)}" for name in (
            "environment secret", "secrets file", "model key", "password", "other password", "mistyped password",
            "mistyped key", "mistyped token", "S3 key", "password in an address",
        )}  # fmt: skip
        self.answers: list[tuple[str, bytes]] = []
        self.secrets_file = folder / "secrets.json"
        bound = {"value": self.made["secrets file"], "hosts": ["127.0.0.1"]}
        self.secrets_file.write_text(json.dumps({"file-token": bound}))
        self.secrets_file.chmod(0o600)
        (folder / "tmp").mkdir()
        self.platform = PlatformProcess(
            folder, TMPDIR=str(folder / "tmp"), PERDURE_LOG_LEVEL="debug", PERDURE_SECRETS=str(self.secrets_file),
            PERDURE_SECRET_ENV_TOKEN=self.made["environment secret"], PERDURE_MODEL_KEY=self.made["model key"],
            PERDURE_MODEL_URL=f"http://127.0.0.1:{port}/v1", PERDURE_MODEL_NAME="m",
            PERDURE_EGRESS_ALLOW="127.0.0.1,localhost", PERDURE_S3_SECRET_KEY=self.made["S3 key"],
        )  # fmt: skip

    def ask(
        self, method: str, path: str, given: object = None, *, key: str | None = None, shows: bool = False,
        headers: dict[str, str] | None = None,
    ) -> tuple[int, dict]:  # fmt: skip
        """One request. `shows`: its answer alone may hold a secret."""
        body = given if isinstance(given, bytes) else None if given is None else json.dumps(given).encode()
        request = urllib.request.Request(f"{self.platform.address}{path}", body, method=method)
        request.add_header("content-type", "application/json")
        for name, value in ({"x-api-key": self.platform.key if key is None else key} | (headers or {})).items():
            if value:
                request.add_header(name, value)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                status, head, content = answer.status, str(answer.headers), answer.read()
        except urllib.error.HTTPError as error:
            with error:
                status, head, content = error.code, str(error.headers), error.read()
        if not shows:
            self.answers.append((f"{method} {path} -> {status}", head.encode() + content))
        if shows:
            found = re.search(r"__Host-perdure=([^;]+)", head)
            if found:
                return status, {"cookie": found[1]}
        return status, json.loads(content) if content.startswith((b"{", b"[")) else {}

    # What is done with them

    def run_documents(self) -> None:
        for way, text in WAYS.items():
            document = CALLS.replace("WAY", text).replace("URL", f"http://127.0.0.1:{self.port}")
            document = document.replace("PORT", str(self.port)).replace("name: calls", f"name: {way}")
            status, told = self.ask(
                "POST", "/api/v1/workflows", document.encode(), headers={"content-type": "application/yaml"}
            )
            assert status == 201, told
            status, done = self.ask("POST", "/api/v1/workflows/execute", {"workflow": f"shop.{way}", "wait": 20})
            assert (status, done["ended"]) == (200, True), done
            assert (done["run"]["status"] == "completed") == (way == "ok"), done
            run = done["run"]["id"]
            for part in ("", "/history", "/tasks", "/stream"):
                self.ask("GET", f"/api/v1/runs/{run}{part}")
            self.ask("POST", f"/api/v1/runs/{run}/retry", {})

    def make_credentials(self) -> None:
        made = self.made
        _, told = self.ask("POST", "/api/v1/keys", {"name": "k", "role": "viewer"}, shows=True)
        made["API key"] = told["secret"]
        self.ask("GET", "/api/v1/me", key=told["secret"])
        self.ask("POST", "/api/v1/workflows", b"{", key=told["secret"])
        _, told = self.ask("POST", "/api/v1/tenants", {"id": "other", "name": "Other"}, shows=True)
        made["owner key of another tenant"] = told["owner_key"]
        _, told = self.ask("POST", "/api/v1/webhooks", {"name": "h", "workflow": "shop.ok"}, shows=True)
        made["webhook secret"] = told["secret"].removeprefix("whsec_").rstrip("=")
        hook = told["webhook"]["id"]
        _, told = self.ask("POST", f"/api/v1/webhooks/{hook}/rotate", {}, shows=True)
        made["webhook secret after"] = told["secret"].removeprefix("whsec_").rstrip("=")
        self.ask(
            "POST",
            f"/api/v1/hooks/{hook}",
            {"a": 1},
            headers={"webhook-id": "1", "webhook-timestamp": "1", "webhook-signature": "v1,AAAA"},
        )

    def sign_in(self) -> None:
        made, mail = self.made, "ana@example.com"
        _, user = self.ask("POST", "/api/v1/users", {"email": mail, "role": "editor", "password": made["password"]})
        shown = {"email": mail, "password": made["password"]}
        _, told = self.ask("POST", "/api/v1/auth/login", shown, key="", shows=True)
        bearer = {"authorization": f"Bearer {told['access_token']}"}
        made["access token"], made["refresh token"] = told["access_token"].rpartition(".")[2], told["refresh_token"]
        _, totp = self.ask("POST", "/api/v1/me/totp", key="", headers=bearer, shows=True)
        made["TOTP secret"] = re.search(r"secret=(\w+)", totp["address"])[1]
        code = pyotp.TOTP(made["TOTP secret"]).now()
        assert self.ask("POST", "/api/v1/me/totp/confirm", {"code": code}, key="", headers=bearer)[0] == 204
        _, told = self.ask("POST", "/api/v1/auth/refresh", {"refresh_token": made["refresh token"]}, key="", shows=True)
        made["refresh token after"] = told["refresh_token"]
        change = {"password": made["other password"], "current": made["password"]}
        assert self.ask("POST", "/api/v1/me/password", change, key="", headers=bearer)[0] == 204
        self.ask("DELETE", f"/api/v1/users/{user['id']}/totp")
        shown = {"email": mail, "password": made["other password"]}
        _, told = self.ask("POST", "/api/v1/auth/session", shown, key="", shows=True)
        made["cookie"] = told["cookie"]
        cookie = {"cookie": f"__Host-perdure={told['cookie']}"}
        self.ask("GET", "/api/v1/dashboard", key="", headers=cookie)
        self.ask("POST", "/api/v1/auth/logout", {}, key="", headers=cookie)

    def mistype(self) -> None:
        """What is nearly a secret is one: a password in the wrong field, a key with a letter too many."""
        made = self.made
        wrong = made["mistyped password"]
        for shown in ({"email": "ana@example.com", "password": wrong}, {"email": "a@b.example", "password": wrong},
                      {"password": wrong}, {"email": 7, "password": [wrong]}, {"email": "x", "password": wrong, "x": wrong}):  # fmt: skip
            self.ask("POST", "/api/v1/auth/login", shown, key="")
        self.ask("POST", "/api/v1/auth/login", f'{{"password": "{wrong}"'.encode(), key="")
        self.ask("POST", "/api/v1/auth/refresh", {"refresh_token": made["mistyped token"]}, key="")
        self.ask("POST", "/api/v1/users", {"email": "b@example.com", "role": wrong[:5], "password": [wrong]})
        for name in ("mistyped key", "mistyped token"):
            self.ask("GET", "/api/v1/me", key=f"pdk_{made[name]}")
            self.ask("GET", "/api/v1/me", key="", headers={"authorization": f"Bearer {made[name]}"})
            self.ask("GET", "/api/v1/me", key="", headers={"authorization": f"Bearer {made[name]}.a.b"})
            self.ask("GET", "/api/v1/me", key="", headers={"cookie": f"__Host-perdure=pds_{made[name]}"})

    def read_everything(self) -> None:
        for path in ("/me", "/keys", "/users", "/tenants", "/webhooks", "/sign-ins", "/workflows", "/runs", "/dashboard",
                     "/inbox", "/schedules", "/auth/jwks", "/openapi.json"):  # fmt: skip
            assert self.ask("GET", f"/api/v1{path}")[0] == 200, path
        for path in ("/health", "/ready", "/metrics"):
            assert self.ask("GET", path)[0] == 200, path
        for model in ("m", "fail"):
            chat = {"model": model, "messages": [{"role": "user", "content": model}]}
            self.ask("POST", "/v1/chat/completions", chat)

    # Where they are looked for

    @property
    def spelt(self) -> dict[str, dict[str, bytes]]:
        """A bare secret without its prefix: the prefix alone is no secret."""
        plain = {
            name: value.partition("_")[2] if value.startswith("pd") else value for name, value in self.made.items()
        }
        master = (self.platform.data / "master.key").read_bytes()
        raw = base64.b64decode(master, validate=False) if len(master) != 32 else master
        return {name: forms(value) for name, value in plain.items()} | {"master key": bytes_forms(raw)}


def commands(trial: Trial) -> list[tuple[str, bytes]]:
    """What they say of servers that cannot be reached, named with a password in their address. All at once."""
    word = trial.made["password in an address"]
    database = {"PERDURE_DATABASE_URL": f"postgresql://perdure:{word}@127.0.0.1:1/perdure"}
    others = {"PERDURE_REDIS_URL": f"redis://:{word}@127.0.0.1:1/0", "PERDURE_BUS_URL": f"amqp://u:{word}@127.0.0.1:1/"}
    running = []
    for command, settings in (("doctor", database), ("doctor", others), ("serve", database), ("migrate", database)):
        environment = trial.platform.environment | settings | {"PERDURE_DATA": str(trial.folder / "elsewhere")}
        running.append((command, subprocess.Popen(
            [sys.executable, "-m", "perdure", command], cwd=trial.folder, env=environment,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )))  # fmt: skip
    return [(command, process.communicate(timeout=60)[0]) for command, process in running]


def children_of(pid: int) -> list[Path]:
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            if int(status.read_text().rpartition(")")[2].split()[1]) == pid:
                found.append(status.parent)
        except (OSError, ValueError):  # it has ended
            continue
    return found


@pytest.fixture(scope="module")
def trial(tmp_path_factory):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    made = Trial(tmp_path_factory.mktemp("canaries"), server.server_address[1])
    try:
        made.platform.up()
        made.made["owner key"] = made.platform.key
        made.run_documents()
        made.make_credentials()
        made.sign_in()
        made.mistype()
        made.read_everything()
        yield made
    finally:
        made.platform.kill()
        server.shutdown()
        thread.join()
        server.server_close()


def test_no_answer_but_the_one_that_shows_it_has_a_secret(trial):
    assert len(trial.answers) > 60
    found = [f"{what}: {hit}" for what, content in trial.answers for hit in hits(content, trial.spelt)]
    assert not set(found)


def test_other_processes_are_told_none(trial):
    own = Path(f"/proc/{trial.platform.process.pid}")
    assert not hits((own / "cmdline").read_bytes(), trial.spelt)
    for child in children_of(trial.platform.process.pid):
        for part in ("cmdline", "environ"):
            assert not hits((child / part).read_bytes(), trial.spelt), child
    shown = trial.platform.shown.encode()
    assert hits(shown, trial.spelt) == ["owner key (raw)", "owner key (url)"]
    assert shown.count(trial.platform.key.encode()) == 1


def test_no_file_has_a_secret_while_it_runs_nor_after_it_was_killed_nor_after_it_ended(trial):
    but = {trial.secrets_file, trial.platform.data / "master.key"}
    assert (trial.platform.data / "master.key").stat().st_mode & 0o077 == 0
    for end in (None, signal.SIGKILL, signal.SIGTERM):
        if end is not None:
            trial.platform.kill(end)
        searched = [path for path in trial.folder.rglob("*") if path.is_file()]
        assert len(searched) >= 8, searched
        assert '"level":"info"' in trial.platform.log()
        assert not hits_in_files(trial.folder, trial.spelt, but=but)
        if end is not None:
            trial.platform.up()
            trial.read_everything()


def test_no_command_says_the_password_in_an_address(trial):
    told = commands(trial)
    assert not [f"{what}: {hit}" for what, content in told for hit in hits(content, trial.spelt)]
    assert any(b"cannot be reached" in content or b"does not answer" in content for _, content in told), told


def test_the_search_finds_what_is_there(tmp_path):
    word = secrets.token_hex(16)
    for number, text in enumerate(forms(word).values()):
        (tmp_path / f"{number}").write_bytes(b"\0" * 1000 + text + b"\0" * 10)
    assert {hit.partition(":")[0] for hit in hits_in_files(tmp_path, {"x": forms(word)}, but=set())} >= {
        str(number) for number in range(len(forms(word)))
    }
    assert hits(base64.b64encode(f"ab{word}cd".encode()), {"x": forms(word)})
    assert hits(base64.b64encode(f"a{word}cd".encode()), {"x": forms(word)})
