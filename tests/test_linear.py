"""Our linear layer against torch's: the same numbers, whatever happened to its weight in between."""

import copy
import pickle

import pytest
import tiny
import torch
import torch.nn.functional as F
from torch import Tensor

from chiasm.models.nn.linear import ONEDNN, Linear

one_thread = tiny.one_thread


@pytest.fixture(autouse=True)
def every_product_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Layers small enough for a test would otherwise all be torch's."""
    monkeypatch.setattr("chiasm.models.nn.linear.WORTH", 2 * 24 * 40)


pytestmark = pytest.mark.skipif(not ONEDNN, reason="this torch has no oneDNN linear layer")


def layer(bias: bool = True) -> Linear:
    torch.manual_seed(0)
    return Linear(24, 40, bias)


def rows(count: int = 6) -> Tensor:
    return torch.randn(count, 24, generator=torch.Generator().manual_seed(1))


def check(linear: Linear, x: Tensor) -> None:
    with torch.no_grad():
        torch.testing.assert_close(linear(x), F.linear(x, linear.weight, linear.bias), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("count", [0, 1, 2, 7, 300])
def test_equals_torch(count: int, bias: bool) -> None:
    check(layer(bias), rows(count))


def test_rows_that_are_not_contiguous() -> None:
    linear = layer()
    check(linear, torch.randn(24, 5).t())
    linear.weight = torch.nn.Parameter(linear.weight.detach().t().contiguous().t(), requires_grad=False)
    check(linear, rows())


def test_a_changed_weight_is_packed_again() -> None:
    linear = layer()
    check(linear, rows())
    packed = linear._packed
    check(linear, rows(3))
    assert packed is not None
    assert linear._packed is packed, "packed once for any number of rows"
    with torch.no_grad():
        linear.weight.add_(1)
    check(linear, rows())
    linear.load_state_dict(layer().state_dict())
    check(linear, rows())
    linear.load_state_dict({k: v + 1 for k, v in layer().state_dict().items()}, assign=True)
    check(linear, rows())


def test_rounded_weights_are_packed_again() -> None:
    linear = layer()
    check(linear, rows())
    check(linear.bfloat16().float(), rows())


@pytest.mark.parametrize("frozen", ["", "x", "weight", "bias"])
@pytest.mark.parametrize("count", [3, 100])
def test_gradients_equal_torchs(count: int, frozen: str) -> None:
    linear, x = layer(), rows(count)
    inputs = {"x": x.requires_grad_(), "weight": linear.weight, "bias": linear.bias}
    if frozen:
        inputs.pop(frozen).requires_grad_(False)
    wanted = list(inputs.values())
    ours = torch.autograd.grad(linear(x).square().sum(), wanted)
    torchs = torch.autograd.grad(F.linear(x, linear.weight, linear.bias).square().sum(), wanted)
    for mine, theirs in zip(ours, torchs, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-4)
    assert linear._packed is None


def test_a_weight_that_is_made_anew_each_time_is_not_kept() -> None:
    linear = layer()
    scale = torch.nn.Parameter(torch.ones(()))

    class Scaled(torch.nn.Module):
        def forward(self, weight: Tensor) -> Tensor:
            return weight * scale

    torch.nn.utils.parametrize.register_parametrization(linear, "weight", Scaled())
    check(linear, rows())
    scale.data.fill_(2.0)
    check(linear, rows())


def test_other_precisions_are_torchs() -> None:
    with torch.no_grad():
        assert layer().double()(rows().double()).dtype == torch.float64
        with torch.autocast("cpu", torch.bfloat16):
            assert layer()(rows()).dtype == torch.bfloat16


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda linear: pickle.loads(pickle.dumps(linear))])
def test_copies_pack_their_own(duplicate) -> None:  # type: ignore[no-untyped-def]
    linear = layer()
    check(linear, rows())
    twin = duplicate(linear)
    with torch.no_grad():
        twin.weight.mul_(2)
    check(twin, rows())
    check(linear, rows())


def test_built_in_inference_mode() -> None:
    with torch.inference_mode():
        linear = layer()
        linear(rows())
        linear.weight.mul_(2)
        torch.testing.assert_close(linear(rows()), F.linear(rows(), linear.weight, linear.bias))
