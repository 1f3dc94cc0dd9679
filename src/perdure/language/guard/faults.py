"""What goes wrong with an expression, a template or a URI template."""


class ExpressionFault(ValueError):
    """An expression that cannot be read, is not allowed, fails, or asks for more than its limits.

    `message` is one sentence; `offset` counts characters from the beginning of the expression's source (None where
    it is not known); `hint` says what to write instead. `pointer` is the place inside a template (RFC 6901).
    """

    def __init__(self, message: str, *, offset: int | None = None, hint: str | None = None, pointer: str = "") -> None:
        self.message = message
        self.offset = offset
        self.hint = hint
        self.pointer = pointer
        super().__init__(message if hint is None else f"{message} {hint}")
