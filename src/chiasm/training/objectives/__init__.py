"""Training objectives, by name.

An objective is built from (model, dataset, **options) and has three methods. `prepare(places)` makes a batch from
(epoch, example) pairs, ahead of the step; `counts(batch)` says how many terms each of its losses sums over;
`losses(batch)` gives the sums. The loop divides each sum once by the count over all micro-batches and processes, and
adds them up by `weights`. An objective may have parameters of its own (heads), which train with the model and are not
part of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from torch import Tensor

from chiasm.training.objectives.both import LanguageAndPatches
from chiasm.training.objectives.language import Language
from chiasm.training.objectives.patches import Patches
from chiasm.training.objectives.replacement import ReplacementLosses


class Objective(Protocol):
    """What the training loop asks of an objective."""

    @property
    def weights(self) -> Mapping[str, float]:
        """The weight of each loss by its name."""
        ...

    def prepare(self, places: Sequence[tuple[int, int]]) -> Any:
        """A batch of the given (epoch, example) places, made in a thread ahead of its step."""
        ...

    def counts(self, batch: Any) -> dict[str, int]:
        """How many terms each loss sums over in this batch."""
        ...

    def losses(self, batch: Any) -> dict[str, Tensor]:
        """Each loss as a sum, a scalar with gradients."""
        ...


OBJECTIVES: dict[str, Callable[..., Objective]] = {
    "language": Language,
    "patches": Patches,
    "language_and_patches": LanguageAndPatches,
    "replacement": ReplacementLosses,
}
