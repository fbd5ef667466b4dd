"""MME: 14 tasks with two yes/no questions about each picture (Fu et al. 2023, arXiv 2306.13394)."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

import numpy as np

from chiasm.errors import ConfigError, DataError
from chiasm.score.baselines import beside_blind
from chiasm.score.bootstrap import summarise
from chiasm.score.choice.yes_no import MME_DIALECTS, YesNo
from chiasm.score.measure import Measure, Metric, share
from chiasm.score.result import Item, Score, Value
from chiasm.score.tables import table_rows, text_of

PERCEPTION = (
    "existence", "count", "position", "color", "posters", "celebrity", "scene", "landmark", "artwork", "OCR",
)  # fmt: skip
COGNITION = ("commonsense_reasoning", "numerical_calculation", "text_translation", "code_reasoning")


Dialect = Literal["official", "lmms"]


@dataclass(frozen=True, slots=True)
class _Question:
    task: str
    image: str
    text: str
    label: bool
    answer: str


def score_mme(path: Path | str, dialect: Dialect = "official", blind: Path | str | None = None) -> Score:
    """Accuracy, accuracy+ (both questions of a picture right) and the official sums.

    `path` is a folder with one ``TASK.txt`` a task, ``image TAB question TAB truth TAB answer`` on each line, or one
    table (JSON lines, CSV, TSV) with the columns ``category, image, question, answer, prediction`` where `answer` is
    the truth; ``question_id`` may stand for `image`, as in the public copies.

    `score` of a task is 100 (accuracy + accuracy+), in 0..200; `perception` (0..2000) and `cognition` (0..800) are sums
    over the tasks that are there. A picture with one question (a run cut short) counts in accuracy only. The
    dialects differ in how an answer is read: see `chiasm.score.choice.yes_no`. `blind` is such a folder or table with
    the answers of the same model without the pictures, for what `beside_blind` says. Raises DataError for an unknown
    task, a truth that is not yes or no, and a picture with more than two questions, ConfigError for an unknown dialect.
    """
    if dialect not in MME_DIALECTS:
        raise ConfigError(f"unknown dialect {dialect!r} of MME; choose from {', '.join(MME_DIALECTS)}")
    read = _folder_questions(Path(path)) if Path(path).is_dir() else _table_questions(path)
    questions = list(read)
    if not questions:
        raise DataError(f"{path}: no question of MME in it")
    items = _items(questions, path, MME_DIALECTS[dialect])
    groups = _groups(items)
    by_task = summarise(items, {"score": Measure(_score, "questions", most=200.0)}, slices=("task",))
    values = (
        *summarise(items, _BY_TASK, slices=("task",)),
        *(value for value in by_task if value.slice is not None),
        *summarise(items, _sums_of_tasks(items)),
        *_baselines(items, groups),
    )
    score = Score("mme", dialect, values, tuple(items), _notes(items, groups))
    if blind is None:
        return score
    accuracies = {name: _BY_TASK[name] for name in ("accuracy", "accuracy_plus")}
    return beside_blind(score, score_mme(blind, dialect), accuracies, ("task",))


def _folder_questions(folder: Path) -> Iterator[_Question]:
    for path in sorted(folder.glob("*.txt")):
        try:
            lines = path.read_bytes().decode("utf-8-sig").split("\n")
        except UnicodeDecodeError as error:
            raise DataError(f"{path}: not UTF-8 text (byte {error.start})") from None
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            cells = line.removesuffix("\r").split("\t", 3)
            if len(cells) != 4:
                raise DataError(f"{path}, line {number}: {len(cells)} cells, expected image, question, truth, answer")
            image, text, label, answer = cells
            yield _question(path.stem, image, text, label, answer, f"{path}, line {number}")


def _table_questions(path: Path | str) -> Iterator[_Question]:
    for number, row in table_rows(path):
        where = f"{path}, row {number}"
        task, image, text = (
            text_of(row, keys, where) for keys in (("category",), ("image", "question_id"), ("question",))
        )
        yield _question(
            task, image, text, text_of(row, ("answer",), where), text_of(row, ("prediction",), where), where
        )


def _question(task: str, image: str, text: str, label: str, answer: str, where: str) -> _Question:
    if task not in PERCEPTION + COGNITION:
        raise DataError(f"{where}: {task!r} is not a task of MME, which are {', '.join(PERCEPTION + COGNITION)}")
    truth = label.strip().lower().replace(".", "")
    if truth not in ("yes", "no"):
        raise DataError(f"{where}: the truth is {label!r}, expected Yes or No")
    return _Question(task, image, text, truth == "yes", answer)


def _items(questions: Sequence[_Question], path: Path | str, parse: Callable[[str], YesNo]) -> list[Item]:
    pictures: dict[tuple[str, str], list[_Question]] = defaultdict(list)
    for question in questions:
        pictures[question.task, question.image].append(question)
    crowded = [picture for picture, asked in pictures.items() if len(asked) > 2]
    if crowded:
        task, image = crowded[0]
        raise DataError(
            f"{path}: {len(crowded)} pictures have more than two questions, the first is {image!r} of {task} with "
            f"{len(pictures[crowded[0]])}; MME has exactly two"
        )
    return [item for picture in pictures.values() for item in _picture_items(picture, parse)]


def _picture_items(picture: Sequence[_Question], parse: Callable[[str], YesNo]) -> Iterator[Item]:
    parsed = [parse(question.answer) for question in picture]
    right = [said == question.label for question, (said, _) in zip(picture, parsed, strict=True)]
    for place_in_pair, (question, (said, rule)) in enumerate(zip(picture, parsed, strict=True)):
        # The second question carries the pair, so that sums count every pair once.
        closes_pair = place_in_pair == 1
        statistics = {
            "questions": 1.0,
            "right": float(right[place_in_pair]),
            "pairs": float(closes_pair),
            "pairs_right": float(closes_pair and all(right)),
        }
        yield Item(
            id=f"{question.task}/{question.image}/{place_in_pair + 1}",
            image=f"{question.task}/{question.image}",
            prediction=question.answer,
            parsed={True: "yes", False: "no", None: None}[said],
            truth="yes" if question.label else "no",
            statistics={
                **statistics,
                **{f"{name}.{question.task}": value for name, value in statistics.items()},
                f"questions.{'perception' if question.task in PERCEPTION else 'cognition'}": 1.0,
                "unparsed": float(said is None),
            },
            rule=rule if said is not None else "none",
            problem=None if said is not None else rule,
            slices={"task": question.task},
            prompt=question.text,
        )


def _score(sums: Mapping[str, np.ndarray]) -> np.ndarray:
    return 100 * (sums["right"] / sums["questions"] + sums["pairs_right"] / sums["pairs"])


def _sum_of_tasks(tasks: Sequence[str]) -> Metric:
    def total(sums: Mapping[str, np.ndarray]) -> np.ndarray:
        names = ("questions", "right", "pairs", "pairs_right")
        return cast(np.ndarray, sum(_score({name: sums[f"{name}.{task}"] for name in names}) for task in tasks))

    return total


_BY_TASK = {
    "accuracy": share("right", "questions"),
    "accuracy_plus": share("pairs_right", "pairs"),
    "unparsed": share("unparsed", "questions", better=None),
}


def measures(items: Sequence[Item]) -> dict[str, Measure]:
    """The metrics of `score_mme`; the score of one task is a slice's."""
    return _BY_TASK | _sums_of_tasks(items)


