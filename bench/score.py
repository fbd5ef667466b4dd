"""Scores against what people use now, equal values first. The captions' peer needs pycocoevalcap and Java."""

from __future__ import annotations

import io
import random
import re
import subprocess
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from importlib.util import find_spec
from typing import Any

import numpy as np
from measure import Row, compare, options, publish

from chiasm.score.captioning.score import caption_items, measures
from chiasm.score.generation.features import fid
from chiasm.score.retrieval.ranks import ranks_in_columns, ranks_in_rows
from chiasm.score.vqa.accuracy import judge_all
from chiasm.score.vqa.annotations import Annotation
from chiasm.score.vqa.normalise import ARTICLES, CONTRACTIONS, NUMBERS

LETTERS = "etaoinshrdlucmfwypvbgkqjxz"
WORDS = [
    *("a", "the", "on", "of", "in", "with", "and", "is"),
    *(LETTERS[n % 26] + LETTERS[n // 26 % 26] + LETTERS[n // 676] + "ing" for n in range(3000)),
]
WORDS[60], WORDS[120] = "man's", "t-shirt"
MARKS = ';/[]"{}()=+\\_-><@`,?!'


def sentences(rng: random.Random, count: int) -> list[str]:
    """About ten words each, as unevenly frequent as in English. None ends in "a.", which the Java tokeniser reads as an
    abbreviation or not by how the next line begins."""
    weights = [1 / rank for rank in range(1, len(WORDS) + 1)]
    words = iter(rng.choices(WORDS, weights, k=count * 14))
    return [" ".join(next(words) for _ in range(rng.randint(7, 13))).capitalize() + " end." for _ in range(count)]


def equal_and_timed(
    what: str,
    peer: str,
    ours: Callable[[], Any],
    theirs: Callable[[], Any],
    same: Callable[[Any, Any], bool],
    repeats: int,
    aim: float,
) -> Row:
    """Time both, and check that they gave the same. Minutes long, the calls are not run once more to warm up."""
    said: dict[str, Any] = {}
    row = compare(
        what,
        peer,
        lambda: said.update(ours=ours()),
        lambda: said.update(theirs=theirs()),
        repeats,
        warm_up=False,
        aim=aim,
    )
    assert same(said["ours"], said["theirs"]), f"{what}: {said}"
    return row


def caption_row(images: int, repeats: int, aim: float) -> Row:
    """Tokenising, BLEU, ROUGE-L and CIDEr-D of `images` captions with five references each."""
    from pycocoevalcap.bleu.bleu import Bleu
    from pycocoevalcap.cider.cider import Cider
    from pycocoevalcap.rouge.rouge import Rouge
    from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

    rng = random.Random(0)
    said = {str(i): text for i, text in enumerate(sentences(rng, images))}
    true = {str(i): sentences(rng, 5) for i in range(images)}

    def ours() -> dict[str, float]:
        sums: dict[str, np.ndarray] = {}
        items = caption_items(true, said)
        for name in items[0].statistics:
            sums[name] = np.array([sum(item.statistics[name] for item in items)])
        return {name: float(measure.of(sums)[0]) for name, measure in measures(items).items()}

    def theirs() -> dict[str, float]:
        with redirect_stdout(io.StringIO()):
            tokenizer = PTBTokenizer()
            references = tokenizer.tokenize({k: [{"caption": text} for text in v] for k, v in true.items()})
            hypotheses = tokenizer.tokenize({k: [{"caption": text}] for k, text in said.items()})
            bleu = Bleu(4).compute_score(references, hypotheses)[0]
            rouge = Rouge().compute_score(references, hypotheses)[0]
            cider = Cider().compute_score(references, hypotheses)[0]
        return {f"bleu_{n}": value for n, value in enumerate(bleu, 1)} | {"rouge_l": rouge, "cider_d": cider}

    def same(mine: dict[str, float], other: dict[str, float]) -> bool:
        return all(abs(mine[name] - value) < 1e-8 for name, value in other.items())

    what = f"BLEU, ROUGE-L, CIDEr-D of {images:,} captions, 5 references each"
    return equal_and_timed(what, "pycocoevalcap, Java tokeniser", ours, theirs, same, repeats, aim)


def plain_accuracy(prediction: str, answers: tuple[str, ...]) -> float:
    """VQA's official rule, step by step as its script has it."""

    def rewritten(text: str) -> str:
        out = text
        for mark in MARKS:
            deleted = mark + " " in text or " " + mark in text or re.search(r"(\d)(,)(\d)", text)
            out = out.replace(mark, "" if deleted else " ")
        out = re.compile(r"(?!<=\d)(\.)(?!\d)").sub("", out, count=32)
        words = [NUMBERS.get(word, word) for word in out.lower().split()]
        return " ".join(CONTRACTIONS.get(word, word) for word in words if word not in ARTICLES)

    clean = [text.replace("\n", " ").replace("\t", " ").strip() for text in (prediction, *answers)]
    if len(set(clean[1:])) > 1:
        clean = [rewritten(text) for text in clean]
    said, people = clean[0], clean[1:]
    scores = []
    for index in range(len(people)):
        matches = [answer for answer in people[:index] + people[index + 1 :] if answer == said]
        scores.append(min(1.0, len(matches) / 3))
    return sum(scores) / len(scores)


def vqa_row(questions: int, repeats: int) -> Row:
    rng = random.Random(0)
    answers = ["yes", "no", "2", "red and white", "The man.", "don't know", "left", "1,000", *sentences(rng, 3000)]
    truth = []
    predictions = {}
    for number in range(questions):
        likely = rng.choices(answers, k=3)
        people = tuple(rng.choice(likely) for _ in range(10))
        truth.append(Annotation(str(number), str(number // 5), people, None))
        predictions[str(number)] = rng.choice(likely)

    def ours() -> list[float]:
        return [verdict.score for verdict in judge_all(truth, predictions, "official") if verdict is not None]

    def theirs() -> list[float]:
        return [plain_accuracy(predictions[question.id], question.answers) for question in truth]

    what = f"VQA accuracy, official, {questions:,} questions"
    return equal_and_timed(what, "a plain port of the official rule", ours, theirs, np.allclose, repeats, 20)


def retrieval_row(images: int, texts: int, repeats: int) -> Row:
    rng = np.random.default_rng(0)
    similarity = rng.standard_normal((images, texts), dtype=np.float32)
    image_of_text = np.arange(texts) * images // texts
    of_image = [np.flatnonzero(image_of_text == i) for i in range(images)]
    of_text = [image_of_text[i : i + 1] for i in range(texts)]

    def ours() -> list[float]:
        rows = ranks_in_rows(lambda start, stop: similarity[start:stop], of_image, texts, 4)
        columns = ranks_in_columns(similarity, of_text)
        return [_hits([ranks[0] for ranks in rows]), _hits([ranks[0] for ranks in columns])]

    def theirs() -> list[float]:
        order = np.argsort(-similarity, axis=1)
        first = [int(np.isin(order[i], of_image[i]).argmax()) + 1 for i in range(images)]
        order = np.argsort(-similarity.T, axis=1)
        return [_hits(first), _hits((order == image_of_text[:, None]).argmax(1) + 1)]

    what = f"hit@10 both ways, {images:,} pictures and {texts:,} texts"
    return equal_and_timed(what, "numpy argsort of the whole matrix", ours, theirs, np.allclose, repeats, 10)


def _hits(ranks: list[int] | np.ndarray) -> float:
    return float(np.mean(np.asarray(ranks) <= 10))


def fid_row(width: int, repeats: int) -> Row:
    from scipy.linalg import sqrtm

    rng = np.random.default_rng(0)
    real, made = rng.standard_normal((2, width + 1000, width))

    def theirs() -> float:
        a, b = np.cov(real.T), np.cov(made.T)
        gap = real.mean(0) - made.mean(0)
        return float(gap @ gap + np.trace(a + b - 2 * sqrtm(a @ b).real))

    what = f"FID, {width} features"
    return equal_and_timed(what, "scipy sqrtm", lambda: fid(real, made), theirs, np.allclose, repeats, 5)


def start_row(repeats: int) -> Row:
    def start(*command: str) -> None:
        subprocess.run([sys.executable, *command], check=True, stdout=subprocess.DEVNULL)

    return compare(
        "start of `chiasm score --help`",
        "python -c 'import torch'",
        lambda: start("-m", "chiasm", "score", "--help"),
        lambda: start("-c", "import torch"),
        repeats,
    )


def main() -> None:
    chosen = options(__doc__, repeats=3)
    rows = []
    if find_spec("pycocoevalcap"):
        rows += [caption_row(count, chosen.repeats, aim) for count, aim in ((1000, 10), (5000, 8))]
        rows += [caption_row(40_000, 1, 6)]
    rows += [
        vqa_row(214_354, 1),
        retrieval_row(5000, 25_000, 1),
        fid_row(2048, 1),
        start_row(5),
    ]
    publish("score", "Scores", "Files are already read; random captions, answers and features.", rows, chosen.json)


if __name__ == "__main__":
    main()
