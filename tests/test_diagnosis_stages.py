"""Shares and verdicts from readings whose planted losses are known."""

from dataclasses import replace

import numpy as np
import pytest

from chiasm.errors import DataError
from chiasm.examine.diagnosis.stages import STAGES, UNTOLD, Readings, diagnose_readings


def readings(
    lost: tuple[float, float, float],
    *,
    pictures: int = 300,
    per_picture: int = 6,
    sensitivity: tuple[float, float] = (0.85, 0.75),
    luck: float = 0.4,
    reference: float | None = None,
    seed: int = 0,
) -> tuple[Readings, np.ndarray]:
    """Items lost at each stage with the given chances, and the stage of each (3: not lost). A readout hits with its
    sensitivity where the answer is there, else with `luck`, as the model guesses."""
    rng = np.random.default_rng(seed)
    n = pictures * per_picture
    stage = rng.choice(4, size=n, p=[*lost, 1 - sum(lost)])

    def hits(there: np.ndarray, rate: float) -> np.ndarray:
        return np.mean([rng.random(n) < np.where(there, rate, luck) for _ in range(3)], axis=0)

    nowhere, everywhere = np.zeros(n, dtype=bool), np.ones(n, dtype=bool)
    return Readings(
        image=np.repeat(np.arange(pictures), per_picture),
        kind=np.full(n, "count", dtype=object),
        right=np.where(stage == 3, 1.0, rng.random(n) < luck),
        blind=np.full(n, luck),
        hit={"encoder": hits(stage > 0, sensitivity[0]), "connector": hits(stage > 1, sensitivity[1])},
        absent={"encoder": hits(nowhere, 0), "connector": hits(nowhere, 0)},
        sites=("encoder", "connector"),
        reference=None if reference is None else np.stack([hits(everywhere, reference), hits(nowhere, 0)], axis=1),
    ), stage


@pytest.mark.parametrize("where", range(3))
def test_a_loss_at_one_stage_is_named_by_shares_and_by_verdicts(where: int) -> None:
    lost = [0.0, 0.0, 0.0]
    lost[where] = 0.2
    given, _ = readings(tuple(lost))
    found = diagnose_readings(given)
    share = found.kinds[-1].shares[STAGES[where]]
    assert share.value > 0.8
    assert share.ci_low <= 1 <= share.ci_high + 0.25
    wrong = given.right == 0
    told = wrong & (found.verdict != UNTOLD)
    assert told.sum() > 0.8 * wrong.sum()
    assert (found.verdict[told] == STAGES[where]).mean() > 0.95
    assert (found.verdict[~wrong] == "").all()


def test_intervals_hold_the_planted_shares() -> None:
    # Lost with .1, .05 and .1 of all items; guesses hit the same part of each, so the wrong ones are 40, 20 and 40 %.
    held = np.zeros(3)
    for seed in range(60):
        given, _ = readings((0.1, 0.05, 0.1), seed=seed)
        shares = diagnose_readings(given, replicates=300).kinds[-1].shares
        held += [shares[s].ci_low <= t <= shares[s].ci_high for s, t in zip(STAGES, (0.4, 0.2, 0.4), strict=True)]
    assert (held >= 0.85 * 60).all(), held  # .95 expected; 51 of 60 come about once in 300 such tests


def test_verdicts_are_right_as_often_as_they_claim() -> None:
    given, stage = readings((0.1, 0.1, 0.1), sensitivity=(0.97, 0.97), luck=0.1)
    found = diagnose_readings(given)
    told = (given.right == 0) & (found.verdict != UNTOLD)
    assert told.sum() > 300
    names = np.array([*STAGES, "not lost"], dtype=object)[stage]
    claimed = found.probability.max(axis=1)[told].mean()
    assert (found.verdict[told] == names[told]).mean() >= claimed - 0.05


def test_a_model_no_better_than_blind_is_told_only_with_a_reference() -> None:
    alone = diagnose_readings(readings((0.0, 0.98, 0.0))[0]).kinds[-1]
    assert alone.shares[UNTOLD].value == 1
    assert "give a reference" in alone.reason
    beside = diagnose_readings(readings((0.0, 0.98, 0.0), reference=0.85)[0]).kinds[-1]
    assert beside.shares["connector"].value > 0.9


def test_readouts_that_read_nothing_tell_nothing() -> None:
    given, _ = readings((0.1, 0.1, 0.1), sensitivity=(0.42, 0.42))
    found = diagnose_readings(given)
    assert found.kinds[-1].shares[UNTOLD].value == 1
    assert "little more" in found.kinds[-1].reason
    assert set(found.verdict[given.right == 0]) == {UNTOLD}


def test_kinds_are_told_apart_and_added_up_by_their_wrong_answers() -> None:
    first, _ = readings((0.3, 0.0, 0.0), seed=1)
    second, _ = readings((0.0, 0.0, 0.3), seed=2)
    both = Readings(
        np.concatenate([first.image, second.image]),
        np.concatenate([first.kind, np.full(len(second.kind), "colour", dtype=object)]),
        np.concatenate([first.right, second.right]),
        np.concatenate([first.blind, second.blind]),
        {site: np.concatenate([first.hit[site], second.hit[site]]) for site in first.sites},
        {site: np.concatenate([first.absent[site], second.absent[site]]) for site in first.sites},
        first.sites,
    )
    colour, count, everything = diagnose_readings(both).kinds
    assert (colour.kind, count.kind, everything.kind) == ("colour", "count", None)
    assert count.shares["encoder"].value > 0.8 > 0.2 > colour.shares["encoder"].value
    expected = (count.wrong * count.shares["encoder"].value + colour.wrong * colour.shares["encoder"].value) / (
        count.wrong + colour.wrong
    )
    assert everything.shares["encoder"].value == pytest.approx(expected)
    assert sum(share.value for share in everything.shares.values()) == pytest.approx(1)


def test_no_wrong_answer_and_bad_input() -> None:
    given, _ = readings((0.0, 0.0, 0.0))
    found = diagnose_readings(given)
    assert (found.kinds[-1].wrong, found.kinds[-1].reason) == (0, "no wrong answer")
    with pytest.raises(DataError, match="outside"):
        diagnose_readings(replace(given, right=given.right * 2))
    with pytest.raises(DataError, match="blind has 3 values"):
        diagnose_readings(replace(given, blind=np.zeros(3)))
