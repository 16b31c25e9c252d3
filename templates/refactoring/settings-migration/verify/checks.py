"""The hidden checks: every service against the reference, under tables and environments of our own."""

import json
import random
import tomllib

from reference import META, P, SERVICES, SEPARATOR, World, converted, declared, env_name, expected
from trajforge_check import HERE, WORKSPACE, check, main, put, read, require, run_agent, scratch

SHIPPED = json.loads((HERE / "shipped.json").read_text())
SHIM = {"globals": "flags", "registry": "registry", "decorators": "flagged"}[P["legacy"]]
SINGLE = P["layout"] == "single"
SWITCHES = ["0", "off", "no", "false", "", "OFF", "1", "on", "yes", "True", "y", "auto", " on ", "2"]
SECONDS = [45, 600, 1800, 5000, 7200, 86399, 200000, 1000000]
NUMBERS = ["90", "007", "15", "2000", "333"]
TEXTS = ["", "0042", "Zone 9", "north", "off", "7"]


def toml(table):
    """One owner's keys as TOML; a family becomes an inline table."""
    def value(it):
        if isinstance(it, dict):
            return "{" + ", ".join(f"{json.dumps(key)} = {value(v)}" for key, v in it.items()) + "}"
        return json.dumps(it)

    return "".join(f"{key} = {value(it)}\n" for key, it in table.items())


def files(folder, tables):
    """The new layout: path to text."""
    if SINGLE:
        return {str(folder / "settings.toml"): "".join(f"[{name}]\n{toml(table)}\n" for name, table in tables.items())}
    return {str(folder / f"{name}.toml"): toml(table) for name, table in tables.items()}


def play(cases):
    """Runs cases [(argv, env, stdin)] as commands of the workspace; gives what each did."""
    folder = scratch(in_memory=True)
    put(folder / "driver.py", (HERE / "driver.py").read_text())
    request = [{"module": module, "argv": argv, "env": env, "stdin": stdin} for module, argv, env, stdin in cases]
    done = run_agent(["python3", "-I", folder / "driver.py"], input=json.dumps(request), timeout=55)
    require(done.code == 0, f"the commands could not be run: {done.code} {done.err[-300:]}")
    try:
        results = json.loads(done.out)
    except ValueError:
        require(False, "the commands could not be run: no results")
    require(len(results) == len(cases), "some commands were not run")
    return results


def arguments(rng, service, number, inside):
    """Arguments of a command that let its settings show; `inside` are words of the service's list in this world."""
    name = service["name"]
    words = inside if "separator" in service["quirks"] and inside else inside * 2 + META[name].get("vl", []) + ["plain", "other"]
    word = lambda: rng.choice(words)
    age = lambda: str(rng.choice([30, 700, 4000, 50000, 300000, 3000000]))
    cents = lambda: str(rng.choice([12345, 99950, 2549, 700101]))
    m = META[name]
    if "f" in m:
        items = m["members"] + ["web-2"]
        if number == 2:
            return rng.sample(items, 3)
        item = rng.choice(inside + items * 2)
        return [item, *("the lift in hall two stands still and nobody answers the phone downstairs so far " * 3).split()] if name == "notify" else [item, str(rng.choice([3, 50, 1100]))]
    if "stdin" in m:
        return [str(rng.choice([4, 37, 140]))]
    if number == 1:
        return {
            "billing": lambda: [word(), cents()],
            "catalog": lambda: [word() for _ in range(4)],
            "shipping": lambda: [word(), "1200"],
            "search": lambda: [word() for _ in range(5)],
            "sessions": lambda: ["ada", word()],
            "reports": lambda: ["sales"],
            "payouts": lambda: [word(), cents()],
            "inventory": lambda: [word(), "12"],
            "audit": lambda: [f"{word()}=x{i}" for i in range(4)],
            "media": lambda: [f"p{i}.{word()}" for i in range(4)],
            "loyalty": lambda: [word(), cents()],
            "support": lambda: [word(), "refund"],
        }[name]()
    return {
        "billing": lambda: [str(rng.choice([1, 9, 40])), cents()],
        "catalog": lambda: [age(), "Café", "Noir"],
        "shipping": lambda: [str(rng.choice([300, 1750, 4200])), str(rng.choice([2, 20]))],
        "search": lambda: [age(), "ship", "ship", "shirt", "shipping"],
        "sessions": lambda: ["1000", "52000"],
        "reports": lambda: ["0", "1", "12", "45"],
        "payouts": lambda: [cents(), str(rng.choice([1, 30]))],
        "inventory": lambda: ["5", "8", age()],
        "audit": lambda: [str(rng.choice([700, 4000, 7777, 50000])), "login", "logout", "login"],
        "media": lambda: ["1700", str(rng.choice([30, 700, 4000]))],
        "loyalty": lambda: [age(), "10", "25"],
        "support": lambda: [age(), "61000", "40"],
    }[name]()


