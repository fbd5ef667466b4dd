"""Scores against what people use now, equal values first. The captions' peer needs pycocoevalcap and Java."""

from __future__ import annotations

import io
import json
import random
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import redirect_stdout
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from faster_coco_eval import COCO, COCOeval_faster
from measure import Row, beside, compare, interleaved, options, publish

from chiasm.score.captioning.score import caption_items, measures
from chiasm.score.generation.features import fid
from chiasm.score.regions.coco import score_coco
from chiasm.score.regions.coco_accumulate import Accumulation
from chiasm.score.regions.coco_backend import official
from chiasm.score.regions.coco_files import read_results, read_truth
from chiasm.score.regions.coco_matching import match
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


def coco_files(folder: Path, images: int) -> tuple[Path, Path]:
    """Seven objects in each image, and around each three boxes of random certainty, of which a third has another
    name."""
    rng = np.random.default_rng(0)
    image = np.repeat(np.arange(1, images + 1), 7)
    category = rng.integers(1, 81, len(image))
    box = np.column_stack([rng.integers(0, 400, len(image)), rng.integers(0, 280, len(image)),
                           rng.integers(10, 200, (len(image), 2))])  # fmt: skip
    truth = {
        "images": [{"id": i, "width": 640, "height": 480} for i in range(1, images + 1)],
        "categories": [{"id": i, "name": str(i)} for i in range(1, 81)],
        "annotations": [
            {"id": n, "image_id": i, "category_id": c, "bbox": b, "area": b[2] * b[3], "iscrowd": 0}
            for n, (i, c, b) in enumerate(zip(image.tolist(), category.tolist(), box.tolist(), strict=True), 1)
        ],
    }
    image, category, box = (
        image.repeat(3),
        category.repeat(3),
        box.repeat(3, axis=0) + rng.normal(0, 15, (21 * images, 4)),
    )
    box[:, 2:] = np.maximum(box[:, 2:], 4)
    category = np.where(rng.random(len(image)) < 0.7, category, rng.integers(1, 81, len(image)))
    columns = (image.tolist(), category.tolist(), box.round(2).tolist(), rng.random(len(image)).tolist())
    results = [{"image_id": i, "category_id": c, "bbox": b, "score": s} for i, c, b, s in zip(*columns, strict=True)]
    paths = folder / f"truth_{images}.json", folder / f"results_{images}.json"
    for path, content in zip(paths, (truth, results), strict=True):
        path.write_text(json.dumps(content))
    return paths


def backend_numbers(truth: Any, results: Any) -> np.ndarray:
    """The twelve numbers by faster-coco-eval as its users call it, from paths or from what is in the files."""
    known = COCO(truth)
    evaluation = COCOeval_faster(known, known.loadRes(results), "bbox", print_function=lambda *text: None)
    evaluation.run()
    return np.array(evaluation.stats)


def coco_rows(folder: Path, images: int, repeats: int) -> list[Row]:
    """From files to the twelve numbers, with matches, reasons and their costs; and from what has been read."""
    truth, results = coco_files(folder, images)
    known = read_truth(truth, "bbox")
    detections, _ = read_results(results, known, "bbox")
    read = json.loads(truth.read_text()), json.loads(results.read_text())

    def from_files() -> list[float | None]:
        return [value.value for value in score_coco(truth, results, replicates=0).values[:12]]

    def once_read() -> list[float | None]:
        return list(official(known, detections, match(detections, known.objects), "bbox")[0].values())

    what, peer = f"COCO's numbers of {images:,} images, {len(detections):,} boxes", "faster-coco-eval alone"
    from_paths = (str(truth), str(results))
    return [
        equal_and_timed(
            f"{what}, from files", peer, from_files, lambda: backend_numbers(*from_paths), np.allclose, repeats, 0.95
        ),
        equal_and_timed(
            f"{what}, once read", peer, once_read, lambda: backend_numbers(*read), np.allclose, repeats, 0.95
        ),
    ]


def coco_interval_row(folder: Path, images: int, replicates: int, runs: int) -> Row:
    """All of `chiasm score coco-det`. The backend runs on a few of the resampled sets only; its time is scaled up."""
    truth, results = coco_files(folder, images)
    known = read_truth(truth, "bbox")
    detections, _ = read_results(results, known, "bbox")
    content, said = json.loads(truth.read_text()), json.loads(results.read_text())
    rng = np.random.default_rng(0)
    drawn = [rng.integers(1, images + 1, images) for _ in range(runs)]

    def of_draw(rows: list[dict[str, Any]], draw: np.ndarray) -> list[dict[str, Any]]:
        by_image: dict[int, list[dict[str, Any]]] = {}
        for row in rows:
            by_image.setdefault(row["image_id"], []).append(row)
        found = [row | {"image_id": new} for new, old in enumerate(draw.tolist(), 1) for row in by_image.get(old, ())]
        return [row | {"id": number} for number, row in enumerate(found, 1)]

    def theirs() -> np.ndarray:
        resampled = ((content | {"annotations": of_draw(content["annotations"], draw)}, draw) for draw in drawn)
        return np.array([backend_numbers(truth, of_draw(said, draw)) for truth, draw in resampled])

    accumulation = Accumulation(match(detections, known.objects), detections, known.objects, len(known.names))
    weights = np.array([np.bincount(draw - 1, minlength=images) for draw in drawn])
    assert np.allclose(accumulation.averages(weights).standard.T, theirs())
    seconds = interleaved(1, lambda: score_coco(truth, results, replicates=replicates), theirs, warm_up=False)
    what = f"the same with intervals of {replicates} resampled sets"
    peer = f"faster-coco-eval on each ({runs} runs, times {replicates // runs})"
    return beside(what, peer, seconds[:, 0], seconds[:, 1] * replicates / runs)


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
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows += coco_rows(folder, 1000, 3 * chosen.repeats) + coco_rows(folder, 5000, chosen.repeats)
        rows += [coco_interval_row(folder, 1000, 200, 4)]
    rows += [
        vqa_row(214_354, 1),
        retrieval_row(5000, 25_000, 1),
        fid_row(2048, 1),
        start_row(5),
    ]
    publish("score", "Scores", "Files are already read; random captions, answers and features.", rows, chosen.json)


if __name__ == "__main__":
    main()
