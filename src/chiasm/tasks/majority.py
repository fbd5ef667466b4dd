"""The answerer that never looks: the commonest answer of a dataset, whatever is asked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from PIL import Image

from chiasm.errors import DataError
from chiasm.tasks.see import Pipeline
from chiasm.types import Answer, Dataset


class Majority:
    """The language role without eyes. Raises DataError for a dataset without questions."""

    def __init__(self, dataset: Dataset):
        examples = (dataset[i] for i in range(len(dataset)))
        counts = Counter(a for example in examples for question in example.questions for a in question.answers)
        if not counts:
            raise DataError(f"{dataset.name} has no questions to learn the commonest answer from")
        # Ties go to the answer that comes first in the alphabet, so that the baseline is one number.
        self.text = min(counts, key=lambda answer: (-counts[answer], answer))

    def caption(self, images: Sequence[Image.Image]) -> None:
        """None: it only answers."""
        return None

    def answer(self, images: Sequence[Image.Image], questions: Sequence[Sequence[str]]) -> list[list[Answer]]:
        """The commonest answer, to every question."""
        return [[Answer(self.text, self.text, "majority") for _ in group] for group in questions]


def majority_pipeline(dataset: Dataset) -> Pipeline:
    """The pipeline of "majority:DATASET". Raises DataError as `Majority` does."""
    return Pipeline(
        language=Majority(dataset),
        name=f"majority answer of {dataset.name}",
        description={"baseline": "majority answer", "data": dataset.fingerprint()},
    )
