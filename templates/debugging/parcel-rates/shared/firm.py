"""A parcel firm's books for one month, from a seed: tariff, contracts, customers, feeds."""

import csv
import datetime as dt
import io
import json
import random
from fractions import Fraction
from zoneinfo import ZoneInfo

import reference

SERVICES = ("economy", "standard", "express")
ZONES = (1, 2, 3, 4)
OPTIONS = {"signature": 150, "evening": 240, "insured": 320}
UTC = dt.timezone.utc
# Which of the parameter `codes` plays which part; the rest pays list prices or is on an ordinary contract.
THREE_TIERS, OWN_PRICES, EXTRAS, PLAIN, LATE_LOW, LATE_HIGH, OWN_AGAIN, EXTRAS_AGAIN = range(8)


def bounds(month):
    first = dt.date.fromisoformat(month + "-01")
    following = (first + dt.timedelta(days=32)).replace(day=1)
    return first, following


def books(params, seed, month, noise):
    """Everything the program reads, as plain values; cents are whole numbers."""
    rng = random.Random(f"{seed}/{month}")
    first, following = bounds(month)
    region = params["region"]
    world = {
        "month": month,
        "currency": region["currency"],
        "tax": region["tax"],
        "fuel": params["fuel"],
        "step": Fraction(1, 2),
        "fallback_zone": 4,
        "girth": params["limits"]["girth"],
        "longest": params["limits"]["longest"],
        "oversize": rng.choice([850, 990, 1150, 1200]),
        "options": OPTIONS,
        "services": {
            "economy": {"divisor": 4000, "over_kg": 60},
            "standard": {"divisor": 5000, "over_kg": 80},
            "express": {"divisor": 5000, "over_kg": 140},
        },
        "prices": price_columns(rng, 1.0),
        "zones": [],
        "depots": [tuple(depot) for depot in region["depots"]],
        "holidays": [],
    }
    prefixes = rng.sample(range(10, 90), 16)
    for index, prefix in enumerate(prefixes):
        world["zones"].append((str(prefix), ZONES[index % 4]))
    inner = rng.sample(prefixes, 3)
    for prefix in inner:
        zone = dict(world["zones"])[str(prefix)]
        world["zones"].append((f"{prefix}{rng.randint(0, 9)}", zone % 4 + 1))
    for code, _, _ in world["depots"]:
        days = rng.sample(range(6, 25), 2)
        world["holidays"] += [(code, first + dt.timedelta(days=day)) for day in sorted(days)]
    world["holidays"].append((world["depots"][0][0], first))
    contracts(world, rng, first)
    customers(world, rng, params["codes"])
    shipments(world, rng, params, first, following, noise)
    return world


