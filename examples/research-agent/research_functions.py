"""Three tools for a model: a library of notes to search and to read, and a calculator. All of them only read."""

import ast
import operator

import perdure

NOTES = {
    "bridge-25-de-abril": "The bridge 25 de Abril in Lisbon was opened in 1966. Its main span is 1,013 metres long.",
    "bridge-vasco-da-gama": "The bridge Vasco da Gama near Lisbon was opened in 1998. It is 12,345 metres long in all.",
    "tram-28": "Tram 28 crosses the old quarters of Lisbon. The line is about 7 kilometres long.",
}
OPERATIONS = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv}


@perdure.function(effect="read")
def search(words: str) -> list[str]:
    """Search the library; gives the names of notes in which every word occurs."""
    wanted = words.lower().split()
    return [name for name, text in NOTES.items() if all(word in f"{name} {text}".lower() for word in wanted)]


@perdure.function("read-note", effect="read")
def read_note(name: str) -> str:
    """Read one note of the library by its name."""
    if name not in NOTES:
        raise LookupError(f"There is no note {name!r}. Search for it first.")
    return NOTES[name]


@perdure.function(effect="read")
def calculate(expression: str) -> float:
    """Calculate with numbers, + - * / and brackets."""
    return value(ast.parse(expression, mode="eval").body)


def value(node: ast.expr) -> float:
    """What a model sends is data: it is taken apart, never evaluated as code."""
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        return node.value
    if isinstance(node, ast.BinOp) and type(node.op) in OPERATIONS:
        return OPERATIONS[type(node.op)](value(node.left), value(node.right))
    raise ValueError("Only numbers, + - * / and brackets can be calculated.")
