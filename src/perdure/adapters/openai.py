"""Models behind an OpenAI-compatible endpoint (`/v1/chat/completions`), reached through the egress port.

Address and key are the administrator's (security.md rule 8). The idempotency key goes along as a header, a busy
endpoint is asked again a few times with the same key, and no key is ever part of a message.
"""

import contextlib
from typing import Any
from urllib.parse import urlsplit

import msgspec

from perdure.language.values import Json
from perdure.ports.clock import Clock
from perdure.ports.egress import Egress, EgressFailed, EgressRefused, Response
from perdure.ports.model import Answer, Failure, Message, ModelFailed, Request, ToolCall

_BUSY = frozenset({408, 409, 425, 429, 500, 502, 503, 504})
_RETRIES = 2
_LONGEST_WAIT = 30.0
_PARAMETERS = {"temperature": "temperature", "topP": "top_p", "seed": "seed", "stop": "stop"}


class OpenAIModel:
    """One endpoint. `url` is its base address (`https://host` or `https://host/v1`), `model` the default model."""

    def __init__(self, egress: Egress, clock: Clock, *, url: str, key: str = "", model: str = "") -> None:
        self._egress = egress
        self._clock = clock
        self._url = _address(url)
        self._key = key
        self._model = model

    async def ask(self, request: Request) -> Answer:
        """One request with its few retries. Raises ModelFailed."""
        ends = self._clock.monotonic() + request.timeout
        for retry in range(_RETRIES + 1):
            left = ends - self._clock.monotonic()
            if left <= 0:
                break
            response = await self._send(request, timeout=left)
            if response.status == 200:
                return self._read(response, request)
            wait = _wait(response, retry, self._clock.now())
            if response.status not in _BUSY or retry == _RETRIES or wait > min(left, _LONGEST_WAIT):
                raise self._refusal(response)
            await self._clock.sleep(wait)
        raise ModelFailed(f"The model did not answer within {request.timeout:g} s.", failure="timeout")

    async def _send(self, request: Request, *, timeout: float) -> Response:
        headers = {"content-type": "application/json", "accept": "application/json", "idempotency-key": request.key}
        if self._key:
            headers["authorization"] = f"Bearer {self._key}"
        body = msgspec.json.encode(self._wire(request))
        try:
            return await self._egress.request("POST", self._url, headers=headers, body=body, timeout=timeout)
        except EgressRefused as error:
            raise ModelFailed(
                self._clean(f"The model endpoint may not be reached: {error}"), failure="configuration"
            ) from None
        except EgressFailed as error:
            # Even when nothing was sent now: a delivery of the same request that a crash cut short may have arrived.
            text = self._clean(f"The model endpoint did not answer: {error}")
            raise ModelFailed(text, failure="communication", sent=True) from None

    def _wire(self, request: Request) -> dict[str, Any]:
        wire: dict[str, Any] = {
            "model": request.model or self._model or "default",
            "messages": [_message(message) for message in request.messages],
        }
        if request.tools:
            wire["tools"] = [{"type": "function", "function": msgspec.to_builtins(tool)} for tool in request.tools]
        for ours, theirs in _PARAMETERS.items():
            if ours in request.parameters:
                wire[theirs] = request.parameters[ours]
        if "maxTokens" in request.parameters:
            # The house that defined the format renamed this for its newer models; the others kept the old name.
            is_origin = urlsplit(self._url).hostname == "api.openai.com"
            wire["max_completion_tokens" if is_origin else "max_tokens"] = request.parameters["maxTokens"]
        if request.schema is not None:
            form = {"name": "answer", "schema": request.schema, "strict": _is_strict(request.schema)}
            wire["response_format"] = {"type": "json_schema", "json_schema": form}
        return wire

    def _read(self, response: Response, request: Request) -> Answer:
        try:
            body = msgspec.json.decode(response.body)
            choice = body["choices"][0]
            message = choice["message"]
            text = message.get("content") or ""
            reason = choice.get("finish_reason")
            usage = _usage(body, request.model or self._model)
            calls = tuple(_call(index, call) for index, call in enumerate(message.get("tool_calls") or ()))
        except (msgspec.DecodeError, LookupError, TypeError, AttributeError):
            raise ModelFailed(
                "The model endpoint answered with something that is no chat completion.", failure="communication"
            ) from None
        if not isinstance(text, str):
            raise ModelFailed("The model endpoint answered with something other than text.", failure="communication")
        if message.get("refusal") or reason == "content_filter":
            return Answer(text=text, finish="refused", usage=usage)
        if calls:
            return Answer(text=text, finish="tools", usage=usage, tool_calls=calls)
        return Answer(text=text, finish="length" if reason == "length" else "stop", usage=usage)

    def _refusal(self, response: Response) -> ModelFailed:
        failure: Failure = "authentication" if response.status in {401, 403} else "communication"
        said = _said(response.body)
        text = f"The model endpoint answered {response.status}{': ' + said if said else ''}."
        if failure == "authentication":
            text += " Check the key in PERDURE_MODEL_KEY."
        return ModelFailed(self._clean(text), failure=failure, status=response.status)

    def _clean(self, text: str) -> str:
        return text.replace(self._key, "…") if self._key else text

    def __repr__(self) -> str:
        return f"OpenAIModel({self._url}, model {self._model or 'default'}, {'with' if self._key else 'without'} key)"


