import configparser
import copy
import json
import pathlib
import random
import shutil
import tempfile

from bench import Server, Session, Tap, config
from model import Model
from trajforge_check import WORKSPACE, check, main, params, read, require, run_agent
from world import World

P = params()
LIVE = "/var/lib/jobs"


def live_settings():
    names = ("prefix", "namespace", "visibility", "backoff_base", "backoff_cap", "dedup_window", "keep_finished", "max_attempts")
    return {**{name: P[name] for name in names}, "limits": dict(zip(P["types"], P["limit_values"]))}


def other_settings(rng, **fixed):
    settings = {
        "prefix": "probe", "namespace": "bygone", "visibility": rng.randint(21, 47), "backoff_base": rng.randint(4, 9),
        "backoff_cap": 60, "dedup_window": 400, "keep_finished": 90, "max_attempts": 4, "limits": {"red": 2, "green": 3},
    }
    return {**settings, **fixed}


class Lab:
    """An empty Redis, a configuration of its own, the agent's code, and the model."""

    def __init__(self, **fixed):
        self.rng = random.Random(P["hidden_seed"])
        self.settings = other_settings(self.rng, **fixed)
        self.model = Model(self.settings, P["design"], P["backoff"], P["scope"])
        self.now = 1_650_000_000.0 + self.rng.randint(0, 9_000_000)

    def __enter__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="lab-"))
        self.folder.chmod(0o755)
        self.path = config(self.folder, self.settings)
        self.server = Server()
        self.session = Session(self.server.url(), self.path)
        return self

    def __exit__(self, *_):
        self.session.__exit__()
        self.server.__exit__()
        shutil.rmtree(self.folder)

    def pass_time(self, seconds):
        self.now = round(self.now + seconds, 3)

    def audit(self):
        self.model.audit(self.server.client.contents(), self.now)

    def count_slots(self):
        slots = self.server.client.contents().get("probe:slots", {})
        for kind in self.settings["limits"]:
            used, busy = slots.get(kind, "0"), self.model.busy(kind)
            require(used == str(busy), f"slots of {kind} say {used}, {busy} are running")

    def __getattr__(self, command):
        method = getattr(self.model, command)
        return lambda *words, **options: method(self.session, self.now, *words, **options)


# --- the live data ---


@check
def live():
    world = World(P)
    with Server(LIVE) as server:
        Model.of(world, live_settings()).audit(server.client.contents(), P["now"])


@check
def untouched():
    world = World(P)
    world.commands()
    with Server(LIVE) as server:
        contents = server.client.contents()
    prefix, former = P["prefix"], P["namespace"]
    expected = {}
    with Server() as server:
        server.client.many(world.commands())
        expected = server.client.contents()
    ours = {job["id"] for job in world.jobs if job["damage"] == "foreign"}
    for name, value in expected.items():
        if name.startswith(f"{prefix}:"):
            continue
        found = contents.get(name)
        if name in (f"{former}:later", f"{former}:queue"):
            value = {member: score for member, score in value.items() if member not in ours}
            found = {member: score for member, score in (found or {}).items() if member not in ours}
        require(found == value, f"{name}, which is not ours, has changed")
    for name in ("done", "dead"):
        key = f"{prefix}:{name}"
        require(contents.get(key, {}) == expected.get(key, {}), f"{key} has changed")
        for job_id in expected.get(key, {}):
            record = f"{prefix}:job:{job_id}"
            require(contents.get(record) == expected[record], f"{record} is {name} and has changed")
    lines = expected[f"{prefix}:journal"]
    require(contents.get(f"{prefix}:journal", [])[: len(lines)] == lines, "lines of the journal have changed")
    same_settings()


def same_settings():
    parser = configparser.ConfigParser()
    try:
        parser.read_string(read("queue.ini"))
        found = {name: parser.get("queue", name, fallback=None) for name in parser["queue"]}
        limits = dict(parser["limits"])
        namespace = parser["archive"]["namespace"]
    except (configparser.Error, KeyError) as error:
        require(False, f"queue.ini can't be read: {error}")
    wanted = live_settings()
    for name in ("prefix", "visibility", "backoff_base", "backoff_cap", "dedup_window", "keep_finished", "max_attempts"):
        require(found.get(name) == str(wanted[name]), f"{name} in queue.ini has changed")
    require(limits == {name: str(count) for name, count in wanted["limits"].items()}, "the limits in queue.ini have changed")
    require(namespace == wanted["namespace"], "the namespace in queue.ini has changed")


