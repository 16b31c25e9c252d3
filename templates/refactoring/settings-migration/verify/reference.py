"""What every command prints, computed from typed tables and an environment; shares no code with the workspace."""

import json
import pathlib

from trajforge_check import params

P = params()
META = json.loads(pathlib.Path(__file__).with_name("meta.json").read_text())
SERVICES = {service["name"]: service for service in P["services"]}
SEPARATOR = None if P["separator"] == "space" else P["separator"]
ON = {"1", "true", "yes", "on"}
OFF = {"0", "false", "no", "off"}


def env_name(owner, key):
    raw = f"{P['lib']}_{owner}_{key}".upper()
    return "".join(c if c.isalnum() and c.isascii() else "_" for c in raw)


def commas(text):
    return list(filter(None, map(str.strip, text.split(","))))


def meaning(service, slot):
    """How a text becomes the value of a slot, in the eyes of this service."""
    quirks = service["quirks"]
    if slot == "b":
        if "presence" in quirks:
            return lambda text: text != ""
        if "optout" in quirks:
            return lambda text: text.strip().lower() not in OFF
        return lambda text: text.strip().lower() in ON
    if slot == "l":
        return (lambda text: text.split(SEPARATOR)) if "separator" in quirks else commas
    if slot == "n":
        return lambda text: int(text) * (60 if "minutes" in quirks else 1)
    return lambda text: text


class World:
    """Typed tables by owner, and an environment."""

    def __init__(self, tables=None, env=None):
        self.tables, self.env = tables or {}, env or {}

    def get(self, owner, key, meaning, default, file_first=False):
        text, filed = self.env.get(env_name(owner, key)), self.tables.get(owner, {}).get(key)
        found = [meaning(text)] if text is not None else []
        found = ([filed] if filed is not None else []) + found if file_first else found + ([filed] if filed is not None else [])
        return (found + [default])[0]

    def slots(self, service, number):
        """The values that a service's command sees: b, l, n, t, and f for a family's member."""
        m, quirks, name = META[service["name"]], service["quirks"], service["name"]
        seen = {}
        if "b" in m:
            seen["b"] = self.get(name, m["b"], meaning(service, "b"), "optout" in quirks)
        if "l" in m:
            seen["l"] = self.get(name, m["l"], meaning(service, "l"), m["ld"])
        if "n" in m:
            default = m["nd2"] if "twodefaults" in quirks and number == 2 else m["nd"]
            seen["n"] = self.get(name, m["n"], meaning(service, "n"), default, "filewins" in quirks)
        if "cross" in quirks:
            seen["t"] = self.get(P["owner"], META[P["owner"]]["t"], str, "shared")
        elif "blank" in quirks or "fallback" in quirks:
            chain = [self.get(name, m["t"], str, "")]
            if "fallback" in quirks:
                chain.append(self.get(name, m["told"], str, ""))
            seen["t"] = next(filter(None, chain), m["td"])
        else:
            seen["t"] = self.get(name, m["t"], str, m["td"])
        if "f" in m:
            seen["f"] = lambda item: self.member(name, m, item)
        return seen

    def member(self, name, m, item):
        text = self.env.get(env_name(name, f"{item}_{m['f']}"))
        return int(text) if text is not None else self.tables.get(name, {}).get(m["f"], {}).get(item, m["fd"])


