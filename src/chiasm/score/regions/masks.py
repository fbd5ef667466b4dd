"""IoU, boundary IoU and boundary F of two binary masks; 1 where both masks are empty."""

from __future__ import annotations

import numpy as np

from chiasm.score.regions.rle import encode


def overlap(predicted: np.ndarray, true: np.ndarray) -> tuple[int, int]:
    """Pixels in both and in either of two bool masks (height, width). Raises ValueError for other shapes or types."""
    _check(predicted, true)
    intersection = int(np.count_nonzero(predicted & true))
    return intersection, int(np.count_nonzero(predicted)) + int(np.count_nonzero(true)) - intersection


def iou(predicted: np.ndarray, true: np.ndarray) -> float:
    """Intersection over union (Jaccard) in [0, 1]."""
    intersection, union = overlap(predicted, true)
    return intersection / union if union else 1.0


def boundary_iou(predicted: np.ndarray, true: np.ndarray) -> float:
    """IoU of the parts of both masks within 2 % of the picture's diagonal from their outlines, in [0, 1].

    Cheng et al. 2021, arXiv:2103.16562. The picture's border counts as outline.
    """
    from faster_coco_eval import mask as backend

    _check(predicted, true)
    rims = [backend.decode(backend.rleToBoundary(encode(mask), 0.02)).astype(bool) for mask in (predicted, true)]
    return iou(rims[0], rims[1])


def boundary_f(predicted: np.ndarray, true: np.ndarray, share: float = 0.008) -> float:
    """F1 of outline pixels that lie within `share` of the picture's diagonal, rounded up, of the other outline.

    The F measure of DAVIS (Perazzi et al. 2016, section 5.1), with all outline pixels within reach counted instead of
    a bipartite matching, as in its published code. 0 where one mask has an outline and the other has none.
    """
    _check(predicted, true)
    outlines = outline(predicted), outline(true)
    if not outlines[0].any() or not outlines[1].any():
        return 1.0 if not outlines[0].any() and not outlines[1].any() else 0.0
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
