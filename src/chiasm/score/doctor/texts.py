"""Answers that are texts: empty, wrapped, cut off, constant, or damaged on their way through encodings."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping

from chiasm.data.json_text import shortened
from chiasm.score.choice.multiple_choice import named_option
from chiasm.score.choice.yes_no import one_of_both
from chiasm.score.doctor.findings import SHOWN, Tally
from chiasm.score.doctor.truth import Form

NEARLY_ALL, FEWEST = 0.95, 20
"""One answer is suspicious if this share of at least so many answers is it."""

SHORT = 4
"""An answer of at most so many words is no sentence, so that a period does not belong to it."""

_WRAPPING = re.compile(
    r"\s*(?:(?:sure|certainly|of course|okay)\b\s*[,!:.]|(?:so,? )?(?:the|my) (?:\w+ )?answer(?: to the question)?\b|"
    r"(?:answer|response|assistant|output|caption)\s*:|(?:based on|according to|in|as seen in) (?:the|this) "
    r"(?:provided )?(?:image|picture|photo)\b|as an ai\b)",
    re.IGNORECASE,
)
_MARKDOWN = re.compile(r"\*\*\S|```|^\s*(?:#{1,6} |[-*] )|\\boxed\{")
_TOKEN = re.compile(
    r"<\|[\w ]{1,30}\|>|</?s>|<(?:pad|eos|bos|unk|image|start_of_turn|end_of_turn)>|\[/?INST\]|<0x[0-9A-F]{2}>"
)
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1b\x1f\x7f\u200b\ufeff]")
_UNFINISHED = re.compile(r"(?:[,;:(-]|\b(?:a|an|the|and|or|of|with|its|their|at|from|is|are|to))$", re.IGNORECASE)
_START = 100  # answers are told apart by so many characters
_DIFFERENT = 10_000  # answers that are counted at a time, so that a large file of captions needs no more memory


class Texts:
    """Looks at one text after the other."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._answers: Counter[str] = Counter()
        self._count = 0
        self._captions = _Lengths()

    def add(self, number: int, name: str | None, text: str, form: Form, options: Mapping[str, str]) -> None:
        self._count += 1
        for kind in (*_damage(text), *_form_problems(text.strip(), form, options)):
            self._tally.add(kind, number, name, shortened(text))
        self._answers[text[:_START].strip().casefold()] += 1
        if len(self._answers) > _DIFFERENT:
            # What nearly all answers are is among the most common at any time.
            self._answers = Counter(dict(self._answers.most_common(_DIFFERENT // 10)))
        if form == "caption":
            self._captions.add(number, name, text.strip())

    def finish(self) -> None:
        for answer, count in self._answers.most_common(1):
            if answer and self._count >= FEWEST and count >= NEARLY_ALL * self._count:
                kind = "constant answer" if count == self._count else "nearly constant answer"
                self._tally.add(kind, found=f"{count} of {self._count} are {answer!r:.60}")
        for number, name, text in self._captions.at_limit():
            self._tally.add("cut off", number, name, shortened(text))


def _damage(text: str) -> Iterator[str]:
    """What can be wrong with any text."""
    if not text.strip():
        yield "empty answer"
    if len(text.strip().splitlines()) > 1:
        yield "line break"
    if _CONTROL.search(text):
        yield "control character"
    if not text.isascii() and _is_mojibake(text):
        yield "mojibake"
    if ("<" in text or "[" in text) and _TOKEN.search(text):
        yield "special token"
    if _MARKDOWN.search(text):
        yield "markdown"


def _is_mojibake(text: str) -> bool:
    """Whether the text is UTF-8 that was read as Windows-1252 or Latin-1, or has lost characters."""
    if "\ufffd" in text or "â€" in text:  # the latter begins every quotation mark and dash
        return True
    for encoding in ("cp1252", "latin-1"):
        try:
            text.encode(encoding).decode("utf-8")
        except UnicodeError:
            continue
        return True
    return False


def _form_problems(text: str, form: Form, options: Mapping[str, str]) -> Iterator[str]:
    """What is wrong with a text because of what it should be."""
    if not text:
        return
    if _WRAPPING.match(text):
        yield "chat wrapping"
    if form == "caption":
        if _UNFINISHED.search(text) and len(text.split()) >= SHORT:
            yield "cut off"
        return
    if text.endswith(".") and len(text.split()) <= SHORT:
        yield "trailing period"
    if form == "yes/no" and one_of_both(text)[0] is None:
        yield "neither yes nor no"
    if form == "option" and named_option(text, options)[0] is None:
        yield "names no option"


class _Lengths:
    """Captions by their number of words, to see whether many end at a limit without a period where others have one."""

    def __init__(self) -> None:
        self._with_period: Counter[int] = Counter()
        self._without: Counter[int] = Counter()
        self._first: defaultdict[int, list[tuple[int, str | None, str]]] = defaultdict(list)

    def add(self, number: int, name: str | None, caption: str) -> None:
        words = len(caption.split())
        if caption.endswith((".", "!", "?", '"')):
            self._with_period[words] += 1
            return
        self._without[words] += 1
        if not _UNFINISHED.search(caption) and len(self._first[words]) < SHOWN:
            self._first[words].append((number, name, caption))

    def at_limit(self) -> list[tuple[int, str | None, str]]:
        """The first captions of the greatest length, if at least five have it, most captions end in a period, and
        these do not."""
        longest = max([*self._with_period, *self._without], default=0)
        ends = sum(self._with_period.values())
        many = self._without[longest] >= SHOWN and self._without[longest] > self._with_period[longest]
        return self._first[longest] if many and ends > sum(self._without.values()) else []
