"""Models for tests of what stands around models: each request is answered by the next of a list."""

from perdure.ports.model import Answer, Message, ModelFailed, Request, TextDelta, Texts, Vectors

USAGE = {"inputTokens": 10, "outputTokens": 5, "model": "m"}


def asked(**more):

    return Request(**{"messages": (Message("user", "Hi."),), "key": "key-1", **more})


def busy(**more):
    return ModelFailed("busy", **{"failure": "communication", "status": 429, "again": True, **more})


def lost(**more):
    return ModelFailed("lost", **{"failure": "communication", "sent": True, **more})


class Listed:
    """`answers` are texts, failures, or lists of pieces of a stream that a failure may end; the last one stays."""

    def __init__(self, *answers):
        self.answers = answers
        self.requests = []

    def _next(self, request):
        self.requests.append(request)
        return self.answers[min(len(self.requests), len(self.answers)) - 1]

    async def ask(self, request):
        given = self._next(request)
        if isinstance(given, ModelFailed):
            raise given
        return Answer(text="".join(given), finish="stop", usage=dict(USAGE))

    async def stream(self, request):
        given = self._next(request)
        for piece in given if isinstance(given, list) else [given]:
            if isinstance(piece, ModelFailed):
                raise piece
            yield TextDelta(piece)
        text = "".join(given)
        yield Answer(text=text, finish="stop", usage=dict(USAGE))

    async def embed(self, texts: Texts):
        given = self._next(texts)
        if isinstance(given, ModelFailed):
            raise given
        return Vectors(vectors=tuple((1.0,) for _ in texts.texts), usage=dict(USAGE))


async def all_of(chunks):
    return [chunk async for chunk in chunks]
