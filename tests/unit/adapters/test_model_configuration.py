"""The models file: what it may say, what is built of it, and that a key goes nowhere else."""

from pathlib import Path

import pytest

from perdure.adapters.clock import SystemClock
from perdure.adapters.egress import HttpEgress
from perdure.adapters.model_configuration import Surroundings, build, load, of_settings, with_script
from perdure.errors import Invalid
from perdure.ports.model import ModelFailed
from perdure.ports.secrets import Secret
from tests.conformance.model.providers import BY_NAME, provider, whole
from tests.unit.adapters.model_fakes import asked

FULL = """
default: smart
providers:
  claude:
    kind: anthropic
    url: {url}
    key: {{env: CLAUDE_KEY}}
    models: [claude-sonnet-5, claude-opus-5]
    timeouts: {{first: 5, idle: 5, total: 60}}
    breaker: {{failures: 3, rest: 10}}
  pool:
    kind: openai
    deployments:
      - {{url: '{url}', key: {{secret: first}}, weight: 2}}
      - {{url: '{url}/v1', key: {{secret: second}}}}
    models: [gpt-5]
    without: [temperature]
    retries: 0
  wide: {{kind: openai-responses, url: '{url}'}}
  gem: {{kind: gemini, url: '{url}', models: [m-1]}}
  lan: {{kind: ollama, url: '{url}'}}
  here: {{kind: local}}
  said: {{kind: scripted, file: {script}}}
routes:
  smart: {{use: [claude/claude-opus-5, pool]}}
prices:
  gpt-5: {{input: 1, output: 2, since: '2026-01-01'}}
  lan/*: {{input: 0.5}}
"""


def written(tmp_path, text, **more):
    script = tmp_path / "script.yaml"
    script.write_text("[Hi.]")
    file = tmp_path / "models.yaml"
    file.write_text(text.format(url="http://127.0.0.1:1", script=script, **more))
    return file


async def secret(name):
    return {"first": Secret("key-one"), "second": Secret("key-two"), "elsewhere": Secret("x", ("*.example.com",)),
            "local": Secret("y", ("127.0.0.1",)), "odd": Secret({"a": 1})}.get(name)  # fmt: skip


def built(configuration, tmp_path, egress=None, environ=None):
    return build(
        configuration,
        Surroundings(
            egress=egress or HttpEgress(["127.0.0.1"]),
            clock=SystemClock(),
            environ={"CLAUDE_KEY": "key-claude"} if environ is None else environ,
            secret=secret,
            directory=tmp_path,
        ),
    )


def test_everything_that_it_can_say(tmp_path):
    configuration = load(written(tmp_path, FULL))
    assert set(configuration.hosts()) == {"127.0.0.1:1"}
    catalog = built(configuration, tmp_path)
    assert catalog.providers == ["claude", "gem", "here", "lan", "pool", "said", "smart", "wide"]
    assert "claude/claude-opus-5" in catalog.names()
    assert catalog.default == "smart"


async def test_a_route_goes_on_to_the_next_and_each_key_to_its_own_place(tmp_path):
    wire = BY_NAME["chat"]

    def answer(request):
        if request.path == "/v1/messages":
            return whole(
                b'{"error": {"message": "busy"}}', 400 if request.headers["x-api-key"] != "key-claude" else 401
            )(request)
        return whole(wire.bytes("text.json"))(request)

    async with provider(answer) as (serving, egress):
        file = written(tmp_path, FULL)
        file.write_text(file.read_text().replace("http://127.0.0.1:1", serving.url))
        catalog = built(load(file), tmp_path, egress)
        for _ in range(3):
            given = await catalog.ask(asked(parameters={"temperature": 0}))
    assert (given.text, given.usage["provider"]) == ("Ready: é✓.", "pool")
    sent = [
        (path, headers.get("authorization", headers.get("x-api-key")))
        for path, headers in zip(serving.paths, serving.headers, strict=True)
    ]
    assert sent.count(("/v1/messages", "key-claude")) == 3
    assert {key for path, key in sent if path == "/v1/chat/completions"} == {"Bearer key-one", "Bearer key-two"}
    chats = [body for path, body in zip(serving.paths, serving.bodies, strict=True) if "chat" in path]
    assert all("temperature" not in body and body["model"] == "gpt-5" for body in chats)
    assert [body["model"] for body in serving.bodies if body not in chats] == ["claude-opus-5"] * 3


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("one/m", ("one/m",)),
        ("m", ("m", "one/m")),
        ("one", ("one", "one/m")),
        ("", ("", "one", "one/m")),
        ("one/n", ("one/n",)),
        ("two/x", ("two/x",)),
        ("safe", ("safe", "one", "one/m", "two/y")),
        ("safe/whatever", ("safe/whatever", "one", "one/m", "two/y")),
        ("nobody/m", ("nobody/m",)),
    ],
)
def test_a_model_is_known_by_every_name_that_leads_to_it(tmp_path, name, known):
    text = """
providers:
  one: {{kind: ollama, models: [m, n]}}
  two: {{kind: ollama}}
routes:
  safe: {{use: [one, two/y]}}
"""
    assert built(load(written(tmp_path, text)), tmp_path).known_as(name) == known


