"""Moments: seconds on the command line and in the settings, whole milliseconds in Redis."""


def ms(seconds):
    return int(round(seconds * 1000))
