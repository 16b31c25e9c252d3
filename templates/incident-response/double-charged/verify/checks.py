"""Whether the list is right, and whether the repaired package charges everything once."""

import csv
import decimal
import io
import json
import os
import random
import sqlite3
import sys
import threading

sys.dont_write_bytecode = True

import world
from bank import Bank
from trajforge_check import check, main, params, read, require, run_agent, scratch

P = params()
DAY, RUN_AT = world.DAY, world.RUN_AT
SUNDAYS = [1824940800, 1856390400, 1887840000, 1919289600, 1950739200]


# ---------------------------------------------------------------- the two lists


def table(path, columns):
    rows = list(csv.DictReader(io.StringIO(read(path).lstrip("\ufeff")), skipinitialspace=True))
    require(rows, f"{path} has no rows")
    missing = [column for column in columns if column not in rows[0]]
    require(not missing, f"{path} lacks the columns {missing}")
    return [{column: (row[column] or "").strip() for column in columns} for row in rows]


def number(text, path):
    try:
        value = decimal.Decimal(text)
    except decimal.InvalidOperation:
        value = None
    require(value is not None and value.is_finite(), f"{path}: {text!r} is no amount")
    return value


def truth():
    return {
        c["charge"]: (c["op"]["id"], c["op"]["customer"], decimal.Decimal(world.text(c["captured"], c["op"]["currency"])), c["op"]["currency"])
        for c in world.history(P).surplus()
    }


@check
def refunds():
    path = "out/refunds.csv"
    expected, listed = truth(), {}
    for row in table(path, ["charge", "operation", "customer", "amount", "currency"]):
        require(row["charge"] not in listed, f"{row['charge']} is listed twice")
        listed[row["charge"]] = (row["operation"], row["customer"], number(row["amount"], path), row["currency"])
    innocent, forgotten = set(listed) - set(expected), set(expected) - set(listed)
    require(not innocent, f"{len(innocent)} charges are listed that must stay, {sorted(innocent)[:3]} among them")
    require(not forgotten, f"{len(forgotten)} of {len(expected)} charges are not listed, {sorted(forgotten)[:3]} among them")
    wrong = [charge for charge in expected if listed[charge] != expected[charge]]
    require(not wrong, f"the rows of {wrong[:3]} do not say what was charged")


@check
def totals():
    path = "out/totals.csv"
    expected = {}
    for _, _, amount, currency in truth().values():
        count, total = expected.get(currency, (0, 0))
        expected[currency] = (count + 1, total + amount)
    found = {}
    for row in table(path, ["currency", "charges", "amount"]):
        require(row["currency"] not in found, f"{row['currency']} has two rows")
        found[row["currency"]] = (number(row["charges"], path), number(row["amount"], path))
    require(found == expected, f"the totals are {found}, not {expected}")


# ---------------------------------------------------------------- running the package


