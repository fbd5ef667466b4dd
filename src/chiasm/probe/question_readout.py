"""A readout of answers from features: one small network of the same capacity at every site, told the question.

The question makes queries, the queries look over the picture's tokens, and what they find is read as one of a closed
list of answers (after Girdhar et al. 2022, "attentive probing"; here with the query made from words). It sees what is
in the features and the words of the question, nothing of the model.
"""

from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import torch
from torch import Tensor, nn

from chiasm.errors import DataError
from chiasm.models.features import Features, Grid

WIDTH = 256
"""Features are cut to so many directions, so that a wide site gives the readout no more room than a narrow one."""
HASHED = 4096
_WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class Recipe:
    """How a readout is trained; equal at all sites that are compared."""

    epochs: int = 12
    questions_a_step: int = 200
    learning_rate: float = 3e-3
    weight_decay: float = 0.05
    inner: int = 128
    heads: int = 8


class Projection:
    """Features standardised and turned to their `WIDTH` strongest directions (PCA), fitted on some pictures."""

    def __init__(self, tokens: Tensor, width: int = WIDTH) -> None:
        """`tokens` is (tokens, width) of the pictures it is fitted on. Raises DataError for values not finite."""
        if not torch.isfinite(tokens).all():
            raise DataError("the features have values that are not finite; a readout would learn nothing from them")
        tokens = tokens.float()
        self.mean = tokens.mean(dim=0)
        # A few massive directions would otherwise be all that PCA sees.
        self.scale = 1 / (tokens.std(dim=0) + 1e-6)
        self.basis: Tensor | None = None
        if tokens.shape[1] > width:
            standard = (tokens - self.mean) * self.scale
            _, vectors = torch.linalg.eigh(standard.T @ standard)
            self.basis = vectors[:, -width:]

    def __call__(self, features: Features) -> Features:
        tokens = (features.tokens.float() - self.mean) * self.scale
        tokens = tokens if self.basis is None else tokens @ self.basis
        return Features(tokens, features.grids, features.site)


@dataclass(frozen=True)
class Lessons:
    """Pictures and what is asked of them: `features` has a row of tokens a picture, `questions[i]` are about picture i,
    `answers[i]` the accepted answers of each."""

    features: Features
    questions: Sequence[Sequence[str]]
    answers: Sequence[Sequence[Sequence[str]]]


@dataclass(frozen=True)
class Padded:
    """Tokens (n, longest, width), `mask` (n, longest) True where there is one, `place` (n, longest, 6)."""

    tokens: Tensor
    mask: Tensor
    place: Tensor

    @staticmethod
    def of(features: Features) -> Padded:
        parts = features.split()
        mask = [torch.ones(len(part), dtype=torch.bool) for part in parts]
        places = [_places(grid) for grid in features.grids]
        pad = nn.utils.rnn.pad_sequence
        return Padded(*(pad(rows, batch_first=True) for rows in (parts, mask, places)))

    def __getitem__(self, chosen: Tensor) -> Padded:
        return Padded(self.tokens[chosen], self.mask[chosen], self.place[chosen])


class QuestionReadout(nn.Module):
    """`classes` are the answers it can give."""

    def __init__(self, width: int, classes: Sequence[str], recipe: Recipe) -> None:
        super().__init__()
        inner = recipe.inner
        self.classes, self.heads = tuple(classes), recipe.heads
        self.words = nn.EmbeddingBag(HASHED, inner, mode="mean")
        self.query, self.key, self.value = nn.Linear(inner, inner), nn.Linear(width, inner), nn.Linear(width, inner)
        self.place = nn.Linear(6, inner)
        self.read = nn.Sequential(nn.Linear(2 * inner, 2 * inner), nn.GELU(), nn.Linear(2 * inner, len(classes)))

    def forward(self, pictures: Padded, questions: Sequence[Sequence[str]]) -> Tensor:
        """Logits (pictures, most questions, classes); rows beyond a picture's own questions are to be left out."""
        asked = self._asked(questions)
        place = self.place(pictures.place)
        key, value = self.key(pictures.tokens) + place, self.value(pictures.tokens) + place
        query, key, value = (self._by_head(part) for part in (self.query(asked), key, value))
        # Without a mask torch takes its fast path.
        mask = None if pictures.mask.all() else pictures.mask[:, None, None]
        looked = nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        found = looked.transpose(1, 2).flatten(2)
        return self.read(torch.cat([found, asked], dim=-1))

    def _asked(self, questions: Sequence[Sequence[str]]) -> Tensor:
        """(pictures, most questions, inner)."""
        distinct = {text: index for index, text in enumerate(dict.fromkeys(q for group in questions for q in group))}
        hashed = [_hashed(text) for text in distinct]
        starts = torch.tensor([0, *(len(ids) for ids in hashed[:-1])]).cumsum(0)
        embedded = self.words(torch.tensor([index for ids in hashed for index in ids]), starts)
        most = max(len(group) for group in questions)
        rows = [[distinct[q] for q in group] + [0] * (most - len(group)) for group in questions]
        return embedded[torch.tensor(rows)]

    def _by_head(self, part: Tensor) -> Tensor:
        return part.unflatten(-1, (self.heads, -1)).transpose(1, 2)