def filled(rng, service, chance=0.7):
    """A typed table for a service, with some of its keys."""
    m, quirks, table = META[service["name"]], service["quirks"], {}
    if "b" in m and rng.random() < chance:
        table[m["b"]] = rng.random() < 0.5
    if "l" in m and rng.random() < chance:
        table[m["l"]] = rng.sample(["plain", "x;y", "a|b"] + m["vl"] * 2, 3)
    if "n" in m and rng.random() < chance:
        table[m["n"]] = rng.choice(SECONDS if "l" in m else [3, 12, 80])
    if "cross" not in quirks and rng.random() < chance:
        table[m["t"]] = rng.choice(TEXTS)
    if "fallback" in quirks and rng.random() < chance:
        table[m["told"]] = rng.choice(TEXTS)
    if "f" in m:
        table[m["f"]] = {item: rng.choice([5, 30, 800]) for item in rng.sample(m["members"], 2)}
    return table


def variables(rng, service, turn, chance=0.5):
    """An environment for a service, spelled as the old one; what is special about it is set in every turn."""
    m, quirks, name, env = META[service["name"]], service["quirks"], service["name"], {}
    switches = ["0", "off", "", "no"] if "presence" in quirks else ["auto", "", "No", "2"] if "optout" in quirks else None
    if "b" in m and (switches or rng.random() < chance):
        env[env_name(name, m["b"])] = switches[turn % 4] if switches else rng.choice(SWITCHES)
    if "l" in m and ("separator" in quirks or rng.random() < chance):
        words = rng.sample(m["vl"], min(3, len(m["vl"])))
        texts = [", ".join(words), ",".join(words), " " + ", ,".join(words)]
        if "separator" in quirks:
            glue = SEPARATOR or " "
            texts = [glue.join(words), f"{words[0]},{words[1]}{glue}{words[2]}", f"{words[0]}{glue} {words[1]}"]
        env[env_name(name, m["l"])] = texts[turn % 3]
    special = {"minutes", "filewins", "importtime", "twodefaults"} & set(quirks)
    if "n" in m and (special or rng.random() < chance):
        env[env_name(name, m["n"])] = NUMBERS[turn % len(NUMBERS)]
    if "cross" in quirks:
        env[env_name(P["owner"], META[P["owner"]]["t"])] = TEXTS[turn % len(TEXTS)]
    elif {"blank", "fallback"} & set(quirks) or rng.random() < chance:
        env[env_name(name, m["t"])] = TEXTS[turn % 2 * turn % len(TEXTS)]
        if "fallback" in quirks and turn % 3:
            env[env_name(name, m["told"])] = TEXTS[(turn + 1) % len(TEXTS)]
    if "f" in m:
        for item in rng.sample(m["members"] + ["web-2"], 2):
            env[env_name(name, f"{item}_{m['f']}")] = str(rng.choice([9, 70, 1500]))
    return env


def inside(service, world):
    """Words that are in the service's list in this world."""
    listed = world.slots(service, 1)["l"] if "l" in META[service["name"]] else []
    return [word for word in listed if word.strip()]