async def test_prices_of_the_file_and_models_that_are_free(tmp_path):
    wire = BY_NAME["chat"]
    async with provider(whole(wire.bytes("text.json").replace(b"m-1", b"gpt-5"))) as (serving, egress):
        file = written(tmp_path, FULL)
        file.write_text(file.read_text().replace("http://127.0.0.1:1", serving.url))
        catalog = built(load(file), tmp_path, egress)
        usage = (await catalog.ask(asked(model="pool/gpt-5"))).usage
        assert usage["cost"] == pytest.approx((20 + 14) / 1e6)
        assert usage["price"]["since"] == "2026-01-01"
        assert (await catalog.ask(asked(model="said"))).usage["cost"] == 0.0


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("{env: NONE}", "the variable NONE is not set"),
        ("{secret: none}", "the secret none is not set"),
        ("{secret: odd}", "the secret odd is not set, or is no text"),
        ("{secret: elsewhere}", "the secret elsewhere may not be sent to 127.0.0.1"),
    ],
)
async def test_a_key_that_cannot_be_used(tmp_path, key, said):
    file = tmp_path / "models.yaml"
    file.write_text(f"providers: {{p: {{kind: openai, url: 'http://127.0.0.1:1', key: {key}}}}}")
    with pytest.raises(ModelFailed, match=said) as failed:
        await built(load(file), tmp_path).ask(asked())
    assert failed.value.failure == "configuration"


async def test_a_key_that_is_bound_to_its_host_goes_there(tmp_path):
    async with provider(whole(BY_NAME["chat"].bytes("text.json"))) as (serving, egress):
        file = tmp_path / "models.yaml"
        file.write_text(f"providers: {{p: {{kind: openai, url: '{serving.url}', key: {{secret: local}}}}}}")
        await built(load(file), tmp_path, egress).ask(asked())
    assert serving.headers[0]["authorization"] == "Bearer y"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[]", "Expected `object`"),
        ("providers: {}", "length >= 1"),
        ("providers: {p: {kind: openai}}", "provider p: `url` is missing"),
        ("providers: {p: {kind: magic}}", "Invalid enum value"),
        ("providers: {p: {kind: ollama, key: secret}}", "got `str`"),
        ("providers: {p: {kind: ollama, key: {}}}", "named by `secret` or by `env`"),
        ("providers: {p: {kind: ollama, key: {env: A, secret: b}}}", "one of the two"),
        ("providers: {p: {kind: ollama, url: 'ftp://x'}}", "is no http"),
        ("providers: {p: {kind: ollama, url: 'http://a:b@x'}}", "without a user name"),
        ("providers: {p: {kind: scripted}}", "needs a `file`"),
        (
            "providers: {p: {kind: openai, url: 'http://x', deployments: [{url: 'http://y'}]}}",
            "stand in its deployments",
        ),
        ("providers: {p: {kind: local}}\nroutes: {p: {use: [p]}}", "a provider and a route"),
        ("providers: {p: {kind: local}}\nroutes: {r: {use: [q/x]}}", "route r: there is no provider 'q'"),
        ("providers: {p: {kind: local}}\nroutes: {r: {use: []}}", "length >= 1"),
        ("providers: {p: {kind: local}}\ndefault: q", "neither a provider nor a route"),
        ("providers: {p: {kind: local}}\nis_strict: false", "no key `is_strict`"),
        ("providers: {p: {kind: local, timeouts: {idle: 0}}}", "> 0"),
        ("providers: {p: {kind: local}}\nelse: 1", "unknown field"),
        ("providers: {a: b: c}", "does not fit"),
    ],
)
def test_what_does_not_fit_is_told_in_one_sentence(tmp_path, text, said):
    file = tmp_path / "models.yaml"
    file.write_text(text)
    with pytest.raises(Invalid) as refused:
        load(file)
    assert said in str(refused.value)
    assert "models.yaml" in str(refused.value)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(Invalid, match="absent"):
        load(tmp_path / "absent.yaml")


async def test_without_a_file_the_settings_say_what_there_is(tmp_path):
    assert built(of_settings(), tmp_path).providers == ["local"]
    async with provider(whole(BY_NAME["chat"].bytes("text.json"))) as (serving, egress):
        made = of_settings(url=serving.url, name="small", has_key=True)
        catalog = built(made, tmp_path, egress, {"PERDURE_MODEL_KEY": "k"})
        await catalog.ask(asked())
        await catalog.ask(asked(model="meta-llama/big"))
        assert (catalog.default, made.hosts()) == ("openai", [serving.url.removeprefix("http://")])
    assert [body["model"] for body in serving.bodies] == ["small", "meta-llama/big"]
    assert serving.headers[0]["authorization"] == "Bearer k"


async def test_a_script_stands_in_for_what_is_not_named(tmp_path):
    script = tmp_path / "script.yaml"
    script.write_text("[Hi.]")
    assert (await built(of_settings(script=str(script)), tmp_path).ask(asked())).text == "Hi."
    scripted = with_script(load(written(tmp_path, FULL)), str(script))
    assert (await built(scripted, tmp_path).ask(asked())).usage["provider"] == "scripted"


def test_the_example_that_operators_read(tmp_path):
    page = (Path(__file__).parents[3] / "docs/operate.md").read_text()
    file = tmp_path / "models.yaml"
    file.write_text(page.partition("## Models")[2].partition("```yaml\n")[2].partition("```")[0])
    catalog = built(load(file), tmp_path)
    assert (catalog.default, catalog.providers) == ("smart", ["claude", "lan", "openai", "smart"])
