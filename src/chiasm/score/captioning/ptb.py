"""Captions as coco-caption's words: Penn Treebank tokens, lower case, without punctuation.

The reference is Stanford's PTBTokenizer 3.4.1 run with ``-preserveLines -lowerCase``, less the 17 punctuation tokens
that coco-caption drops. Its list is in capitals and applied after lowering, so that brackets, as -lrb- and -rrb-, stay.
The line is Java's own for all 53,462 different lines of Flickr8k, COCO, VizWiz, POPE, ChartQA and DAQUAR;
of 1,476 lines of scanned receipts 20 differ, as do HTML entities and a single small letter that ends a sentence.
"""

from __future__ import annotations

import re

_APOSTROPHE = "['’\x92]"
_QUOTE = "['’\x92`‘\x91‛]"
_MARKS = (
    "\u02c2-\u02c5\u02d2-\u02df\u0300-\u036f\u0483-\u0487\u0591-\u05bd"
    "\u0610-\u061a\u064b-\u065e\u0900-\u0903\u093c\u093e-\u094e"
)
# Python counts superscripts, fractions and circled digits as word characters; the lexer does not.
_NOT_IN_WORDS = r"²³¹¼-¾⁰-₉⅐-⅞①-⒛"
_LETTER = rf"(?:[^\W\d_{_NOT_IN_WORDS}]|[{_MARKS}])"
# One character, never several: repeated, a choice between repetitions takes exponential time to fail.
_LETTER_OR_DIGIT = rf"(?:[^\W_{_NOT_IN_WORDS}]|[{_MARKS}])"
_SEPARATED_NUMBER = r"\d*(?:[.:,]\d+)+"
_SUFFIX = rf"{_APOSTROPHE}(?:[msd]|re|ve|ll)(?![a-z])"
_HYPHEN = r"[-_\u058a\u2010\u2011]"

_ABBREVIATIONS = (
    r"jan|feb|mar|apr|jun|jul|aug|sept?|oct|nov|dec|mon|tues?|wed|thu|thurs|fri|ala|ariz|calif|colo|conn|ct|"
    r"dak|fla|ga|ind|kans?|ky|md|mich|minn|mo|mont|neb|nev|okla|penn|tenn|va|vt|wisc?|wyo|inc|cos?|corp|ltd|"
    r"plc|rt|bancorp|dept|bhd|assn|univ|intl|sys|bros|natl|elec|invt|mfg|pty|tel|est|ext|sq|jr|sr|esq|mrs?|ms|"
    r"drs?|profs?|sens?|reps?|attys?|lt|col|gen|messrs|govs?|adm|rev|maj|sgt|cpl|pvt|capt|ste?|ave|pres|lieut|"
    r"hon|brig|comdr|cmdr|pfc|spc|supts?|det|mt|ft|adj|adv|asst|assoc|ens|insp|mlle|mme|msgr|sfc|etc|al|seq|vs|"
    r"alex|wm|jos|cie|cf|blvd|rd|bldg|(?:ed|ph)\.?d"
)
_CAPITAL_ABBREVIATIONS = "Ark|Del|Ill|La|Mass|Miss|Ore|Pa|Tex|Wash"
_NUMBERED_ABBREVIATIONS = "pp|nos?|figs?|art|ca|op|prop"
_FILE_TYPES = (
    r"bmp|class|cgi|cpp|dll|docx?|exe|gif|gz|html?|jar|java|jpe?g|mov|mp3|pdf|php|png|ppt|sql|tar|txt|wav|xml|"
    r"zip"
)