def compare(named, first=()):
    """Plays [(service, number, options, world, rng)], requires what the reference says; gives the results of `first`."""
    cases, wanted = list(first), [None] * len(first)
    for service, number, options, world, rng in named:
        name, m, stdin = service["name"], META[service["name"]], ""
        args = arguments(rng, service, number, inside(service, world))
        if "stdin" in m and number == 1:
            stdin, args = "boiler 14\nvalve 250\n", []
            lines = [expected(name, 1, world, line.split())[0] for line in stdin.splitlines()]
        else:
            lines = expected(name, number, world, args)
        cases.append(("services", [*options, name, m[f"c{number}"], *args], world.env, stdin))
        wanted.append(lines)
    results = play(cases)
    for case, lines, done in zip(cases, wanted, results):
        if lines is None:
            continue
        what = f"{' '.join(case[1][:6])} with {case[2]}"
        require(done["code"] == 0, f"{what} ended with {done['code']}: {done['err'][-300:]}")
        got = done["out"].splitlines()
        require(got == lines, f"{what} printed {got}, not {lines}")
    return results[: len(first)]


def hidden_worlds(turns, with_environment):
    """For each service and turn a folder in the new layout, an environment, and both commands."""
    named, base = [], scratch(in_memory=True)
    for turn in range(turns):
        for service in P["services"]:
            if turn > 1 and service["kind"] == "value" and not service["quirks"]:
                continue
            rng = random.Random(f"{P['hidden_seed']} {service['name']} {turn} {with_environment}")
            tables = {service["name"]: filled(rng, service)}
            if "cross" in service["quirks"]:
                owner = SERVICES[P["owner"]]
                tables[owner["name"]] = {META[owner["name"]]["t"]: rng.choice(["harbour", "0099"])}
                if turn == 2:
                    tables[owner["name"]] = {}
            own, m = tables[service["name"]], META[service["name"]]
            if {"filewins", "importtime"} & set(service["quirks"]) and turn % 2:
                own[m["n"]] = rng.choice(SECONDS)
            if "twodefaults" in service["quirks"] and turn == 2:
                own.pop(m["n"], None)
            if turn == 0 and ({"blank", "fallback"} & set(service["quirks"])):
                own[m["t"]] = "Quay 3"
            world = World(tables, variables(rng, service, turn) if with_environment else {})
            folder = base / f"{turn}-{service['name']}"
            folder.mkdir()
            for path, text in files(folder, tables).items():
                put(path, text)
            named += [(service, number, ["--config", str(folder)], world, rng) for number in (1, 2)]
    return named


@check
def settings():
    compare(hidden_worlds(3, with_environment=False))


@check
def environment():
    compare(hidden_worlds(4, with_environment=True))


@check
def running():
    service = SERVICES[P["live"]]
    name, m = service["name"], META[service["name"]]
    rng = random.Random(P["hidden_seed"])
    anew, fixed = (m["t"], m["n"]) if P["live_swap"] else (m["n"], m["t"])
    folder = scratch(in_memory=True)
    turns, wanted, first = [], [], None
    for turn, line in enumerate(["a 30", "b 30", "c 77", "d 77", "e 30"]):
        table = {m["n"]: [4, 9, 50, 7, 300][turn] + rng.randrange(3), m["t"]: f"T{turn}{rng.randrange(10)}", m["b"]: turn == 3}
        first = first or table
        turns.append([files(folder, {name: table}), line])
        wanted += expected(name, 1, World({name: {**table, fixed: first[fixed]}}), line.split())
    for path, text in turns[0][0].items():
        put(path, text)
    turns[0][0] = {}
    script = folder / "conversation.py"
    put(script, (HERE / "conversation.py").read_text())
    command = ["python3", "-m", "services", "--config", str(folder), name, m["c1"]]
    done = run_agent(["python3", "-I", script], input=json.dumps({"command": command, "turns": turns}), timeout=30)
    require(done.code == 0, f"{name} {m['c1']} did not answer: {done.code} {done.err[-300:]}")
    try:
        got = json.loads(done.out)
    except ValueError:
        require(False, f"{name} {m['c1']} did not answer")
    require(got == wanted, f"{name} {m['c1']} said {got}, not {wanted}, while {anew} and {m['b']} changed on disk")


