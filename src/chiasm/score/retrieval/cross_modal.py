"""Image-text retrieval in both directions, from a similarity matrix or from embeddings."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from math import comb

import numpy as np

from chiasm.errors import ConfigError, DataError
from chiasm.score.bootstrap import summarise
from chiasm.score.measure import Measure, ratio, share
from chiasm.score.result import Item, Score, Value
from chiasm.score.retrieval.ranks import ranks_in_columns, ranks_in_rows

CUTOFFS = (1, 5, 10)
_TIES = "equal scores rank against the model"


def score_similarity(similarity: np.ndarray, positives: np.ndarray, cutoffs: Sequence[int] = CUTOFFS) -> Score:
    """hit@k, recall@k, MAP and MRR, image to text and text to image, all in 0..1.

    `similarity` is (images, texts), any float type, higher is closer; it may be memory-mapped and is read twice, in
    blocks of 32 MiB. `positives` is int (pairs, 2), the image and text numbers that belong together; every image and
    text needs at least one (`pairs_of_captions` makes it from each text's image). hit@k, which CLIP papers call R@k,
    asks for any right one among the first k, recall@k for all: it divides by their number.

    A wrong candidate with the same similarity ranks above a right one. Intervals are by image: a text belongs to the
    first image that it is paired with. Raises DataError for scores that are not finite and for impossible pairs,
    ConfigError for wrong shapes.
    """
    if similarity.ndim != 2 or not np.issubdtype(similarity.dtype, np.floating):
        raise ConfigError(f"similarity must be float (images, texts), got {similarity.dtype} {similarity.shape}")
    texts_of_image, images_of_text = _partners(positives, *similarity.shape)
    image_ranks = ranks_in_rows(
        lambda start, stop: similarity[start:stop], texts_of_image, similarity.shape[1], similarity.itemsize
    )
    return _score(image_ranks, ranks_in_columns(similarity, images_of_text), texts_of_image, images_of_text, cutoffs)


def score_embeddings(
    images: np.ndarray, texts: np.ndarray, positives: np.ndarray, cutoffs: Sequence[int] = CUTOFFS, cosine: bool = True
) -> Score:
    """As `score_similarity`, from `images` (images, width) and `texts` (texts, width), float.

    The similarity is the cosine, or the dot product if not `cosine`, in float32; the matrix of all similarities never
    exists. Raises DataError for an embedding that is not finite, or zero with `cosine`.
    """
    if images.ndim != 2 or texts.ndim != 2 or images.shape[1] != texts.shape[1]:
        raise ConfigError(f"embeddings must be (count, width) of one width, got {images.shape} and {texts.shape}")
    left, right = _rows(images, cosine, "image"), _rows(texts, cosine, "text")
    texts_of_image, images_of_text = _partners(positives, len(left), len(right))
    image_ranks = ranks_in_rows(
        lambda start, stop: left[start:stop] @ right.T, texts_of_image, len(right), left.itemsize
    )
    text_ranks = ranks_in_rows(lambda start, stop: right[start:stop] @ left.T, images_of_text, len(left), left.itemsize)
    return _score(image_ranks, text_ranks, texts_of_image, images_of_text, cutoffs)


def pairs_of_captions(image_of_text: Sequence[int] | np.ndarray) -> np.ndarray:
    """`positives` for texts that each belong to one image: (texts, 2), the image number and the text's own number."""
    image_of_text = np.asarray(image_of_text)
    return np.stack([image_of_text, np.arange(len(image_of_text))], axis=1)


def _rows(embeddings: np.ndarray, cosine: bool, what: str) -> np.ndarray:
    rows = np.array(embeddings, dtype=np.float32, order="C")
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    bad = ~np.isfinite(lengths[:, 0]) | (cosine & (lengths[:, 0] == 0))
    if bad.any():
        number = int(np.flatnonzero(bad)[0])
        raise DataError(f"{int(bad.sum())} {what} embeddings are not finite or zero; the first is number {number}")
    return np.divide(rows, lengths, out=rows) if cosine else rows


def _score(
    image_ranks: Iterator[list[int]],
    text_ranks: Iterator[list[int]],
    texts_of_image: Sequence[np.ndarray],
    images_of_text: Sequence[np.ndarray],
    cutoffs: Sequence[int],
) -> Score:
    if not cutoffs or min(cutoffs) < 1:
        raise ConfigError(f"cutoffs must be 1 or more, got {list(cutoffs)}")
    items = [
        *_items("image_to_text", "image", image_ranks, texts_of_image, str, cutoffs),
        *_items(
            "text_to_image", "text", text_ranks, images_of_text, lambda text: str(images_of_text[text][0]), cutoffs
        ),
    ]
    baselines = (
        *_baselines("image_to_text", texts_of_image, len(images_of_text), cutoffs),
        *_baselines("text_to_image", images_of_text, len(texts_of_image), cutoffs),
    )
    return Score("retrieval", _TIES, (*summarise(items, measures(items)), *baselines), tuple(items))


def _partners(positives: np.ndarray, images: int, texts: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """The texts of each image and the images of each text."""
    pairs = np.asarray(positives)
    if pairs.ndim != 2 or pairs.shape[1] != 2 or not np.issubdtype(pairs.dtype, np.integer):
        raise ConfigError(f"positives must be whole numbers (pairs, 2), got {pairs.dtype} {pairs.shape}")
    outside = (pairs < 0) | (pairs >= (images, texts))
    if outside.any():
        image, text = pairs[outside.any(axis=1)][0]
        raise DataError(f"image {image} and text {text} can't be a pair: there are {images} images and {texts} texts")
    of_image, of_text = np.unique(pairs, axis=0).T
    return _grouped(of_image, of_text, images, "image"), _grouped(of_text, of_image, texts, "text")


def _grouped(keys: np.ndarray, values: np.ndarray, count: int, what: str) -> list[np.ndarray]:
    """The values of each key from 0 to `count`. Raises DataError for a key that has none."""
    sizes = np.bincount(keys, minlength=count)
    if (sizes == 0).any():
        alone = np.flatnonzero(sizes == 0)
        raise DataError(f"{alone.size} of {count} {what}s have no partner; the first is {what} {alone[0]}")
    return np.split(values[np.argsort(keys, kind="stable")], np.cumsum(sizes)[:-1])


def _items(
    direction: str,
    what: str,
    all_ranks: Iterator[list[int]],
    positives: Sequence[np.ndarray],
    image_of: Callable[[int], str],
    cutoffs: Sequence[int],
) -> Iterator[Item]:
    for query, ranks in enumerate(all_ranks):
        statistics = {
            f"{direction}.queries": 1.0,
            f"{direction}.map": sum(place / rank for place, rank in enumerate(ranks, start=1)) / len(ranks),
            f"{direction}.mrr": 1 / ranks[0],
        }
        for k in cutoffs:
            found = bisect_right(ranks, k)
            statistics[f"{direction}.hit@{k}"] = float(found > 0)
            statistics[f"{direction}.recall@{k}"] = found / len(ranks)
        yield Item(
            id=f"{what}/{query}",
            image=image_of(query),
            prediction=ranks,
            parsed=ranks,
            truth=positives[query].tolist(),
            statistics=statistics,
            rule="ranks of the right candidates",
            slices={"direction": direction},
        )


def _names(cutoffs: Sequence[int]) -> list[str]:
    return [*(f"{name}@{k}" for name in ("hit", "recall") for k in cutoffs), "map", "mrr"]


def measures(items: Sequence[Item]) -> dict[str, Measure]:
    """The metrics of both directions."""
    names = dict.fromkeys(name for item in items for name in item.statistics if not name.endswith(".queries"))
    return {name: (share if ".hit@" in name else ratio)(name, f"{name.split('.')[0]}.queries") for name in names}


def _baselines(
    direction: str, positives: Sequence[np.ndarray], candidates: int, cutoffs: Sequence[int]
) -> Iterator[Value]:
    """What a random order of the candidates is expected to score."""
    sizes, counts = np.unique([len(right) for right in positives], return_counts=True)
    by_size = [expected_by_chance(int(size), candidates, cutoffs) for size in sizes]
    for name in _names(cutoffs):
        value = float(np.average([expected[name] for expected in by_size], weights=counts))
        yield Value(f"baseline.chance.{direction}.{name}", value, len(positives), method="baseline")


def expected_by_chance(right: int, candidates: int, cutoffs: Sequence[int]) -> dict[str, float]:
    """Expected hit@k, recall@k, map and mrr of a random order of `candidates`, of which `right` are right.

    hit@k is one minus the chance that all of the first k are wrong; for map see Bestgen 2015, "Exact expected average
    precision of the random baseline".
    """
    ranks = np.arange(1, candidates - right + 2)
    # The chance that the first right one stands at each rank: all before it wrong, then one of the right ones.
    still_wrong = np.cumprod(np.concatenate([[1.0], 1 - right / (candidates - ranks[:-1] + 1)]))
    first = still_wrong * right / (candidates - ranks + 1)
    harmonic = float((1 / np.arange(1, candidates + 1)).sum())
    after_another = (right - 1) / max(candidates - 1, 1)
    expected = {
        "map": (after_another * (candidates - harmonic) + harmonic) / candidates,
        "mrr": float(first @ (1 / ranks)),
    }
    for k in cutoffs:
        shown = min(k, candidates)
        expected[f"hit@{k}"] = 1 - comb(candidates - right, shown) / comb(candidates, shown)
        expected[f"recall@{k}"] = shown / candidates
    return expected
