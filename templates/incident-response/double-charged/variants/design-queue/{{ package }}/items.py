"""A batch is a list of work items; an item is an operation and how far we have come with it."""

from dataclasses import dataclass
from typing import NamedTuple, Optional

QUEUED = "queued"
CAPTURED = "captured"
DECLINED = "declined"
SHORT = "short"
UNCLEAR = "unclear"

ENDED = (CAPTURED, DECLINED, SHORT, UNCLEAR)


class Operation(NamedTuple):
    seq: int
    id: str
    customer: str
    amount: int  # minor units
    currency: str
    due_at: str


@dataclass
class Item:
    batch: str
    position: int
    operation: Operation
    state: str = QUEUED
    asked: int = 0  # requests sent for it
    tries: int = 0  # of these, unanswered ones since the last answer
    round: int = 1  # one more after every short capture
    charge: Optional[str] = None


@dataclass(frozen=True)
class Settings:
    attempts: int
    rounds: int
    pause: float
    page_size: int
    zone: str
