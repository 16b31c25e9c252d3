"""recon.ini, and what the command line puts over it."""

import configparser

from .models import Policy


def load(path, page_size=None, pause_ms=None):
    parser = configparser.ConfigParser()
    with open(path, encoding="utf-8") as handle:
        parser.read_file(handle)
    if pause_ms is None:
        pause_ms = parser.getint("gateway", "pause_ms")
    return Policy(
        attempts=parser.getint("gateway", "attempts"),
        rounds=parser.getint("gateway", "rounds"),
        pause=pause_ms / 1000,
        page_size=page_size or parser.getint("run", "page_size"),
        zone=parser.get("run", "zone"),
    )
