"""What passes between the modules."""

from dataclasses import dataclass
from typing import NamedTuple, Optional


class Operation(NamedTuple):
    """A row of `operations`: something a customer owes from `due_at` on."""

    seq: int
    id: str
    customer: str
    amount: int  # minor units
    currency: str
    due_at: str


@dataclass(frozen=True)
class Outcome:
    """How an operation ended: captured, declined, short or unclear."""

    operation: Operation
    kind: str
    charge: Optional[str] = None


@dataclass(frozen=True)
class Policy:
    attempts: int
    rounds: int
    pause: float
    page_size: int
    zone: str
