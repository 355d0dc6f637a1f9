"""Dates in headers."""

from __future__ import annotations


def parse_date(text: str) -> float:
    """Seconds since 1970 of an HTTP date (RFC 9110, section 5.6.7).

    Raises:
        ValueError: it is none, or beyond what a computer counts.
    """
    import email.utils  # noqa: PLC0415 - rarely needed, and slow to load

    try:
        return email.utils.parsedate_to_datetime(text).timestamp()
    except (TypeError, OverflowError) as error:
        raise ValueError(f"`{text}` is no date") from error
