"""The hidden checks: the repaired program against a model and against an independent reading of the format."""

import os
import pathlib
import random
import shlex
import shutil
import tempfile

import kvmodel as kv
import world
from trajforge_check import HERE, WORKSPACE, check, main, params, put, require, run_agent, scratch

P = params()
LAYOUT = P["layout"]
BUILT = pathlib.Path("/tmp/kvlog-built")
PLAIN, SANITIZED = "-O0 -Wall", "-O0 -Wall -fsanitize=address"
# Where the fault is one of memory, the regression test is judged with sanitizers, too.
FLAGS = SANITIZED if "buffer" in P["causes"] else PLAIN
# Freed and fresh memory holds no zeros, so that a plain build shows stray reads as well.
ENVIRONMENT = {"ASAN_OPTIONS": "detect_leaks=0:exitcode=86:allocator_may_return_null=1", "MALLOC_PERTURB_": "165"}
COMPACT_MIN = P["compact_kib"] * 1024


# --- building and running -------------------------------------------------------------------------------------------


def sources():
    """A copy of the workspace without anything that was built."""
    work = scratch(copy_workspace=True)
    shutil.rmtree(work / "build", ignore_errors=True)
    (work / "kvlog").unlink(missing_ok=True)
    return work


def keep(name, built):
    """Puts a program where no later process of the agent's can change it."""
    require(built.is_file() and not built.is_symlink(), "make ended, but there is no ./kvlog")
    BUILT.mkdir(mode=0o755, exist_ok=True)
    partial = BUILT / f".{name}.{os.getpid()}"
    shutil.copyfile(built, partial)
    partial.chmod(0o755)
    partial.rename(BUILT / name)
    return BUILT / name


def repaired(flags=PLAIN):
    """The agent's program."""
    name = "sanitized" if flags == SANITIZED else "repaired"
    if (BUILT / name).exists():
        return BUILT / name
    work = sources()
    done = run_agent(["make", "kvlog", f"CFLAGS={flags}"], cwd=work, timeout=90)
    require(done.code == 0, f"make ended with {done.code}: {(done.out + done.err)[-800:]}")
    return keep(name, work / "kvlog")


def original():
    """The program as the agent found it."""
    if (BUILT / "original").exists():
        return BUILT / "original"
    folder = scratch()
    for file in [*HERE.glob("*.c"), *HERE.glob("*.h")]:
        put(folder / file.name, file.read_bytes())
    compile_all = ["gcc", "-std=c11", "-D_POSIX_C_SOURCE=200809L", *FLAGS.split(), "-o", "kvlog"]
    done = run_agent([*compile_all, *sorted(file.name for file in folder.glob("*.c"))], cwd=folder, timeout=90)
    if done.code != 0:
        raise RuntimeError(f"the original does not build: {done.err[-800:]}")
    return keep("original", folder / "kvlog")


