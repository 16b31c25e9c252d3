"""The ledger, an SQLite file. Tables: docs/ledger.md."""

import sqlite3
from datetime import datetime, timezone

from .models import Operation


class Ledger:
    def __init__(self, path):
        self.db = sqlite3.connect(f"file:{path}?mode=rw", uri=True, timeout=20, isolation_level=None)

    def close(self):
        self.db.close()

    def operations(self, query, values):
        return [Operation(*row) for row in self.db.execute(query, values)]

    def mark(self):
        return self.db.execute("SELECT value FROM marks WHERE name = 'due'").fetchone()[0]

    def set_mark(self, value):
        self.db.execute("UPDATE marks SET value = ? WHERE name = 'due'", (value,))

    def open_run(self, run, start, end):
        self.db.execute("INSERT OR IGNORE INTO runs VALUES (?, ?, ?, 0)", (run, start, end))

    def close_runs(self):
        self.db.execute("UPDATE runs SET finished = 1 WHERE finished = 0")

    def handled_by_unfinished(self):
        """Operations that a run had already booked when it died."""
        query = "SELECT operation FROM bookings JOIN runs ON runs.id = bookings.run WHERE finished = 0"
        return {row[0] for row in self.db.execute(query)}

    def book(self, run, outcome):
        operation = outcome.operation
        now = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        self.db.execute(
            "INSERT OR REPLACE INTO bookings (operation, charge, outcome, amount, currency, run, booked_at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (operation.id, outcome.charge, outcome.kind, operation.amount, operation.currency, run, now),
        )

    def booked(self, run):
        query = "SELECT operation, charge, outcome, amount, currency FROM bookings WHERE run = ? ORDER BY seq"
        return self.db.execute(query, (run,)).fetchall()

    def outcomes(self):
        return dict(self.db.execute("SELECT outcome, count(*) FROM bookings GROUP BY outcome"))
