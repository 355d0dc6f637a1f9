"""Guessing what was meant by a misspelt word."""

from __future__ import annotations

from collections.abc import Iterable


def suggest(word: str, known: Iterable[str]) -> str | None:
    """The known word that is most like `word`, if any is; the same one on every run."""
    from difflib import get_close_matches  # noqa: PLC0415  only errors need it

    words = {candidate.lower(): candidate for candidate in sorted(known, reverse=True)}
    normal = word.lower().replace("_", "-")
    matches = get_close_matches(normal, words, n=1, cutoff=0.6)
    return words[matches[0]] if matches else None


def did_you_mean(word: str, known: Iterable[str], most: int = 12) -> str | None:
    """The help of an error about an unknown word: a guess, or all words where they are few.

    Args:
        word: the unknown one.
        known: those that there are.
        most: how many are few.
    """
    known = list(known)
    guess = suggest(word, known)
    if guess is not None:
        return f"did you mean `{guess}`?"
    if 0 < len(known) <= most:
        return "one of " + ", ".join(f"`{name}`" for name in known)
    return None
