"""Everything that is wrong with a file of predictions, found at once and without scoring it."""

from chiasm.score.doctor.checkup import ANSWER_KEYS, ID_KEYS, Checkup, check_predictions
from chiasm.score.doctor.findings import Finding, Place

__all__ = ["ANSWER_KEYS", "ID_KEYS", "Checkup", "Finding", "Place", "check_predictions"]
