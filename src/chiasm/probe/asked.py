"""Pictures with questions whose answers are known, as a model is asked them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from chiasm.data.images import open_image
from chiasm.errors import DataError
from chiasm.models.protocol import Dialect
from chiasm.score.answers import normalise
from chiasm.types import Dataset, Example, Question


@dataclass(frozen=True)
class Asked:
    """Pictures with their questions. `accepted[i][q]` are the answers that count, normalised, the commonest first."""

    examples: tuple[Example, ...]
    questions: tuple[tuple[Question, ...], ...]
    accepted: tuple[tuple[tuple[str, ...], ...], ...]

    @staticmethod
    def of(dataset: Dataset, count: int, without: Collection[str] = ()) -> Asked:
        """Those of the first `count` pictures that have a question with an answer; the pictures `without` are left out.

        Raises DataError if none is left.
        """
        examples = [dataset[index] for index in range(min(len(dataset), count))]
        kept = [(e, tuple(q for q in e.questions if any(map(normalise, q.answers)))) for e in examples]
        kept = [(example, questions) for example, questions in kept if questions and example.id not in without]
        if not kept:
            raise DataError(
                f"the first {len(examples)} pictures of {dataset.name} have no question with an answer; give a dataset "
                "with questions, such as scenes:test or questions:FILE"
            )
        accepted = tuple(tuple(_by_frequency(q.answers) for q in questions) for _, questions in kept)
        return Asked(tuple(e for e, _ in kept), tuple(q for _, q in kept), accepted)

    @property
    def ids(self) -> list[str]:
        return [example.id for example in self.examples]

    @property
    def texts(self) -> list[list[str]]:
        return [[question.text for question in group] for group in self.questions]

    def column(self, of: Callable[[Example, Question], object]) -> np.ndarray:
        """`of(picture, question)` for every question, in order: (questions,)."""
        pairs = zip(self.examples, self.questions, strict=True)
        return np.array([of(example, question) for example, group in pairs for question in group], dtype=object)

    def kinds(self) -> np.ndarray:
        """(questions,)."""
        return self.column(lambda example, question: question.kind or "question")

    def pictures(self) -> np.ndarray:
        """The id of every question's picture: (questions,)."""
        return self.column(lambda example, question: example.id)

    def batches(self, size: int) -> Iterator[tuple[range, list[Image.Image]]]:
        """Nearly equal batches of opened pictures, none of one picture alone if there are several."""
        parts = np.array_split(np.arange(len(self.examples)), max(1, len(self.examples) // size))
        for part in parts:
            chosen = range(int(part[0]), int(part[-1]) + 1)
            yield chosen, [open_image(self.examples[i].image, name=self.examples[i].id) for i in chosen]

    def prompts(self, dialect: Dialect, chosen: Sequence[int]) -> list[list[str]]:
        """What a model is asked about the chosen pictures, in its own form."""
        template = dialect.prompts.get("answer", "{question}")
        return [[template.replace("{question}", q.text) for q in self.questions[i]] for i in chosen]

    def truths(self, chosen: Sequence[int]) -> list[list[str]]:
        """The first accepted answer to each question about the chosen pictures."""
        return [[answers[0] for answers in self.accepted[i]] for i in chosen]


def _by_frequency(answers: Sequence[str]) -> tuple[str, ...]:
    said = [text for text in map(normalise, answers) if text]
    return tuple(sorted(dict.fromkeys(said), key=said.count, reverse=True))
