"""How each scorer of the VQA family rewrites an answer before comparing it, typos and flaws included.

A number only means something next to the scorer that made it, so each one is followed to the letter. Every function
takes the text of an answer and returns the text that is compared.

* `official`: GT-Vision-Lab/VQA, ``vqaEval.py``, as Python 3 runs it.
* `lmms`: lmms-eval's ``vqav2`` task.
* `evalai`: the answer processor of MMF, used for TextVQA by MMF, LLaVA and lmms-eval.
* `vlmevalkit`: VLMEvalKit's ``vqa_eval.py``.
"""

from __future__ import annotations

import re
from collections.abc import Callable

MARKS = frozenset(';/[]"{}()=+\\_-><@`,?!')
_UP_TO_TEN = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
NUMBERS = {"none": "0"} | {word: str(value) for value, word in enumerate(_UP_TO_TEN)}
ARTICLES = frozenset({"a", "an", "the"})

_CONTRACTED = """
    ain't aren't can't could've couldn't couldn't've didn't doesn't don't hadn't hadn't've hasn't haven't he'd he'd've
    he's how'd how'll how's isn't it'd it'd've it'll ma'am mightn't mightn't've might've mustn't must've needn't not've
    o'clock oughtn't 'ow's'at shan't she'd've should've shouldn't shouldn't've somebody'd've somebody'll somebody's
    someone'd someone'd've someone'll someone's something'd something'd've something'll that's there'd there'd've
    there're there's they'd they'd've they'll they're they've 'twas wasn't we'd've we've weren't what'll what're what's
    what've when's where'd where's where've who'd who'd've who'll who's who've why'll why're why's won't would've
    wouldn't wouldn't've y'all y'all'll y'all'd've you'd you'd've you'll you're you've
"""


def _without_one_apostrophe(word: str) -> list[str]:
    return [word[:at] + word[at + 1 :] for at, letter in enumerate(word) if letter == "'"]


# Each form is reached from itself with one apostrophe left out. The last entry runs the other way in all scorers.
# Their entries for "I'm" and "I've" can't fire, since words are lowercase by then, and those for "let's" and "she's"
# change nothing.
CONTRACTIONS = {short: word for word in _CONTRACTED.split() for short in _without_one_apostrophe(word)} | {
    "somebody'd": "somebodyd"
}

_ONE_COMMA_IN_NUMBER = re.compile(r"\d,\d")
_COMMAS_IN_NUMBER = re.compile(r"\d,+\d")
# The official pattern has "(?!<=\d)" where "(?<!\d)" was meant. The typo always holds: only what follows counts.
_PERIOD_AS_TYPED = re.compile(r"\.(?!\d)")
_PERIOD_AS_MEANT = re.compile(r"(?<!\d)\.(?!\d)")
# All four pass re.UNICODE where `sub` expects a count; its value is 32.
_MOST_PERIODS = 32


def official(text: str) -> str:
    return _words(_punctuation(clean(text), _ONE_COMMA_IN_NUMBER, _PERIOD_AS_TYPED))


def lmms(text: str) -> str:
    return _words(_punctuation(clean(text), _COMMAS_IN_NUMBER, _PERIOD_AS_TYPED))


def evalai(text: str) -> str:
    text = text.lower().replace(",", "").replace("?", "").replace("'s", " 's").strip()
    return lmms(text)


def vlmevalkit(text: str) -> str:
    return _words(_punctuation(clean(text), _ONE_COMMA_IN_NUMBER, _PERIOD_AS_MEANT))


def clean(text: str) -> str:
    """Newline and tab become a space, and the ends are stripped. Carriage returns stay, as in all four scorers."""
    return text.replace("\n", " ").replace("\t", " ").strip()


def lower_and_strip(text: str) -> str:
    """The whole normalisation of the simple rules."""
    return text.strip().lower()


class Cached(dict[str, str]):
    """``Cached(rule)[text]`` is ``rule(text)``, worked out once for each distinct text: people repeat themselves."""

    def __init__(self, rule: Callable[[str], str]) -> None:
        super().__init__()
        self._rule = rule

    def __missing__(self, text: str) -> str:
        value = self[text] = self._rule(text)
        return value


def _punctuation(text: str, comma_in_number: re.Pattern[str], period: re.Pattern[str]) -> str:
    """A mark is deleted wherever it stands if it touches a space anywhere, or if the text has a comma within a number;
    otherwise it becomes a space."""
    if not MARKS.isdisjoint(text):
        number = "," in text and comma_in_number.search(text) is not None
        # All marks are judged in the text as it came, so the order in which they are replaced does not matter.
        replaced = {
            ord(mark): None if number or f"{mark} " in text or f" {mark}" in text else " "
            for mark in MARKS.intersection(text)
        }
        text = text.translate(replaced)
    return period.sub("", text, count=_MOST_PERIODS) if "." in text else text


def _words(text: str) -> str:
    words = [NUMBERS.get(word, word) for word in text.lower().split()]
    return " ".join([CONTRACTIONS.get(word, word) for word in words if word not in ARTICLES])
