"""What a run has booked, as CSV for finance."""

import csv

from . import money

HEADER = ["operation", "charge", "outcome", "amount", "currency"]


def write(rows, stream):
    out = csv.writer(stream, lineterminator="\n")
    out.writerow(HEADER)
    for operation, charge, outcome, amount, currency in rows:
        out.writerow([operation, charge or "", outcome, money.to_text(amount, currency), currency])