class Site:
    """A copy of the workspace with a ledger and a bank of its own."""

    def __init__(self, operations, mark, plans=None, ledger=None):
        self.work = scratch(copy_workspace=True, in_memory=True)
        self.home = self.work.parent
        self.ledger = self.home / "data" / "ledger.sqlite"
        self.ledger.parent.mkdir()
        if ledger:
            ledger(self.ledger)
        else:
            world.create_ledger(self.ledger, P, operations, mark).close()
        for path in (self.ledger.parent, self.ledger):
            os.chown(path, 1000, 1000)
        self.operations = operations
        self.mark = mark
        self.bank = Bank(self.home, plans)

    def command(self, to, *more, ledger=None, state=None):
        return [
            "python3", "-m", P["package"], "run", "--to", world.iso(to), "--gateway", self.bank.command, "--pause-ms", "0",
            "--ledger", ledger or self.ledger, "--state", state or self.ledger.parent / "state", *more,
        ]  # fmt: skip

    def ended(self, command, timeout):
        return run_agent(command, cwd=self.work, timeout=timeout)

    def run(self, to, *more, code=0, **paths):
        done = self.ended(self.command(to, *more, **paths), timeout=25)
        require(done.code == code, f"the run to {world.iso(to)} ended with {done.code}, not {code}: {done.err[-400:]}")

    def run_two(self, to, at, *more, spelling=0):
        """Holds the first run at its `at`-th request and starts a second one meanwhile, its paths spelled differently."""
        bank, folder = self.bank, self.ledger.parent
        bank.hold_at = len(bank.requests) + at
        bank.held.clear()
        bank.release.clear()
        ended = []
        command = self.command(to, *more)
        first = threading.Thread(target=lambda: ended.append(self.ended(command, timeout=30)))
        first.start()
        while first.is_alive() and not bank.held.wait(0.05):
            pass
        relative = os.path.relpath(folder, self.work)
        ledger, state = [
            (f"{folder}//ledger.sqlite", f"{folder}/state/"),
            (f"{relative}/ledger.sqlite", f"{relative}/./state/"),
        ][spelling]
        second = self.command(to, "--worker", "catchup", *more, ledger=ledger, state=state)
        other = []
        waiter = threading.Thread(target=lambda: other.append(self.ended(second, timeout=30)))
        waiter.start()
        waiter.join(10)
        bank.release.set()
        first.join()
        waiter.join()
        bank.hold_at = None
        require(ended[0].code == 0, f"the run to {world.iso(to)} ended with {ended[0].code}: {ended[0].err[-400:]}")
        require(other[0].code in (0, 75), f"the second run ended with {other[0].code}: {other[0].err[-400:]}")

    def due(self, until):
        return [op for op in self.operations if op["status"] == "open" and self.mark <= op["due"] < until]

    def judge(self, until, declined=()):
        """Everything due was charged once, in full; nothing else was; the ledger knows it."""
        bank = self.bank
        require(not bank.wrong, f"the gateway got {bank.wrong[:2]}")
        due = {op["id"]: op for op in self.due(until)}
        standing = bank.standing()
        twice = [reference for reference, charges in standing.items() if len(charges) > 1]
        require(not twice, f"{len(twice)} operations were charged twice, {sorted(twice)[:3]} among them")
        strange = [reference for reference in standing if reference not in due or reference in declined]
        require(not strange, f"{len(strange)} operations were charged that were not due, {sorted(strange)[:3]} among them")
        missed = [reference for reference in due if reference not in standing and reference not in declined]
        require(not missed, f"{len(missed)} of {len(due)} operations were not charged, {sorted(missed)[:3]} among them")
        for charge in bank.charges:
            op = due.get(charge["reference"])
            require(op, f"{charge['reference']} was charged, which was not due")
            asked = (charge["customer"], charge["currency"], decimal.Decimal(charge["amount"]))
            right = (op["customer"], op["currency"], decimal.Decimal(world.text(op["amount"], op["currency"])))
            require(asked == right, f"{op['id']} was asked for as {asked}, not {right}")
        booked = {row[0]: row[1:] for row in self.rows("SELECT operation, outcome, charge FROM bookings")}
        for reference in due:
            wanted = ("declined",) if reference in declined else ("captured", standing[reference][0]["charge"])
            have = booked.get(reference, ("not at all",))
            require(have[: len(wanted)] == wanted, f"{reference} is booked as {have}, not {wanted}")

    def rows(self, query):
        try:
            db = sqlite3.connect(f"file:{self.ledger}?mode=ro", uri=True)
            rows = db.execute(query).fetchall()
            db.close()
        except sqlite3.Error as error:
            require(False, f"the ledger can't be read: {error}")
        return rows


def make(name, sunday, days, per_day, biggest, odd_share=0.1):
    rng = random.Random(f"{P['hidden_seed']}-{name}")
    start = sunday - 2 * DAY + RUN_AT
    currencies = ["EUR", "JPY", "KWD", "GBP"]
    return start, world.make_operations(rng, start, days, per_day, currencies, P["design"], biggest, odd_share, latest=30, busy=((6, 15), (18, 27)))


def less(op, minor):
    return world.text(op["amount"] - minor, op["currency"])


def plan_nights(name, operations, timeouts, shorts):
    rng = random.Random(f"{P['hidden_seed']}-{name}-plans")
    plans, declined = {}, set()
    opened = [op for op in operations if op["status"] == "open"]
    for place, op in enumerate(opened):
        draw = rng.random()
        if place < 3:  # the least that a capture can be short by
            plans[op["id"]] = [("short", less(op, 1))]
        elif place < 6:
            plans[op["id"]] = [("timeout", True)]
        elif draw < 0.03:
            plans[op["id"]] = [("decline",)]
            declined.add(op["id"])
        elif draw < 0.03 + timeouts:
            times = rng.choice((1, 1, 1, 2, 3))  # never as often as the client is to ask
            plan = [("timeout", rng.random() < 0.6) for _ in range(times)]
            if rng.random() < 0.25:
                plan.append(("short", less(op, rng.randrange(1, 200))))
                if times < 3 and rng.random() < 0.5:
                    plan.append(("timeout", rng.random() < 0.6))
            plans[op["id"]] = plan
        elif draw < 0.03 + timeouts + shorts:
            plans[op["id"]] = [("short", less(op, rng.choice((1, 1, rng.randrange(2, 200)))))]
    return plans, declined


def other_sunday(step):
    return SUNDAYS[(SUNDAYS.index(P["sunday"]) + step) % len(SUNDAYS)]


@check
def second_ledger():
    sunday = other_sunday(1)
    mark, operations = make("second", sunday, 3, 56, biggest=14)
    plans, declined = plan_nights("second", operations, timeouts=0.06, shorts=0.05)
    site = Site(operations, mark, plans)
    size = ("--page-size", "5")
    site.run(sunday + 25 * 60, *size)
    site.run(sunday + 85 * 60, *size)
    end = sunday + DAY + RUN_AT
    site.run_two(end, 15, *size)
    before = len(site.bank.requests)
    site.judge(end, declined)
    site.run(end, *size)
    require(len(site.bank.requests) == before, "a second run to the same moment asked for money again")


