"""Everything that is kept in the ledger; the tables are described in docs/ledger.md."""

import sqlite3
from datetime import datetime, timezone

from .items import CAPTURED, Item, Operation


class Store:
    def __init__(self, path):
        self.db = sqlite3.connect(f"file:{path}?mode=rw", uri=True, timeout=20, isolation_level=None)

    # operations and the mark

    def due(self, query, values):
        return [Operation(*row) for row in self.db.execute(query, values)]

    def mark(self):
        return self.db.execute("SELECT value FROM marks WHERE name = 'due'").fetchone()[0]

    # batches

    def open_batch(self):
        """The batch that was left open, if there is one: (id, opens, closes)."""
        return self.db.execute("SELECT id, opens, closes FROM batches WHERE state = 'open' ORDER BY id").fetchone()

    def begin(self, batch, opens, closes):
        self.db.execute("BEGIN")
        self.db.execute("INSERT OR REPLACE INTO batches VALUES (?, ?, ?, 'open')", (batch, opens, closes))

    def enqueue(self, batch, position, operations):
        rows = [(batch, position + n, operation.id) for n, operation in enumerate(operations)]
        self.db.executemany("INSERT INTO work (batch, position, operation) VALUES (?, ?, ?)", rows)

    def fed(self):
        self.db.execute("COMMIT")

    def waiting(self, batch):
        query = """
            SELECT position, seq, id, customer, operations.amount, operations.currency, due_at
            FROM work JOIN operations ON operations.id = work.operation
            WHERE batch = ? AND state = 'queued' ORDER BY position
        """
        return [Item(batch, row[0], Operation(*row[1:])) for row in self.db.execute(query, (batch,))]

    def close(self, batch, closes):
        self.db.execute("BEGIN")
        self.db.execute("UPDATE batches SET state = 'closed' WHERE id = ?", (batch,))
        self.db.execute("UPDATE marks SET value = ? WHERE name = 'due'", (closes,))
        self.db.execute("COMMIT")

    # bookings

    def book(self, item):
        operation = item.operation
        now = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        charge = item.charge if item.state in (CAPTURED, "short") else None
        self.db.execute("BEGIN")
        self.db.execute(
            "UPDATE work SET state = ?, asked = ?, charge = ? WHERE batch = ? AND position = ?",
            (item.state, item.asked, charge, item.batch, item.position),
        )
        self.db.execute(
            "INSERT OR REPLACE INTO bookings (operation, charge, outcome, amount, currency, run, booked_at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (operation.id, charge, item.state, operation.amount, operation.currency, item.batch, now),
        )
        self.db.execute("COMMIT")

    def booked(self, batch):
        query = "SELECT operation, charge, outcome, amount, currency FROM bookings WHERE run = ? ORDER BY seq"
        return self.db.execute(query, (batch,)).fetchall()

    def outcomes(self):
        return dict(self.db.execute("SELECT outcome, count(*) FROM bookings GROUP BY outcome"))
