"""Books in which every parcel sits on a limit of some rule."""

import datetime as dt
import itertools
import random

import firm


def books(params, seed, month):
    world = firm.books(params, seed, month, [])
    rng = random.Random(f"edges {seed}")
    first, following = firm.bounds(month)
    codes = params["codes"]
    on = lambda code: next(entry[2] for entry in world["customers"] if entry[0] == code)
    three, high = world["role"]["K-THREE"], world["role"]["K-HIGH"]
    world["customers"] += [("D901", "Exactly", three), ("D902", "Almost", three), ("D903", "Turning", high)]
    prefixes = {}
    for prefix, zone in world["zones"]:
        if len(prefix) == 2 and not any(p.startswith(prefix) and len(p) == 3 for p, _ in world["zones"]):
            prefixes.setdefault(zone, prefix)
    workdays = [first + dt.timedelta(days=n) for n in range((following - first).days)]
    workdays = [day for day in workdays if day.weekday() < 5 and day not in {d for _, d in world["holidays"]}]
    clocks = {depot: (firm.ZoneInfo(zone), dt.time.fromisoformat(cutoff)) for depot, zone, cutoff in world["depots"]}
    rows = []

    def add(customer, day=None, depot=None, time=dt.time(11, 0), **fixed):
        depot = depot or rng.choice(list(clocks))
        local = dt.datetime.combine(day or rng.choice(workdays), time, clocks[depot][0])
        row = {"customer": customer, "depot": depot, "handed_in": local.astimezone(firm.UTC), "postcode":
               f"{prefixes[rng.choice(firm.ZONES)]}{rng.randint(0, 999):03d}", "service": rng.choice(firm.SERVICES),
               "weight_kg": "1.00", "sides": (20, 15, 10), "options": []}
        row.update(fixed)
        rows.append(row)

    several = [codes[firm.OWN_PRICES], codes[firm.OWN_AGAIN], codes[firm.PLAIN], codes[firm.EXTRAS], max(codes)]
    for code in several:
        for service, zone in world["own_pairs"] + [world["extra_pair"]]:
            for kg in ("1.00", "1.01", "5.00", "20.01"):
                add(code, service=service, postcode=prefixes[zone] + "500", weight_kg=kg)
    for kg in ("0.01", "0.50", "0.51", "2.00", "2.50", "2.51", "10.00", "10.01", "19.50", "20.00", "20.50", "21.00", "21.01"):
        add(codes[firm.PLAIN], weight_kg=kg)
    for sides in ((50, 40, 25), (40, 40, 25), (50, 40, 26), (25, 20, 10)):
        for service in firm.SERVICES:
            add(codes[firm.PLAIN], service=service, sides=sides)
    limit, longest = world["girth"], world["longest"]
    for sides in ((limit - 190, 50, 45), (limit - 189, 50, 45), (longest, 10, 10), (longest + 1, 10, 10)):
        for order in sorted(set(itertools.permutations(sides))):
            add(codes[firm.LATE_LOW], sides=order)
    second = dt.timedelta(seconds=1)
    turns = [first + dt.timedelta(days=n) for n in range(-4, 3)] + [following + dt.timedelta(days=n) for n in range(-4, 2)]
    turns += [day + dt.timedelta(days=n) for _, day in world["holidays"] for n in (-1, 0)]
    for depot, (clock, cutoff) in clocks.items():
        for day in turns:
            at = dt.datetime.combine(day, cutoff)
            midnight = dt.datetime.combine(day, dt.time())
            for moment in (at, at - second, midnight, midnight + dt.timedelta(minutes=20), midnight - second):
                add(rng.choice(codes), moment.date(), depot, moment.time())
    reach = world["contracts"][three]["tiers"][1]["from"]
    for code, count in (("D901", reach), ("D902", reach - 1)):
        for _ in range(count):
            add(code)
    since = [tier["since"] for tier in world["contracts"][high]["tiers"] if tier["since"] >= first][0]
    for offset in (-1, 0, 0, 1):
        for _ in range(4):
            add("D903", since + dt.timedelta(days=offset))
    rows.sort(key=lambda row: row["handed_in"])
    for number, row in enumerate(rows):
        row["shipment"] = f"E{10000 + number}"
        row["feed"] = row["handed_in"].strftime("%G-w%V")
    world["shipments"] = rows
    assert on(codes[firm.THREE_TIERS]) == three
    return world
