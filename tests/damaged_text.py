"""Text as a model may garble it."""

from collections.abc import Sequence

from hypothesis import strategies as st


def damaged(text: str, data: st.DataObject, pieces: Sequence[str]) -> str:
    """`text` with one to three characters taken out, or of the `pieces` put in."""
    for _ in range(data.draw(st.integers(1, 3))):
        position = data.draw(st.integers(0, len(text)))
        if data.draw(st.booleans()):
            text = text[:position] + text[position + 1 :]
        else:
            text = text[:position] + data.draw(st.sampled_from(pieces)) + text[position:]
    return text