@check
def report():
    world = World(P)
    try:
        found = json.loads(read("out/repair.json"))
    except ValueError as error:
        require(False, f"out/repair.json is no JSON: {error}")
    require(isinstance(found, dict) and isinstance(found.get("jobs"), dict), "out/repair.json has no jobs")
    require(found.get("now") == P["now"], f"now is {found.get('now')}")
    jobs = found["jobs"]
    missing = sorted(world.report.keys() - jobs.keys())
    extra = sorted(jobs.keys() - world.report.keys())
    require(not missing, f"{len(missing)} jobs are missing, such as {missing[:3]}")
    require(not extra, f"{len(extra)} jobs needed no repair, such as {extra[:3]}")
    wrong = sorted(job_id for job_id in jobs if jobs[job_id] != world.report[job_id])
    require(not wrong, f"{len(wrong)} jobs have the wrong word, such as {wrong[:3]}")
    require(found.get("slots") == world.slots_right, f"slots are {found.get('slots')}")


@check
def drain():
    """Everything started again, on a copy of the live data: each job runs to its end, at the right time, once."""
    world, settings = World(P), live_settings()
    model, rng = Model.of(world, settings), random.Random(P["hidden_seed"] + 1)
    with Server(LIVE) as server, tempfile.TemporaryDirectory() as folder:
        pathlib.Path(folder).chmod(0o755)
        with Session(server.url(), config(folder, settings)) as session:
            now = P["now"] + 1.0
            for mark, (_, first) in sorted(model.marks.items())[::6]:
                kind, key = mark.split(":") if P["scope"] == "type" else (P["types"][0], mark)
                model.enqueue(session, now, kind, "again", key=key)
            for number, job_id in enumerate(sorted(model.having("running"))):
                worker = model.jobs[job_id]["worker"]
                if number % 4 < 2:
                    model.finish(session, now, worker, job_id)
                elif number % 4 == 2:
                    model.fail(session, now, worker, job_id)
            for _ in range(400):
                now = round(now + 0.5, 3)
                model.tick(session, now)
                while (job_id := model.take(session, now, "drain-1")) is not None:
                    if rng.random() < 0.04:
                        model.fail(session, now, "drain-1", job_id)
                    else:
                        model.finish(session, now, "drain-1", job_id)
                coming = [moment / 1000 for moment in model.moments() if moment / 1000 > now]
                if not coming:
                    break
                now = max(now, min(coming) - 0.2)
            left = model.having("waiting", "later", "running")
            require(not left, f"{len(left)} jobs never came to an end, such as {left[:3]}")
            model.audit(server.client.contents(), now)


# --- the code ---


@check
def replay():
    """A few hundred random commands; every answer and, now and then, all keys are held against the model."""
    with Lab() as lab:
        rng, model = lab.rng, lab.model
        one_of_each(lab)
        workers = ["w1", "w2", "w3"]
        keys = [f"k{n}" for n in range(9)]

        def enqueue():
            delay = rng.randint(3, 50) if rng.random() < 0.25 else 0
            key = rng.choice(keys) if rng.random() < 0.5 else ""
            lab.enqueue(rng.choice(["red", "red", "green", "blue"]), f"p {rng.randint(1, 99)}", key=key, delay=delay)

        def with_job(command):
            running = model.having("running")
            if running:
                job_id = rng.choice(running)
                worker = model.jobs[job_id]["worker"] if rng.random() < 0.93 else rng.choice(workers)
                getattr(lab, command)(worker, job_id)

        def revive():
            dead = model.having("dead")
            if dead:
                lab.revive(rng.choice(dead))

        def jump():
            marks = [since + lab.settings["dedup_window"] * 1000 for since, _ in model.marks.values()]
            coming = [moment / 1000 for moment in [*model.moments(), *marks] if 0.4 < moment / 1000 - lab.now < 60]
            if coming:
                lab.now = round(rng.choice(coming) + rng.choice([-0.31, 0.27]), 3)
            if rng.random() < 0.8:
                lab.tick()

        actions = [
            (24, enqueue), (30, lambda: lab.take(rng.choice(workers))), (9, lambda: with_job("renew")),
            (16, lambda: with_job("finish")), (14, lambda: with_job("fail")), (18, jump), (6, lab.tick), (3, revive),
        ]
        weights = [weight for weight, _ in actions]
        for step in range(300):
            lab.pass_time(rng.choice([0.013, 0.4, 1.7]))
            rng.choices([action for _, action in actions], weights)[0]()
            if step % 20 == 19:
                lab.audit()
        lab.audit()