@check
def timeouts():
    sunday = other_sunday(2)
    mark, operations = make("timeouts", sunday, 3, 40, biggest=9)
    plans, declined = plan_nights("timeouts", operations, timeouts=0.4, shorts=0.06)
    site = Site(operations, mark, plans)
    size = ("--page-size", "4")
    site.run(sunday + 80 * 60, *size)
    end = sunday + DAY + RUN_AT
    site.run_two(end, 11, *size, spelling=1)
    site.judge(end, declined)


@check
def tonight():
    nights = world.history(P)
    coming = world.coming_operations(P, len(nights.operations) + 1)
    plans, declined = plan_nights("tonight", coming, timeouts=0.12, shorts=0.03)
    site = Site(coming, nights.mark, plans, ledger=lambda path: world.production_ledger(path, P, nights, coming))
    end = nights.mark + DAY
    site.run_two(end, 40, "--page-size", "4")
    for charges in [c for c in site.bank.charges if c["reference"] not in {op["id"] for op in coming}]:
        # Somebody may have decided to catch up on what the nights before had missed, once.
        known = {op["id"]: op for op in nights.operations}
        op = known.get(charges["reference"])
        require(op and op["status"] == "open" and op["id"] not in nights.bookings, f"{charges['reference']} was charged again")
        coming.append(op)
        site.mark = min(site.mark, op["due"])
    site.judge(end, declined)


@check
def behaviour():
    """What works at the start: plain nights in winter."""
    winter = other_sunday(3) + 70 * DAY
    rng = random.Random(f"{P['hidden_seed']}-winter")
    mark = winter - 2 * DAY + RUN_AT
    plain = world.price_lists(P["design"])[2][0]
    operations = [
        {
            "seq": n + 1,
            "id": f"op_{rng.getrandbits(32):08x}",
            "customer": f"cus_{rng.getrandbits(24):06x}",
            "amount": rng.choice(plain),
            "currency": "EUR",
            "due": mark + n * 2000 + rng.randrange(1, 1900),
            "status": "cancelled" if n in (5, 17, 30) else "open",
        }
        for n in range(60)
    ]
    operations[9].update(customer=operations[8]["customer"], amount=operations[8]["amount"])
    plans = {operations[n]["id"]: [("short", less(operations[n], 40))] for n in (3, 22, 33)}
    declined = {operations[n]["id"] for n in (11, 40)}
    plans.update({reference: [("decline",)] for reference in declined})
    site = Site(operations, mark, plans)
    first, second = mark + 55_000, mark + 130_000
    site.bank.hang_up_at = 15
    site.run(first, code=69)
    site.bank.hang_up_at = None
    site.run(first)
    site.judge(first, declined)
    site.run(second, "--worker", "late")
    site.judge(second, declined)
    requests = len(site.bank.requests)
    site.run(second)
    require(len(site.bank.requests) == requests, "a second run to the same moment asked for money again")
    rows = report(site.work, site.ledger, world.run_name(second, "late"))
    standing = site.bank.standing()
    for op in operations:
        if op["status"] == "open" and first <= op["due"]:
            ended, charge = ("declined", "") if op["id"] in declined else ("captured", standing[op["id"]][0]["charge"])
            want = [op["id"], charge, ended, world.text(op["amount"], "EUR"), "EUR"]
            require(want in rows, f"report lacks {want}")
    done = run_agent(["python3", "-m", P["package"], "run", "--ledger", site.ledger], cwd=site.work)
    require(done.code == 2, f"wrong usage ended with {done.code}, not 2")


def status(work, ledger, expected):
    done = run_agent(["python3", "-m", P["package"], "status", "--ledger", ledger], cwd=work)
    require(done.code == 0, f"status ended with {done.code}: {done.err[-300:]}")
    try:
        found = json.loads(done.out)
    except ValueError:
        found = done.out[:200]
    require(isinstance(found, dict), f"status printed {found!r}")
    wrong = {key: found.get(key) for key, value in expected.items() if found.get(key) != value}
    require(not wrong, f"status says {wrong}, it should be {expected}")


def report(work, ledger, run):
    done = run_agent(["python3", "-m", P["package"], "report", "--ledger", ledger, "--run", run], cwd=work)
    require(done.code == 0, f"report ended with {done.code}: {done.err[-300:]}")
    rows = list(csv.reader(io.StringIO(done.out)))
    require(rows and rows[0] == ["operation", "charge", "outcome", "amount", "currency"], f"report printed {done.out[:80]!r}")
    return rows[1:]


@check
def reports():
    """Status and report of production's ledger, as they have been."""
    nights = world.history(P)
    site = Site([], nights.mark, ledger=lambda path: world.production_ledger(path, P, nights, []))
    counts = {}
    for _, _, _, outcome, *_ in nights.bookings.values():
        counts[outcome] = counts.get(outcome, 0) + 1
    status(site.work, site.ledger, {"mark": world.iso(nights.mark), **counts})
    run = world.run_name(nights.mark, "main")
    want = [
        [op["id"], charge or "", outcome, world.text(op["amount"], op["currency"]), op["currency"]]
        for _, op, charge, outcome, of, _ in nights.bookings.values()
        if of == run
    ]
    require(sorted(report(site.work, site.ledger, run)) == sorted(want), f"the report of {run} is not what it was")


main()
