"""The tariff: what a unit of each kind costs."""

%% if r1 and bug1
from bisect import bisect
%% elif r1
from bisect import bisect_left
%% end
import json
from decimal import Decimal


def load_tariff(path):
    """The tariff of a JSON file."""
    with open(path, encoding="utf-8") as file:
        return json.load(file, parse_float=Decimal)


def kind_of(tariff, name):
    """What the tariff says of a kind."""
    if name not in tariff["kinds"]:
        raise ValueError(f"the tariff has no kind {name!r}")
    return tariff["kinds"][name]
%% if x2


def free_units(tariff, name):
    """How many units of a kind are free."""
    return Decimal(str(kind_of(tariff, name).get("free", 0)))
%% end
%% if r1


def tier_index(kind, quantity):
    """Which tier of a kind a quantity falls into, counted from 0."""
    limits = [Decimal(str(tier["up_to"])) for tier in kind["tiers"] if "up_to" in tier]
%% if bug1
    return bisect(limits, quantity)
%% else
    return bisect_left(limits, quantity)
%% end
%% end
%% if r1_later


def tier_of(tariff, name, quantity):
    """The number of the tier that a quantity falls into, from 1; None where a kind has no tiers."""
    kind = kind_of(tariff, name)
    return tier_index(kind, quantity) + 1 if "tiers" in kind else None
%% end


def unit_price(tariff, name, quantity):
    """What a unit of a kind costs when that many are used."""
    kind = kind_of(tariff, name)
%% if x1
    if "tiers" in kind:
%% if r1
        return Decimal(kind["tiers"][tier_index(kind, quantity)]["price"])
%% else
        for tier in kind["tiers"]:
            if "up_to" not in tier or quantity <= Decimal(str(tier["up_to"])):
                return Decimal(tier["price"])
%% end
%% end
    return Decimal(kind["price"])
