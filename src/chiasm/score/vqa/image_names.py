"""Answers that name the image instead of the question, as VizWiz's do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

from chiasm.score.vqa.annotations import Annotation

Answer = TypeVar("Answer")


def by_question(answers: Mapping[str, Answer], truth: Sequence[Annotation]) -> dict[str, Answer]:
    """`answers` by question id, also where they are by image and every image has one question.

    Left as they are where an image has several questions, or where any answer has a question's id.
    """
    of_image = {question.image: question.id for question in truth}
    if len(of_image) < len(truth) or any(question.id in answers for question in truth):
        return dict(answers)
    return {of_image.get(name, name): answer for name, answer in answers.items()}
