"""Faults of answers to questions: open, multiple-choice, and yes or no."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from chiasm.score.answers import normalise
from chiasm.score.choice.yes_no import YES_BY_DEFAULT
from chiasm.score.faults.fault import Fault
from chiasm.score.faults.repairs import Repair, repairs_of
from chiasm.score.faults.wrong_answer import EMPTY, FORMAT_ONLY, LONGER, REFUSAL, is_refusal, wrong_answer_cause
from chiasm.score.result import Item, Score

LANGUAGE_PRIOR = "language prior"
TIE = "tie"
MINORITY = "minority answer"
GAVE_UP, ANSWERED_ANYWAY = "called unanswerable", "answered the unanswerable"
BY_DEFAULT = "yes by default"
"""POPE's own rule reads every answer without a no as a yes."""
TOLD_BY_FORM = {EMPTY, FORMAT_ONLY, LONGER, REFUSAL}
"""Causes that the text alone shows, whatever a blind model says."""


def open_faults(score: Score, blind: Mapping[str, str]) -> Iterator[Fault]:
    """Of answers in the model's own words. `blind` is what the same model said without seeing, by item id: a wrong
    answer that is the same was not looked up in the picture. VizWiz asks first whether there is an answer at all."""
    for item, repair in _imperfect(score):
        if item.problem is not None:
            yield unparsed(item, repair)
            continue
        if {"called", "found"} & repair.keys():
            called = item.statistics["called"]
            yield Fault(item.id, "wrong_answer", GAVE_UP if called else ANSWERED_ANYWAY, f"said {item.parsed}", repair)
            continue
        accepted = _accepted(item)
        said = item.prediction if isinstance(item.prediction, str) else " ".join(map(str, item.parsed or ()))
        if score.task in ("vqa", "vizwiz") and item.statistics["score"] > 0:
            yield Fault(item.id, "wrong_answer", MINORITY, item.slices["outcome"], repair)
            continue
        cause, detail = wrong_answer_cause(said, accepted)
        if cause not in TOLD_BY_FORM and _same_when_blind(item, blind):
            cause, detail = LANGUAGE_PRIOR, ""
        yield Fault(item.id, "wrong_answer", cause, detail, repair)


def choice_faults(score: Score, blind: Mapping[str, str]) -> Iterator[Fault]:
    """Of one option out of several. A question that is right in another order of its options was answered by their
    position."""
    right_somewhere = {_question(item) for item in score.items if item.statistics["right"]}
    for item, repair in _imperfect(score):
        if item.problem is not None:
            yield unparsed(item, repair)
            continue
        cause = "another option"
        if score.task == "mmbench" and _question(item) in right_somewhere:
            cause = "position bias"
        elif _same_when_blind(item, blind):
            cause = LANGUAGE_PRIOR
        yield Fault(item.id, "wrong_answer", cause, f"{item.parsed} instead of {item.truth}", repair)


def yes_no_faults(score: Score, blind: Mapping[str, str]) -> Iterator[Fault]:
    """Of "is there a ...?", yes to what is absent is a hallucination, no to what is there a missed object. MME asks
    this in its task existence only; its other questions are answered wrongly."""
    for item, repair in _imperfect(score):
        about_existence = score.task == "pope" or item.slices.get("task") == "existence"
        if item.problem is not None:
            yield unparsed(item, repair)
        elif not about_existence:
            cause = LANGUAGE_PRIOR if _same_when_blind(item, blind) else "yes/no flip"
            yield Fault(item.id, "wrong_answer", cause, item.prompt, repair)
        elif item.parsed == "yes":
            cause = BY_DEFAULT if item.rule == YES_BY_DEFAULT else "yes-bias"
            yield Fault(item.id, "hallucination", cause, item.prompt, repair)
        else:
            yield Fault(item.id, "missed_object", "denied", item.prompt, repair)


def preference_faults(score: Score, blind: Mapping[str, str]) -> Iterator[Fault]:
    """Of captions against pictures (Winoground, SugarCrepe): which one was preferred wrongly, if any was: equal scores
    are wrong too, but prefer nothing."""
    for item, repair in _imperfect(score):
        if score.task == "sugarcrepe":
            tie = item.prediction["positive"] == item.prediction["negative"]
            cause = TIE if tie else "the negative caption"
        else:
            at = item.prediction
            wrong = [name for name, lost in (("caption", "text"), ("picture", "image")) if not item.statistics[lost]]
            tie = min(at["c0_i0"], at["c1_i1"]) >= max(at["c0_i1"], at["c1_i0"])
            cause = TIE if tie else f"the wrong {' and '.join(wrong)}"
        yield Fault(item.id, "wrong_answer", cause, "", repair)


def unparsed(item: Item, repair: Mapping[str, float]) -> Fault:
    """A fault of an item without a parsed prediction; the scorer's own words on why are its detail."""
    said = item.prediction
    if said is None:
        cause = "no prediction"
    elif not isinstance(said, str):
        cause = "unreadable output"
    elif not said.strip():
        cause = EMPTY
    else:
        several = "several" in (item.problem or "")
        cause = REFUSAL if is_refusal(said) else "several answers" if several else "unreadable output"
    return Fault(item.id, "unparsed", cause, item.problem or "", repair)


def _imperfect(score: Score) -> Iterator[tuple[Item, dict[str, float]]]:
    repair_of: Repair = repairs_of(score)
    for item in score.items:
        if repair := repair_of(item):
            yield item, repair


def _accepted(item: Item) -> list[str]:
    """Every accepted answer. DAQUAR's is a set of words, which is one answer."""
    if isinstance(item.truth, str):
        return [item.truth]
    return [", ".join(item.truth)] if isinstance(item.parsed, list) else list(item.truth)


def _same_when_blind(item: Item, blind: Mapping[str, str]) -> bool:
    return item.id in blind and blind[item.id] == normalise(str(item.prediction))


def _question(item: Item) -> int | str:
    """MMBench numbers the copies of a question with rotated options by adding millions."""
    return int(item.id) % 1_000_000 if item.id.isdecimal() else item.id
