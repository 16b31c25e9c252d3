"""Settings, read from an ini file. Durations are in seconds."""

import configparser
from dataclasses import dataclass
from typing import Dict


@dataclass(frozen=True)
class Settings:
    redis: str
    prefix: str
    namespace: str
    visibility: int
    max_attempts: int
    backoff_base: int
    backoff_cap: int
    dedup_window: int
    keep_finished: int
    limits: Dict[str, int]


def load(path):
    parser = configparser.ConfigParser()
    with open(path, encoding="utf-8") as file:
        parser.read_file(file)
    queue = parser["queue"]
    limits = parser["limits"] if parser.has_section("limits") else {}
    return Settings(
        redis=queue["redis"],
        prefix=queue["prefix"],
        namespace=parser["archive"]["namespace"],
        visibility=queue.getint("visibility"),
        max_attempts=queue.getint("max_attempts"),
        backoff_base=queue.getint("backoff_base"),
        backoff_cap=queue.getint("backoff_cap"),
        dedup_window=queue.getint("dedup_window"),
        keep_finished=queue.getint("keep_finished"),
        limits={name: int(value) for name, value in limits.items()},
    )