@dataclass(frozen=True)
class Ensemble:
    """Readouts that differ in their seed: where they disagree, the answer is not surely there."""

    readouts: tuple[QuestionReadout, ...]
    classes: tuple[str, ...] = field(default=())

    @torch.inference_mode()
    def hits(self, lessons: Lessons, batch: int = 64) -> list[list[float]]:
        """For each question the share of readouts whose likeliest answer is accepted, in [0, 1]."""
        padded = Padded.of(lessons.features)
        found: list[list[float]] = []
        for chosen in torch.arange(len(lessons.questions)).split(batch):
            questions = [lessons.questions[i] for i in chosen.tolist()]
            if not any(questions):
                found += [[] for _ in questions]
                continue
            best = [readout(padded[chosen], questions).argmax(dim=-1).tolist() for readout in self.readouts]
            for row, index in enumerate(chosen.tolist()):
                accepted = lessons.answers[index]
                found.append(
                    [
                        sum(self.classes[said[row][q]] in accepted[q] for said in best) / len(best)
                        for q in range(len(questions[row]))
                    ]
                )
        return found


def answer_classes(lessons: Lessons, fewest: int = 2) -> tuple[str, ...]:
    """The answers that a readout can learn: those that are the truth of `fewest` questions or more."""
    counts = Counter(accepted[0] for group in lessons.answers for accepted in group)
    return tuple(answer for answer, count in counts.most_common() if count >= fewest)


def fit_readouts(
    lessons: Lessons,
    classes: Sequence[str],
    recipe: Recipe | None = None,
    seeds: Sequence[int] = (0, 1, 2),
    advance: Callable[[], None] = lambda: None,
) -> Ensemble:
    """Train a readout for each seed by cross-entropy on the first accepted answer. `advance` is called each epoch.

    Raises DataError where fewer than two answers can be learned.
    """
    if len(classes) < 2:
        raise DataError(f"a readout needs two answers or more to choose from, found {len(classes)}")
    recipe = recipe or Recipe()
    padded = Padded.of(lessons.features)
    return Ensemble(tuple(_fit(lessons, padded, classes, recipe, seed, advance) for seed in seeds), tuple(classes))


def _fit(
    lessons: Lessons, padded: Padded, classes: Sequence[str], recipe: Recipe, seed: int, advance: Callable[[], None]
) -> QuestionReadout:
    number = {answer: index for index, answer in enumerate(classes)}
    labels = [[number.get(accepted[0], -100) for accepted in group] for group in lessons.answers]
    useful = torch.tensor([i for i, group in enumerate(labels) if any(label >= 0 for label in group)])
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        readout = QuestionReadout(padded.tokens.shape[2], classes, recipe)
    optimizer = torch.optim.AdamW(readout.parameters(), recipe.learning_rate, weight_decay=recipe.weight_decay)
    rows_a_step = max(1, round(recipe.questions_a_step * len(labels) / sum(map(len, labels))))
    steps = recipe.epochs * -(-len(useful) // rows_a_step)
    warm_up = max(1, steps // 10)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / warm_up, (steps - step) / steps)
    )
    for _ in range(recipe.epochs):
        for chosen in useful[torch.randperm(len(useful), generator=generator)].split(rows_a_step):
            rows = chosen.tolist()
            logits = readout(padded[chosen], [lessons.questions[i] for i in rows])
            wanted = torch.full(logits.shape[:2], -100)
            for row, index in enumerate(rows):
                wanted[row, : len(labels[index])] = torch.tensor(labels[index])
            loss = nn.functional.cross_entropy(logits.flatten(0, 1), wanted.flatten(), ignore_index=-100)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        advance()
    return readout.eval()


def _hashed(text: str) -> list[int]:
    """Words and pairs of neighbours as numbers; a question of no words is one of its own."""
    words = _WORD.findall(text.lower()) or [""]
    return [zlib.crc32(part.encode()) % HASHED for part in (*words, *map("_".join, pairwise(words)))]


def _places(grid: Grid) -> Tensor:
    """Where each token is, (tokens, 6): both coordinates in [-1, 1], their squares and product, and 1."""
    rows, columns = (torch.linspace(-1, 1, side) if side > 1 else torch.zeros(1) for side in grid)
    y, x = (part.flatten() for part in torch.meshgrid(rows, columns, indexing="ij"))
    return torch.stack([x, y, x * x, y * y, x * y, torch.ones_like(x)], dim=1)
