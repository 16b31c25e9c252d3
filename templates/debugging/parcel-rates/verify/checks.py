import csv
import hashlib
import hmac
import io
import json
import random
from fractions import Fraction

import edges as limits
import firm
import reference
from trajforge_check import WORKSPACE, check, main, params, put, read, require, run_agent, scratch

P = params()
MONTH, HIDDEN = P["month"], P["hidden_month"]
MONEY = ("base", "surcharges", "discount", "fuel", "net", "tax", "gross")


def lay(world):
    folder = scratch(in_memory=True)
    for path, text in firm.files(world, P["feed"]).items():
        put(folder / "data" / path, text)
    return folder / "data"


def program(*arguments):
    return run_agent(["python3", "-m", P["package"], *arguments], timeout=40)


def cents(text, where):
    try:
        value = Fraction(text) * 100
    except (ValueError, TypeError, ZeroDivisionError):
        value = Fraction(1, 3)
    require(value.denominator == 1, f"{where}: {text!r} is no amount with two decimals")
    return int(value)


def parsed(text, key, where):
    """CSV text as {key: row}, amounts in cents."""
    rows = {}
    for row in csv.DictReader(io.StringIO(text)):
        require(row.get(key) and row[key] not in rows, f"{where}: no {key}, or {row.get(key)!r} twice")
        rows[row[key]] = {n: cents(v, where) if n in MONEY else v for n, v in row.items() if n}
    return rows


def output(command, month, data, *more):
    done = program(command, "--month", month, "--data", str(data), *more)
    require(done.code == 0, f"{command} ended with {done.code}: {done.err[-400:]}")
    return parsed(done.out, "shipment" if command == "lines" else "customer", command)


def same_lines(found, world, only=None, lines=None):
    expected = {s: line for s, line in (lines or reference.lines(world)).items() if only in (None, line["customer"])}
    missing, extra = sorted(set(expected) - set(found)), sorted(set(found) - set(expected))
    require(not missing and not extra, f"parcels missing {missing[:5]}, too many {extra[:5]}")
    for shipment, line in expected.items():
        for column, value in line.items():
            got = found[shipment].get(column)
            if column == "kg":
                got = number(got)
            elif column == "zone":
                got = int(got) if str(got).isdigit() else got
            require(got == value, f"{shipment}: {column} is {got}, expected {value}")


def number(text):
    try:
        return Fraction(text)
    except (ValueError, TypeError, ZeroDivisionError):
        return None


def same_invoices(found, world):
    expected = reference.invoices(world)
    require(set(found) == set(expected), f"invoices for {sorted(set(found) ^ set(expected))[:5]} too many or missing")
    for customer, invoice in expected.items():
        for column, value in invoice.items():
            got = found[customer].get(column)
            got = int(got) if column == "parcels" and str(got).isdigit() else got
            require(got == value, f"{customer}: {column} is {got}, expected {value}")


def issued_world():
    return firm.books(P, P["data_seed"], MONTH, [P["noise"]])


@check
def issued_month():
    world = issued_world()
    data = lay(world)
    same_invoices(output("invoices", MONTH, data), world)


@check
def other_books():
    world = firm.books(P, P["hidden_seed"], HIDDEN, ["repeats", "postcodes"])
    data = lay(world)
    same_invoices(output("invoices", HIDDEN, data), world)


@check
def any_order():
    """The order of rows, customers, tiers and sides means nothing, nor does who else is invoiced in the same run."""
    world = firm.books(P, P["hidden_seed"] + 1, HIDDEN, ["postcodes"])
    lines = reference.lines(world)
    rng = random.Random(P["hidden_seed"])
    turned = dict(world)
    turned["shipments"] = [{**row, "sides": (row["sides"][1], row["sides"][2], row["sides"][0])} for row in world["shipments"]]
    rng.shuffle(turned["shipments"])
    for table in ("customers", "zones", "depots", "holidays"):
        turned[table] = rng.sample(world[table], len(world[table]))
    order = sorted(world["contracts"], reverse=True)
    turned["contracts"] = {
        code: {**world["contracts"][code], "tiers": world["contracts"][code]["tiers"][::-1]} for code in order}
    data = lay(turned)
    same_lines(output("lines", HIDDEN, data), world, lines=lines)
    code = P["codes"][firm.OWN_PRICES]
    same_lines(output("lines", HIDDEN, data, "--customer", code), world, code, lines)


@check
def edges():
    world = limits.books(P, P["hidden_seed"] + 2, HIDDEN)
    same_lines(output("lines", HIDDEN, lay(world)), world)


