"""From events to statements."""

%% if x4
import re
%% end
from decimal import Decimal
%% if r2
from itertools import groupby
%% end

from .money import to_money
%% if r1_later
from .tariff import free_units, tier_of, unit_price
%% elif x2
from .tariff import free_units, unit_price
%% else
from .tariff import unit_price
%% end


def make_statements(events, tariff):
    """One statement for each account."""
    used = quantities(events)
    statements = []
%% if x4
    for account in sorted(used, key=natural):
%% else
    for account in sorted(used):
%% end
        lines = [make_line(tariff, kind, used[account][kind]) for kind in sorted(used[account])]
        total = sum(line["amount"] for line in lines)
        statement = {"account": account, "lines": lines, "total": total}
%% if x3
        add_minimum(statement, tariff)
%% end
%% if l1
        apply_cap(statement, tariff)
%% end
        statements.append(statement)
    return statements


%% if r2
def quantities(events):
    """What each account used of each kind."""
    used = {}
    for (account, kind), quantity in grouped(events, lambda event: (event.account, event.kind)):
        used.setdefault(account, {})[kind] = quantity
    return used


def grouped(events, key):
    """Each value of a key with the quantity of the events that have it."""
%% if bug2
    for value, group in groupby(events, key):
%% else
    for value, group in groupby(sorted(events, key=key), key):
%% end
        yield value, sum(event.quantity for event in group)
%% else
def quantities(events):
    """What each account used of each kind."""
    used = {}
    for event in events:
        kinds = used.setdefault(event.account, {})
        kinds[event.kind] = kinds.get(event.kind, Decimal(0)) + event.quantity
    return used
%% end
%% if r2_later


def daily(events):
    """What each account used on each day, whatever the kind."""
    rows = []
    for (account, day), quantity in grouped(events, lambda event: (event.account, event.day)):
        rows.append({"account": account, "day": day.isoformat(), "quantity": float(quantity)})
    return rows
%% end


def make_line(tariff, kind, quantity):
    """What an account owes for one kind."""
%% if x2
    billed = max(Decimal(0), quantity - free_units(tariff, kind))
    amount = to_money(billed * unit_price(tariff, kind, billed))
%% else
    amount = to_money(quantity * unit_price(tariff, kind, quantity))
%% end
    line = {"kind": kind, "quantity": quantity, "amount": amount}
%% if r1_later
    tier = tier_of(tariff, kind, billed)
    if tier is not None:
        line["tier"] = tier
%% end
    return line
%% if x3


def add_minimum(statement, tariff):
    """Tops a statement up to the least that an account pays."""
    missing = Decimal(tariff.get("minimum", "0")) - statement["total"]
    if missing > 0:
        statement["lines"].append({"kind": "minimum", "quantity": Decimal(0), "amount": missing})
        statement["total"] += missing
%% end
%% if l1


def apply_cap(statement, tariff):
    """Ends a statement at the most that an account pays, and keeps what is over it."""
    over = statement["total"] - Decimal(tariff["cap"]) if "cap" in tariff else 0
    if over > 0:
        statement["over"] = over
        statement["total"] -= over
%% end
%% if x4


def natural(account):
    """A key by which a-2 comes before a-10."""
    return [(not part.isdigit(), int(part) if part.isdigit() else part) for part in re.split(r"(\d+)", account)]
%% end
%% if l4


def without_zero(statements):
    """The statements that somebody has to pay."""
    return [statement for statement in statements if statement["total"]]
%% end
