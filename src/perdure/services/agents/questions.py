"""Whether two questions that are near to one another still ask different things: by their words, without a model.

A vector says what a text is about and hardly what it asks of it: "from Paris to London" and "from London to Paris" lie nearer
to one another than most paraphrases do. So what stands in the place of something else is a difference, as are other
numbers, a "not" more, what was only added, and the same words in another order. What is left is mostly said in other
words. Errs to the side of asking again: texts without spaces between words are never the same.
"""

import re
from collections import Counter
from difflib import SequenceMatcher

LONGEST = 1_000
"""Characters of a question that is compared; in a longer one too much can differ that a vector does not show."""
_SMALL = 3
"""Letters of a word that may stand anywhere: it holds the others together."""
_word = re.compile(r"\w+")
_not = re.compile(r"n['\N{RIGHT SINGLE QUOTATION MARK}]t\b")
_FACTS = frozenset(
    "not no never without none nor neither nothing cannot except "  # and their like in the nearest languages
    "nicht kein keine keinen keiner nie ohne nichts pas sans jamais rien aucun aucune sin nunca nada non senza mai nao não sem "
    "one two three four five six seven eight nine ten eleven twelve hundred thousand million half double twice "
    "first second third last next previous before after".split()
)


def differ(one: str, other: str) -> bool:
    """True for what is better asked again."""
    before, after = _words(one), _words(other)
    if before == after:
        return False
    if sorted(before) == sorted(after) or _facts(before) != _facts(after):
        return True
    changes = SequenceMatcher(None, before, after, autojunk=False).get_opcodes()
    kept = [word for kind, at, to, *_ in changes if kind == "equal" for word in before[at:to]]
    moved = (Counter(before) & Counter(after)) - Counter(kept)
    if any(len(word) > _SMALL for word in moved):
        return True
    changes = [change for change in changes if change[0] != "equal"]
    if {kind for kind, *_ in changes} in ({"insert"}, {"delete"}):
        return True
    return all(kind == "replace" and to - at == until - start for kind, at, to, start, until in changes)


def _words(text: str) -> list[str]:
    return _word.findall(_not.sub(" not", text.casefold()))


def _facts(words: list[str]) -> list[str]:
    return sorted(word for word in words if word in _FACTS or any(letter.isdigit() for letter in word))
