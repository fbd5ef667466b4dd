"""Which option does an answer name? And what every multiple-choice benchmark counts."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from chiasm.score.answer_files import NO_PREDICTION
from chiasm.score.baselines import majority_values
from chiasm.score.bootstrap import parts
from chiasm.score.measure import Measure, share
from chiasm.score.result import Item, Value

PREDICTED = ("prediction", "text")
"""The columns of what a model chose: not "answer", which tables of questions with options keep the truth under."""

Choice = tuple[str | None, str]
"""The letter of the option, or None with the reason; else the rule that found it."""

_PARSED_BY = ("the letter alone", "the option's text alone", "one letter in the text", "one option's text in the text")


def named_option(text: str, options: Mapping[str, str]) -> Choice:
    """The letter that `text` names, by the first of these rules that fits; never a guess.

    1. It is a letter and nothing else: "b", "(B).". 2. It is an option's text and nothing else. 3. It has exactly one
    of the letters, in upper case, as a word of its own: "The answer is B." (an article or pronoun, "A dog" or "I
    think", is not a letter). 4. It has exactly one option's text in it, in any case, at the borders of words.

    `options` maps upper-case letters to texts. Two different letters or texts are no answer.
    """
    bare = _bare(text)
    if bare.upper() in options:
        return bare.upper(), _PARSED_BY[0]
    same = [letter for letter, option in options.items() if bare and _bare(option) == bare]
    if len(same) == 1:
        return same[0], _PARSED_BY[1]
    letters = set(re.findall(r"(?<![\w'’.])(?![AI] (?!(?:is|or|and)\b)[a-z])([A-Z])(?![\w'’])", text)) & set(options)
    if len(letters) == 1:
        return letters.pop(), _PARSED_BY[2]
    if letters:
        return None, f"names several letters: {', '.join(sorted(letters))}"
    inside = [letter for letter, option in options.items() if _has_words(bare, _bare(option))]
    if len(inside) == 1:
        return inside[0], _PARSED_BY[3]
    if inside:
        return None, f"names several options: {', '.join(sorted(inside))}"
    return None, "names no option"


def first_character(text: str, options: Mapping[str, str]) -> Choice:
    """The first character if it is an option's letter, in any case: "The answer is B" is nothing and "a dog" is A.
    lmms-eval, SEED-Bench."""
    letter = text.strip()[:1].upper()
    return (letter, "first character") if letter in options else (None, "first character is no option's letter")


def choice_item(
    id: str,
    image: str,
    text: str | None,
    options: Mapping[str, str],
    truth: str,
    slices: Mapping[str, str],
    parse: Callable[[str, Mapping[str, str]], Choice] = named_option,
    question: str = "",
) -> Item:
    """One question with the statistics `questions`, `right`, `unparsed`, and `chance`, what guessing would score."""
    letter, reason = parse(text, options) if text is not None else (None, NO_PREDICTION)
    return Item(
        id=id,
        image=image,
        prediction=text,
        parsed=letter,
        truth=truth,
        statistics={
            "questions": 1.0,
            "right": float(letter == truth),
            "unparsed": float(letter is None and text is not None),
            "chance": 1 / len(options),
        },
        rule=reason if letter is not None else "none",
        problem=None if letter is not None else reason,
        slices=slices,
        prompt="\n".join([question, *(f"{name}. {option}" for name, option in options.items())]).strip(),
        options=options,
    )


def measures(items: Sequence[Item]) -> dict[str, Measure]:
    """The metrics of SEED-Bench and ScienceQA."""
    return {"accuracy": share("right", "questions"), "unparsed": share("unparsed", "questions", better=None)}


def baselines(items: Sequence[Item], keys: Sequence[str]) -> tuple[Value, ...]:
    """What guessing scores on average, and what the one letter scores that is most often right, for all items and for
    each label of the slice keys."""
    chance = []
    for where, chosen in parts(items, keys):
        mean = sum(items[index].statistics["chance"] for index in chosen) / len(chosen)
        chance.append(Value("baseline.chance.accuracy", mean, len(chosen), method="baseline", slice=where))
    rules = {"accuracy": lambda letter, truth: float(letter == truth)}
    return (*chance, *majority_values(items, [item.truth for item in items], lambda letter: (letter,), rules, keys))


def _bare(text: str) -> str:
    """Lower case, single spaces, and no marks around the words."""
    return " ".join(text.casefold().split()).strip(" .,:;!?()[]{}*#\"'`")


def _has_words(text: str, phrase: str) -> bool:
    return bool(phrase) and re.search(rf"(?<!\w){re.escape(phrase)}(?!\w)", text) is not None