def one_of_each(lab):
    """A short life with everything in it, so that no turn of the dice leaves a command out."""
    visibility, keep = lab.settings["visibility"], lab.settings["keep_finished"]
    finished = lab.enqueue("blue", "x", key="early")
    lab.take("w1")
    lab.pass_time(3)
    lab.renew("w1", finished)
    lab.audit()
    lab.finish("w1", finished)
    lab.audit()
    lab.enqueue("green", "y", delay=4)
    doomed = lab.enqueue("red", "z", key="doomed")
    lab.audit()
    for attempt in range(lab.settings["max_attempts"]):
        while (job_id := lab.take("w2")) is not None and job_id != doomed:
            lab.finish("w2", job_id)
        if attempt == 1:
            lab.pass_time(visibility + 0.5)
            lab.tick()
        else:
            lab.pass_time(0.5)
            lab.fail("w2", doomed)
        lab.audit()
        lab.pass_time(lab.settings["backoff_cap"] + 0.5)
        lab.tick()
        lab.audit()
    lab.revive(doomed)
    lab.audit()
    lab.enqueue("blue", "x", key="early")
    lab.pass_time(keep)
    lab.tick()
    lab.audit()


@check
def leases():
    with Lab() as lab:
        lease = lab.settings["visibility"]
        for renewals in (0, 1, 3):
            job_id = lab.enqueue("blue", "x")
            lab.take("w1")
            for _ in range(renewals):
                lab.pass_time(lease * 0.8)
                lab.tick()
                lab.renew("w1", job_id)
            lab.pass_time(lease - 0.4)
            lab.tick()
            lab.take("w2")
            lab.audit()
            lab.pass_time(0.8)
            lab.tick()
            lab.audit()
            require(lab.take("w2") == job_id, "a job whose lease has ended is not given to another worker")
            lab.finish("w1", job_id)
            lab.finish("w2", job_id)


@check
def repeats():
    with Lab() as lab:
        window, keep = lab.settings["dedup_window"], lab.settings["keep_finished"]
        first = lab.enqueue("blue", "x", key="a")
        lab.enqueue("red", "x", key="b")
        for worker in ("w1", "w2"):
            lab.finish(worker, lab.take(worker))
        for _ in range(3):
            lab.pass_time(keep + 5)
            lab.tick()
            require(lab.enqueue("blue", "x", key="a") == first, "a repeat got another job's id")
            lab.enqueue("red", "x", key="b")
            lab.enqueue("green", "x", key="b")
        lab.pass_time(window - 3 * (keep + 5) - 0.5)
        lab.enqueue("blue", "x", key="a")
        lab.pass_time(1)
        second = lab.enqueue("blue", "x", key="a")
        while second not in (lab.model.having("dead")):
            lab.pass_time(lab.settings["backoff_cap"] + 1)
            lab.tick()
            while (job_id := lab.take("w1")) is not None:
                (lab.fail if job_id == second else lab.finish)("w1", job_id)
        lab.enqueue("blue", "x", key="a")


@check
def limits():
    """However jobs stop running, there are afterwards as many slots as before."""
    with Lab(visibility=30, backoff_cap=20) as lab:
        for kind, count in (("red", 9), ("green", 11)):
            for number in range(count):
                lab.enqueue(kind, str(number))
        endings = ["fail", "leave", "finish"]
        for turn in range(40):
            while lab.take(f"w{turn % 3}") is not None:
                pass
            lab.count_slots()
            for number, job_id in enumerate(lab.model.having("running")):
                ending = endings[(turn + number) % 3]
                if ending != "leave":
                    getattr(lab, ending)(lab.model.jobs[job_id]["worker"], job_id)
            lab.pass_time(31)
            lab.tick()
            lab.count_slots()
            if not lab.model.having("waiting", "later", "running"):
                break


@check
def retries():
    with Lab(max_attempts=5, backoff_cap=23) as lab:
        job_id = lab.enqueue("blue", "x")
        lab.pass_time(lab.settings["visibility"])
        for attempt in range(1, 6):
            require(lab.take("w1") == job_id, f"attempt {attempt} does not start when it is due")
            lab.pass_time(2)
            lab.fail("w1", job_id)
            if attempt == 5:
                break
            wait = lab.model.backoff(attempt) / 1000
            lab.pass_time(wait - 0.4)
            lab.tick()
            lab.take("w1")
            lab.pass_time(0.8)
            lab.tick()
        require(lab.model.having("dead") == [job_id], "it should be dead")


@check
def places():
    """Jobs for later and jobs with a fresh start have their place in the queue, whatever the archive is called."""
    with Lab(max_attempts=1) as lab:
        late = lab.enqueue("blue", "x", delay=20)
        poor = lab.enqueue("red", "y")
        lab.take("w1")
        lab.fail("w1", poor)
        lab.revive(poor)
        require(lab.take("w1") == poor, "a job with a fresh start does not start")
        lab.finish("w1", poor)
        lab.pass_time(19.5)
        lab.tick()
        lab.take("w1")
        lab.pass_time(1)
        lab.tick()
        require(lab.take("w1") == late, "a job for later does not start when it is due")
        strangers = [name for name in lab.server.client.contents() if not name.startswith("probe:")]
        require(not strangers, f"there are keys outside the queue: {strangers}")


