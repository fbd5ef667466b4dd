"""Binary and labelled masks: IoU, Dice, mean IoU over classes, boundary IoU and boundary F.

Where both masks are empty, nothing is wrong and nothing is shown either: `empty` is the score given to that case, 1 by
default, NaN to leave it out of means that skip NaN.
"""

from __future__ import annotations

import numpy as np

from chiasm.score.regions.rle import encode


def overlap(predicted: np.ndarray, true: np.ndarray) -> tuple[int, int]:
    """Pixels in both and in either of two bool masks (height, width). Raises ValueError for other shapes or types."""
    _check(predicted, true)
    intersection = int(np.count_nonzero(predicted & true))
    return intersection, int(np.count_nonzero(predicted)) + int(np.count_nonzero(true)) - intersection


def iou(predicted: np.ndarray, true: np.ndarray, empty: float = 1.0) -> float:
    """Intersection over union (Jaccard) in [0, 1]."""
    intersection, union = overlap(predicted, true)
    return intersection / union if union else empty


def dice(predicted: np.ndarray, true: np.ndarray, empty: float = 1.0) -> float:
    """Twice the intersection over the sum of both sizes, the F1 of pixels, in [0, 1]."""
    intersection, union = overlap(predicted, true)
    return 2 * intersection / (union + intersection) if union else empty


def class_overlaps(
    predicted: np.ndarray, true: np.ndarray, classes: int, ignore: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Intersections and unions (classes,) of two label maps (height, width) with labels 0..classes-1.

    Pixels whose true label is `ignore` are left out. Sums over images give the usual dataset-wide IoU of each class.
    Raises ValueError for labels outside the range or shapes that differ.
    """
    if predicted.shape != true.shape:
        raise ValueError(f"label maps differ in shape: {predicted.shape} and {true.shape}")
    kept = np.ones(true.shape, dtype=bool) if ignore is None else true != ignore
    said, meant = predicted[kept].astype(np.int64), true[kept].astype(np.int64)
    for name, labels in (("predicted", said), ("true", meant)):
        if labels.size and not 0 <= labels.min() <= labels.max() < classes:
            raise ValueError(f"{name} labels lie in {labels.min()}..{labels.max()}, expected 0..{classes - 1}")
    confusion = np.bincount(meant * classes + said, minlength=classes * classes).reshape(classes, classes)
    intersection = confusion.diagonal()
    return intersection, confusion.sum(axis=0) + confusion.sum(axis=1) - intersection


def mean_iou(intersection: np.ndarray, union: np.ndarray) -> float:
    """The mean IoU of the classes that occur in truth or prediction; NaN if none does."""
    occurs = union > 0
    return float((intersection[occurs] / union[occurs]).mean()) if occurs.any() else float("nan")


def boundary_iou(predicted: np.ndarray, true: np.ndarray, share: float = 0.02, empty: float = 1.0) -> float:
    """IoU of the parts of both masks within `share` of the picture's diagonal from their outlines, in [0, 1].

    Cheng et al. 2021, arXiv:2103.16562. The picture's border counts as outline.
    """
    from faster_coco_eval import mask as backend

    _check(predicted, true)
    rims = [backend.decode(backend.rleToBoundary(encode(mask), share)).astype(bool) for mask in (predicted, true)]
    return iou(rims[0], rims[1], empty)


def boundary_f(predicted: np.ndarray, true: np.ndarray, share: float = 0.008, empty: float = 1.0) -> float:
    """F1 of outline pixels that lie within `share` of the picture's diagonal, rounded up, of the other outline.

    The F measure of DAVIS (Perazzi et al. 2016, section 5.1), with all outline pixels within reach counted instead of
    a bipartite matching, as in its published code. 0 where one mask has an outline and the other has none.
    """
    _check(predicted, true)
    outlines = outline(predicted), outline(true)
    if not outlines[0].any() or not outlines[1].any():
        return empty if not outlines[0].any() and not outlines[1].any() else 0.0
    radius = int(np.ceil(share * np.hypot(*predicted.shape)))
    precision = np.mean(_widened(outlines[1], radius)[outlines[0]])
    recall = np.mean(_widened(outlines[0], radius)[outlines[1]])
    return float(2 * precision * recall / (precision + recall)) if precision + recall else 0.0


def outline(mask: np.ndarray) -> np.ndarray:
    """Pixels whose right, lower or lower-right neighbour is on the other side of the mask's edge: (height, width).

    One pixel wide. Where the mask reaches the picture's border there is no edge, so a full mask has none.
    """
    padded = np.pad(mask, ((0, 1), (0, 1)), mode="edge")
    here = padded[:-1, :-1]
    return (here != padded[1:, :-1]) | (here != padded[:-1, 1:]) | (here != padded[1:, 1:])


def _widened(mask: np.ndarray, radius: int) -> np.ndarray:
    """All pixels within `radius` of one of the mask: dilation by a disc, one row of the disc at a time."""
    height, width = mask.shape
    result = np.zeros_like(mask)
    furthest = min(radius, height - 1)
    for down in range(-furthest, furthest + 1):
        reach = int((radius * radius - down * down) ** 0.5)
        before = np.pad(np.cumsum(mask, axis=1), ((0, 0), (reach + 1, reach)), mode="edge")
        before[:, : reach + 1] = 0
        near = before[:, 2 * reach + 1 :] > before[:, :width]
        source = slice(max(0, -down), min(height, height - down))
        target = slice(max(0, down), min(height, height + down))
        result[target] |= near[source]
    return result


def _check(predicted: np.ndarray, true: np.ndarray) -> None:
    if predicted.shape != true.shape or predicted.ndim != 2 or predicted.dtype != bool or true.dtype != bool:
        raise ValueError(
            "masks must be bool arrays (height, width) of one size, got "
            f"{predicted.dtype} {predicted.shape} and {true.dtype} {true.shape}"
        )
