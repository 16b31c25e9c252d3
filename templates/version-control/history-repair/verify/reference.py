"""What both tools have to answer, reckoned a second time and differently, and inputs to ask them with."""

import json
from collections import defaultdict
from datetime import date, timedelta
from fractions import Fraction


class Case:
    """An input, how the tool is called with it, and what it has to say."""

    def __init__(self, files, arguments, expected):
        self.files = files
        self.arguments = arguments
        self.expected = expected


# The metering tool ---------------------------------------------------------------------------------------------------

TIERS = [(100, "0.12"), (500, "0.10"), (None, "0.07")]


def cents(amount, half_up):
    """A fraction in whole cents."""
    scaled = amount * 100
    whole, rest = scaled.numerator // scaled.denominator, scaled - scaled.numerator // scaled.denominator
    up = rest > Fraction(1, 2) or (rest == Fraction(1, 2) and (half_up or whole % 2))
    return Fraction(whole + bool(up), 100)


def tier_number(quantity):
    return sum(1 for limit, _ in TIERS if limit is not None and quantity > limit) + 1


def meter_bill(rows, tariff, flags, explain=False):
    """Statements of rows (id, day, account, kind, quantity) as the JSON output has them, in fractions."""
    seen, used = set(), defaultdict(Fraction)
    for number, _, account, kind, quantity in rows:
        if number not in seen:
            seen.add(number)
            used[account, kind] += quantity
    accounts = {}
    for (account, kind), quantity in used.items():
        told = tariff["kinds"][kind]
        billed = max(Fraction(0), quantity - told.get("free", 0))
        line = {"quantity": quantity}
        price = told.get("price")
        if "tiers" in told:
            price = TIERS[tier_number(billed) - 1][1]
            if explain:
                line["tier"] = tier_number(billed)
        line["amount"] = cents(billed * Fraction(price), "fix_b" in flags)
        accounts.setdefault(account, {"lines": {}})["lines"][kind] = line
    for statement in accounts.values():
        total = sum(line["amount"] for line in statement["lines"].values())
        least = Fraction(tariff.get("minimum", "0"))
        if total < least:
            statement["lines"]["minimum"] = {"quantity": Fraction(0), "amount": least - total}
            total = least
        if "l1" in flags and "cap" in tariff and total > Fraction(tariff["cap"]):
            statement["over"] = total - Fraction(tariff["cap"])
            total = Fraction(tariff["cap"])
        statement["total"] = total
    document = {"accounts": accounts}
    if "l2" in flags and "currency" in tariff:
        document["currency"] = tariff["currency"]
    if "l5" in flags:
        document["grand_total"] = sum(statement["total"] for statement in accounts.values())
    return document


def meter_read(text):
    """The JSON output of the tool in the shape of meter_bill."""
    document = json.loads(text)
    found = {}
    for statement in document.pop("accounts"):
        assert statement["account"] not in found, "an account has two statements"
        lines = {}
        for line in statement["lines"]:
            kind = line.pop("kind")
            assert kind not in lines, "a kind has two lines"
            lines[kind] = {name: Fraction(str(value)) for name, value in line.items()}
        rest = {n: Fraction(str(v)) for n, v in statement.items() if n not in ("account", "lines")}
        found[statement["account"]] = {"lines": lines, **rest}
    if "grand_total" in document:
        document["grand_total"] = Fraction(str(document["grand_total"]))
    return {"accounts": found, **document}


