"""Progress of a command, on stderr so that what it prints can be piped."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def progress(name: str, total: int | None = None) -> Iterator[Callable[..., None]]:
    """A bar, or in a log the name alone; what it gives is called with how much more of `total` is done, and perhaps
    with what comes next."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
               TextColumn("left"), TimeRemainingColumn())  # fmt: skip
    console = Console(stderr=True)
    if not console.is_terminal:
        console.print(f"{name} ...", markup=False, highlight=False)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(name, total=total)

        def advance(done: float = 1, doing: str = "") -> None:
            bar.update(task, advance=done, description=f"{name}: {doing}" if doing else name)

        yield advance