@check
def converted_files():
    folder = WORKSPACE / "config"
    require(folder.is_dir(), "config/ is missing")
    left = sorted(p.name for p in folder.rglob("*") if p.suffix in (".ini", ".json", ".yaml", ".yml"))
    require(not left, f"old files are left: {left}")
    everything = {}
    for name in [None] if SINGLE else SERVICES:
        path = "config/settings.toml" if SINGLE else f"config/{name}.toml"
        if name and not converted(SERVICES[name], SHIPPED[name]) and not (WORKSPACE / path).exists():
            continue
        try:
            table = tomllib.loads(read(path))
        except tomllib.TOMLDecodeError as error:
            require(False, f"{path} can't be read: {error}")
        everything.update(table if SINGLE else {name: table})
    for name, service in SERVICES.items():
        wanted, got = converted(service, SHIPPED[name]), everything.get(name, {})
        require(json.dumps(got, sort_keys=True) == json.dumps(wanted, sort_keys=True), f"{name} has {got}, not {wanted}")


@check
def gone():
    old = scratch(in_memory=True)
    for service in P["services"]:
        m = META[service["name"]]
        put(old / f"{service['name']}.json", json.dumps({m["t"]: "stale", m.get("n", "n"): 3, m.get("l", "l"): "stale"}))
    cases = [(f"{P['lib']}.{SHIM}", [], {}, "")]
    cases += [("services", ["describe", name], {}, "") for name in SERVICES]
    rng = random.Random(3)
    results = compare([(service, 1, ["--config", str(old)], World(), rng) for service in P["services"]], first=cases)
    require(results[0]["code"] != 0 and "No module named" in results[0]["err"], f"{P['lib']}.{SHIM} can still be imported")
    for (name, service), done in zip(SERVICES.items(), results[1:]):
        require(done["code"] == 0, f"describe {name} ended with {done['code']}: {done['err'][-200:]}")
        try:
            rows = [json.loads(line) for line in done["out"].splitlines()]
            got = {row["setting"]: row["type"] for row in rows}
        except (ValueError, KeyError, TypeError):
            require(False, f"describe {name} printed {done['out'][:200]!r}")
        for setting, kind in declared(service).items():
            require(got.get(setting) == kind, f"describe {name}: {setting} is {got.get(setting)}, not {kind}")


@check
def nightly():
    cases, wanted = [], []
    rng = random.Random(P["hidden_seed"])
    for turn in range(2):
        tables, env, folder = {}, {}, scratch(in_memory=True)
        for place, name in enumerate(P["nightly"]):
            key = META[name]["t"]
            if place != turn:
                tables[name] = {key: rng.choice(["0017", "quay", "7"])}
            if place == 2:
                env[env_name(name, key)] = rng.choice(["Zone 9", "0"])
        for path, text in files(folder, tables).items():
            put(path, text)
        world = World(tables, env)
        cases.append(("tools.nightly", ["--config", str(folder)], env, ""))
        wanted.append([f"{name} {META[name]['t']}={world.get(name, META[name]['t'], str, '-')}" for name in P["nightly"]])
    for done, lines in zip(play(cases), wanted):
        require(done["code"] == 0, f"tools.nightly ended with {done['code']}: {done['err'][-300:]}")
        require(done["out"].splitlines() == lines, f"tools.nightly printed {done['out'].splitlines()}, not {lines}")


@check
def unchanged():
    """The shipped settings and the defaults: what was printed before is printed after."""
    rng, empty = random.Random(P["hidden_seed"]), scratch(in_memory=True)
    tables = {name: converted(service, SHIPPED[name]) for name, service in SERVICES.items()}
    named = [(service, number, [], World(tables), rng) for service in P["services"] for number in (1, 2)]
    named += [(s, number, ["--config", str(empty)], World(), rng) for s in P["services"] for number in (1, 2)]
    compare(named)