def meter_rows(rng, spice, flags):
    """Rows, and how their quantities are written."""
    rows, written = [], []
    names = rng.sample(["acme", "borg", "crane", "delta", "ember", "flint"], 4)
    accounts = [f"{name}-{rng.randint(1, 30)}" for name in names]
    day = date(2020, 5, 4)
    number = 0
    for account in accounts:
        for kind in ["disk", "scan", "seat"]:
            for _ in range(rng.randint(1, 3)):
                number += 1
                quantity = Fraction(rng.randint(20, 260)) if kind == "disk" else Fraction(rng.randint(1, 40))
                rows.append([f"x{number}", day + timedelta(rng.randint(0, 20)), account, kind, quantity])
    rows.append(list(rows[rng.randrange(len(rows))]))
    rows[-1][0] = rows[0][0]
    rows[-1][1:] = rows[0][1:]
    rows.insert(1, rows.pop())
    if "boundary" not in spice:
        # No account's disk adds up to a whole number, so none falls on the limit of a tier.
        first = {row[2]: row[0] for row in reversed(rows) if row[3] == "disk"}
        for row in rows:
            if row[0] == first[row[2]]:
                row[4] += Fraction(1, 4)
    if "boundary" in spice:
        for extra, (account, total) in enumerate([("edge-1", 100), ("edge-2", 500), ("edge-3", 99), ("edge-4", 501)]):
            part = rng.randint(1, 90)
            rows.append([f"y{extra}", day, account, "disk", Fraction(part)])
            rows.append([f"z{extra}", day, account, "disk", Fraction(total - part)])
    if "large" in spice:
        for extra in range(3):
            rows.append([f"w{extra}", day, f"large-{extra}", "scan", Fraction(rng.randint(1100, 9800) * 4, 2)])
    if "half" in spice:
        for extra, quantity in enumerate(rng.sample([1, 3, 5, 7, 9, 11, 13, 15], 5)):
            rows.append([f"v{extra}", day, f"half-{extra}", "scan", Fraction(quantity + 10)])
    elif "no half" in spice:
        for row in rows:
            if row[3] == "scan":
                row[4] = Fraction(int(row[4]) * 2)
            if row[3] == "disk":
                row[4] = Fraction(int(row[4]))
        rows[1] = list(rows[0])
    if "mixed" in spice:
        rng.shuffle(rows)
    for row in rows:
        plain = f"{float(row[4]):.2f}".rstrip("0").rstrip(".")
        if row[4] >= 1000 and "large" in spice:
            mark = "," if "fix_d2" not in flags or rng.random() < 0.5 else " "
            plain = f"{int(row[4]):,}".replace(",", mark)
        written.append(f'"{plain}"' if "," in plain else plain)
    return rows, written


def meter_tariff(rng, flags):
    tiers = [{"up_to": limit, "price": price} if limit else {"price": price} for limit, price in TIERS]
    tariff = {
        "minimum": "1.00",
        "kinds": {
            "disk": {"tiers": tiers},
            "scan": {"price": "0.045", "free": 10},
            "seat": {"price": rng.choice(["4.00", "5.50"])},
        },
    }
    if "l1" in flags:
        tariff["cap"] = "40.00"
    if "l2" in flags:
        tariff["currency"] = rng.choice(["EUR", "CHF", "NOK"])
    return tariff


def meter_text(rows, written):
    lines = ["id,day,account,kind,quantity"]
    lines += [f"{r[0]},{r[1].isoformat()},{r[2]},{r[3]},{text}" for r, text in zip(rows, written)]
    return "\n".join(lines) + "\n"


