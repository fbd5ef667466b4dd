"""`chiasm score TASK`: official numbers from files of annotations and predictions, in seconds, without torch."""

from chiasm.cli import (  # importing a file of tasks registers them
    score_answers,  # noqa: F401
    score_captions,  # noqa: F401
    score_choice,  # noqa: F401
    score_people,  # noqa: F401
    score_pictures,  # noqa: F401
    score_rankings,  # noqa: F401
    score_regions,  # noqa: F401
)
from chiasm.cli.score_task import score_app

__all__ = ["score_app"]
