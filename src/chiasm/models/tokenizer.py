"""Byte-level BPE with the tokens a vision-language model needs besides text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import tokenizers
from tokenizers import AddedToken, decoders, models, pre_tokenizers, trainers

from chiasm.errors import CheckpointError

BEGIN, END, ANSWER = "<begin>", "<end>", "<answer>"


class Tokenizer:
    """Text <-> ids. Any text survives the round trip: unknown characters become bytes.

    `begin` opens a document, `answer` stands between a prompt and its answer, `end` closes the answer. `<loc_k>` tokens
    stand for the edges of boxes and are written in text as such.
    """

    def __init__(self, backend: tokenizers.Tokenizer):
        self.backend = backend
        # A mark that somebody writes into a question stays text: only the model's code opens and closes answers.
        backend.encode_special_tokens = True
        self.begin, self.end, self.answer = (self._special(name) for name in (BEGIN, END, ANSWER))

    @classmethod
    def train(cls, texts: Iterable[str], vocabulary: int, loc_bins: int) -> Tokenizer:
        """Learn merges from `texts` up to `vocabulary` text tokens; special and location tokens come on top."""
        backend = tokenizers.Tokenizer(models.BPE())
        backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        backend.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=vocabulary, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
        )
        backend.train_from_iterator(texts, trainer)
        backend.add_special_tokens([BEGIN, END, ANSWER])
        # Not "special", so that decoding keeps them: a box is part of the answer.
        backend.add_tokens([AddedToken(f"<loc_{k}>", normalized=False) for k in range(loc_bins)])
        return cls(backend)

    @classmethod
    def load(cls, path: Path) -> Tokenizer:
        """From tokenizer.json. Raises CheckpointError for anything else."""
        try:
            return cls(tokenizers.Tokenizer.from_file(str(path)))
        except Exception as error:  # the backend raises bare Exception
            raise CheckpointError(f"{path}: not a tokenizer file ({error})") from error

    def save(self, path: Path) -> None:
        """Write tokenizer.json."""
        self.backend.save(str(path))

    def __len__(self) -> int:
        return self.backend.get_vocab_size()

    def encode(self, text: str) -> list[int]:
        """Token ids, without a begin or end token."""
        return self.backend.encode(text, add_special_tokens=False).ids

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """As `encode`, of many texts at once."""
        return [e.ids for e in self.backend.encode_batch_fast(list(texts), add_special_tokens=False)]

    def decode(self, ids: Sequence[int]) -> str:
        """Text of `ids` without begin, answer and end marks."""
        return self.backend.decode(list(ids), skip_special_tokens=True)

    def locations(self) -> list[int]:
        """Ids of `<loc_0>`, `<loc_1>`, ... in order."""
        ids, k = [], 0
        while (i := self.backend.token_to_id(f"<loc_{k}>")) is not None:
            ids.append(i)
            k += 1
        return ids

    def _special(self, name: str) -> int:
        i = self.backend.token_to_id(name)
        if i is None:
            raise CheckpointError(f"the tokenizer has no {name} token")
        return i
