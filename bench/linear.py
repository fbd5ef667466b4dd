"""Our linear layer against torch's on the same weights, in fp32."""

from __future__ import annotations

from importlib.metadata import version

import torch
from measure import Row, compare, options, publish
from torch import Tensor, nn

from chiasm.models.nn.linear import Linear

SIZES = ((256, 768), (256, 1408), (704, 256), (256, 2048))
"""(in, out) of a small decoder's projections: queries, keys and values; gate and up; down; the head."""
PEER = f"torch {version('torch')} nn.Linear"


def row(rows: int, repeats: int, train: bool) -> Row:
    ours = [Linear(*size, bias=False) for size in SIZES]
    theirs = [nn.Linear(*size, bias=False) for size in SIZES]
    for mine, other in zip(ours, theirs, strict=True):
        other.load_state_dict(mine.state_dict())
    inputs = [torch.randn(rows, width, requires_grad=train) for width, _ in SIZES]

    def run(layers: list[nn.Linear]) -> list[Tensor]:
        with torch.set_grad_enabled(train):
            outputs = [layer(x) for layer, x in zip(layers, inputs, strict=True)]
        if not train:
            return outputs
        wanted = [*inputs, *(layer.weight for layer in layers)]
        return list(torch.autograd.grad(outputs, wanted, [torch.ones_like(out) for out in outputs]))

    for mine, other in zip(run(list(ours)), run(theirs), strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-3)
    what = f"{rows} tokens, " + ("forward and backward" if train else "no gradients")
    return compare(what, PEER, lambda: run(list(ours)), lambda: run(theirs), repeats)


def main() -> None:
    chosen = options(__doc__, repeats=30)
    torch.manual_seed(0)
    rows = [row(count, chosen.repeats, train=False) for count in (1, 8, 64, 1024)]
    rows += [row(count, chosen.repeats, train=True) for count in (256, 4096)]
    notes = f"Four layers, (in, out) {', '.join(map(str, SIZES))}; fp32."
    publish("linear", "Linear layers", notes, rows, chosen.json)


if __name__ == "__main__":
    main()
