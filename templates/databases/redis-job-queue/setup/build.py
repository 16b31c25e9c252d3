"""Lays the queue's data under /var/lib/jobs and its log into the workspace."""

import json
import pathlib
import random
import time

from world import World, resp

PARAMS = json.loads((pathlib.Path(__file__).parent / "params.json").read_text())["parameters"]
FOLDER = pathlib.Path("/var/lib/jobs/appendonlydir")


def data(world):
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / "appendonly.aof.1.base.aof").write_bytes(resp(world.commands()))
    (FOLDER / "appendonly.aof.1.incr.aof").write_bytes(b"")
    (FOLDER / "appendonly.aof.manifest").write_text(
        "file appendonly.aof.1.base.aof seq 1 type b\nfile appendonly.aof.1.incr.aof seq 1 type i\n"
    )


def log(world):
    rng = random.Random(PARAMS["data_seed"] + 2)
    loud = PARAMS["evidence"] == "loud"
    lines = []

    def say(at, level, who, text):
        stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(at / 1000)) + f".{at % 1000:03d}"
        lines.append((at, f"{stamp} {level:<5} {who}: {text}"))

    start = world.now - 3 * 3600 * 1000
    for job in world.jobs:
        key = f" key {job['key']}" if job["key"] else ""
        later = f", not before +{job['delay']} s" if job["delay"] else ""
        say(job["created"] + 2, "INFO", "producer", f"job {job['id']} {job['type']}{key}{later}")
        attempt = 0
        for at, what, *more in job["events"]:
            if what == "taken":
                attempt += 1
                say(at + 3, "INFO", more[0], f"job {job['id']} {job['type']} attempt {attempt}")
            elif what == "finished":
                say(at + 1, "INFO", more[0], f"job {job['id']} finished")
            elif what == "failed":
                say(at + 1, "WARN", more[0], f"job {job['id']} failed: {world.error(job)}")
            elif what == "expired":
                say(at + 4, "INFO", "ticker", f"job {job['id']} back in the queue")
            elif what == "dead":
                say(at + 4, "ERROR", "queue", f"job {job['id']} given up")
            elif what == "revived":
                say(at + 2, "INFO", "support", f"fresh start for job {job['id']}")
        if job.get("twice") and loud:
            at, worker = job["twice"]
            say(at, "WARN", worker, f"job {job['id']} is not mine any more, result dropped")
        if job["damage"] == "half" and loud:
            at, worker = job["half"]
            say(at + 700, "ERROR", "supervisor", f"{worker} was killed (out of memory), starting it again")
        if job["damage"] == "lost" and loud and rng.random() < 0.7:
            last = job["events"][-1][0] if job["events"] else job["created"]
            at = last + rng.randint(400, 20000)
            say(at, "ERROR", "supervisor", f"{world.worker()} was killed (out of memory), starting it again")
    if loud and "slots" in PARAMS["faults"]:
        for at in range(world.now - 400000, world.now, 47000):
            waiting = sum(1 for job in world.jobs if job["type"] == world.hot and job["is"]["state"] == "waiting")
            running = world.slots_right[world.hot]
            say(at, "WARN", "monitor", f"{world.hot}: {waiting} waiting, {running} running, limit {world.limits[world.hot]}")
    for at in range(start, world.now, 600000):
        say(at + rng.randint(0, 60000), "WARN", "redis", "Memory overcommit must be enabled! A background save may fail under low memory")
        if rng.random() < 0.5:
            say(at + rng.randint(0, 500000), "WARN", "ticker", f"tick took {rng.randint(310, 980)} ms")
    for at in range(start, world.now, 1700000):
        say(at + rng.randint(0, 900000), "WARN", "monitor", "DeprecationWarning: distutils Version classes are deprecated")
    say(world.tick + 5000, "INFO", "ticker", "stopping")
    say(world.now - 10, "INFO", "supervisor", "all workers stopped")
    lines = sorted(line for line in lines if start <= line[0] <= world.now)
    target = pathlib.Path("logs/queue.log")
    target.parent.mkdir(exist_ok=True)
    target.write_text("".join(line + "\n" for _, line in lines))


world = World(PARAMS)
data(world)
log(world)
