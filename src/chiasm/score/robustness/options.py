"""Multiple choice under another order of options: a letter stands for another option then, a text does not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from chiasm.score.bootstrap import summarise
from chiasm.score.measure import Measure, share
from chiasm.score.result import Item, Score, Value


def in_words(score: Score) -> Score:
    """`score` with the texts of options for the letters that answers and truths name; items without options stay."""
    items = (
        replace(item, parsed=item.options.get(item.parsed), truth=item.options[item.truth]) if item.options else item
        for item in score.items
    )
    return replace(score, items=tuple(items))


def letter_values(items: Sequence[Item], replicates: int = 2000, seed: int = 0) -> tuple[Value, ...]:
    """Position bias of a model's choices: three values for each letter, as slices ("letter", "A").

    Of the items that show an option under this letter: chosen, the share that answer it; right, the share where it is
    the truth; and bias, chosen minus right, above 0 for a letter that is said too often. Unparsed answers choose no
    letter. Intervals are by image.
    """
    rows = [
        Item(
            f"{item.id}/{letter}", item.image, None, None, None,
            {"shown": 1.0, "chosen": float(item.parsed == letter), "right": float(item.truth == letter)},
            slices={"letter": letter},
        )
        for item in items
        for letter in item.options
    ]  # fmt: skip
    return tuple(value for value in summarise(rows, _OF_A_LETTER, ["letter"], replicates, seed) if value.slice)


_OF_A_LETTER = {
    "chosen": share("chosen", "shown", better=None),
    "right": share("right", "shown", better=None),
    "bias": Measure(lambda sums: (sums["chosen"] - sums["right"]) / sums["shown"], "shown", better=None),
}
