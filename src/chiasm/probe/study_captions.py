"""Captions as the study "VLM Connectors" asked for them, for the preset `vlm-connectors`.

The study masks each token with a probability; here it is that share of the tokens. It gives ranks in parts of
min(T, d), which is another severity for each model: `perturb.energy_kept` does better. CLIPScore is 100 times the
cosine there, without "A photo depicts" before the caption; here it is 2.5 times, with it.
"""

from __future__ import annotations

import torch

from chiasm.models.features import Features
from chiasm.probe.perturb import rank_kept, tokens_masked
from chiasm.probe.perturb_effects import Damage

PROMPT = "Describe the image in one detailed sentence."
LIMIT = 256
MASKED = (0.5, 0.7)
RANKS = (0.01, 0.05, 0.5)


def reconstructor(e_post: Features, e_pre: Features) -> str:
    """The study's kind: token by token where E_post has as many as E_pre (LLaVA), else of all tokens together."""
    return "mlp" if e_post.grids == e_pre.grids else "sequence"


def study_damages(e_post: Features, seed: int = 0) -> list[Damage]:
    """Tokens set to zero, and ranks of the smallest picture's min(T, d), at least 1."""
    width = e_post.tokens.shape[1]
    smallest = min([*e_post.lengths, width])
    zero = torch.zeros(width)
    return [
        *(Damage("mask_zero", share, tokens_masked(share, zero, seed)) for share in MASKED),
        *(Damage("rank_share", share, rank_kept(max(1, round(share * smallest)))) for share in RANKS),
    ]
