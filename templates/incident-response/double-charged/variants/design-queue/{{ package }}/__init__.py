"""Works off the operations that have fallen due, night by night."""

__version__ = "4.7.2"
