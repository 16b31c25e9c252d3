"""Lays the books, the invoices as the program issued them, and finance's figures into the workspace."""

import csv
import hashlib
import hmac
import io
import json
import pathlib
import random
import subprocess
import sys

import firm
import reference

HERE = pathlib.Path(__file__).resolve().parent
WORKSPACE = pathlib.Path.cwd()
COLUMNS = ["parcels", "base", "surcharges", "discount", "fuel", "net", "tax", "gross"]


def put(path, text):
    path = WORKSPACE / path
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def issue(package, month):
    """The invoices and lines of the program as it stands, in two files."""
    for command in ("invoices", "lines"):
        subprocess.run([sys.executable, "-B", "-m", package, command, "--month", month,
                        "--out", f"issued/{month}-{command}.csv"], check=True, stderr=subprocess.DEVNULL)


def read(path):
    return list(csv.DictReader(io.StringIO((WORKSPACE / path).read_text())))


def shown(column, value):
    return str(value) if column == "parcels" else firm.money(value)


def faulty_lines(world, month):
    """Differing shipments by the first column that differs, and the groups of each customer."""
    right = reference.lines(world)
    issued = {row["shipment"]: row for row in read(f"issued/{month}-lines.csv")}
    groups = {}
    for shipment in sorted(set(right) | set(issued)):
        ours, theirs = right.get(shipment), issued.get(shipment)
        if ours is None or theirs is None:
            groups.setdefault("month", []).append(shipment)
            continue
        for column in ("day", "base", "surcharges", "discount", "fuel"):
            value = ours[column] if column == "day" else firm.money(ours[column])
            if value != theirs[column]:
                if column != "day":
                    groups.setdefault(column, []).append(shipment)
                break
    return groups, right, issued


def evidence(params, world, month):
    rng = random.Random(f"evidence {params['data_seed']}")
    truth = reference.invoices(world)
    issued = {row["customer"]: row for row in read(f"issued/{month}-invoices.csv")}
    wrong = [code for code in sorted(truth) if issued.get(code, {}).get("gross") != firm.money(truth[code]["gross"])]
    assert len(wrong) >= 2, "too few invoices are wrong"
    groups, right, lines = faulty_lines(world, month)
    if params["evidence"] == "totals":
        rows = [[code, *[shown(column, truth[code][column]) for column in COLUMNS]] for code in sorted(truth)]
        return firm.table(["customer", *COLUMNS], rows)
    if params["evidence"] == "disputes":
        chosen = set()
        for found in groups.values():
            owners = {(right.get(s) or lines.get(s))["customer"] for s in found} & set(wrong)
            chosen.add(rng.choice(sorted(owners)))
        chosen |= set(rng.sample(wrong, min(len(wrong), 4 - len(chosen)) if len(chosen) < 4 else 0))
        rows = [[code, issued.get(code, {}).get("gross", "0.00"), firm.money(truth[code]["gross"]), "yes"]
                for code in chosen]
        others = sorted(set(truth) - set(chosen))
        claimed = rng.choice(others)
        claim = int(truth[claimed]["gross"] * 0.94)
        rows.append([claimed, issued.get(claimed, {}).get("gross", "0.00"), firm.money(claim), "no"])
        return firm.table(["customer", "invoiced", "gross", "checked"], sorted(rows))
    everything = firm_lines(world)
    chosen = set()
    for found in groups.values():
        chosen |= set(rng.sample(found, min(len(found), 6 if len(groups) == 1 else 3)))
    fine = [s for s in right if s in lines and lines[s]["net"] == firm.money(right[s]["net"])
            and lines[s]["day"] == right[s]["day"]]
    chosen |= set(rng.sample(sorted(fine), min(len(fine), 6)))
    rows = [[s, everything[s]["customer"], everything[s]["day"],
             firm.money(right[s]["net"]) if s in right else "-"] for s in sorted(chosen)]
    return firm.table(["shipment", "customer", "day", "net"], rows)


def firm_lines(world):
    """Customer and business day of every shipment, of whatever month."""
    closed = reference.closed_days(world)
    clocks = {depot: (firm.ZoneInfo(zone), cutoff) for depot, zone, cutoff in world["depots"]}
    found = {}
    for row in world["shipments"]:
        zone, cutoff = clocks[row["depot"]]
        day = reference.business_day(row["handed_in"], zone, cutoff, closed[row["depot"]])
        found.setdefault(row["shipment"], {"customer": row["customer"], "day": day.isoformat()})
    return found


def seal(key):
    """A signature over the names and bytes of what the archive keeps."""
    code = hmac.new(key.encode(), digestmod=hashlib.sha256)
    for folder in ("finance", "issued"):
        for path in sorted((WORKSPACE / folder).iterdir()):
            code.update(f"{folder}/{path.name}\n".encode() + path.read_bytes())
    return code.hexdigest()


def main():
    params = json.loads((HERE / "params.json").read_text())["parameters"]
    month = params["month"]
    world = firm.books(params, params["data_seed"], month, [params["noise"]])
    for path, text in firm.files(world, params["feed"]).items():
        put(f"data/{path}", text)
    issue(params["package"], month)
    put(params["figures"], evidence(params, world, month))
    put("issued/SEAL", seal(params["seal"]) + "\n")


main()