def _groups(items: Sequence[Item]) -> dict[str, list[str]]:
    """The tasks that there are questions of, by group."""
    present = {item.slices["task"] for item in items}
    return {
        name: [task for task in tasks if task in present]
        for name, tasks in (("perception", PERCEPTION), ("cognition", COGNITION))
    }


def _sums_of_tasks(items: Sequence[Item]) -> dict[str, Measure]:
    return {
        name: Measure(_sum_of_tasks(tasks), f"questions.{name}", most=200.0 * len(tasks))
        for name, tasks in _groups(items).items()
        if tasks
    }


def _baselines(items: Sequence[Item], groups: Mapping[str, Sequence[str]]) -> tuple[Value, ...]:
    """A coin is right half the time and on both questions a quarter of the time: 75 points a task."""
    asked = Counter(item.slices["task"] for item in items)
    by_task = (
        Value("baseline.chance.score", 75.0, asked[task], method="baseline", slice=("task", task)) for task in asked
    )
    sums = (
        Value(f"baseline.chance.{name}", 75.0 * len(tasks), sum(asked[task] for task in tasks), method="baseline")
        for name, tasks in groups.items()
        if tasks
    )
    return (*sums, *by_task)


def _notes(items: Sequence[Item], groups: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    notes = []
    for (name, tasks), all_tasks in zip(groups.items(), (PERCEPTION, COGNITION), strict=True):
        if len(tasks) < len(all_tasks):
            absent = ", ".join(task for task in all_tasks if task not in tasks)
            notes.append(
                f"{name.capitalize()} covers {len(tasks)} of {len(all_tasks)} tasks (at most {200 * len(tasks)} "
                f"points); not in the file: {absent}."
            )
    single = sum(count == 1 for count in Counter(item.image for item in items).values())
    if single:
        notes.append(f"{single} pictures have one question instead of two and are left out of accuracy+.")
    return tuple(notes)
