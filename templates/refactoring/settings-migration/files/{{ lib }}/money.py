"""Amounts, which are whole cents everywhere."""


def amount(cents):
    """Cents as people read them: 129900 is "1299.00"."""
    sign = "-" if cents < 0 else ""
    return f"{sign}{abs(cents) // 100}.{abs(cents) % 100:02d}"


def share(cents, parts):
    """Cents split into equal parts; the first ones take what is left over."""
    small, left = divmod(cents, parts)
    return [small + (index < left) for index in range(parts)]