def _address(url: str) -> str:
    parts = urlsplit(url)
    path = parts.path.rstrip("/")
    if path.endswith("/chat/completions"):
        return url
    return parts._replace(path=f"{path or '/v1'}/chat/completions").geturl()


def _message(message: Message) -> dict[str, Any]:
    wire: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.tool_calls:
        wire["content"] = message.content or None
        wire["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": _written(call.arguments)}}
            for call in message.tool_calls
        ]
    if message.role == "tool":
        wire["tool_call_id"] = message.tool_call
    return wire


def _written(arguments: Json) -> str:
    return arguments if isinstance(arguments, str) else msgspec.json.encode(arguments).decode()


def _call(index: int, wire: dict[str, Any]) -> ToolCall:
    """One call as it came. Some endpoints leave the id out, some give no text where no argument is needed."""
    function = wire["function"]
    name, arguments = function["name"], function.get("arguments")
    if not isinstance(name, str):
        raise TypeError("a tool call without a name")
    if isinstance(arguments, str) and arguments.strip():
        with contextlib.suppress(msgspec.DecodeError, RecursionError):
            arguments = msgspec.json.decode(arguments)
    elif not isinstance(arguments, dict | list):
        arguments = {}
    return ToolCall(str(wire.get("id") or f"call-{index}"), name, arguments)


def _wait(response: Response, retry: int, now: int) -> float:
    told = response.headers.get("retry-after", "").strip()
    if told.isdigit():
        return float(told)
    if told:
        import email.utils  # 15 ms of start-up that only a date in a refusal is worth

        try:
            return max(0.0, email.utils.parsedate_to_datetime(told).timestamp() - now / 1000)
        except ValueError:
            pass
    return 0.5 * 2.0**retry


def _usage(body: dict[str, Any], model: str) -> dict[str, Any]:
    told = body.get("usage") or {}
    usage: dict[str, Any] = {
        "inputTokens": int(told.get("prompt_tokens") or 0),
        "outputTokens": int(told.get("completion_tokens") or 0),
        "model": str(body.get("model") or model),
    }
    cached = (told.get("prompt_tokens_details") or {}).get("cached_tokens")
    if cached:
        usage["inputTokensCached"] = int(cached)  # a part of inputTokens
    return usage


def _said(body: bytes) -> str:
    try:
        error = msgspec.json.decode(body)["error"]
        text = error["message"] if isinstance(error, dict) else error
    except (msgspec.DecodeError, LookupError, TypeError):
        text = body[:400].decode("utf-8", "replace")
    text = " ".join(str(text).split())
    return text.rstrip(".")[:300]


def _is_strict(schema: Json) -> bool:
    """Whether every object in the schema closes itself and requires all it names, as strict mode asks."""
    if isinstance(schema, list):
        return all(_is_strict(item) for item in schema)
    if not isinstance(schema, dict):
        return True
    properties = schema.get("properties")
    if isinstance(properties, dict):
        if schema.get("additionalProperties") is not False or set(properties) != set(schema.get("required", ())):
            return False
        return all(_is_strict(item) for item in properties.values())
    return all(_is_strict(item) for key, item in schema.items() if key in {"items", "anyOf", "$defs"})
