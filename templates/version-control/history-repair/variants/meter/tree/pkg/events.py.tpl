"""Usage events: one row of a CSV file each."""

import csv
%% if warn
import sys
%% end
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import NamedTuple

COLUMNS = ["id", "day", "account", "kind", "quantity"]


class Event(NamedTuple):
    """Something that an account used."""

    id: str
    day: date
    account: str
    kind: str
    quantity: Decimal


%% if dep
class RowError(ValueError):
    """A row that can't be billed, and where it stands."""

    def __init__(self, path, line, reason):
        super().__init__(f"{path}:{line}: {reason}")
        self.line = line
%% else
class BadRow(ValueError):
    """A row that can't be billed."""
%% end


def read_events(path):
    """The events of a file, in its order."""
%% if check
%% if dep
    events = [to_event(row, path, line) for line, row in open_rows(path)]
%% else
    events = [to_event(row) for _, row in open_rows(path)]
%% end
%% else
%% if fix_a
    with open(path, newline="", encoding="utf-8-sig") as file:
%% else
    with open(path, newline="", encoding="utf-8") as file:
%% end
        rows = csv.DictReader(file)
        if rows.fieldnames != COLUMNS:
            raise ValueError(f"{path}: the columns are not {', '.join(COLUMNS)}")
        events = [to_event(row) for row in rows]
%% end
%% if warn
    days = [event.day for event in events]
    if days != sorted(days):
        print(f"warning: {path} is not in the order of its days", file=sys.stderr)
%% end
%% if l3
    events = with_guessed_kinds(events)
%% end
%% if x5
    return without_repeats(events)
%% else
    return events
%% end


%% if check
def open_rows(path):
    """The rows of a file, each with the number of its line."""
%% if fix_a
    with open(path, newline="", encoding="utf-8-sig") as file:
%% else
    with open(path, newline="", encoding="utf-8") as file:
%% end
        rows = csv.DictReader(file)
        if rows.fieldnames != COLUMNS:
            raise ValueError(f"{path}: the columns are not {', '.join(COLUMNS)}")
        for row in rows:
            yield rows.line_num, row


%% end
%% if dep
def to_event(row, path, line):
    """The event that a row stands for.

    Whatever is wrong with the row is reported with the place of the row, because the files come
    from people who have to find it again.
    """
%% else
def to_event(row):
    """The event that a row stands for.

    Whatever is wrong with the row is reported with the place of the row, because the files come
    from people who have to find it again.
    """
%% end
%% if fix_c
    if not row["account"].strip():
        raise RowError(path, line, "no account")
%% end
    day, quantity = row["day"].strip(), row["quantity"].strip()
    account, kind = row["account"].strip(), row["kind"].strip()
    try:
        return Event(row["id"], date.fromisoformat(day), account, kind, to_quantity(quantity))
    except (ValueError, InvalidOperation):
%% if dep
        raise RowError(path, line, f"{day} {quantity} can't be read") from None
%% else
        raise BadRow(f"{day} {quantity} can't be read") from None
%% end


def to_quantity(text):
    """A quantity as it is written in a file."""
%% if fix_d2
    return Decimal(text.replace(",", "").replace(" ", ""))
%% elif fix_d
    return Decimal(text.replace(",", ""))
%% else
    return Decimal(text)
%% end
%% if x5


def without_repeats(events):
    """The events without those whose id came before: senders repeat what was not confirmed."""
    known = set()
    return [event for event in events if not (event.id in known or known.add(event.id))]
%% end
%% if range


def between(events, since=None, until=None):
    """The events of a stretch of days."""
    chosen = []
    for event in events:
        if since is not None and event.day < since:
            continue
%% if fix_e
        if until is not None and event.day > until:
%% else
        if until is not None and event.day >= until:
%% end
            continue
        chosen.append(event)
    return chosen
%% end
%% if l3


def with_guessed_kinds(events):
    """The events, with the kind of the account's event before where a row has none."""
    last = {}
    filled = []
    for event in events:
        kind = event.kind or last.get(event.account, "")
        last[event.account] = kind
        filled.append(event._replace(kind=kind))
    return filled
%% end
