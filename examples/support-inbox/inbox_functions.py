"""Functions of the support inbox: reading messages, and finding what a message could mean by a name, number or amount."""

import re
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections import Counter
from pathlib import Path

from perdure import function

MOST_BYTES = 200_000
MOST_MESSAGES = 500
READ_BY_MODEL = 4_000
"""Bytes of a message that are looked at: a small model's window is 8,000 tokens, and some tokens are a byte."""

_SUFFIXES = frozenset({".txt", ".text", ".eml", ".md"})
_ORDER = re.compile(r"\b[A-Z]{1,4}-?\d{4,10}\b")
_AMOUNT = re.compile(r"(?<![\d.,-])(?:\d{1,3}(?:[.,' ]\d{3})+|\d{1,6})(?:[.,]\d{2})?(?![\d.,]*\d)")
_MONEY = re.compile(r"(?:€|\$|£|eur\b|euros?\b|usd\b|gbp\b|chf\b)", re.IGNORECASE)
_WORD = re.compile(r"[\w'’&-]+")
_SENTENCE = re.compile(r"[.,;:!?()\"«»„“”]+")
_ARTICLES = frozenset("the a an my die der das den eine einen ein meine mein la le une un el ma mon".split())
_FILLERS = frozenset(
    "and or but for from with this that these those have has had was were are you your our their not now just please"
    " dont i'm it's its dem meiner ich bitte und oder aber nicht noch aus von mit für habe ist sind sie les des du de et"
    " ou mais je vous nous est los las una mi mis por que con para no thanks thank regards best dear hello hey hallo"
    " bonjour hola guten tag cheers thx kind order money geld refund customer eur euro euros".split()
)


@function("read-messages", effect="read")
def read_messages(source: str) -> dict:
    """All messages of a folder (its .txt files, by name) or of one file. ValueError says what does not fit."""
    path = Path(source).expanduser()
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.suffix.lower() in _SUFFIXES and file.is_file())
        if not files:
            raise ValueError(f"There is no .txt file in {path}.")
        if len(files) > MOST_MESSAGES:
            raise ValueError(f"{path} holds {len(files)} messages; this example reads at most {MOST_MESSAGES}.")
    elif path.is_file():
        files = [path]
    else:
        raise ValueError(f"There is no folder and no file {path}.")
    # Two of the same name, `a.txt` and `a.md`, are two messages: what is done for one must not pass for the other.
    times = Counter(file.stem for file in files)
    ids = [file.stem if times[file.stem] == 1 else file.name for file in files]
    return {"messages": [{"id": id, "text": _text(file)} for id, file in zip(ids, files, strict=True)]}


def _text(file: Path) -> str:
    content = file.read_bytes()
    if len(content) > MOST_BYTES:
        raise ValueError(f"{file} is larger than {MOST_BYTES // 1000} KB; a message is text that a person wrote.")
    try:
        text = content.decode("utf-16" if content.startswith((BOM_UTF16_LE, BOM_UTF16_BE)) else "utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("cp1252", "replace")
    if "\0" in text:
        raise ValueError(f"{file} is not a text; save it as UTF-8, or take it out of the folder.")
    return text.strip()


@function("find-candidates", effect="read")
def find_candidates(text: str) -> dict:
    """What in a text could be an order number, an amount, a name or a thing: the only answers the model may give."""
    text = text.encode()[:READ_BY_MODEL].decode(errors="ignore")
    things = _phrases(text)
    lines = [line.strip(" ,.!") for line in text.splitlines()]
    signatures = [line for line in lines[-3:] if 1 < len(line) < 40 and not re.search(r"\d", line)]
    return {
        "text": text,
        "orders": list(dict.fromkeys(_ORDER.findall(text))) or [""],
        "amounts": _amounts(text),
        "names": list(dict.fromkeys(["", *things, *signatures])),
        "things": ["", *things],
    }


def _amounts(text: str) -> list[dict]:
    found = {}
    for match in _AMOUNT.finditer(text):
        before, after = text[max(0, match.start() - 5) : match.start()], text[match.end() : match.end() + 6]
        has_cents = re.search(r"[.,]\d{2}$", match[0])
        if has_cents or _MONEY.search(before) or _MONEY.match(after.strip()):
            found.setdefault(match[0], _number(match[0]))
    return [{"text": written, "value": value} for written, value in found.items()]


def _number(written: str) -> float:
    """`1.234,50` and `1,234.50` are the same; the last mark before two digits separates the cents."""
    whole, cents = written, "00"
    if re.search(r"[.,]\d{2}$", written):
        whole, cents = written[:-3], written[-2:]
    return float(f"{re.sub(r'[^0-9]', '', whole)}.{cents}")


def _phrases(text: str, most: int = 300) -> list[str]:
    """Up to three words that stand together: what a name or a thing is called."""
    found: dict[str, None] = {}
    for line in text.splitlines():
        for part in _SENTENCE.split(line):
            words = _WORD.findall(part)
            for length in (1, 2, 3):
                for start in range(len(words) - length + 1):
                    phrase = words[start : start + length]
                    if _could_name(phrase):
                        found[" ".join(phrase)] = None
    return list(found)[:most]


def _could_name(phrase: list[str]) -> bool:
    first, last = phrase[0].lower(), phrase[-1].lower()
    if any(char.isdigit() for word in phrase for char in word):
        return False
    return len(first) > 2 and len(last) > 2 and last not in _FILLERS | _ARTICLES and first not in _FILLERS
