"""What every vision-language model offers, ours and other people's: nothing above it knows which kind it holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np
from PIL import Image
from torch import Tensor

from chiasm.models.features import Features
from chiasm.types import Answer

Picture = Image.Image | np.ndarray
"""An upright RGB picture: PIL, or uint8 (height, width, 3)."""
Prompts = Sequence[Sequence[str]]
"""`prompts[i]` are asked about picture i."""
Patched = Literal["image", "question", "answer"]
"""Tokens in a decoder: the picture's; those from which the answer's tokens are chosen (the prompt's last, and the
answer's own before the closing one); and all other text."""


@dataclass(frozen=True)
class Dialect:
    """How a model is spoken to: what it was trained to be asked, and what it knows the names of.

    prompts   task ("scene", "caption", "answer", "detect", "ground") -> prompt. "answer" holds "{question}" (without
              it a question is asked as it is), "ground" holds "{phrase}". Another task that is missing is one that
              the model has not learned.
    scenes, objects   closed lists of names, empty where the model is open
    """

    prompts: Mapping[str, str] = field(default_factory=dict)
    scenes: tuple[str, ...] = ()
    objects: tuple[str, ...] = ()


class VisionLanguageModel(Protocol):
    """image --encoder--> E_pre --connector--> E_post --decoder--> text."""

    @property
    def dialect(self) -> Dialect: ...

    def sites(self) -> tuple[str, ...]:
        """Where on the vision side features can be taken, in the order a picture passes them: "encoder.0", ...,
        "encoder" (E_pre: what the connector is given), "connector.in" (after the connector's own input norm, equal to
        "encoder" where it has none) and "connector" (E_post: what the decoder is given)."""
        ...

    def encode(self, images: Sequence[Picture]) -> Features:
        """Pictures of any size -> E_pre."""
        ...

    def connect(self, features: Features) -> Features:
        """E_pre, or another tensor in its place, -> E_post."""
        ...

    def capture(self, images: Sequence[Picture], sites: Sequence[str]) -> dict[str, Features]:
        """Features at several sites from one forward of the vision side. Raises ConfigError for an unknown site."""
        ...

    def generate(self, features: Features | None, prompts: Prompts, *, limit: int = 64) -> list[list[Answer]]:
        """Greedy answers to `prompts[i]` about picture i of `features` (E_post), of at most `limit` tokens; one that
        runs into the limit has a `problem`. Without features the model is asked blind."""
        ...

    def logprob(self, features: Features | None, prompts: Prompts, answers: Prompts) -> list[list[float]]:
        """Natural log-probability of each answer, its closing token included, after its prompt (teacher-forced)."""
        ...

    def logits(self, features: Features | None, prompts: Prompts, answers: Prompts) -> list[list[Tensor]]:
        """Logits (tokens, vocabulary) from which each token of each answer is chosen, the closing one last."""
        ...

    def hidden(self, features: Features | None, prompts: Prompts, layers: Sequence[int]) -> list[list[Tensor]]:
        """States (layers, tokens, width) of the decoder over each prompt, the picture's tokens included, at the output
        of the given layers (0 is the first; a negative one counts from the last). The last token is the one from which
        the answer is begun."""
        ...

    @property
    def decoder_layers(self) -> int:
        """How many layers the decoder has."""
        ...

    def patched_logprob(
        self,
        features: Features,
        other: Features,
        prompts: Prompts,
        answers: Prompts,
        layers: Sequence[int],
        where: Patched,
    ) -> list[list[Tensor]]:
        """As `logprob`, (layers,) for each answer: run on `features`, but with the states of the `where` tokens at the
        output of one decoder layer from the run on `other`, whose pictures have as many tokens. Raises ConfigError
        where they have not, and for a decoder that does not hold the picture's tokens."""
        ...

    def answer_loss(self, features: Features, prompts: Prompts, answers: Prompts) -> tuple[Tensor, int]:
        """Cross-entropy summed over the tokens of all answers, the closing ones included, and their number. The only
        call through which gradients go back to `features`."""
        ...