@check
def corrections():
    world = issued_world()
    truth = {code: invoice["gross"] for code, invoice in reference.invoices(world).items()}
    rerun = parsed(read(f"out/{P['rerun']}.csv"), "shipment" if P["rerun"] == "lines" else "customer", P["rerun"])
    if P["rerun"] == "lines":
        same_lines(rerun, world)
    else:
        same_invoices(rerun, world)
    issued = {c: row["gross"] for c, row in parsed(read(f"issued/{MONTH}-invoices.csv"), "customer", "issued").items()}
    wrong = {}
    for code in sorted(set(truth) | set(issued)):
        pair = (issued.get(code, 0), truth.get(code, 0))
        if pair[0] != pair[1]:
            wrong[code] = pair
    if P["deliverable"] == "corrections":
        rows = parsed(read("out/corrections.csv"), "customer", "corrections")
        require(set(rows) == set(wrong), f"customers too many or missing: {sorted(set(rows) ^ set(wrong))}")
        for code, (before, after) in wrong.items():
            for column, value in (("issued", before), ("correct", after), ("difference", after - before)):
                require(cents(rows[code].get(column), code) == value, f"{code}: {column} is {rows[code].get(column)}")
        return
    try:
        notes = json.loads(read("out/notes.json"))
        found = [(n["customer"], n["kind"], n["amount"]) for n in notes]
    except (ValueError, KeyError, TypeError) as error:
        require(False, f"out/notes.json: {error!r}")
    require(sorted(n[0] for n in found) == sorted(wrong), f"customers {sorted(n[0] for n in found)}, not {sorted(wrong)}")
    for code, kind, amount in found:
        before, after = wrong[code]
        require(kind == ("credit" if before > after else "debit"), f"{code}: {kind}")
        require(cents(amount, code) == abs(after - before), f"{code}: {amount}")


@check
def command_line():
    world = firm.books(P, P["hidden_seed"] + 3, HIDDEN, [])
    data = str(lay(world))
    special = [world["extra_pair"], ("express", 4), *world["own_pairs"]]
    postcodes = {zone: prefix + "111" for prefix, zone in world["zones"] if reference.zone_of(world, prefix + "111") == zone}
    for (service, zone), column in world["prices"].items():
        fuel = Fraction(world["fuel"]) * column[1][1] / 100
        if (service, zone) not in special and zone in postcodes and (fuel * 2).denominator != 1:
            break
    base, extra, fuel = column[1][1], world["options"]["signature"], reference.half_up(fuel)
    done = program("quote", "--customer", P["codes"][firm.PLAIN], "--service", service, "--postcode", postcodes[zone],
                   "--weight", "1.80", "--sides", "10x12x11", "--options", "signature", "--data", data)
    require(done.code == 0, f"quote ended with {done.code}: {done.err[-300:]}")
    got = dict(line.split() for line in done.out.splitlines() if len(line.split()) == 2)
    expected = {"base": base, "surcharges": extra, "fuel": fuel, "net": base + extra + fuel}
    require({n: cents(v, n) for n, v in got.items()} == expected, f"quote says {done.out!r}")
    for wrong in (["invoices", "--month", HIDDEN, "--customer", "C000"], ["lines", "--month", "2023-13"]):
        done = program(*wrong, "--data", data)
        require(done.code == 2 and not done.out and done.err.strip(), f"{wrong}: {done.code}, {done.out[:200]!r}")


@check
def books_untouched():
    books = firm.files(issued_world(), P["feed"])
    for path, text in books.items():
        require(read(f"data/{path}") == text, f"data/{path} was changed")
    found = {str(p.relative_to(WORKSPACE / "data")) for p in (WORKSPACE / "data").rglob("*") if p.is_file()}
    more = [path for path in found - set(books) if "__pycache__" not in path]
    require(not more, f"data/ has more files: {more[:5]}")
    code = hmac.new(P["seal"].encode(), digestmod=hashlib.sha256)
    names = {"finance": [P["figures"].split("/")[1]],
             "issued": [f"{MONTH}-invoices.csv", f"{MONTH}-lines.csv"]}
    for folder in ("finance", "issued"):
        for name in names[folder]:
            code.update(f"{folder}/{name}\n".encode() + read(f"{folder}/{name}").encode())
    require(read("issued/SEAL").strip() == code.hexdigest(), "finance/ or issued/ was changed")


@check
def repeatable():
    """Two runs give the same bytes, by --out as on standard output, and leave the books alone."""
    world = firm.books(P, P["hidden_seed"] + 4, HIDDEN, ["repeats"])
    data = lay(world)
    before = {path: path.read_bytes() for path in sorted(data.rglob("*")) if path.is_file()}
    done = program("invoices", "--month", HIDDEN, "--data", str(data))
    target = data.parent / "deep" / "invoices.csv"
    again = program("invoices", "--month", HIDDEN, "--data", str(data), "--out", str(target))
    require(done.code == 0 and again.code == 0, f"ended with {done.code} and {again.code}: {again.err[-300:]}")
    require(not again.out and target.is_file() and target.read_text() == done.out, "two runs differ")
    require([line.split(",")[0] for line in done.out.splitlines()[1:]] == sorted(reference.invoices(world)),
            "the invoices aren't those of all customers in the order of their codes")
    after = {path: path.read_bytes() for path in sorted(data.rglob("*")) if path.is_file()}
    require(before == after, "the run changed the books")


main()
