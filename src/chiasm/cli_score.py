"""`chiasm score TASK`: official numbers from files of annotations and predictions, in seconds, without torch."""

from chiasm import (  # importing a file of tasks registers them
    cli_score_answers,  # noqa: F401
    cli_score_captions,  # noqa: F401
    cli_score_choice,  # noqa: F401
    cli_score_people,  # noqa: F401
    cli_score_pictures,  # noqa: F401
    cli_score_rankings,  # noqa: F401
    cli_score_regions,  # noqa: F401
)
from chiasm.cli_score_task import score_app

__all__ = ["score_app"]
