"""recon.ini, with the command line's word last."""

import configparser

from .items import Settings


def read(path, page_size=None, pause_ms=None):
    ini = configparser.ConfigParser()
    with open(path, encoding="utf-8") as handle:
        ini.read_file(handle)
    pause = ini.getint("gateway", "pause_ms") if pause_ms is None else pause_ms
    return Settings(
        attempts=ini.getint("gateway", "attempts"),
        rounds=ini.getint("gateway", "rounds"),
        pause=pause / 1000,
        page_size=page_size or ini.getint("run", "page_size"),
        zone=ini.get("run", "zone"),
    )
