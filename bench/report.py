"""Write docs/bench.md from the numbers that the other scripts left in results.json."""

from __future__ import annotations

import json
from pathlib import Path

from measure import HEADINGS, RESULTS, Row

PAGE = Path(__file__).parents[1] / "docs" / "bench.md"
ORDER = (
    "decode",
    "shared_prefix",
    "train_step",
    "linear",
    "attention",
    "world",
    "score",
    "probe",
    "extraction",
    "adapter",
)
OPENING = """# Benchmarks

Written by `make bench`, which runs the scripts of `bench/` one after the other; don't edit.

Both sides of a row run in one process and take turns, ours, the peer, ours, the peer. Shown are medians, then the ratio
of the medians, above 1 where ours is faster, and in brackets the middle half of the rounds' own ratios. Where both
sides compute the same thing, they have to come to the same result from the same weights before the clock starts: the
same tokens, and losses and gradients equal up to rounding.
"""


def section(name: str, content: dict) -> str:
    rows = [Row(**row).cells() for row in content["rows"]]
    lines = [" | ".join(cells) for cells in (HEADINGS, ("---",) * len(HEADINGS), *rows)]
    table = "\n".join(f"| {line} |" for line in lines)
    return f"## {content['title']}\n\n`bench/{name}.py`. {content['notes']}\n\n{table}\n\n{content['machine']}\n"


def main() -> None:
    measured = json.loads(RESULTS.read_text("utf-8"))
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(
        "\n".join([OPENING, *(section(name, measured[name]) for name in ORDER if name in measured)]), "utf-8"
    )
    print(PAGE)


if __name__ == "__main__":
    main()
