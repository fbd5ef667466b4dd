"""What the prompts in an answers file tell: which question was asked, and whether it came with the text to read."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from chiasm.data.records import place
from chiasm.errors import DataError
from chiasm.score.vqa.annotations import Annotation

_OCR = "ocr token"


def named_by_image(rows: Sequence[tuple[int, dict[str, Any]]], truth: Iterable[Annotation]) -> bool:
    """Whether the answers carry an image's id as their `question_id`, as LLaVA's for TextVQA do: several questions on
    an image then share one."""
    if not rows or "prompt" not in rows[0][1] or "question_id" not in rows[0][1]:
        return False
    name = str(rows[0][1]["question_id"])
    return all(question.id != name for question in truth) and any(question.image == name for question in truth)


def with_question_ids(
    path: Path | str, rows: Sequence[tuple[int, dict[str, Any]]], truth: Iterable[Annotation]
) -> list[tuple[int, dict[str, Any]]]:
    """`rows` with the image's id replaced by the id of the image's question that the prompt contains, case aside.

    The longest counts where one question contains another. Raises DataError if the prompt contains none.
    """
    of_image: dict[str, list[Annotation]] = defaultdict(list)
    for question in truth:
        of_image[question.image].append(question)
    named = []
    for number, row in rows:
        image, prompt = str(row.get("question_id")), str(row.get("prompt")).lower()
        asked = [question for question in of_image[image] if question.question.lower() in prompt]
        if not asked:
            raise DataError(f"{place(path, number)}: the prompt holds no question on image {image!r}: {prompt!r:.60}")
        longest = max(asked, key=lambda question: len(question.question))
        named.append((number, row | {"question_id": longest.id}))
    return named


def ocr_note(rows: Iterable[tuple[int, dict[str, Any]]]) -> str | None:
    """A sentence on OCR tokens in the prompts, which are worth more points on TextVQA than most models differ by; None
    where no prompt is recorded or none has any."""
    prompts = [str(row["prompt"]) for _, row in rows if "prompt" in row]
    count = sum(_OCR in prompt.lower() for prompt in prompts)
    return (
        f"{count} of {len(prompts)} prompts hold reference OCR tokens; compare with such runs only." if count else None
    )