@check
def cli():
    first = P["services"][0]["name"]
    cases = [["list"], [], ["nobody", "x"], [first, "no-such-command"], ["describe", "nobody"]]
    results = play([("services", argv, {}, "") for argv in cases])
    wanted = [f"{name} {META[name]['c1']} {META[name]['c2']}" for name in sorted(SERVICES)]
    require(results[0]["code"] == 0 and results[0]["out"].splitlines() == wanted, f"list printed {results[0]['out']!r}")
    for argv, done in zip(cases[1:], results[1:]):
        require(done["code"] == 2 and done["err"].strip() and not done["out"], f"{argv} ended with {done['code']}, not 2 and a message")


SAMPLES = {
    "dataclass": """
from dataclasses import dataclass
from LIB.settings import Family, Settings, SettingsError, family, load, setting
@dataclass(frozen=True)
class Desk(Settings):
    SERVICE = "desk"
    name: str = setting("A")
    size: int = setting(4, prefer="file")
    far: int = setting(9, key="size")
    tags: list = setting(["x"], env=lambda text: text.split("/"))
    lit: bool = setting(False)
    host: str = setting("-", owner="hall", key="name")
    lamps: Family = family(int, 2, env="{item}_lamps")
SETTINGS, again = Desk, lambda values: values.refresh()
""",
    "spec": """
from LIB.settings import Family, Number, Schema, SettingsError, Switch, Text, Words, load
SETTINGS = Schema("desk", Text("name", "A"), Number("size", 4, order=("file", "environment")), Number("far", 9, key="size"),
    Words("tags", ["x"], from_env=lambda text: text.split("/")), Switch("lit", False), Text("host", "-", owner="hall", key="name"),
    Family("lamps", Number, 2, from_env="{item}_lamps"))
again = lambda values: values.live
""",
}
SAMPLE = """
import json, sys
from LIB.money import amount, share
from LIB.text import clip, span
empty, full, wrong = sys.argv[1:]
def seen(v):
    return [v.name, v.size, v.far, v.tags, v.lit, v.host, v.lamps["red"], v.lamps["blue"]]
env = {"PRE_DESK_SIZE": "8", "PRE_DESK_TAGS": "p/q,r", "PRE_DESK_LIT": "Yes", "PRE_DESK_RED_LAMPS": "6"}
got = [seen(load(SETTINGS, empty, {})), seen(load(SETTINGS, empty, env)), seen(load(SETTINGS, full, env)), seen(again(load(SETTINGS, full, {})))]
try:
    load(SETTINGS, wrong, {})
except SettingsError:
    got.append("refused")
print(json.dumps([got, amount(129905), amount(-250), share(100, 3), span(0), span(90061), clip("abcdef", 5)]))
"""


@check
def library():
    folders = [scratch(in_memory=True) for _ in range(3)]
    desk = {"name": "0042", "size": 5, "tags": ["a", "b"], "lit": False, "lamps": {"blue": 3}}
    for folder, tables in zip(folders[1:], [{"desk": desk, "hall": {"name": "H"}}, {"desk": {"size": "5"}}]):
        for path, text in files(folder, tables).items():
            put(path, text)
    script = (SAMPLES[P["api"]] + SAMPLE).replace("LIB", P["lib"]).replace("PRE", P["lib"].upper())
    done = run_agent(["python3", "-c", script, *folders], timeout=20)
    require(done.code == 0, f"{P['lib']} no longer does what docs/settings.md says: {done.err[-300:]}")
    wanted = [
        [
            ["A", 4, 9, ["x"], False, "-", 2, 2],
            ["A", 8, 8, ["p", "q,r"], True, "-", 6, 2],
            ["0042", 5, 8, ["p", "q,r"], True, "H", 6, 3],
            ["0042", 5, 5, ["a", "b"], False, "H", 2, 3],
            "refused",
        ],
        "1299.05", "-2.50", [34, 33, 33], "0s", "1d1h", "ab...",
    ]
    require(done.out.strip() == json.dumps(wanted), f"{P['lib']} gave {done.out.strip()}, not {json.dumps(wanted)}")


main()
