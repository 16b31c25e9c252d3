"""Usage events in, statements out."""

__version__ = "<<version>>"
