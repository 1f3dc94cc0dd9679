"""Three tools for a model: a library of notes to search, to open and to read. All of them only read."""

import perdure

NOTES = {
    "golden-gate": {
        "history": "The Golden Gate bridge was opened in 1937.",
        "size": "The Golden Gate bridge is 2,737 metres long.",
    },
    "brooklyn": {
        "history": "The Brooklyn bridge was opened in 1883.",
        "size": "The Brooklyn bridge is 1,834 metres long.",
    },
    "tram-28": {
        "history": "Tram 28 of Lisbon was opened in 1914.",
        "size": "The line of tram 28 is about 7 kilometres long.",
    },
}


def only(name: str) -> dict:
    """The schema of a tool that takes one short text: bounds keep a small model from rambling."""
    text = {"type": "string", "minLength": 1, "maxLength": 40}
    return {"type": "object", "properties": {name: text}, "required": [name], "additionalProperties": False}


@perdure.function(effect="read", input=only("words"))
def search(words: str) -> list[str]:
    """Find notes."""
    wanted = words.lower().replace("-", " ").split()
    return [name for name, chapters in NOTES.items() if all(word in said(name, chapters) for word in wanted)]


def said(name: str, chapters: dict[str, str]) -> str:
    return " ".join([name, *chapters.values()]).lower().replace("-", " ")


@perdure.function("open", effect="read", input=only("name"))
def open_note(name: str) -> list[str]:
    """List the chapters of a note."""
    if name not in NOTES:
        raise LookupError(f"There is no note {name!r}. Search for it first.")
    return [f"{name}/{chapter}" for chapter in NOTES[name]]


@perdure.function("read", effect="read", input=only("chapter"))
def read_chapter(chapter: str) -> str:
    """Read a chapter."""
    name, _, part = chapter.partition("/")
    if part not in NOTES.get(name, {}):
        raise LookupError(f"There is no chapter {chapter!r}. Open its note first.")
    return NOTES[name][part]