def price_columns(rng, factor, pairs=None):
    columns = {}
    for service in SERVICES:
        for zone in ZONES:
            if pairs is not None and (service, zone) not in pairs:
                continue
            base = {"economy": 380, "standard": 490, "express": 890}[service] + 90 * (zone - 1)
            price, column = base * factor, []
            for kg in (1, 2, 3, 5, 10, 20):
                price += rng.randrange(30, 190, 10) * factor
                column.append((kg, int(price) // 10 * 10))
            columns[service, zone] = column
    return columns


def contracts(world, rng, first):
    long_ago = lambda: first - dt.timedelta(days=rng.randint(120, 500))
    lately = lambda: first - dt.timedelta(days=rng.randint(3, 40))
    tier = lambda reach, percent, since, until=None: {
        "from": reach, "percent": percent, "since": since, "until": until}
    reach = rng.randint(5, 9)
    old, mid, new = long_ago(), first - dt.timedelta(days=rng.randint(60, 110)), lately()
    ladder = [tier(1, "2", long_ago()), tier(reach + 3, "4", long_ago()), tier(150, "9", long_ago())]
    middle = first + dt.timedelta(days=rng.randint(10, 18))
    world["contracts"] = {
        "K-THREE": {"tiers": [tier(1, "3", long_ago()), tier(reach, "11", mid), tier(reach, "7", new),
                              tier(reach, "4", old), tier(90, "15", old)]},
        "K-OWN": {"tiers": [], "prices": True},
        "K-EXTRA": {"tiers": [tier(12, "5", long_ago())], "extras": True},
        "K-PLAIN": {"tiers": ladder},
        "K-LOW": {"tiers": [tier(reach, "5", lately()), tier(reach, "9", long_ago()), tier(2, "1", long_ago())]},
        "K-HIGH": {"tiers": [tier(reach, "6", long_ago()), tier(reach, "10", lately()),
                             tier(reach + 1, "12", middle), tier(3, "2", long_ago(), middle)]},
        "K-OWN2": {"tiers": [tier(14, "3", long_ago())], "prices": True},
    }
    numbers = rng.sample(range(20, 99), len(world["contracts"]))
    codes = {old: f"K{number}" for old, number in zip(world["contracts"], numbers)}
    world["role"] = codes
    world["contracts"] = {codes[name]: {"prices": {}, "extras": [], **entry}
                          for name, entry in world["contracts"].items()}
    pairs = rng.sample([(service, zone) for service in SERVICES[:2] for zone in (1, 2, 3)], 3)
    world["own_pairs"], world["extra_pair"] = pairs[:2], pairs[2]
    own, again = world["contracts"][codes["K-OWN"]], world["contracts"][codes["K-OWN2"]]
    own["prices"] = price_columns(rng, 0.76, pairs[:2])
    again["prices"] = price_columns(rng, 0.86, pairs[:1])
    service, zone = pairs[2]
    world["contracts"][codes["K-EXTRA"]]["extras"] = [
        {"name": "handling", "amount": rng.choice([110, 120, 140]), "service": service, "zone": zone},
        {"name": "labelling", "amount": rng.choice([35, 45]), "service": "express", "zone": 4},
    ]


def customers(world, rng, codes):
    """The role of each customer; the contract with extras also belongs to one of the first in the order of codes."""
    role = world["role"]
    parts = ["K-THREE", "K-OWN", "K-EXTRA", "K-PLAIN", "K-LOW", "K-HIGH", "K-OWN2", "K-EXTRA"]
    contract = {code: role[part] for code, part in zip(codes, parts)}
    rest = codes[len(parts):]
    if min(codes) in rest or min(codes) == codes[PLAIN]:
        contract[min(codes)] = role["K-EXTRA"]
    names = ["Mill & Sons", "Papeterie Aube", "Tidewater Tools", "Oak Lane Books", "Studio Kestrel", "Harrow Seeds",
             "Fjord Outfitters", "Lantern Coffee", "Quay Ceramics", "Brasswork Audio", "Northgate Optics",
             "Petal & Stem", "Rivet Cycles", "Saltbox Toys", "Umber Paints", "Willow Yarns"]
    rng.shuffle(names)
    world["customers"] = [(code, names[index], contract.get(code, "")) for index, code in enumerate(sorted(codes))]


def shipments(world, rng, params, first, following, noise):
    known = [code for code, _ in world["zones"] if len(code) == 2]
    found = []
    zones = {zone: [prefix for prefix in known if dict(world["zones"])[prefix] == zone
                    and not any(len(p) == 3 and p.startswith(prefix) for p, _ in world["zones"])]
             for zone in ZONES}

    def postcode(zone=None):
        prefix = rng.choice(zones[zone] if zone else known)
        return f"{prefix}{rng.randint(0, 999):03d}"

    def add(customer, **fixed):
        depot = rng.choice(world["depots"])[0]
        row = {
            "customer": customer,
            "depot": depot,
            "handed_in": daytime(rng, first, following),
            "postcode": postcode(),
            "service": rng.choice(SERVICES),
            "weight_kg": f"{rng.choice([rng.uniform(0.2, 3), rng.uniform(1, 9), rng.uniform(2, 24)]):.2f}",
            "sides": small(rng),
            "options": sorted(rng.sample(sorted(OPTIONS), rng.choice([0, 0, 0, 1, 1, 2]))),
        }
        row.update(fixed)
        found.append(row)
        return row

    def midday():
        day = first + dt.timedelta(days=rng.randint(8, 19))
        return dt.datetime.combine(day, dt.time(rng.choice([6, 9, 10]), rng.randrange(60), rng.randrange(60)), UTC)

    codes = params["codes"]
    for code in codes:
        for _ in range(rng.randint(12, 24)):
            add(code)
    for code in (codes[THREE_TIERS], codes[LATE_LOW], codes[LATE_HIGH]):
        for _ in range(3):
            add(code, weight_kg=f"{rng.uniform(3, 9):.2f}")
    # the same parcel for the customers with own prices and for those without
    for service, zone in world["own_pairs"]:
        for kg in ("1.80", "4.60"):
            for code in (codes[OWN_PRICES], codes[OWN_AGAIN], codes[PLAIN], rng.choice(codes)):
                add(code, service=service, postcode=postcode(zone), weight_kg=kg, sides=(20, 15, 10), handed_in=midday())
    service, zone = world["extra_pair"]
    for code in (codes[EXTRAS], codes[EXTRAS_AGAIN], max(codes), codes[THREE_TIERS], codes[PLAIN], rng.choice(codes)):
        add(code, service=service, postcode=postcode(zone), options=[], sides=(20, 15, 10), handed_in=midday())
    # long and bulky parcels on both sides of the limits
    large, long = (world["girth"] - 200, 50, 40), (world["longest"] + 6, 9, 8)
    plain = {codes[PLAIN]: large, codes[OWN_AGAIN]: large, codes[LATE_HIGH]: long}
    for code, sides in plain.items():
        for _ in range(2):
            add(code, service="express", postcode=postcode(1), sides=mixed(rng, sides), options=[], handed_in=midday())
    others = [code for code in codes if code not in plain]
    for code in others + rng.sample(others, 3):
        add(code, sides=bulky(rng, world))
    # evenings and nights around both ends of the month
    for when in ends(rng, world, first, following):
        add(rng.choice(codes[:9]), depot=when[0], handed_in=when[1])
    add(codes[PLAIN], **dict(zip(("depot", "handed_in"), ends(rng, world, first, following)[0])))
    if "repeats" in noise or "postcodes" in noise:
        unknown = [prefix for prefix in range(10, 99) if str(prefix) not in known]
        count = 5 if "postcodes" in noise else 0
        for code in rng.sample(codes, count):
            add(code, postcode=f"{rng.choice(unknown)}{rng.randint(0, 999):03d}")
    found.sort(key=lambda row: row["handed_in"])
    number = rng.randrange(20000, 70000)
    for row in found:
        number += rng.randint(1, 7)
        row["shipment"] = f"S{number}"
        row["feed"] = row["handed_in"].strftime("%G-w%V")
    if "repeats" in noise:
        for row in rng.sample(found[:-30], 4):
            later = row["handed_in"] + dt.timedelta(days=7)
            found.append({**row, "feed": later.strftime("%G-w%V")})
    world["shipments"] = found


def small(rng):
    return tuple(rng.randint(8, 45) for _ in range(3))


def mixed(rng, sides):
    return tuple(rng.sample(list(sides), 3))


def bulky(rng, world):
    girth, longest = world["girth"], world["longest"]
    kind = rng.choice(["fits", "tube", "over", "beam"])
    if kind == "tube":
        return mixed(rng, (longest + rng.randint(1, 14), rng.randint(6, 9), rng.randint(6, 9)))
    if kind == "beam":
        return mixed(rng, (longest - rng.randint(0, 10), rng.randint(8, 20), rng.randint(8, 20)))
    other, third = rng.randint(40, 55), rng.randint(35, 45)
    rest = girth - 2 * (other + third)
    long = rest - rng.randint(0, 15) if kind == "fits" else rest + rng.randint(1, 20)
    return mixed(rng, (long, other, third))


def daytime(rng, first, following):
    start = dt.datetime.combine(first - dt.timedelta(days=4), dt.time(), UTC)
    days = (following - first).days + 6
    hour = rng.choice([7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18])
    return start + dt.timedelta(days=rng.randrange(days), hours=hour, minutes=rng.randrange(60), seconds=rng.randrange(60))


def ends(rng, world, first, following):
    """Hand-ins for which it matters whose midnight and which cut-off counts: [(depot, moment)]."""
    closed = reference.closed_days(world)
    by_clock, by_feed, other = [], [], []
    for turn in (first, following):
        for depot, zone, cutoff in world["depots"]:
            clock, end = ZoneInfo(zone), dt.time.fromisoformat(cutoff)
            for half_hour in range(-4 * 48, 2 * 48):
                if abs(half_hour) > 32 and half_hour % 3:
                    continue
                middle = dt.datetime.combine(turn, dt.time(), UTC) + dt.timedelta(minutes=30 * half_hour)
                moment = middle + dt.timedelta(seconds=rng.randrange(1800))
                day = reference.business_day(moment, clock, cutoff, closed[depot])
                plain = moment.date()
                if moment.astimezone(clock).time() >= end:
                    plain += dt.timedelta(days=1)
                while plain.weekday() > 4 or plain in closed[depot]:
                    plain += dt.timedelta(days=1)
                in_month = lambda date: first <= date < following
                if in_month(day) != in_month(plain):
                    by_clock.append((depot, moment))
                elif in_month(day) and not in_month(moment.date()):
                    by_feed.append((depot, moment))
                elif rng.random() < 0.08:
                    other.append((depot, moment))
    take = lambda pool, count: rng.sample(pool, min(count, len(pool)))
    return take(by_clock, 5) + take(by_feed, 5) + take(other, 8)


# Files


def money(cents):
    return f"{cents // 100}.{cents % 100:02d}"


def table(header, rows):
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return out.getvalue()


def files(world, feed):
    """What lies in data/: path -> text."""
    found = {
        "tariff.toml": tariff_text(world),
        "prices.csv": table(["service", "zone", "up_to_kg", "price"], price_rows(world["prices"])),
        "zones.csv": table(["prefix", "zone"], world["zones"]),
        "depots.csv": table(["depot", "timezone", "cutoff"], world["depots"]),
        "holidays.csv": table(["depot", "date"], [(d, day.isoformat()) for d, day in world["holidays"]]),
        "customers.csv": table(["customer", "name", "contract"], world["customers"]),
        "contracts.toml": contract_text(world),
        "contract-prices.csv": table(
            ["contract", "service", "zone", "up_to_kg", "price"],
            [(code, *row) for code, entry in world["contracts"].items() for row in price_rows(entry["prices"])]),
        "contract-extras.csv": table(
            ["contract", "name", "amount", "service", "zone"],
            [(code, e["name"], money(e["amount"]), e["service"], e["zone"])
             for code, entry in world["contracts"].items() for e in entry["extras"]]),
    }
    weeks = {}
    for row in world["shipments"]:
        weeks.setdefault(row["feed"], []).append(row)
    for week, rows in sorted(weeks.items()):
        found[f"feeds/{week}.{feed}"] = feed_text(rows, feed)
    return found


def price_rows(columns):
    return [(service, zone, kg, money(price)) for (service, zone), column in columns.items() for kg, price in column]


def feed_text(rows, feed):
    header = ["shipment", "customer", "depot", "handed_in", "postcode", "service", "weight_kg",
              "side_a", "side_b", "side_c", "options"]
    plain = []
    for row in rows:
        a, b, c = row["sides"]
        plain.append([row["shipment"], row["customer"], row["depot"], row["handed_in"].strftime("%Y-%m-%dT%H:%M:%SZ"),
                      row["postcode"], row["service"], row["weight_kg"], a, b, c, "+".join(row["options"])])
    if feed == "csv":
        return table(header, plain)
    return "".join(json.dumps(dict(zip(header, values))) + "\n" for values in plain)


def tariff_text(world):
    lines = [
        f'edition = "{world["month"][:4]}a"',
        f'currency = "{world["currency"]}"',
        f'tax_percent = "{world["tax"]}"',
        f'fuel_percent = "{world["fuel"]}"',
        'weight_step_kg = "0.5"',
        f'fallback_zone = {world["fallback_zone"]}',
        "",
        "[oversize]",
        f'girth_cm = {world["girth"]}',
        f'longest_cm = {world["longest"]}',
        f'amount = "{money(world["oversize"])}"',
        "",
        "[options]",
        *[f'{name} = "{money(cents)}"' for name, cents in world["options"].items()],
    ]
    for name, service in world["services"].items():
        lines += ["", f"[services.{name}]", f'divisor = {service["divisor"]}', f'over_kg = "{money(service["over_kg"])}"']
    return "\n".join(lines) + "\n"


def contract_text(world):
    names = {}
    for code, name, contract in world["customers"]:
        names.setdefault(contract, name)
    blocks = []
    for code, entry in sorted(world["contracts"].items()):
        lines = [f"[{code}]", f'title = "{names.get(code, "in negotiation")}"']
        for tier in entry["tiers"]:
            lines += ["", f"[[{code}.tiers]]", f'from = {tier["from"]}', f'percent = "{tier["percent"]}"',
                      f'since = {tier["since"].isoformat()}']
            if tier["until"]:
                lines.append(f'until = {tier["until"].isoformat()}')
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks) + "\n"