# The lexer takes the longest match of all its rules. Here the first that fits wins, so what may be longer stands first.
_TOKEN = re.compile(
    rf"""
    (?-i:[A-Za-z]+(?=,?(?:[ ]|$))) | [.,](?=[ ]|$)                      # nearly every token
  | </?[A-Za-z!?][^<>]*>
  | https?://[^\s"<>|()]+[^\s"<>|.!?(){{}},-]
  | www\.(?:[^\s"<>|.!?(){{}},]+\.)+[a-z]{{2,4}}(?:/[^\s"<>|()]+[^\s"<>|.!?(){{}},-])?
  | [a-z0-9][^\s"<>|()@]*@[^\s"<>|().]+(?:\.[^\s"<>|().]+)*
  | (?:[^\s"`'<>|.!?(){{}},_$/-]+\.)+(?:com|net|org|edu)(?:/[^\s"<>|()]+[^\s"<>|.!?(){{}},-]|(?!\w))
  | [@][a-z_][a-z_0-9]* | \#{_LETTER}\w*
  | (?:\(\d{{2,3}}\)[ ]?|(?:\+\+?)?(?:\d{{2,4}}[- ])?\d{{2,4}}[- ])\d{{3,4}}[- ]?\d{{3,5}}            # telephone
  | \d{{1,2}}[-/]\d{{1,2}}[-/]\d{{2,4}}
  | \d{{1,4}}[- ]\d{{1,4}}[/⁄]\d{{1,4}} | \d{{1,4}}⁄\d{{1,4}}
  | [a-z0-9]+(?:-[a-z]+){{0,2}}(?:/[a-z0-9]+(?:-[a-z]+){{0,2}}){{1,2}}        # and/or
  | (?-i:[A-Z]+(?:[&+][A-Z]+)+)
  | [a-z0-9][a-z0-9.,]*(?:-(?:[a-z](?:\.[a-z])+\.|[a-z0-9]++))++(?![a-z0-9.+_])     # U.S.-based
  | (?:[dol]{_QUOTE})?(?:{_SEPARATED_NUMBER}|{_LETTER_OR_DIGIT}+)(?:{_HYPHEN}(?:[dol]{_QUOTE})?{_LETTER_OR_DIGIT}+)+
  | {_LETTER_OR_DIGIT}+(?:\.{_LETTER_OR_DIGIT}+)*\.(?:{_FILE_TYPES})(?!\w)
  | (?:{_ABBREVIATIONS}|(?-i:{_CAPITAL_ABBREVIATIONS}))\.(?!{_LETTER})
  | (?:anti|pro)-
  | (?:{_NUMBERED_ABBREVIATIONS})\.(?=\s?\d)
  | [a-z](?:\.[a-z])*\.(?!{_LETTER})
  | (?:cap|c|e|s|ev|li|nat|ne){_APOSTROPHE}(?:n|est|mon|er|mores|ry|l)(?!\w) | (?:dunkin|somethin|ol){_APOSTROPHE}
  | {_LETTER}+?(?=n{_QUOTE}t) | n{_QUOTE}t(?![a-z])
  | {_LETTER}+(?={_SUFFIX}) | {_SUFFIX}
  | 't(?=is|was) | {_APOSTROPHE}(?:[2-9]0s|\d\d(?=\s|$)|em|cause|till?)(?!\w)
  | {_APOSTROPHE}n(?:{_APOSTROPHE}|(?!\w))
  | (?-i:[A-HJ-XZn]){_QUOTE}{_LETTER}{{2,}} | {_LETTER}+(?-i:[aeiouyAEIOUY]{_QUOTE}[aeiouA-Z]){_LETTER}*
  | [dol]{_QUOTE}[a-z0-9]{_LETTER_OR_DIGIT}* | [ldjy]{_APOSTROPHE}
  | c(?:\+\+|\#)
  | (?-i:[A-Z]*)\$
  | [-+](?:{_SEPARATED_NUMBER}|\d+) | {_SEPARATED_NUMBER}
  | {_LETTER}{_LETTER_OR_DIGIT}*(?:[.!?]{_LETTER}{_LETTER_OR_DIGIT}*)* | {_LETTER_OR_DIGIT}+
  | [<>]?[:;=][-o*']?[()dpo\\{{@|\[\]](?![a-z]) | [-^x=~<>']_[-^x=~<>']
  | &(?:amp|lt|gt|quot|apos);
  | [?!]+ | \*+ | _+ | \#+ | -+ | << | >> | \S
    """,
    re.VERBOSE | re.IGNORECASE,
)  # fmt: skip

_DROPPED = frozenset(
    [
        *("''", "'", "``", "`", ".", "?", "!", ",", ":", "-", "--", "---", "----", ";", '"', "&quot;", "&apos;"),
        *("“", "”", "‘", "’", "‛", "«", "»", "‹", "›", "–", "—", "―", "…"),
        *("\x85", "\x91", "\x92", "\x93", "\x94", "\x96", "\x97"),
    ]
)
"""What the lexer writes as one of the tokens that coco-caption drops, before it is written so."""
_RENAMED = {
    "cannot": "can not", "gonna": "gon na", "gotta": "got ta", "wanna": "wan na", "gimme": "gim me", "lemme": "lem me",
    "£": "#", "€": "$", "¤": "$", "\x80": "$", "¢": "cents", "&amp;": "&", "&lt;": "<", "&gt;": ">",
    "½": "1/2", "¼": "1/4", "¾": "3/4", "⅓": "1/3", "⅔": "2/3",
}  # fmt: skip
# Most captions are words and commas with a stop at the end, and need no lexer; a stop after an abbreviation stays.
_PLAIN = re.compile(
    rf"[A-Za-z ,]*(?<![A-Za-z])(?!(?i:{_ABBREVIATIONS}|{_CAPITAL_ABBREVIATIONS}|[a-z])\.)[A-Za-z]*\.?[ ]*"
)
_BRACKETS = str.maketrans({"(": "-lrb-", ")": "-rrb-", "[": "-lsb-", "]": "-rsb-", "{": "-lcb-", "}": "-rcb-"})
_ANY_BRACKET = re.compile(r"[\[\](){}]")
_CURLY_SUFFIX = re.compile(r"(?<= )(?:[’\x92](?=(?:[msdt]|re|ve|ll)\b)|n[’\x92‘](?=t\b))")
# What the lexer can't read, and what would end the line: neither may join or shift anything.
_UNREADABLE = re.compile(
    "[\x00-\x1f\x7f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff\ufffd\U00010000-\U0010ffff]"
)


def tokenise(caption: str) -> str:
    """The words of one caption, lower case, one space between them; "" where nothing but punctuation is left.

    A line break of any kind inside the caption (CR, LF, VT, FF, U+2028, U+2029) is a space. "He can't (really)!" ->
    "he ca n't -lrb- really -rrb-".
    """
    if _PLAIN.fullmatch(caption):
        words = caption.lower().replace(",", " ").replace(".", " ").split()
        return " ".join([_RENAMED.get(word, word) for word in words])
    found = _TOKEN.findall(_UNREADABLE.sub(" ", caption.replace("\u00ad", "")))
    # The lexer writes a space inside a token (a telephone number) as a no-break space.
    tokens = "\n".join(found).replace(" ", "\u00a0").lower().split("\n")
    line = " ".join([_RENAMED.get(token, token) for token in tokens if token not in _DROPPED])
    if not line.isascii():
        line = _CURLY_SUFFIX.sub(lambda suffix: suffix[0][:-1] + "'", f" {line}")[1:]
    return line.translate(_BRACKETS) if _ANY_BRACKET.search(line) else line