class Session:
    """Commands of one program in a folder of its own; run together, looked at afterwards."""

    def __init__(self):
        self.folder = scratch(in_memory=True)
        self.lines = []
        self.number = 0
        self.expected = []

    def file(self, name, content):
        put(self.folder / name, content)

    def step(self, *command, code=0, out=None, stdin=None):
        """Adds `kvlog COMMAND`; says how it has to end and what it has to print."""
        words = " ".join(shlex.quote(os.fsdecode(word)) for word in command)
        source = shlex.quote(stdin) if stdin else "/dev/null"
        self.number += 1
        self.lines.append(f'"$K" {words} < {source} > .out{self.number} 2> .err{self.number}; echo $? >> .codes')
        self.expected.append((command, code, out.encode() if isinstance(out, str) else out))

    def keep(self, name, as_name):
        self.lines.append(f"cp {shlex.quote(name)} {shlex.quote(as_name)}")

    def run(self, program=None):
        text = f"K={program or repaired()}\n" + "\n".join(self.lines) + "\n"
        self.file(".session.sh", text)
        done = run_agent(["bash", ".session.sh"], cwd=self.folder, timeout=100, env=ENVIRONMENT)
        require(done.code == 0, f"the session ended with {done.code}: {done.err[-300:]}")
        codes = self.bytes(".codes").split()
        require(len(codes) == len(self.expected), "not every command was run")
        for number, ((command, code, out), found) in enumerate(zip(self.expected, codes), 1):
            said = b" ".join(map(os.fsencode, command))[:120].decode("utf-8", "replace")
            errors = self.bytes(f".err{number}")
            require(b"AddressSanitizer" not in errors, f"kvlog {said}: {_report(errors)}")
            require(int(found) == code, f"kvlog {said}: exit code {int(found)}, not {code}")
            if out is not None:
                printed = self.bytes(f".out{number}")
                require(printed == out, f"kvlog {said}: {_difference(printed, out)}")

    def bytes(self, name):
        path = self.folder / name
        require(path.is_file() and not path.is_symlink(), f"{name} is missing")
        return path.read_bytes()

    def records(self, name):
        return decoded(self.bytes(name), name)


def _report(errors):
    at = errors.find(b"AddressSanitizer")
    return errors[at : at + 100].decode("utf-8", "replace")


def _difference(found, wanted):
    left, right = found.split(b"\n"), wanted.split(b"\n")
    for number, (a, b) in enumerate(zip(left, right), 1):
        if a != b:
            return f"line {number} is {a[:60]!r} ({len(a)} bytes), not {b[:60]!r} ({len(b)} bytes)"
    return f"{len(left)} lines, not {len(right)}"


def decoded(data, name):
    try:
        return kv.decode(LAYOUT, data)
    except kv.FormatError as error:
        require(False, f"{name} is no file as documented: {error}")


def counts(puts, deletes):
    return f"puts {puts} deletes {deletes}\n"


def summary(records, live, damaged=0, torn=0):
    return f"records {records}\nlive {live}\ndamaged {damaged}\ntorn {torn}\n"


def wants_compaction(records):
    """By the rule of docs/cli.md, from the file alone."""
    weighed = kv.Weighed(LAYOUT, COMPACT_MIN)
    for key, value in records:
        weighed.apply(key, value, importing=False)
    return weighed.end > COMPACT_MIN and weighed.superseded * 2 > weighed.end


# --- operations -----------------------------------------------------------------------------------------------------


@check
def operations():
    churn(P["hidden_seed"])
    large_values(P["hidden_seed"] + 1)
    torn_ends(P["hidden_seed"] + 2)
    damaged_record(P["hidden_seed"] + 3)
    long_import(P["hidden_seed"] + 4)