def span(total):
    days, rest = divmod(total, 86400)
    counts = zip((days, rest // 3600, rest % 3600 // 60, rest % 60), "dhms")
    return "".join([f"{count}{unit}" for count, unit in counts if count][:2]) or "0s"


def money(cents):
    return f"{cents / 100:.2f}"


def billing(c, b, l, n, t, a):
    if c == 1:
        net = int(a[1])
        tax = net * 19 // 100 if a[0].upper() not in l else 0
        return f"{t}-{a[0].upper()} net={money(net)} tax={money(tax)}\ndue in {span(n)}"
    fee, late = int(a[1]) * 2 // 100, int(a[0]) * 86400 - n
    fee = -(-fee // 100) * 100 if b else fee
    return f"{'late by' if late > 0 else 'due in'} {span(abs(late))} fee={money(fee)}"


def catalog(c, b, l, n, t, a):
    if c == 1:
        return f"{t}: {' '.join(tag for tag in a if tag not in l) or '-'}\nfresh for {span(n)}"
    path = "".join(ch for ch in "-".join(a[1:]).lower() if ord(ch) < 128 or not b)
    return f"/{path} {'fresh' if n > int(a[0]) else 'stale'} {span(abs(n - int(a[0])))}"


def shipping(c, b, l, n, t, a):
    if c == 1:
        return f"{t}/{'express' if a[0] in l else 'standard'} {a[0]} {a[1]}g\nleaves after {span(n)}"
    grams = int(a[0])
    price = 390 + 120 * (grams // 500) + (50 + 5 * (grams // 100) if b else 0)
    return f"{money(price)} in {span(int(a[1]) * 3600 + n)}"


def search(c, b, l, n, t, a):
    if c == 1:
        return f"{t}: {' '.join(sorted(set(a) - set(l)))}\ncached for {span(n)}"
    age, pattern, words = int(a[0]), a[1], a[2:]
    hits = [w for w in words if (w[:3] == pattern[:3] if b else w == pattern)]
    return f"{len(hits)} of {len(words)}: {' '.join(hits)}\n{'warm' if age < n else 'cold'} by {span(abs(n - age))}"


def sessions(c, b, l, n, t, a):
    if c == 1:
        return f"{a[0]}@{t} {'trusted' if a[1] in l else 'checked'}\nends after {span(n)} of silence"
    return f"ends at {int(a[1 if b else 0]) + n}"


def reports(c, b, l, n, t, a):
    if c == 1:
        return f"{t}/{a[0]}.csv\n{len(l)} columns: {'|'.join(l)}\nkept for {span(n)}"
    return "\n".join(["age state"] * b + [f"{d} {'gone' if int(d) * 86400 > n else 'kept'}" for d in a])


def payouts(c, b, l, n, t, a):
    if c == 1:
        return f"{t} {a[0]} {'held' if a[0] in l else 'sent'} {money(int(a[1]))}\nsettles in {span(n)}"
    cents, left = int(a[0]), n - 3600 * int(a[1])
    fee = cents * 3 // 200
    return f"{money(cents - (0 if b else fee))} fee={money(fee)}\n" + (f"settles in {span(left)}" if left > 0 else "settled")


def inventory(c, b, l, n, t, a):
    if c == 1:
        return f"{t}-{'F' if a[0] in l else 'S'} {a[0]} x{a[1]}\nrecount in {span(n)}"
    stock, wanted, left = int(a[0]), int(a[1]), n - int(a[2])
    taken = wanted if b or wanted < stock else stock
    return f"take {taken}, left {stock - taken}\nrecount " + (f"in {span(left)}" if left > 0 else f"due since {span(-left)}")


def audit(c, b, l, n, t, a):
    if c == 1:
        kept = [p.split("=", 1)[0] + "=***" if p.split("=", 1)[0] in l else p for p in a]
        return f"{t} {' '.join(kept)}\nrolls after {span(n)}"
    whole, part = divmod(int(a[0]), n)
    counts = {w: a[1:].count(w) for w in sorted(a[1:])} if b else {}
    return "\n".join([f"part {whole}, {part}s in: {len(a) - 1} events"] + [f"{w} {k}" for w, k in counts.items()])


def media(c, b, l, n, t, a):
    if c == 1:
        good = [f for f in a if f.split(".")[-1] in l]
        return f"{t}: {' '.join(good) or 'nothing'} ({len(a) - len(good)} refused)\nexpires after {span(n)}"
    sizes, left = [int(a[0])], n - int(a[1])
    while sizes[-1] > 400:
        sizes.append(sizes[-1] // 2)
    listed = ", ".join(str(size) for size in (sizes if b else sizes[1:]))
    return f"widths {listed}\n" + (f"expires in {span(left)}" if left > 0 else "expired")


def loyalty(c, b, l, n, t, a):
    if c == 1:
        return f"{t} +{0 if a[0] in l else int(a[1]) // 100}\nvalid for {span(n)}"
    left = n - int(a[0])
    return f"{sum(map(int, a[1:])) * (1 + b)} points, " + (f"valid for {span(left)}" if left > 0 else "expired")


def support(c, b, l, n, t, a):
    if c == 1:
        return f"{a[0]} -> {t}{'-first' if a[0] in l else ''}: {a[1]}\nanswer within {span(n)}"
    late = [int(age) - n for age in a if int(age) > n]
    return f"{len(late)} late, worst by {span(max(late)) if late else 'nothing'}, {'escalated' if b else 'waiting'}"


def notify(c, l, t, f, a):
    if c == 2:
        return "\n".join(f"{item} {f(item)}" for item in a)
    return f"{a[0]} muted" if a[0] in l else f"{a[0]} {t}: {' '.join(a[1:])[:f(a[0])]}"


def quota(c, l, t, f, a):
    if c == 2:
        return "\n".join(f"{item} {f(item)}" for item in a)
    if a[0] in l:
        return f"{a[0]} unlimited"
    left = f(a[0]) - int(a[1])
    return f"{a[0]} {left} left" if left > 0 else f"{a[0]} exhausted by {-left}, ask {t}"


def dispatch(c, b, n, t, a):
    size = int(a[-1])
    parts = (size + n - 1) // n
    if c == 2:
        return f"{t} {parts} of {n}"
    return f"{a[0]} held" if b else f"{a[0]} {t} parts={parts}"


def gauge(c, b, n, t, a):
    reading = int(a[-1])
    if c == 2:
        return f"{n - reading}{t} of {n}{t}"
    return f"{a[0]} {reading}{t} {'ok' if reading <= n else 'muted' if b else 'ALARM'}"


def expected(name, number, world, args):
    """The lines that command `number` (1 or 2) of a service prints."""
    return globals()[name](number, a=args, **world.slots(SERVICES[name], number)).split("\n")


def converted(service, texts):
    """The table that a service's old texts become."""
    m, quirks, table = META[service["name"]], service["quirks"], {}
    for key, text in texts.items():
        if key == "old_gateway":
            continue
        if "f" in m and key.endswith("_" + m["f"]):
            table.setdefault(m["f"], {})[key[: -len(m["f"]) - 1]] = int(text)
            continue
        slot = next((slot for slot in "bln" if m.get(slot) == key), "t")
        table[key] = meaning(service, slot)(text)
    return table


def declared(service):
    """The settings that a service reads, with their types as `describe` shows them."""
    m, name, quirks = META[service["name"]], service["name"], service["quirks"]
    kinds = {f"{name}.{m[slot]}": kind for slot, kind in zip("blnf", ("bool", "list", "int", "table")) if slot in m}
    if "cross" in quirks:
        kinds[f"{P['owner']}.{META[P['owner']]['t']}"] = "str"
    else:
        kinds[f"{name}.{m['t']}"] = "str"
    if "fallback" in quirks:
        kinds[f"{name}.{m['told']}"] = "str"
    return kinds
