"""Words that messages of every room need: a number with its noun, and what a misspelt name probably means."""

from __future__ import annotations

from collections.abc import Iterable

_LIKENESS = 0.7
"""Share of the characters of two names that must be the same, in the same order. With less, `gpu` would be `cpu`."""


def counted(number: int, noun: str, plural: str = "") -> str:
    """A number with its noun.

    Args:
        number: the number.
        noun: noun for one, and what follows it.
        plural: the same for any other number; `noun` with an s if empty.

    >>> counted(1, "utterance"), counted(2400, "utterance"), counted(1, "text has", "texts have")
    ('1 utterance', '2,400 utterances', '1 text has')
    """
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def meant(name: str, names: Iterable[str]) -> str:
    """A question that names what was probably meant, to be put behind a name that is not known.

    Args:
        name: name that a user gave.
        names: names that there are.

    Returns:
        The question, with a blank before it; empty if no name is like the one that was given.

    >>> meant("hifigan22k", ["pwg-22k", "hifigan-22k"]), meant("Z", ["pwg-22k"])
    (' (did you mean hifigan-22k?)', '')
    """
    found = nearest(name, names)
    return f" (did you mean {found}?)" if found is not None else ""


def nearest(name: str, names: Iterable[str]) -> str | None:
    """The name that is most like another one, whatever their case; None if none is like it."""
    from difflib import get_close_matches  # which only misspelt names need

    known = {each.lower(): each for each in names}
    found = get_close_matches(name.lower(), known, n=1, cutoff=_LIKENESS)
    return known[found[0]] if found else None