def churn(seed):
    """Puts and deletions of few keys, many times over."""
    session = Session()
    finals = {}
    for number, size in enumerate((30, 130)):
        store, shape = f"churn{number}", ["jobs", P["shape"]][number]
        data = kv.Data(seed + number, shape, size + 6)
        r, keys, absent = data.random, data.keys[:size], data.keys[size:]
        first = [data.change(keys, 0.45) for _ in range(size * 6)]
        second = [data.change(keys, 0.55) for _ in range(size * 2)]
        live, puts, deletes = kv.replay(first)
        session.file(f"{store}.1", kv.lines(first))
        session.file(f"{store}.2", kv.lines(second))
        session.step("import", store, f"{store}.1", out=counts(puts, deletes))
        for key in r.sample(sorted(live), min(5, len(live))):
            session.step("get", store, key, out=live[key])
        gone = sorted(set(keys) - set(live))
        for key in gone[:2] + absent[:2]:
            session.step("get", store, key, code=1, out=b"")
            session.step("del", store, key, code=1)
        live, puts, deletes = kv.replay(second, live)
        session.step("import", store, stdin=f"{store}.2", out=counts(puts, deletes))
        for key in r.sample(sorted(live), min(3, len(live))):
            del live[key]
            session.step("del", store, key)
        session.step("put", store, absent[3], "put again", code=0)
        live[absent[3]] = b"put again"
        session.step("list", store, out=b"".join(kv.escape(key) + b"\n" for key in sorted(live)))
        session.step("export", store, out=kv.export(live))
        session.keep(store, f"{store}.log")
        session.step("compact", store)
        session.step("verify", store, out=summary(len(live), len(live)))
        session.keep(store, f"{store}.once")
        session.step("compact", store)
        session.step("export", store, out=kv.export(live))
        session.file(f"{store}.text", kv.export(live))
        session.step("import", f"{store}.copy", f"{store}.text", out=counts(len(live), 0))
        session.step("export", f"{store}.copy", out=kv.export(live))
        finals[store] = live
    session.run()
    for store, live in finals.items():
        log = session.records(f"{store}.log")
        require(kv.replay(log)[0] == live, f"{store}: what the file holds is not what was put")
        newest = {key: value for key, value in log if value is not None}
        last = {key: n for n, (key, value) in enumerate(log)}
        order = sorted(live, key=last.get)
        once = session.records(f"{store}.once")
        require(once == [(key, newest[key]) for key in order], f"{store}: compacted to something else")
        require(session.bytes(store) == session.bytes(f"{store}.once"), f"{store}: a second compaction changed it")


