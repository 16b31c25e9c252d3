"""The bookings of a run, as CSV for finance."""

from . import currency


def lines(rows):
    yield "operation,charge,outcome,amount,currency"
    for operation, charge, outcome, amount, code in rows:
        yield ",".join([operation, charge or "", outcome, currency.decimal_text(amount, code), code])
