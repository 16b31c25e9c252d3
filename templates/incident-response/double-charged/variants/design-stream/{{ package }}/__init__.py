"""Nightly charging of operations that have fallen due."""

__version__ = "4.7.2"
