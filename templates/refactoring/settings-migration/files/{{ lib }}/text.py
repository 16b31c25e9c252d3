"""Texts for people."""

_UNITS = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))


def span(seconds):
    """A length of time in its two largest units: 5400 is "1h30m"."""
    seconds = int(seconds)
    parts = []
    for unit, size in _UNITS:
        count, seconds = divmod(seconds, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts[:2]) or "0s"


def clip(words, width):
    """A text cut to a width, with dots where something is missing."""
    return words if len(words) <= width else words[: max(width - 3, 0)] + "..."
