"""Writes out/refunds.csv."""
import csv
import os
import sys

sys.path.insert(0, "/tmp")
from charges import booked, by_operation, operations

os.makedirs("/workspace/out", exist_ok=True)
with open("/workspace/out/refunds.csv", "w", newline="") as out:
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["charge", "operation", "customer", "amount", "currency"])
    for operation, standing in by_operation().items():
        keep = booked[operation]
        for charge in standing:
            if charge.id != keep:
                writer.writerow([charge.id, operation, operations[operation][0], charge.captured, charge.currency])