@check
def crash():
    """Whatever command of a process was its last: no job is lost, none is done twice, no slot is."""
    with Lab(max_attempts=3, keep_finished=100000, visibility=30) as lab:
        tap = Tap(lab.server)
        lab.session.__exit__()
        lab.session = Session(tap.url(), lab.path)
        with Session(lab.server.url(1), lab.path) as rescue:
            story(lab, tap, rescue)


def story(lab, tap, rescue):
    def watched(command, *words, **options):
        tap.taken()
        before, model = lab.server.client.everything(), copy.deepcopy(lab.model)
        result = getattr(lab, command)(*words, **options)
        after = lab.server.client.everything()
        for state in tap.taken():
            if state not in (before, after):
                recover(lab, model, rescue, state, f"{command} {' '.join(words)}")
        lab.pass_time(0.7)
        return result

    first = watched("enqueue", "red", "a", key="k")
    watched("enqueue", "red", "b")
    watched("enqueue", "blue", "c", delay=5)
    watched("enqueue", "green", "d")
    for worker in ("w1", "w2", "w1"):
        watched("take", worker)
    watched("renew", "w1", first)
    watched("fail", "w1", first)
    lab.pass_time(12)
    watched("tick")
    watched("take", "w3")
    running = [job_id for job_id in lab.model.having("running")]
    watched("finish", lab.model.jobs[running[0]]["worker"], running[0])
    lab.pass_time(35)
    watched("tick")
    for worker in ("w1", "w2", "w3"):
        watched("take", worker)
    lab.pass_time(35)
    watched("tick")
    for _ in range(4):
        while (job_id := lab.take("w1")) is not None:
            lab.fail("w1", job_id)
        lab.pass_time(60)
        lab.tick()
    dead = lab.model.having("dead")
    watched("revive", dead[0])
    watched("take", "w2")
    lab.audit()


def recover(lab, model, rescue, state, what):
    """Goes on from a state that a crash has left, in a database of its own."""
    client, prefix = lab.server.client, lab.settings["prefix"]
    commands = [("SELECT", 1), ("FLUSHDB",), *(("RESTORE", name, 0, dump) for name, dump in state), ("SELECT", 0)]
    client.many(commands)
    done = set(model.having("done"))
    open_before = set(model.having("waiting", "later", "running"))
    dead = set(model.having("dead"))
    ended, now = [], lab.now
    for _ in range(5):
        now = round(now + 200, 3)
        rescue(now, "tick")
        for _ in range(40):
            job = rescue(now, "take", "rescue")
            if job is None:
                break
            answer = rescue(now, "finish", "rescue", job["id"])
            require(answer.get("held") is True, f"after a crash in `{what}`, {job['id']} can't be finished")
            ended.append(job["id"])
    client("SELECT", 1)
    contents = client.contents()
    client("SELECT", 0)
    require(len(ended) == len(set(ended)) and not done & set(ended), f"after a crash in `{what}` a job is done twice")
    for job_id in sorted(open_before | dead):
        status = contents.get(f"{prefix}:job:{job_id}", {}).get("state")
        fine = status == "done" or (status == "dead" and (job_id in dead or model.jobs[job_id]["attempts"] >= 3))
        require(fine, f"after a crash in `{what}`, {job_id} stays {status} for ever")
    slots = contents.get(f"{prefix}:slots", {})
    require(all(count == "0" for count in slots.values()), f"after a crash in `{what}` slots stay in use: {slots}")


@check
def cli():
    with Lab() as lab:
        base = ["python3", "-m", P["package"], "--config", str(lab.path), "--redis", lab.server.url()]
        job_id = lab.enqueue("blue", "a b")
        lab.take("w1")
        stranger = run_agent([*base, "--now", str(int(lab.now)), "finish", "w2", job_id])
        require(stranger.code == 3 and '"held": false' in stranger.out, f"finish by a stranger: {stranger.code} {stranger.out}")
        lab.finish("w1", job_id)
        show = run_agent([*base, "show", job_id])
        require(show.code == 0, f"show ends with {show.code}: {show.err[-300:]}")
        try:
            record = json.loads(show.out)
        except ValueError:
            record = None
        require(isinstance(record, dict) and record.get("state") == "done" and record.get("payload") == "a b", f"show prints {show.out[:200]}")
        stats = lab.session(lab.now, "stats")
        require(isinstance(stats, dict) and stats.get("done") == 1, f"stats prints {stats}")
        require(lab.session(lab.now, "show", "no-such-job") is None, "show of an unknown job is not null")


main()
