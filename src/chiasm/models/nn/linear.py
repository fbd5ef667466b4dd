"""A linear layer that is fast on every CPU."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx, once_differentiable

ONEDNN = hasattr(torch.ops.mkldnn, "_linear_pointwise") and hasattr(torch.ops.mkldnn, "_reorder_linear_weight")


WORTH = 2**20
"""Multiplications from which oneDNN's larger overhead pays."""
MANY = 64
"""Rows from which a product with gradients is worth rearranging the weight for it."""


class Linear(nn.Linear):
    """`nn.Linear`, but flat tokens (N, width) in fp32 on a CPU are multiplied by oneDNN instead of MKL, which leaves
    half of an AMD processor's vector units idle: about twice as fast there (`bench/linear.py`).

    Without gradients a second copy of the weight is kept in oneDNN's layout, made at first use and again whenever the
    weight has changed.
    """

    _packed: Tensor | None = None
    _packed_from: tuple[int, int] | None = None

    def forward(self, x: Tensor) -> Tensor:
        if len(x) * self.weight.numel() < WORTH or not self._is_for_onednn(x):
            return F.linear(x, self.weight, self.bias)
        if torch.is_grad_enabled():
            if len(x) < MANY:
                return F.linear(x, self.weight, self.bias)
            return _Product.apply(x, self.weight, self.bias)
        if "weight" not in self._parameters or self.weight.is_inference():  # nothing would tell that it has changed
            return F.linear(x, self.weight, self.bias)
        weight_now = (self.weight.data_ptr(), self.weight._version)
        if self._packed_from != weight_now:
            self._packed_from = weight_now
            self._packed = torch.ops.mkldnn._reorder_linear_weight(self.weight.detach().contiguous(), len(x))
        assert self._packed is not None
        return _product(x, self._packed, self.bias)

    def _is_for_onednn(self, x: Tensor) -> bool:
        return (
            ONEDNN
            and x.device.type == "cpu"
            and x.dtype == self.weight.dtype == torch.float32
            and x.dim() == 2
            and len(x) > 1
            and not torch.is_autocast_enabled("cpu")
        )

    def _apply(self, *args: Any, **kwargs: Any) -> Linear:
        """Another device or precision gives other values without a new version."""
        self._packed = self._packed_from = None
        return super()._apply(*args, **kwargs)

    def __getstate__(self) -> dict[str, Any]:
        """For copies and pickles: a packed weight can't be copied, so the copy packs its own."""
        return {k: v for k, v in self.__dict__.items() if k not in ("_packed", "_packed_from")}


def inner_products(x: Tensor, y: Tensor) -> Tensor:
    """Rows of x (N, width) with rows of y (M, width) -> (N, M). fp32 on a CPU goes through oneDNN as in `Linear`."""
    if ONEDNN and x.device.type == "cpu" and x.dtype == y.dtype == torch.float32 and len(x) > 1:
        return _product(x.contiguous(), y.contiguous())
    return x @ y.T


def _product(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x (N, in) times weight (out, in), plain or packed -> (N, out)."""
    return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return _product(x.contiguous(), weight.contiguous(), bias)

    @staticmethod
    def setup_context(ctx: FunctionCtx, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.save_for_backward(inputs[0], inputs[1])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        x_wanted, weight_wanted, bias_wanted = ctx.needs_input_grad
        return (
            _product(gradient.contiguous(), weight.t().contiguous()) if x_wanted else None,
            _product(gradient.t().contiguous(), x.t().contiguous()) if weight_wanted else None,
            gradient.sum(0) if bias_wanted else None,
        )
