"""Writes the ledger, the logs and the reports of a member."""

import json
import os
import pathlib
import random
import sys

sys.dont_write_bytecode = True
HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import world  # noqa: E402

WORKSPACE = pathlib.Path(os.environ.get("WORKSPACE", "/workspace"))
LOGS = pathlib.Path(os.environ.get("LOGS", "/var/log/pay"))
P = json.loads((HERE / "params.json").read_text())["parameters"]


def main():
    nights = world.history(P)
    coming = world.coming_operations(P, len(nights.operations) + 1)
    world.production_ledger(WORKSPACE / "ledger.sqlite", P, nights, coming)
    reports(nights)
    LOGS.mkdir(parents=True, exist_ok=True)
    begin = (P["sunday"] - 2 * world.DAY + 20 * 3600) * 1000
    end = (P["sunday"] + world.DAY + 9 * 3600) * 1000
    write("gateway.log", gateway_log(nights, begin, end))
    write("app.log", app_log(nights, begin, end))
    write("importer.log", importer_log(nights, coming, begin, end))


def write(name, lines):
    lines.sort(key=lambda line: line[0])
    with open(LOGS / name, "w", encoding="utf-8") as out:
        out.writelines(f"{world.stamp(ms)} {line}\n" for ms, line in lines)


def reports(nights):
    folder = WORKSPACE / "reports"
    folder.mkdir(exist_ok=True)
    for closes, rows in nights.by_night:
        day = world.iso(closes)[:10]
        with open(folder / f"booked-{day}.csv", "w", encoding="utf-8") as out:
            out.write("operation,charge,outcome,amount,currency\n")
            for _, op, charge, outcome, *_ in rows:
                out.write(f"{op['id']},{charge or ''},{outcome},{world.text(op['amount'], op['currency'])},{op['currency']}\n")
    days = {}
    for charge in sorted(nights.charges, key=lambda charge: charge["at"]):
        days.setdefault(world.iso(charge["at"] // 1000)[:10], []).append(charge)
    for day, charges in days.items():
        with open(folder / f"settlement-{day}.csv", "w", encoding="utf-8") as out:
            if P["evidence"] == "reports":
                out.write("charge;reference;captured;currency;captured_at;state\n")
                for c in charges:
                    state = "released" if c["released"] else "settled"
                    amount = world.text(c["captured"], c["op"]["currency"])
                    out.write(f"{c['charge']};{c['op']['id']};{amount};{c['op']['currency']};{world.stamp(c['at'])};{state}\n")
            else:
                out.write("currency;charges;captured\n")
                for currency in sorted({c["op"]["currency"] for c in charges}):
                    settled = [c for c in charges if c["op"]["currency"] == currency and not c["released"]]
                    out.write(f"{currency};{len(settled)};{world.text(sum(c['captured'] for c in settled), currency)}\n")


def gateway_log(nights, begin, end):
    rng = random.Random(f"{P['data_seed']}-gateway-log")
    clear = P["evidence"] == "gateway log"
    lines = []
    answered = {charge: at for at, _, _, charge in nights.edge if charge}

    def core(at, mid, kind, charge, captured, asked, currency, ref):
        lines.append((at, f"core  mid={mid} {kind} {charge} {captured} of {asked} {currency} ref={ref}"))

    for c in nights.charges:
        op, ref = c["op"], c["op"]["id"] if clear else "**"
        captured, asked = world.text(c["captured"], op["currency"]), world.text(op["amount"], op["currency"])
        core(c["at"], P["merchant"], "captured", c["charge"], captured, asked, op["currency"], ref)
        if c["released"]:
            core(c["at"] + 3_000_000 + rng.randrange(500_000), P["merchant"], "released", c["charge"], captured, asked, op["currency"], ref)
    for at, status, _, _ in nights.edge:
        lines.append((at, f"edge  mid={P['merchant']} charge -> {status} session={rng.getrandbits(16):04x}"))
    others = [f"{rng.getrandbits(24):06x}" for _ in range(4)]
    at = begin
    while at < end:
        at += rng.randrange(20_000, 150_000)
        mid = rng.choice(others)
        status = rng.choice((201,) * 12 + (402, 504))
        if status == 201:
            amount = world.text(rng.randrange(300, 20000), "EUR")
            ref = f"{rng.choice('ABCD')}{rng.randrange(10**6, 10**7)}" if clear else "**"
            for _ in range(2 if rng.random() < 0.02 else 1):
                core(at - rng.randrange(3, 400), mid, "captured", f"ch_{rng.getrandbits(40):010x}", amount, amount, "EUR", ref)
        lines.append((at, f"edge  mid={mid} charge -> {status} session={rng.getrandbits(16):04x}"))
    at = begin
    while at < end:
        at += 30_000
        lines.append((at + rng.randrange(40), f"edge  probe healthy, {rng.randrange(3, 40)} sessions"))
    return lines


def app_log(nights, begin, end):
    rng = random.Random(f"{P['data_seed']}-app-log")
    package, suspect = P["package"], P["suspect"]
    lines = list(nights.app)
    for number, (at, charge, kind) in enumerate(world.notices(P, nights), 52017):
        detail = f"notice {number} accepted"
        if P["evidence"] == "app log":
            op = charge["op"]
            detail = f"notice {number} {kind} {charge['charge']} {world.text(charge['captured'], op['currency'])} {op['currency']} for {op['id']}"
        lines.append((at, f"INFO listener {detail}"))
    at = begin
    while at < end:
        at += rng.randrange(55_000, 65_000)
        lines.append((at, f"INFO listener alive, queue {rng.choice((0, 0, 0, 1, 2))}"))
    saturday = (P["sunday"] - world.DAY) * 1000
    if suspect == "deploy":
        lines.append((saturday + 600_000, f"INFO deploy {package} 4.7.1 -> 4.7.2 by {P['people'][0]}"))
        lines.append((saturday + 611_000, "INFO listener restarted, version 4.7.2"))
    if suspect == "disk":
        for _ in range(34):
            at = saturday + rng.randrange(9 * 3_600_000, 20 * 3_600_000)
            lines.append((at, f"ERROR host disk /srv at {rng.randrange(91, 98)}%, fsync took {rng.uniform(1.2, 6):.1f}s"))
    if suspect == "warning":
        at = begin
        while at < end:
            at += rng.randrange(80_000, 100_000)
            message = "DeprecationWarning: notices without a signature are refused from protocol 4 on"
            lines.append((at, f"WARNING listener {message}"))
    return lines


def importer_log(nights, coming, begin, end):
    rng = random.Random(f"{P['data_seed']}-importer-log")
    lines = []
    for op in nights.operations + coming:
        at = op["arrival"] * 1000 + rng.randrange(1000)
        if begin <= at < end:
            lines.append((at, f"INFO importer {op['id']} accepted as {op['seq']}, due {world.iso(op['due'])}"))
    at = begin
    while at < end:
        at += rng.randrange(40_000, 50_000)
        lines.append((at, f"INFO importer poll: {rng.choice(('nothing', 'nothing', 'heartbeat only'))} from {rng.choice(('shop', 'rent', 'meals'))}"))
    return lines


main()
