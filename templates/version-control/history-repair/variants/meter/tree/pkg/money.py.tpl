"""Amounts of money."""

%% if fix_b
from decimal import ROUND_HALF_UP, Decimal
%% else
from decimal import Decimal
%% end

CENT = Decimal("0.01")


def to_money(amount):
    """An amount in whole cents."""
%% if fix_b
    return amount.quantize(CENT, rounding=ROUND_HALF_UP)
%% else
    return amount.quantize(CENT)
%% end
