"""Groups of questions that count together: right only where all of them are. NLVR2, and any file with groups."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from chiasm.data.records import by_id, id_text, records
from chiasm.errors import DataError
from chiasm.score.answer_files import Missing, answers_to, missing_note
from chiasm.score.answers import normalise
from chiasm.score.baselines import MAJORITY, beside_blind
from chiasm.score.bootstrap import summarise
from chiasm.score.choice.multiple_choice import choice_item
from chiasm.score.measure import Measure, share
from chiasm.score.result import Item, Score, Value
from chiasm.score.tables import table_rows, text_of

_TRUE_OR_FALSE = {"T": "True", "F": "False"}
_COLUMNS = ("identifier", "prediction")


@dataclass(frozen=True, slots=True)
class _Grouped:
    item: Item
    group: str


def score_nlvr2(
    examples: Path | str, predictions: Path | str, missing: Missing = "error", blind: Path | str | None = None
) -> Score:
    """Accuracy, and consistency: the share of sentences that are judged rightly for every pair of pictures they come
    with (Suhr et al. 2019, arXiv 1811.00491).

    `examples` are NLVR2's JSON lines ``{identifier, sentence, label}``; `predictions` are ``{identifier, prediction}``
    (or ``label``), also as CSV, with or without a header, as the official script takes it. The script knows True and
    False; here an answer that names one of them, T or F alone in a longer text is read as well, and anything else is
    unparsed and wrong. An identifier is ``split-set-pair-sentence``: as in the script, pairs that differ in the third
    part share a sentence. Intervals are by set of pictures, which several pairs and sentences share. `blind` are the
    predictions of the same model without the pictures, for what `beside_blind` says of the accuracy.

    Raises DataError for predictions that do not fit the examples and for labels that are not True or False.
    """
    rows = by_id(examples, records(examples), "identifier", "example")
    texts = answers_to(predictions, rows, examples, missing, ("prediction", "label"), _COLUMNS)
    found = []
    for name, row in rows.items():
        where = f"{examples}, identifier {name!r}"
        label = str(row.get("label", ""))
        if label not in ("True", "False"):
            raise DataError(f"{where}: the label is {label!r}, expected True or False")
        parts = name.split("-")
        if len(parts) != 4:
            raise DataError(f"{where}: expected split-set-pair-sentence, such as 'dev-850-0-1'")
        split, picture_set, _, sentence = parts
        question = text_of(row, ("sentence",), where)
        item = choice_item(name, f"{split}-{picture_set}", texts[name], _TRUE_OR_FALSE, label[0], {}, question=question)
        found.append(_Grouped(item, f"{split}-{picture_set}--{sentence}"))
    notes = missing_note(texts.values())
    read = sum(
        item.parsed is not None and str(item.prediction).lower() not in ("true", "false")
        for item in (entry.item for entry in found)
    )
    if read:
        notes += (f"{read} answers are read that are not True or False alone; the official script has them wrong.",)
    score = _score("nlvr2", "official", found, notes)
    if blind is None:
        return score
    return beside_blind(score, score_nlvr2(examples, blind, missing), {"accuracy": _ACCURACY})


def score_groups(answers: Path | str) -> Score:
    """Accuracy of items and of whole groups, in 0..1, from one table.

    Rows of `answers` (JSON lines, CSV or TSV) have ``id, group, answer, prediction`` and may have ``image``, where
    `answer` is the truth; an answer is right if it equals the truth after `chiasm.score.answers.normalise`. An empty
    prediction is unparsed. Intervals are by image, or by group where there is no image or a group has several. Raises
    DataError for duplicate ids and rows that lack one of these.
    """
    rows = by_id(answers, table_rows(answers), "id", "answer")
    if not rows:
        raise DataError(f"{answers}: no answer in it")
    found = []
    for name, row in rows.items():
        where = f"{answers}, id {name!r}"
        truth, text = text_of(row, ("answer",), where), text_of(row, ("prediction",), where)
        try:
            group = id_text(row.get("group"))
        except ValueError as error:
            raise DataError(f"{where}: 'group' {error}") from None
        said = normalise(text)
        statistics = {
            "questions": 1.0,
            "right": float(bool(said) and said == normalise(truth)),
            "unparsed": float(not said),
        }
        image = str(row.get("image") or group)
        item = Item(name, image, text, said or None, truth, statistics, problem=None if said else "empty answer")
        found.append(_Grouped(item, group))
    return _score("pairs", "equal after normalisation", found, ())


def _score(task: str, dialect: str, found: Sequence[_Grouped], notes: tuple[str, ...]) -> Score:
    groups: dict[str, list[Item]] = defaultdict(list)
    for entry in found:
        groups[entry.group].append(entry.item)
    items = [item for name, members in groups.items() for item in _with_group(name, members)]
    values = summarise(items, measures(items)) + _baselines(items, list(groups.values()))
    sizes = sorted({len(members) for members in groups.values()})
    shape = (
        f"{len(groups)} groups of {' or '.join(map(str, sizes)) if len(sizes) <= 3 else f'{sizes[0]} to {sizes[-1]}'}."
    )
    return Score(task, dialect, values, tuple(items), (*notes, shape))


def _with_group(name: str, members: Sequence[Item]) -> list[Item]:
    """The first item of a group carries the group's result, so that sums count every group once."""
    all_right = all(item.statistics["right"] for item in members)
    image = members[0].image if len({item.image for item in members}) == 1 else name
    first = {"groups": 1.0, "groups_right": float(all_right)}
    return [
        replace(item, image=image, statistics={**item.statistics, **(first if item is members[0] else {})})
        for item in members
    ]


_ACCURACY = share("right", "questions")


def measures(items: Sequence[Item]) -> dict[str, Measure]:
    """The metrics of `score_nlvr2` and of other pairs."""
    return {
        "accuracy": _ACCURACY,
        "accuracy.group": share("groups_right", "groups"),
        "unparsed": share("unparsed", "questions", better=None),
    }


def _baselines(items: Sequence[Item], groups: Sequence[Sequence[Item]]) -> tuple[Value, ...]:
    """What the truth that is most often right would score if it were always said."""
    truths = [item.truth for item in items]
    most = max(sorted(set(truths)), key=truths.count)
    whole = sum(all(item.truth == most for item in members) for members in groups)
    return (
        Value("baseline.majority.accuracy", truths.count(most) / len(items), len(items), method=MAJORITY),
        Value("baseline.majority.accuracy.group", whole / len(groups), len(groups), method=MAJORITY),
    )