def sized(r, size):
    """Bytes of that length, which need escapes now and then, always, or never."""
    kind = r.randrange(3)
    if kind == 0:
        return r.randbytes(size)
    if kind == 1:
        return bytes([r.choice([0, 31, 127, 200, 255])]) * size
    return (b"%09d;" % r.randrange(10**9)) * (size // 10) + b"." * (size % 10)


def awkward(r, spread):
    """Entries whose lengths lie around the powers of two, and some large ones."""
    sizes = [0, 1, 2, 15]
    for power in range(6, 17):
        sizes += [2**power - n for n in spread] + [2**power, 2**power + r.randint(1, 40)]
    sizes += [65534, 65537, 70001 + r.randrange(900), 131072 + r.randrange(-20, 20), 200000, 262160]
    # Growing, in the feed and in key order, so that no buffer is larger already than a value asks for.
    return [(b"n%03d.%d" % (number, size), sized(r, size)) for number, size in enumerate(sorted(sizes))]


def large_values(seed):
    r = random.Random(seed)
    entries = awkward(r, [1, 8, 13, 20, 27])
    live = dict(entries)
    session = Session()
    session.file("lines", kv.lines(entries))
    session.step("import", "s", "lines", out=counts(len(entries), 0))
    session.step("verify", "s", out=summary(len(entries), len(entries)))
    session.step("export", "s", out=kv.export(live))
    for key in r.sample(sorted(live, key=lambda key: len(live[key]))[-8:], 4) + r.sample(sorted(live), 3):
        session.step("get", "s", key, out=live[key])
    most = b"%06d|" % r.randrange(10**6) * 150000
    most = most[: 1 << 20]
    session.file("most", most)
    session.file("more", most + b"!")
    session.step("put", "s", "most", stdin="most")
    session.step("put", "s", "more", stdin="more", code=2)
    session.step("get", "s", "most", out=most)
    session.step("del", "s", entries[0][0])
    del live[entries[0][0]]
    live[b"most"] = most
    session.step("compact", "s")
    session.step("export", "s", out=kv.export(live))
    session.run()
    require(dict(session.records("s")) == live, "what the compacted file holds is not what was put")


def torn_ends(seed):
    session = Session()
    r = random.Random(seed)
    wanted = {}
    for number, left in enumerate([1, 3, 7, 8, 12, 15, 18, None, 5]):
        data = kv.Data(seed + number, P["shape"], 9)
        records = [(key, data.value(3, 60)) for key in data.keys[:7]] if number < 8 else []
        if records and number % 2:
            records = kv.effective([*records, data.change(data.keys[1:5], 1.0)])
        whole = kv.record(LAYOUT, data.keys[7], data.value(30, 90), len(records) + 1)
        torn = whole[: left or len(whole) - 1]
        store = f"torn{number}"
        before = kv.encode(LAYOUT, records, torn)
        session.file(store, before)
        live = kv.replay(records)[0]
        session.step("verify", store, code=3, out=summary(len(records), len(live), torn=len(torn)))
        if number < 3:
            session.step("export", store, out=kv.export(live))
            session.keep(store, f"{store}.read")
        added = (data.keys[8], data.value(3, 60))
        if number % 3 == 0:
            session.file(f"{store}.lines", kv.lines([added]))
            session.step("import", store, f"{store}.lines", out=counts(1, 0))
        else:
            session.file(f"{store}.value", added[1])
            session.step("put", store, added[0], stdin=f"{store}.value")
        session.step("verify", store, out=summary(len(records) + 1, len(live) + 1))
        wanted[store] = (before, [*records, added])
    session.run()
    for store, (before, records) in wanted.items():
        if (session.folder / f"{store}.read").exists():
            require(session.bytes(f"{store}.read") == before, f"{store}: a command that reads has changed the file")
        require(session.records(store) == records, f"{store}: after the cut the records are not those that were whole")


def damaged_record(seed):
    """The newest version of a key is damaged: the one before it counts."""
    data = kv.Data(seed, P["shape"], 8)
    records = [(key, data.value(30, 200)) for key in data.keys]
    records.append((data.keys[3], data.value(30, 200)))
    records.append((data.keys[0], data.value(30, 200)))
    whole = bytearray(kv.encode(LAYOUT, records))
    last = kv.span(LAYOUT, *records[-1])
    whole[len(whole) - last - 8] ^= 4
    live = kv.replay(records[:8] + records[9:])[0]
    session = Session()
    session.file("s", bytes(whole))
    session.step("verify", "s", code=3, out=summary(10, 8, damaged=1))
    session.step("get", "s", data.keys[3], out=live[data.keys[3]])
    session.step("export", "s", out=kv.export(live))
    session.step("compact", "s")
    session.step("verify", "s", out=summary(8, 8))
    session.step("export", "s", out=kv.export(live))
    session.run()
    require(kv.replay(session.records("s"))[0] == live, "after a compaction other entries are live")


def long_import(seed):
    """Compacts on its way, more than once; the file ends up no fuller than documented."""
    data = kv.Data(seed, "jobs", 90)
    hot, cold = data.keys[:12], data.keys[12:60]
    operations = [data.change(hot, 0) for _ in range(40)]
    operations += [(key, data.value()) for key in cold]
    while len(operations) < 1400:
        operations.append(data.change(hot, 0.1))
    for key in data.keys[60:80]:
        operations.append((key, data.value()))
        operations.append(data.change(hot, 0.1))
    live, puts, deletes = kv.replay(operations)
    session = Session()
    session.file("lines", kv.lines(operations))
    session.step("import", "s", "lines", out=counts(puts, deletes))
    session.step("export", "s", out=kv.export(live))
    session.step("put", "s", "after", "wards")
    session.step("get", "s", cold[0], out=live[cold[0]])
    session.run()
    records = session.records("s")
    require(kv.replay(records)[0] == {**live, b"after": b"wards"}, "the file holds other entries than were imported")
    require(not wants_compaction(records[:-1]), "the file is fuller of superseded records than docs/cli.md says")


# --- the nightly run ------------------------------------------------------------------------------------------------


@check
def nightly():
    """Other stores and feeds of the same kind as the visible ones."""
    session = Session()
    wanted = {}
    shapes = [P["shape"], random.Random(P["hidden_seed"]).choice(["devices", "thumbnails", "translations"])]
    for number, shape in enumerate(shapes):
        torn = number == 0 or P["torn"]
        seed = P["hidden_seed"] + 10 + number
        records, tail, feed = kv.nightly(LAYOUT, shape, P["causes"], P["compact_kib"], seed, torn, ["x1", "x2"])
        store = f"night{number}"
        session.file(store, kv.encode(LAYOUT, records, tail))
        session.file(f"{store}.feed", kv.lines(feed))
        before = kv.replay(records)[0]
        live, puts, deletes = kv.replay(feed, before)
        session.step("export", store, out=kv.export(before))
        session.step("import", store, f"{store}.feed", out=counts(puts, deletes))
        session.step("export", store, out=kv.export(live))
        wanted[store] = live
    session.run()
    for store, live in wanted.items():
        require(kv.replay(session.records(store))[0] == live, f"{store}: the file holds other entries than it should")


# --- memory ---------------------------------------------------------------------------------------------------------


@check
def memory():
    """Every length around a power of two, of values that need escapes and of values that don't, without a stray access."""
    r = random.Random(P["hidden_seed"] + 30)
    entries = awkward(r, list(range(1, 34)))
    live = dict(entries)
    session = Session()
    session.file("lines", kv.lines(entries))
    session.step("import", "s", "lines")
    session.step("export", "s", out=kv.export(live))
    session.step("compact", "s")
    for key, value in r.sample(entries, 12):
        session.file("v" + key.decode(), value)
        session.step("put", "t", key, stdin="v" + key.decode())
        session.step("export", "t")
    long_key = b"\xc3\xa9" * 512
    session.step("put", "t", long_key, "x" * 990)
    session.step("get", "t", long_key, out="x" * 990)
    session.step("list", "t")
    session.run(repaired(SANITIZED))


# --- the regression test --------------------------------------------------------------------------------------------


@check
def regression():
    good, bad = repaired(FLAGS), original()
    work = sources()
    require((work / "tests/regression.sh").is_file(), "there is no tests/regression.sh")

    def judge(program):
        return run_agent(["sh", "tests/regression.sh", program], cwd=work, timeout=40, env=ENVIRONMENT)

    done = judge(good)
    require(done.code == 0, f"it rejects the repaired program ({done.code}): {(done.out + done.err)[-400:]}")
    require(judge(bad).code not in (0, 124), "it accepts the program with the fault")

    # Does `make test` run it, and fail with it?
    marker = work / "regression-was-run"
    put(work / "tests/regression.sh", "#!/bin/sh\necho run > regression-was-run\nexit 1\n")
    (work / "tests/regression.sh").chmod(0o755)
    done = run_agent(["make", "test", "CFLAGS=-O0"], cwd=work, timeout=90)
    ran = marker.exists() or any(work.rglob("regression-was-run"))
    require(ran, f"make test does not run it: {(done.out + done.err)[-400:]}")
    require(done.code != 0, "make test succeeds although the regression test fails")
    put(work / "tests/regression.sh", "#!/bin/sh\nexit 0\n")
    done = run_agent(["make", "test", "CFLAGS=-O0"], cwd=work, timeout=90)
    require(done.code == 0, f"make test fails on the repaired program: {(done.out + done.err)[-400:]}")


# --- the delivery ---------------------------------------------------------------------------------------------------


@check
def merged():
    records, _, feed = world.store(P)
    live = kv.replay(feed, kv.replay(records)[0])[0]
    found = kv.replay(decoded(workspace_bytes("out/merged.kvl"), "out/merged.kvl"))[0]
    wrong = [key for key in live.keys() | found.keys() if live.get(key) != found.get(key)]
    require(not wrong, f"out/merged.kvl: {len(wrong)} keys are not as they should be, such as {sorted(wrong)[:3]}")
    text = workspace_bytes("out/merged.tsv")
    require(text == kv.export(live), f"out/merged.tsv: {_difference(text, kv.export(live))}")


def workspace_bytes(name):
    path = WORKSPACE / name
    require(path.is_file() and not path.is_symlink(), f"{name} is missing")
    require(path.stat().st_size < 16_000_000, f"{name} is far too large")
    return path.read_bytes()


# --- what must not change -------------------------------------------------------------------------------------------


@check
def cli():
    session = Session()
    session.file("value", b"two\nlines\0")
    session.file("lines", b"k\\t1\tv\\\\\n\nraw \xc3\xa4\tr\nk\\t1\nz\tlast")
    session.file("bad", b"fine\t1\nnot\t\\xZZ\n")
    session.file("junk", b"this is not a kvlog file")
    session.step("put", "s", "a b", "first")
    session.step("put", "s", "a b", "second")
    session.step("put", "s", "n", stdin="value")
    session.step("get", "s", "a b", out="second")
    session.step("get", "s", "n", out=b"two\nlines\0")
    session.step("get", "s", "N", code=1, out=b"")
    session.step("list", "s", out="a b\nn\n")
    session.step("export", "s", out="a b\tsecond\nn\ttwo\\nlines\\x00\n")
    session.step("verify", "s", out=summary(3, 2))
    session.step("del", "s", "a b", out=b"")
    session.step("del", "s", "a b", code=1)
    session.step("verify", "s", out=summary(4, 1))
    session.step("compact", "s", out=b"")
    session.step("verify", "s", out=summary(1, 1))
    session.step("import", "t", "lines", out=counts(3, 1))
    session.step("export", "t", out="raw \\xc3\\xa4\tr\nz\tlast\n")
    session.step("import", "u", "bad", code=2)
    session.step("list", "u", out="fine\n")
    session.step("put", "s", "", "x", code=2)
    session.step("put", "s", "k" * 1025, "x", code=2)
    session.step("list", "s", out="n\n")
    for command in (["get", "none", "a"], ["del", "none", "a"], ["list", "none"], ["verify", "none"], ["compact", "none"]):
        session.step(*command, code=2)
    session.step("list", "junk", code=2)
    session.step("put", "junk", "a", "b", code=2)
    session.step("import", "s", "nowhere", code=2)
    for command in (["get", "s"], ["put", "s"], ["list"], ["frobnicate", "s"], ["put", "s", "a", "b", "c"], []):
        session.step(*command, code=2)
    session.step("--version", out=f"kvlog 2.{P['minor']}.0\n")
    session.run()
    require(session.bytes("junk") == b"this is not a kvlog file", "a file that is none of kvlog's was written to")


@check
def format():
    """Simple files byte for byte as documented, and an old file read."""
    data, kept = world.archive(P)
    records = [(b"alpha", b"1"), (b"b", b"to be replaced"), (b"b", b""), (b"gamma", b"\x00 \xff"), (b"alpha", None)]
    session = Session()
    for number, (key, value) in enumerate(records):
        if value is None:
            session.step("del", "s", key)
        else:
            session.file(f"v{number}", value)
            session.step("put", "s", key, stdin=f"v{number}")
    session.file("archive", data)
    live = kv.replay(kept[1:])[0]
    session.step("verify", "archive", code=3, out=summary(len(kept), len(live), damaged=1))
    session.step("list", "archive", out=b"".join(kv.escape(key) + b"\n" for key in sorted(live)))
    for key in sorted(live)[::3]:
        session.step("get", "archive", key, out=live[key])
    session.run()
    wanted = kv.encode(LAYOUT, records)
    require(session.bytes("s") == wanted, "a file that was written differs from what docs/format.md says")
    require(session.bytes("archive") == data, "commands that read have changed a file")


@check
def data_untouched():
    for name, content in world.files(P).items():
        require(workspace_bytes(f"data/{name}") == content, f"data/{name} has changed")
    left = {path.name for path in (WORKSPACE / "data").iterdir()} - set(world.files(P))
    require(not any(name.endswith(".compact") for name in left), "data/ holds what a compaction left behind")


main()