def meter_case(rng, flags, spice=()):
    """Bills a file that has what `spice` names."""
    rows, written = meter_rows(rng, spice, flags)
    tariff = meter_tariff(rng, flags)
    text = meter_text(rows, written).encode("utf-8-sig" if "mark" in spice else "utf-8")
    arguments = ["bill", "in.csv", "--tariff", "tariff.json", "--json"]
    chosen = rows
    if "until" in spice:
        last = sorted(row[1] for row in rows)[len(rows) // 2]
        arguments += ["--until", last.isoformat()]
        chosen = [row for row in rows if row[1] <= last]
    if "explain" in spice:
        arguments.append("--explain")
    files = {"in.csv": text, "tariff.json": json.dumps(tariff).encode()}
    return Case(files, arguments, meter_bill(chosen, tariff, flags, "explain" in spice))


def meter_days(rng, mixed):
    """The command `days`."""
    rows, written = meter_rows(rng, ["no half"], ())
    rows = [row for row in rows if row[3] == "scan"]
    rows.sort(key=lambda row: (row[2], row[1]))
    if mixed:
        rng.shuffle(rows)
    seen, used = set(), defaultdict(Fraction)
    for number, day, account, _, quantity in rows:
        if number not in seen:
            seen.add(number)
            used[account, day.isoformat()] += quantity
    text = meter_text(rows, [str(int(row[4])) for row in rows])
    return Case({"in.csv": text.encode()}, ["days", "in.csv"], dict(used))


# The timesheet tool --------------------------------------------------------------------------------------------------


def iso_week(day):
    """The ISO week by its Thursday."""
    thursday = day + timedelta(3 - day.weekday())
    return f"{thursday.year}-W{(thursday - date(thursday.year, 1, 1)).days // 7 + 1:02}"


def rounded(minutes, unit, half_up):
    whole, rest = divmod(minutes, unit)
    up = 2 * rest > unit or (2 * rest == unit and (half_up or whole % 2))
    return (whole + bool(up)) * unit


def hours(minutes):
    return Fraction(f"{minutes / 60:.2f}")


def sheet_report(entries, rules, flags, by, night=False):
    """Rows of entries (day, person, start, length, project, note) as the JSON output has them."""
    seen, rows = set(), {}
    for entry in entries:
        day, person, start, length, project, _ = entry
        if tuple(entry) in seen:
            continue
        seen.add(tuple(entry))
        key = {"person": person, "week": iso_week(day), "project": project or "(none)"}[by]
        counted = length
        if length > rules["break_after"]:
            counted -= rules["break"]
        row = rows.setdefault(key, [0, 0])
        row[0] += rounded(counted, rules["round_to"], "fix_b" in flags)
        row[1] += sum(1 for m in range(start, start + length) if m % 1440 >= 1320 or m % 1440 < 360)
    shown, everything = {}, 0
    for key, (minutes, dark) in rows.items():
        row = {}
        if "l1" in flags and "cap" in rules and minutes > rules["cap"]:
            row["over"] = hours(minutes - rules["cap"])
            minutes = rules["cap"]
        row["hours"] = hours(minutes)
        if night:
            row["night"] = hours(dark)
        everything += minutes
        shown[key] = row
    document = {"rows": shown}
    if "l2" in flags and "unit" in rules:
        document["unit"] = rules["unit"]
    if "l5" in flags:
        document["grand_total"] = hours(everything)
    return document


def sheet_read(text):
    """The JSON output of the tool in the shape of sheet_report."""
    document = json.loads(text)
    found = {}
    for row in document.pop("rows"):
        name = row.pop("name")
        assert name not in found, "a name has two rows"
        found[name] = {key: Fraction(str(value)) for key, value in row.items()}
    if "grand_total" in document:
        document["grand_total"] = Fraction(str(document["grand_total"]))
    return {"rows": found, **document}


def clock(minutes):
    return f"{minutes // 60 % 24:02}:{minutes % 60:02}"


def sheet_case(rng, flags, spice=(), by="person"):
    """Reports on a sheet that has what `spice` names."""
    step = 6 if "no half" in spice else 1
    people = rng.sample(["ada", "mei", "olu", "pia", "raj", "tom"], 4)
    projects = ["atlas", "borealis", "cirrus"]
    first = date(2020, 5, 4)
    turn = rng.choice([2018, 2023, 2024, 2026])
    entries = []
    for _ in range(24):
        start = rng.randrange(300, 1000, step)
        length = rng.randrange(30, 430, step)
        if "half" in spice:
            length = length // 6 * 6 + 3
        if "new year" in spice:
            first = date(rng.choice([turn, 2020]), 12, 27)
        day = first + timedelta(rng.randint(0, 8))
        entries.append([day, rng.choice(people), start, length, rng.choice(projects), rng.choice(["", "with notes"])])
    if "overnight" in spice:
        for _ in range(6):
            start = rng.randrange(1080, 1434, 6)
            entries.append([first, rng.choice(people), start, rng.randrange(1446 - start, 840, 6), "atlas", "late"])
    entries.sort(key=lambda entry: entry[0])
    entries.append(list(entries[-1]))
    lines = ["# made for a test"]
    for number, (day, person, start, length, project, note) in enumerate(entries):
        if "capitals" in spice and number % 3 == 0:
            person = person.title()
            project = project.title() if "fix_d2" in flags and number % 2 else project
        gap = "\t" if "tabs" in spice and number % 2 else " "
        end = clock(start + length)
        lines.append(gap.join([day.isoformat(), person, f"{clock(start)}-{end}", project, note]).rstrip())
        if number == len(entries) - 2:
            last = lines[-1]
    lines[-1] = last
    if "tabs" in spice or "capitals" in spice:
        lines.pop()
        entries.pop()
    rules = {"break_after": 360, "break": 30, "round_to": 6}
    if "l1" in flags:
        rules["cap"] = 900
    if "l2" in flags:
        rules["unit"] = rng.choice(["h", "hrs", "std"])
    arguments = ["report", "in.txt", "--rules", "rules.json", "--json", "--by", by]
    chosen = entries
    if "until" in spice:
        until = entries[len(entries) // 2][0]
        arguments += ["--until", until.isoformat()]
        chosen = [entry for entry in entries if entry[0] <= until]
    if "week" in spice:
        week = iso_week(entries[rng.randrange(len(entries))][0])
        arguments += ["--week", week]
        chosen = [entry for entry in chosen if iso_week(entry[0]) == week]
    if "night" in spice:
        arguments.append("--night")
    files = {"in.txt": ("\n".join(lines) + "\n").encode(), "rules.json": json.dumps(rules).encode()}
    return Case(files, arguments, sheet_report(chosen, rules, flags, by, "night" in spice))
