"""The stack of the gateway as a list: each layer takes the app below it and is an app. Composition is one loop."""

from collections.abc import Callable, Sequence

from starlette.types import ASGIApp

Layer = Callable[[ASGIApp], ASGIApp]


def stacked(app: ASGIApp, layers: Sequence[Layer]) -> ASGIApp:
    """The first layer of the list is the outermost."""
    for layer in reversed(layers):
        app = layer(app)
    return app
