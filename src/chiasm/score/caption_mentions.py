"""Objects named in a caption against objects in the picture: rates in the manner of CHAIR.

Rohrbach et al. 2018, "Object Hallucination in Image Captioning". Theirs are fixed lists for COCO's 80 classes; these
work on the closed vocabulary of any dataset, so the two are not the same number.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from chiasm.score.names import Names


@dataclass(frozen=True, slots=True)
class CaptionMatch:
    """Canonical names: every mention in order, the mentions of absent objects, and present objects said or left out."""

    mentioned: tuple[str, ...]
    hallucinated: tuple[str, ...]
    covered: tuple[str, ...]
    omitted: tuple[str, ...]


def match_caption(
    caption: str, object_names: Iterable[str] | None, references: Sequence[str], names: Names
) -> CaptionMatch:
    """An object is there if it is annotated or if any reference caption mentions it (CHAIR's union).

    Coverage asks for the annotated objects, and for those in the references only where nothing is annotated.
    `names` must have a vocabulary.
    """
    referred = {name for reference in references for name in names.mentions(reference)}
    annotated = None if object_names is None else {names.canonical(name) for name in object_names}
    present = referred | (annotated or set())
    wanted = referred if annotated is None else annotated
    mentioned = names.mentions(caption)
    return CaptionMatch(
        mentioned=tuple(mentioned),
        hallucinated=tuple(name for name in mentioned if name not in present),
        covered=tuple(sorted(wanted & set(mentioned))),
        omitted=tuple(sorted(wanted - set(mentioned))),
    )
