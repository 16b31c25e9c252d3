"""Three nights of a payments company: what fell due, what the gateway did, and what is left to see of it."""

import datetime
import functools
import random
import sqlite3
import zoneinfo
from collections import defaultdict

UTC = datetime.timezone.utc
DAY = 86400
DIGITS = {"JPY": 0, "KWD": 3}
RUN_AT = 70 * 60  # 01:10 UTC
CATCHUP_AFTER_MS = 300_000


def digits(currency):
    return DIGITS.get(currency, 2)


def text(minor, currency):
    places = digits(currency)
    if not places:
        return str(minor)
    return f"{minor // 10**places}.{minor % 10**places:0{places}d}"


def iso(seconds):
    return datetime.datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def stamp(ms):
    moment = datetime.datetime.fromtimestamp(ms // 1000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{ms % 1000:03d}Z"


def run_name(seconds, worker):
    return datetime.datetime.fromtimestamp(seconds, UTC).strftime("%Y%m%dT%H%M") + "-" + worker


# ---------------------------------------------------------------- amounts


def misread(minor, currency, design):
    """Whether binary fractions make a full capture look short, in the arithmetic of that design."""
    captured = text(minor, currency)
    if design == "stream":
        return int(float(captured) * 10 ** digits(currency)) < minor
    return minor * {0: 1, 2: 0.01, 3: 0.001}[digits(currency)] - float(captured) > 0


@functools.lru_cache
def price_lists(design):
    lists = {}
    for places, currency, low, high in ((2, "EUR", 250, 8900), (3, "KWD", 900, 7900), (0, "JPY", 300, 2900)):
        plain, odd = [], []
        for minor in range(low, high):
            if misread(minor, currency, design):
                odd.append(minor)
            elif not misread(minor, currency, "queue" if design == "stream" else "stream"):
                plain.append(minor)
        lists[places] = (plain, odd)
    return lists


# ---------------------------------------------------------------- operations


def make_operations(rng, start, days, per_day, currencies, design, biggest=8, odd_share=0.07, first_seq=1, latest=14, busy=((2, 13), (2, 13))):
    """Operations that fall due in the days from `start` (seconds) on, in order of arrival."""
    lists = price_lists(design)
    ids = set()

    def fresh(prefix, width):
        while True:
            name = prefix + f"{rng.getrandbits(4 * width):0{width}x}"
            if name not in ids:
                ids.add(name)
                return name

    operations = []

    def add(due):
        currency = currencies[0] if rng.random() < 0.7 else rng.choice(currencies)
        plain, odd = lists[digits(currency)]
        odd_here = odd and rng.random() < odd_share
        operations.append(
            {
                "id": fresh("op_", 8),
                "customer": fresh("cus_", 6),
                "amount": rng.choice(odd if odd_here else plain),
                "currency": currency,
                "due": due,
                "status": "cancelled" if rng.random() < 0.02 else "open",
                "arrival": due - rng.randrange(2 * 3600, 40 * 3600),
            }
        )

    for day in range(days):
        midnight = start - start % DAY + day * DAY  # the day from 01:10 to 01:10, most of it at night
        left = per_day + rng.randrange(-6, 7)
        groups = int(left * 0.62)
        times = rng.sample(range(-36, latest), 36 + latest)
        for low, high in busy:  # a group in each of these
            time = next(time for time in times if low <= time <= high)
            times.remove(time)
            times.append(time)
        while groups > 0:
            size = min(rng.randrange(3, biggest + 1), left)
            due = midnight + DAY + times.pop() * 300
            for _ in range(size):
                add(due)
            groups -= size
            left -= size
        for _ in range(max(left, 0)):
            due = midnight + RUN_AT + rng.randrange(0, DAY - 1)
            add(due + (due % 300 == 0))
    operations = [op for op in operations if start <= op["due"] < start + days * DAY]
    # Customers who buy the same thing twice in a night, as they are entitled to.
    opened = [op for op in operations if op["status"] == "open"]
    for first in rng.sample(opened, max(8, len(opened) // 25)):
        rivals = [op for op in opened if op is not first and abs(op["due"] - first["due"]) < 6 * 3600]
        if rivals:
            second = rng.choice(rivals)
            for name in ("customer", "amount", "currency"):
                second[name] = first[name]
    operations.sort(key=lambda op: (op["arrival"], op["id"]))
    for seq, op in enumerate(operations, first_seq):
        op["seq"] = seq
    return operations


# ---------------------------------------------------------------- how the nights went


def window(operations, opens, closes):
    due = [op for op in operations if op["status"] == "open" and opens <= op["due"] < closes]
    return sorted(due, key=lambda op: (op["due"], op["seq"]))


def stream_pages(operations, opens, closes, size, cause):
    rows = window(operations, opens, closes)
    if cause != "cursor":
        return rows
    sequence, page = [], rows[:size]
    while page:
        sequence += page
        if len(page) < size:
            break
        last = page[-1]
        page = [op for op in rows if op["due"] >= last["due"] and op is not last][:size]
    return sequence


def queue_pages(operations, opens, closes, size, cause, zone):
    sequence, begins = [], opens
    while begins < closes:
        if cause == "clock":
            local = datetime.datetime.fromtimestamp(begins, zone)
            start = int(local.replace(fold=0).timestamp())
        else:
            start = begins
        rows = window(operations, start, min(start + 3600, closes))
        if cause != "cursor":
            sequence += sorted(rows, key=lambda op: (op["due"], op["id"]))
        else:
            after = (0, "")
            while True:
                page = [op for op in rows if (op["due"], op["id"]) > after][:size]
                sequence += page
                if len(page) < size:
                    break
                after = (page[-1]["due"], page[-1]["id"])
        begins += 3600
    return sequence


class Nights:
    """Plays the nights; afterwards the charges, bookings and log lines are in its fields."""

    def __init__(self, p, operations):
        self.p = p
        self.operations = operations
        self.rng = random.Random(f"{p['data_seed']}-nights")
        self.zone = zoneinfo.ZoneInfo(p["zone"])
        self.charges, self.edge, self.app = [], [], []
        self.bookings, self.booking_seq, self.by_night = {}, 0, []
        self.runs, self.work = [], []
        self.fate = self.fates()
        self.answered = set()
        self.taken = set()
        mark = p["sunday"] - 2 * DAY + RUN_AT
        self.nights = [p["sunday"] + RUN_AT + n * DAY for n in (-1, 0, 1)]
        for number, closes in enumerate(self.nights):
            self.night(number, mark, closes)
            mark = closes
        self.mark = mark
        self.support()

    def fates(self):
        rng = random.Random(f"{self.p['data_seed']}-fates")
        share = self.p["timeout_share"]
        fates = {}
        for op in self.operations:
            draw = rng.random()
            made = rng.random() < 0.65
            cut = rng.uniform(0.3, 0.9)
            if draw < 0.02:
                fates[op["seq"]] = ("declined",)
            elif draw < 0.05:
                fates[op["seq"]] = ("short", max(1, int(op["amount"] * cut)))
            elif draw < 0.05 + share:
                fates[op["seq"]] = ("timeout", made)
        return fates

    def night(self, number, mark, closes):
        p, cause = self.p, self.p["cause"]
        opens = mark
        if cause == "clock" and p["design"] == "stream":
            opens = int(datetime.datetime.fromtimestamp(mark, self.zone).replace(fold=0).timestamp())
        if p["design"] == "stream":
            sequence = stream_pages(self.operations, opens, closes, p["page_size"], cause)
        else:
            sequence = queue_pages(self.operations, mark, closes, p["page_size"], cause, self.zone)
        timeouts = sum(self.fate.get(op["seq"], "")[:1] == ("timeout",) for op in sequence)
        total = 215_000 if number == 0 else 338_000
        pace = max(400, (total - 3000 * timeouts) / len(sequence))

        name = run_name(closes, "main")
        self.runs.append((name, opens, closes))
        self.opening(closes * 1000 + 412, name, opens, closes, len(sequence))
        requests, counts, now = 0, defaultdict(int), closes * 1000 + 530
        begun = []
        for position, op in enumerate(sequence):
            before = len(self.edge)
            now, outcome, charge = self.ask(op, now, pace, name)
            requests += len(self.edge) - before
            counts[outcome] += 1
            begun.append((now, op, outcome, charge, name))
            self.work.append((name, position, op["id"], outcome, len(self.edge) - before, charge))
        self.closing(now + 60, name, requests, counts)
        self.catchup(closes, now, begun, pace)
        rows = {}
        for at, op, outcome, charge, run in sorted(begun, key=lambda row: row[0]):
            self.booking_seq += 1
            rows[op["id"]] = self.bookings[op["id"]] = (self.booking_seq, op, charge, outcome, run, at)
        self.by_night.append((closes, list(rows.values())))

    def catchup(self, closes, ended, begun, pace):
        now = closes * 1000 + CATCHUP_AFTER_MS + 398
        name = run_name(closes, "catchup")
        if ended < now:
            self.say(now, "INFO", "runs", f"nothing falls due up to {iso(closes)}")
        elif self.p["cause"] != "lock":
            self.say(now, "INFO", "cli", "another run is at work on /srv/pay//ledger.sqlite, nothing done")
        else:
            left = [op for at, op, *_ in begun if at > now]
            counts, requests = defaultdict(int), 0
            if self.p["design"] == "stream":
                self.runs.append((name, closes - DAY, closes))
                self.opening(now, name, closes - DAY, closes, 0)
            else:
                self.say(now, "INFO", "runs", f"batch {run_name(closes, 'main')} resumed: {len(left)} items left")
            for op in left:
                before = len(self.edge)
                run = name if self.p["design"] == "stream" else run_name(closes, "main")
                now, outcome, charge = self.ask(op, now, pace * 1.07, name)
                requests += len(self.edge) - before
                counts[outcome] += 1
                begun.append((now, op, outcome, charge, run))
            self.closing(now + 55, name if self.p["design"] == "stream" else run_name(closes, "main"), requests, counts)

    def ask(self, op, now, pace, run):
        """One operation in one run: the moment at which it is booked, the outcome, the charge booked."""
        p, rng = self.p, self.rng
        fate = self.fate.get(op["seq"], ("plain",))
        first = op["seq"] not in self.answered
        self.answered.add(op["seq"])
        if fate[0] == "declined":
            now += int(pace * rng.uniform(0.7, 1.3))
            self.edge.append((now, 402, op, None))
            return now + 3, "declined", None
        charge = None
        if fate[0] == "timeout" and first:
            now += 3000
            self.edge.append((now, 504, op, None))
            if fate[1]:
                charge = self.take(op, now - rng.randrange(300, 900), op["amount"])
            self.say(now + 2, "WARNING", "charging", f"gateway timeout for {op['id']} (attempt 1)")
            if p["cause"] == "retry":
                charge = None
        captured = op["amount"]
        for round_ in range(p["rounds"]):
            now += int(pace * rng.uniform(0.7, 1.3))
            captured = fate[1] if fate[0] == "short" and first and round_ == 0 else op["amount"]
            if charge is None or round_ > 0:
                charge = self.take(op, now - rng.randrange(5, 40), captured)
            self.edge.append((now, 201, op, charge))
            seen_short = captured < op["amount"] or (p["cause"] == "rounding" and misread(captured, op["currency"], p["design"]))
            if not seen_short:
                return now + 3, "captured", charge
            shown = text(captured, op["currency"])
            self.say(now + 1, "INFO", "charging", f"short capture for {op['id']}: {shown}")
        return now + 3, "short", charge

    def take(self, op, at, captured):
        while True:
            charge = f"ch_{self.rng.getrandbits(40):010x}"
            if charge not in self.taken:
                break
        self.taken.add(charge)
        self.charges.append({"charge": charge, "op": op, "at": at, "captured": captured, "released": captured < op["amount"]})
        return charge

    def support(self):
        """Monday morning: support has begun to give money back, not always for the same reason."""
        p, rng = self.p, random.Random(f"{self.p['data_seed']}-support")
        self.refunds = []
        at = (p["sunday"] + DAY + 8 * 3600) * 1000
        people = p["people"]

        def refund(charge, by=None):
            nonlocal at
            at += rng.randrange(30_000, 110_000)
            self.refunds.append((charge["charge"], charge["op"], charge["captured"], at, by or rng.choice(people)))

        standing = self.standing()
        doubled = sorted(op for op, charges in standing.items() if len(charges) > 1 and op != p["known_seq"])
        booked = {op["seq"]: row_charge for _, op, row_charge, *_ in self.bookings.values()}
        picked = rng.sample(doubled, min(4, len(doubled)))
        for number, seq in enumerate(picked):
            charges = standing[seq]
            keep_booked = number % 2 == 0
            surplus = [c for c in charges if (c["charge"] != booked[seq]) == keep_booked]
            refund(surplus[0])
            if number == 0:
                self.returned = surplus[0]["charge"]
        single = sorted(op for op, charges in standing.items() if len(charges) == 1 and op not in p["twin_seqs"])
        goodwill = rng.sample(single, 5)
        for seq in goodwill:
            refund(standing[seq][0])
        for seq in goodwill[:3]:  # given back by mistake, so charged again by hand
            at += rng.randrange(40_000, 140_000)
            op = standing[seq][0]["op"]
            charge = self.take(op, at, op["amount"])
            self.edge.append((at + 30, 201, op, charge))
            self.booking_seq += 1
            self.bookings[op["id"]] = (self.booking_seq, op, charge, "captured", "support", at + 40)
        self.again = standing[goodwill[0]][0]["op"]["id"]

    def standing(self):
        given = {row[0] for row in self.refunds}
        standing = defaultdict(list)
        for charge in sorted(self.charges, key=lambda c: c["at"]):
            if not charge["released"] and charge["charge"] not in given:
                standing[charge["op"]["seq"]].append(charge)
        return standing

    def surplus(self):
        """The charges that have to be given back."""
        booked = {op["seq"]: charge for _, op, charge, *_ in self.bookings.values()}
        rows = []
        for seq, charges in self.standing().items():
            keep = booked[seq] if any(c["charge"] == booked[seq] for c in charges) else charges[-1]["charge"]
            rows += [c for c in charges if c["charge"] != keep]
        return sorted(rows, key=lambda c: c["at"])

    # what the reconciler writes to its log

    def say(self, ms, level, module, message):
        if self.p["design"] == "queue":
            module = {"runs": "night", "charging": "machine"}.get(module, module)
        self.app.append((ms, f"{level} {self.p['package']}.{module} {message}"))

    def opening(self, ms, name, opens, closes, items):
        if self.p["design"] == "stream":
            self.say(ms, "INFO", "runs", f"run {name} opens {iso(opens)} to {iso(closes)}")
        else:
            self.say(ms, "INFO", "runs", f"batch {name} opens {iso(opens)} to {iso(closes)}")
            self.say(ms + 21, "INFO", "feeder", f"batch {name} fed: {items} items in 24 slots")

    def closing(self, ms, name, requests, counts):
        ended = ", ".join(f"{counts[kind]} {kind}" for kind in ("captured", "declined", "short", "unclear"))
        noun = "run" if self.p["design"] == "stream" else "batch"
        self.say(ms, "INFO", "runs", f"{noun} {name} closes: {requests} requests, {ended}")


def history(p):
    """The nights of a member, in which the cases that the instruction names are what it says of them."""
    for draw in range(50):
        nights = attempt(dict(p, data_seed=f"{p['data_seed']}/{draw}", known_seq=None, twin_seqs=[]))
        if nights:
            return nights
    raise SystemExit("no history fits the ticket")


def attempt(p):
    rng = random.Random(f"{p['data_seed']}-operations")
    start = p["sunday"] - 2 * DAY + RUN_AT
    operations = make_operations(rng, start, 3, p["per_night"], p["currencies"], p["design"])
    first = Nights(p, operations)
    doubled = list(dict.fromkeys(charge["op"]["seq"] for charge in first.surplus()))
    if len(doubled) < 10:
        return None
    for pair in twins(operations, set(doubled)):
        for known in doubled:
            nights = Nights(dict(p, known_seq=known, twin_seqs=pair), renamed(p, operations, known, pair))
            surplus = nights.surplus()
            mine = [charge for charge in surplus if charge["op"]["seq"] == known]
            if mine and len(surplus) >= 9 and not any(charge["op"]["seq"] in pair for charge in surplus):
                names = {mine[0]["charge"]: "ch_" + p["known_charge"], nights.returned: "ch_" + p["returned_charge"]}
                rename_charges(nights, names)
                return nights
    return None


def twins(operations, doubled):
    """Pairs of purchases of one customer that look alike and were charged once each."""
    groups = defaultdict(list)
    for op in operations:
        groups[op["customer"]].append(op)
    for group in groups.values():
        if len(group) == 2 and all(op["status"] == "open" and op["seq"] not in doubled for op in group):
            yield [op["seq"] for op in group]


def renamed(p, operations, known, pair):
    copies = {op["seq"]: dict(op) for op in operations}
    copies[known].update(id="op_" + p["known_operation"], customer="cus_" + p["known_customer"])
    for seq, name in zip(pair, ("twin_operation", "twin_operation_2")):
        copies[seq].update(id="op_" + p[name], customer="cus_" + p["twin_customer"])
    return list(copies.values())


def rename_charges(nights, names):
    for charge in nights.charges:
        charge["charge"] = names.get(charge["charge"], charge["charge"])
    nights.edge = [(at, status, op, names.get(charge, charge)) for at, status, op, charge in nights.edge]
    nights.bookings = {key: (*row[:2], names.get(row[2], row[2]), *row[3:]) for key, row in nights.bookings.items()}
    nights.by_night = [
        (closes, [(*row[:2], names.get(row[2], row[2]), *row[3:]) for row in rows]) for closes, rows in nights.by_night
    ]
    nights.refunds = [(names.get(row[0], row[0]), *row[1:]) for row in nights.refunds]
    nights.work = [(*row[:5], names.get(row[5], row[5])) for row in nights.work]


# ---------------------------------------------------------------- ledgers

SCHEMA = """
CREATE TABLE operations (seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, customer TEXT NOT NULL, amount INTEGER NOT NULL,
  currency TEXT NOT NULL, due_at TEXT NOT NULL, status TEXT NOT NULL DEFAULT 'open');
CREATE INDEX operations_due ON operations (due_at);
CREATE TABLE bookings (seq INTEGER PRIMARY KEY AUTOINCREMENT, operation TEXT NOT NULL UNIQUE, charge TEXT, outcome TEXT NOT NULL,
  amount INTEGER NOT NULL, currency TEXT NOT NULL, run TEXT NOT NULL, booked_at TEXT NOT NULL);
CREATE TABLE refunds (charge TEXT PRIMARY KEY, operation TEXT NOT NULL, amount INTEGER NOT NULL, given_at TEXT NOT NULL,
  given_by TEXT NOT NULL);
CREATE TABLE notices (seq INTEGER PRIMARY KEY, charge TEXT NOT NULL, operation TEXT NOT NULL, kind TEXT NOT NULL,
  captured TEXT NOT NULL, currency TEXT NOT NULL, received_at TEXT NOT NULL);
CREATE TABLE marks (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""
STREAM = "CREATE TABLE runs (id TEXT PRIMARY KEY, opened_from TEXT NOT NULL, opened_to TEXT NOT NULL, finished INTEGER NOT NULL);"
QUEUE = """
CREATE TABLE batches (id TEXT PRIMARY KEY, opens TEXT NOT NULL, closes TEXT NOT NULL, state TEXT NOT NULL);
CREATE TABLE work (batch TEXT NOT NULL, position INTEGER NOT NULL, operation TEXT NOT NULL, state TEXT NOT NULL DEFAULT 'queued',
  asked INTEGER NOT NULL DEFAULT 0, charge TEXT, PRIMARY KEY (batch, position));
"""


def mark_text(p, seconds):
    """The mark as this member's code has written it so far."""
    if p["cause"] == "clock" and p["design"] == "stream":
        return datetime.datetime.fromtimestamp(seconds, zoneinfo.ZoneInfo(p["zone"])).strftime("%Y-%m-%d %H:%M:%S")
    return iso(seconds)


def create_ledger(path, p, operations, mark):
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA synchronous = OFF")
    db.executescript(SCHEMA + (STREAM if p["design"] == "stream" else QUEUE))
    db.execute("BEGIN")
    rows = [(op["seq"], op["id"], op["customer"], op["amount"], op["currency"], iso(op["due"]), op["status"]) for op in operations]
    db.executemany("INSERT INTO operations VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
    db.execute("INSERT INTO marks VALUES ('due', ?)", (mark_text(p, mark),))
    db.execute("COMMIT")
    return db


def production_ledger(path, p, nights, coming):
    """The ledger on Monday morning; `coming` are the operations that fall due after that."""
    db = create_ledger(path, p, nights.operations + coming, nights.mark)
    db.execute("BEGIN")
    rows = sorted(nights.bookings.values())
    db.executemany(
        "INSERT INTO bookings VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        [(n, op["id"], charge, outcome, op["amount"], op["currency"], run, iso(at // 1000)) for n, op, charge, outcome, run, at in rows],
    )
    db.executemany(
        "INSERT INTO refunds VALUES (?, ?, ?, ?, ?)",
        [(charge, op["id"], amount, iso(at // 1000), by) for charge, op, amount, at, by in nights.refunds],
    )
    for seq, notice in enumerate(notices(p, nights), 52017):
        at, charge, kind = notice
        if p["evidence"] == "ledger" or at >= (p["sunday"] + DAY + 7 * 3600) * 1000:
            op, captured = charge["op"], text(charge["captured"], charge["op"]["currency"])
            db.execute(
                "INSERT INTO notices VALUES (?, ?, ?, ?, ?, ?, ?)",
                (seq, charge["charge"], op["id"], kind, captured, op["currency"], iso(at // 1000)),
            )
    for name, opens, closes in nights.runs:
        if p["design"] == "stream":
            db.execute("INSERT INTO runs VALUES (?, ?, ?, 1)", (name, iso(opens), iso(closes)))
        else:
            db.execute("INSERT INTO batches VALUES (?, ?, ?, 'closed')", (name, iso(opens), iso(closes)))
    if p["design"] == "queue":
        last_night = run_name(nights.mark, "main")
        db.executemany("INSERT INTO work VALUES (?, ?, ?, ?, ?, ?)", [row for row in nights.work if row[0] == last_night])
    db.execute("COMMIT")
    db.close()


def coming_operations(p, first_seq):
    rng = random.Random(f"{p['data_seed']}-coming")
    start = p["sunday"] + DAY + RUN_AT
    return make_operations(rng, start, 1, p["per_night"], p["currencies"], p["design"], first_seq=first_seq)


def notices(p, nights):
    """(ms, charge, kind) in order of receipt; some of them come twice."""
    rng = random.Random(f"{p['data_seed']}-notices")
    rows = []
    for charge in nights.charges:
        at = charge["at"] + rng.randrange(400, 2600)
        rows.append((at, charge, "captured"))
        if rng.random() < 0.06:
            rows.append((at + rng.randrange(20_000, 90_000), charge, "captured"))
        if charge["released"]:
            rows.append((charge["at"] + rng.randrange(2_000_000, 3_400_000), charge, "released"))
    return sorted(rows, key=lambda row: (row[0], row[1]["charge"]))
