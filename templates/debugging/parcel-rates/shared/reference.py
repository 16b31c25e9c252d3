"""The rules of docs/rating.md once more, written apart from the program: cents and fractions."""

import datetime as dt
from fractions import Fraction
from math import ceil, floor
from zoneinfo import ZoneInfo


def half_up(value):
    return floor(value + Fraction(1, 2))


def closed_days(world):
    closed = {depot: set() for depot, _, _ in world["depots"]}
    for depot, day in world["holidays"]:
        closed[depot].add(day)
    return closed


def business_day(moment, zone, cutoff, closed):
    there = moment.astimezone(zone)
    late = (there.hour, there.minute) >= tuple(int(part) for part in cutoff.split(":"))
    date = dt.date.fromordinal(there.date().toordinal() + late)
    while date.isoweekday() > 5 or date in closed:
        date = dt.date.fromordinal(date.toordinal() + 1)
    return date


def zone_of(world, postcode):
    fitting = [(len(prefix), zone) for prefix, zone in world["zones"] if postcode.startswith(prefix)]
    return max(fitting)[1] if fitting else world["fallback_zone"]


def weight_of(world, row):
    a, b, c = row["sides"]
    volumetric = Fraction(a * b * c, world["services"][row["service"]]["divisor"])
    return ceil(max(Fraction(row["weight_kg"]), volumetric) / world["step"]) * world["step"]


def base_of(world, contract, service, zone, kg):
    column = contract["prices"].get((service, zone)) or world["prices"][service, zone]
    for limit, price in column:
        if kg <= limit:
            return price
    limit, price = column[-1]
    return price + ceil(kg - limit) * world["services"][service]["over_kg"]


def extra_of(world, contract, row, zone):
    total = sum(world["options"][option] for option in row["options"])
    top = max(row["sides"])
    if top > world["longest"] or top + 2 * (sum(row["sides"]) - top) > world["girth"]:
        total += world["oversize"]
    return total + sum(e["amount"] for e in contract["extras"] if (e["service"], e["zone"]) == (row["service"], zone))


def percent_of(contract, count, day):
    running = [tier for tier in contract["tiers"]
               if tier["from"] <= count and tier["since"] <= day <= (tier["until"] or day)]
    if not running:
        return Fraction(0)
    return Fraction(max(running, key=lambda tier: (tier["from"], tier["since"]))["percent"])


def lines(world):
    """All lines of the month: shipment -> columns, money in cents."""
    closed = closed_days(world)
    clocks = {depot: (ZoneInfo(zone), cutoff) for depot, zone, cutoff in world["depots"]}
    blank = {"tiers": [], "extras": [], "prices": {}}
    contract_of = {code: world["contracts"].get(contract, blank) for code, _, contract in world["customers"]}
    chosen, counts = {}, {}
    for row in world["shipments"]:
        zone, cutoff = clocks[row["depot"]]
        day = business_day(row["handed_in"], zone, cutoff, closed[row["depot"]])
        if day.isoformat()[:7] == world["month"] and row["shipment"] not in chosen:
            chosen[row["shipment"]] = (row, day)
            counts[row["customer"]] = counts.get(row["customer"], 0) + 1
    result = {}
    for shipment, (row, day) in chosen.items():
        contract = contract_of[row["customer"]]
        zone, kg = zone_of(world, row["postcode"]), weight_of(world, row)
        base = base_of(world, contract, row["service"], zone, kg)
        extra = extra_of(world, contract, row, zone)
        discount = half_up(base * percent_of(contract, counts[row["customer"]], day) / 100)
        fuel = half_up((base - discount) * Fraction(world["fuel"]) / 100)
        result[shipment] = {
            "customer": row["customer"], "day": day.isoformat(), "service": row["service"], "zone": zone, "kg": kg,
            "base": base, "surcharges": extra, "discount": discount, "fuel": fuel,
            "net": base + extra - discount + fuel}
    return result


def invoices(world):
    """customer -> sums of the month, money in cents."""
    sums = {}
    for line in lines(world).values():
        entry = sums.setdefault(line["customer"], dict.fromkeys(
            ["parcels", "base", "surcharges", "discount", "fuel", "net"], 0))
        entry["parcels"] += 1
        for column in ("base", "surcharges", "discount", "fuel", "net"):
            entry[column] += line[column]
    for entry in sums.values():
        entry["tax"] = half_up(entry["net"] * Fraction(world["tax"]) / 100)
        entry["gross"] = entry["net"] + entry["tax"]
    return sums
