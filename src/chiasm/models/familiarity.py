"""Is this picture like those the model was trained on?

A distance of the picture's features from those of training: Mahalanobis distance, as in Lee et al. 2018, of the mean
and the spread of its E_pre tokens. A model answers confidently about anything; this number says when not to believe it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from chiasm.models.checkpoint import read_tensors
from chiasm.models.features import Features

FILE = "familiarity.safetensors"


@dataclass(frozen=True)
class Familiarity:
    """mean (n,) and whitener (n, n) of pooled training features; a picture whose distance is above
    `threshold` is unlike all but two in a thousand held-out pictures of its world."""

    mean: Tensor
    whitener: Tensor
    threshold: float

    @classmethod
    def fit(cls, training: Tensor, held_out: Tensor, quantile: float = 0.998, ridge: float = 1e-3) -> Familiarity:
        """From pooled features (n, width) of training pictures and of held-out ones, which set the threshold."""
        training = training.double()
        mean = training.mean(0)
        covariance = torch.cov(training.T)
        covariance += ridge * covariance.diagonal().mean() * torch.eye(len(covariance), dtype=torch.float64)
        whitener = torch.linalg.inv(torch.linalg.cholesky(covariance))
        fitted = cls(mean.float(), whitener.float(), 0.0)
        threshold = torch.quantile(fitted.distance(held_out), quantile).item()
        return cls(fitted.mean, fitted.whitener, threshold)

    def distance(self, pooled: Tensor) -> Tensor:
        """(n, width) -> (n,), in standard deviations averaged over directions; about 1 for a picture of the world."""
        return ((pooled - self.mean) @ self.whitener.T).pow(2).mean(1).sqrt()

    def save(self, folder: Path) -> None:
        """Write it into a checkpoint folder; the whitener in half precision."""
        tensors = {
            "mean": self.mean,
            "whitener": self.whitener.half().contiguous(),
            "threshold": torch.tensor(self.threshold),
        }
        save_file(tensors, folder / FILE)

    @classmethod
    def load(cls, folder: Path) -> Familiarity | None:
        """What was saved in a checkpoint folder; None for a model without it."""
        if not (folder / FILE).exists():
            return None
        tensors = read_tensors(folder / FILE)
        return cls(tensors["mean"], tensors["whitener"].float(), tensors["threshold"].item())


def pooled(features: Features) -> Tensor:
    """Mean and standard deviation of each picture's tokens, (pictures, 2 * width)."""
    return torch.stack([torch.cat([t.mean(0), t.std(0, correction=0)]) for t in features.split()])
