"""Working times in, totals out."""

__version__ = "<<version>>"
