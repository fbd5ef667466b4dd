"""Is the answer yes or no? The rules of POPE's script, of two tool kits, and of MME.

Each rule gives True for yes, False for no, None for neither, and the name of what decided it. They disagree on real
answers: "I cannot tell" is yes to POPE, nothing to the tool kits, and no to nobody.
"""

from __future__ import annotations

import re
from collections.abc import Callable

YesNo = tuple[bool | None, str]

YES_BY_DEFAULT = "no 'no' in it, so yes"
UNPARSED = "neither yes nor no"


def pope_official(text: str) -> YesNo:
    """No where a word of the first sentence is exactly No, no or not; every other answer is yes, even an empty one.

    Words end at spaces only, so that "No\\n" and "NO" are yes. Li et al. 2023 (arXiv 2305.10355), ``evaluate.py``.
    """
    first_sentence = text.split(".", 1)[0].replace(",", "")
    if not {"No", "no", "not"}.isdisjoint(first_sentence.split(" ")):
        return False, "the word No, no or not"
    if re.search(r"\byes\b", first_sentence, re.IGNORECASE):
        return True, "the word yes"
    return True, YES_BY_DEFAULT


def exact(text: str) -> YesNo:
    """Nothing but yes or no, in any case; "Yes." is neither. lmms-eval, task ``pope``."""
    said = text.strip().lower()
    return (said == "yes", "nothing but yes or no") if said in ("yes", "no") else (None, UNPARSED)


def one_of_both(text: str) -> YesNo:
    """Has the word yes or the word no, but not both. VLMEvalKit's ``YOrN_Extraction``."""
    words = set(_without_marks(text.lower()).split())
    if ("yes" in words) == ("no" in words):
        return None, UNPARSED
    return "yes" in words, "one of the words yes and no"


def mme_official(text: str) -> YesNo:
    """Yes or no within the first four characters, leading space included; yes where both would fit ("None" is no).

    Fu et al. 2023 (arXiv 2306.13394), ``calculation.py``.
    """
    start = text.lower()[:4]
    for word in ("yes", "no"):
        if word in start:
            return word == "yes", "in the first four characters"
    return None, UNPARSED


def mme_lmms(text: str) -> YesNo:
    """As `mme_official` once outer space and all full stops are gone; "y" and "n" alone count. lmms-eval, ``mme``."""
    said = text.strip().lower().replace(".", "")
    if said in ("y", "n"):
        return said == "y", "nothing but y or n"
    return mme_official(said)


def _without_marks(text: str) -> str:
    """VLMEvalKit's removal of punctuation, which joins or parts words by what stands elsewhere in the text."""
    digits_and_comma = re.search(r"\d,\d", text) is not None
    kept = text
    for mark in ';/[]"{}()=+\\_-><@`,?!':
        joins = mark + " " in text or " " + mark in text or digits_and_comma
        kept = kept.replace(mark, "" if joins else " ")
    # Theirs passes the flag UNICODE (32) where re.sub expects the number of removals.
    return re.sub(r"(?<!\d)\.(?!\d)", "", kept, count=32)


MME_DIALECTS: dict[str, Callable[[str], YesNo]] = {"official": mme_official, "lmms": mme_lmms}
POPE_DIALECTS: dict[str, Callable[[str], YesNo]] = {"official": pope_official, "lmms": exact, "vlmevalkit": one_of_both}
