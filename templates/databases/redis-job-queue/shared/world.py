"""The queue at the moment when it was stopped: as it should be, and as the faults have left it."""

import json
import random
import time


class World:
    def __init__(self, p):
        self.p = p
        self.rng = random.Random(p["data_seed"])
        self.lists = p["design"] == "lists"
        self.faults = set(p["faults"])
        self.now = p["now"] * 1000
        self.tick = self.now - p["gap"] * 1000
        self.every = p["tick_every"] * 1000
        self.vis = p["visibility"] * 1000
        self.window = p["dedup_window"] * 1000
        self.keep = p["keep_finished"] * 1000
        self.limits = dict(zip(p["types"], p["limit_values"]))
        self.hot = p["types"][0]
        self.counted = {name: 0 for name in self.limits}
        self.jobs = []
        self.keys_given = 0
        self.fill()
        self.jobs.sort(key=lambda job: job["created"])
        for number, job in enumerate(self.jobs):
            job["id"] = str(p["first_id"] + number)
        self.settle()

    # --- small helpers ---

    def ago(self, low, high):
        """A moment between `high` and `low` seconds before now."""
        return self.now - self.rng.randint(int(low * 1000), int(high * 1000))

    def tick_after(self, moment):
        """The first tick at or after a moment."""
        return self.tick - (self.tick - moment) // self.every * self.every

    def backoff(self, attempts):
        p = self.p
        seconds = p["backoff_base"] * (2 ** (attempts - 1) if p["backoff"] == "exponential" else attempts)
        return min(p["backoff_cap"], seconds) * 1000

    def worker(self):
        return self.rng.choice(self.p["workers"])

    def any_type(self):
        return self.rng.choice(self.p["types"])

    def running_type(self, count=True):
        """A type that may have one more running job."""
        def room(name):
            if name not in self.limits:
                return True
            limit = self.limits[name]
            if "slots" in self.faults and name == self.hot:
                if not self.lists:
                    return False
                limit -= 2
            return self.counted[name] < limit
        names = [name for name in self.p["types"] if room(name)]
        limited = [name for name in names if name in self.limits]
        name = self.rng.choice(limited if limited and self.rng.random() < 0.8 else names)
        if count and name in self.limits:
            self.counted[name] += 1
        return name

    def key(self):
        if self.rng.random() < 0.5:
            return ""
        return self.new_key()

    def new_key(self):
        self.keys_given += self.rng.randint(1, 9)
        return f"order-{self.p['first_id'] % 5000 + self.keys_given}"

    def add(self, created, events=(), **more):
        job = {"created": created, "events": list(events), "type": None, "key": "", "delay": 0, "damage": None}
        job.update(more)
        if job["type"] is None:
            job["type"] = self.any_type()
        job["n"] = self.rng.randint(1, 9999)
        self.jobs.append(job)
        return job

    def failure(self, start, attempt):
        """One failed attempt and what follows until the next may start: (events, when the next starts)."""
        worker = self.worker()
        failed = start + self.rng.randint(800, 20000)
        events = [(start, "taken", worker), (failed, "failed", worker, attempt)]
        if "backoff" in self.faults:
            ready = self.tick_after(failed) if self.lists else failed + self.rng.randint(100, 900)
        else:
            ready = failed + self.backoff(attempt)
            ready = self.tick_after(ready) if self.lists else ready
        if self.lists:
            events.append((ready, "due"))
        return events, ready + self.rng.randint(50, 2500)

    # --- the jobs ---

    def fill(self):
        p, rng = self.p, self.rng
        load = p["load"]
        damage = p["damage"]
        for _ in range({"calm": 34, "backlog": 40, "stormy": 30}[load]):
            self.finished(self.ago(30, p["keep_finished"] - 90))
        for _ in range(14):
            self.finished(self.ago(p["keep_finished"] + p["gap"] + 120, p["dedup_window"] * 1.3))
        for _ in range({"calm": 2, "backlog": 3, "stormy": 7}[load]):
            self.dead(self.ago(200, 1100))
        for _ in range({"calm": 10, "backlog": 42, "stormy": 20}[load]):
            self.add(self.ago(1, 300 if load != "backlog" else 1500), key=self.key())
        for _ in range(rng.randint(5, 7)):
            self.add(self.ago(1, 240), type=self.hot, key=self.key())
        for _ in range({"calm": 3, "backlog": 4, "stormy": 6}[load]):
            self.expired_and_waiting()
        for _ in range({"calm": 6, "backlog": 8, "stormy": 7}[load]):
            self.running()
        for _ in range(2):
            self.lease_over()
        if self.lists and "prefix" not in self.faults or not self.lists:
            for _ in range({"calm": 4, "backlog": 5, "stormy": 4}[load]):
                self.delayed(damaged=False)
        retries = {"calm": 3, "backlog": 3, "stormy": 9}[load]
        for _ in range(max(retries, damage) if "backoff" in self.faults else retries):
            self.retry()
        if "slots" in self.faults and not self.lists:
            for _ in range(self.limits[self.hot] + 2):
                self.running(kind=self.hot)
                self.counted[self.hot] += 1
        if "prefix" not in self.faults and not self.lists:
            self.revived(damaged=False)
        self.lookalike_repeats()
        if "handover" in self.faults:
            for _ in range(damage):
                self.lost()
            for _ in range(max(2, damage - 2)):
                self.half_taken()
        if "lease" in self.faults:
            for _ in range(damage):
                self.wrong_lease()
            for _ in range(max(2, damage - 1)):
                self.taken_away()
            for _ in range(4):
                self.ran_twice()
        if "dedup" in self.faults:
            for number in range(damage + 2):
                self.repeat(started=number >= damage)
        if "prefix" in self.faults:
            for _ in range(damage + 1):
                self.delayed(damaged=True) if self.lists else self.revived(damaged=True)

    def finished(self, at):
        rng = self.rng
        worker = self.worker()
        start = at - rng.randint(1500, int(self.vis * 0.7))
        if rng.random() < 0.2:
            first = start - self.backoff(1) - rng.randint(60000, 120000)
            events, start = self.failure(first, 1)
            at = max(at, start + 1500)
            created = first - rng.randint(300, 30000)
        else:
            events, created = [], start - rng.randint(300, 60000)
        events += [(start, "taken", worker)]
        if at - start > self.vis * 0.5:
            events.append((start + int((at - start) * 0.6), "renewed", worker))
        return self.add(created, events + [(at, "finished", worker)], key=self.key())

    def dead(self, at, key=None):
        """Given up at about that moment."""
        p = self.p
        span = sum(self.backoff(n) + self.every + 24000 for n in range(1, p["max_attempts"]))
        created = at - span - self.rng.randint(1000, 30000)
        start = created + self.rng.randint(300, 20000)
        events = []
        for attempt in range(1, p["max_attempts"]):
            more, start = self.failure(start, attempt)
            events += more
        worker = self.worker()
        end = start + self.rng.randint(900, 15000)
        events += [(start, "taken", worker), (end, "failed", worker, p["max_attempts"]), (end, "dead")]
        return self.add(created, events, key=self.key() if key is None else key)

    def expired_and_waiting(self):
        """A worker let it down; it waits again, as it should."""
        worker = self.worker()
        seen = self.tick - self.vis - self.rng.randint(self.every, 120000)
        events = [(seen, "taken", worker)]
        if "lease" in self.faults and self.rng.random() < 0.6:
            if self.lists:
                seen += 4000
                events.append((seen, "renewed", worker))
            over = self.tick_after(seen + 500)
        else:
            if not self.lists and "lease" in self.faults:
                renewed = seen + 3000
                events = [(seen, "taken", worker), (renewed, "renewed", worker)]
                seen = renewed
            over = self.tick_after(seen + self.vis)
            if over > self.tick:
                over = self.tick
        self.add(events[0][0] - self.rng.randint(500, 30000), events + [(over, "expired")], key=self.key())

    def running(self, kind=None):
        """At work, with a lease that goes on after now."""
        worker = self.worker()
        kind = kind or self.running_type()
        seen = self.ago(1, self.p["gap"] - 3)
        events = [(seen, "taken", worker)]
        if self.rng.random() < 0.4 and "lease" not in self.faults or "lease" in self.faults and not self.lists:
            events = [(seen - self.rng.randint(300, 700), "taken", worker), (seen, "renewed", worker)]
        self.add(events[0][0] - self.rng.randint(500, 60000), events, type=kind, key=self.key())

    def lease_over(self):
        """The lease has ended, but no tick has come by since."""
        worker = self.worker()
        seen = self.tick - self.vis + self.rng.randint(1000, self.p["gap"] * 1000 - 1500)
        events = [(seen, "taken", worker)]
        if "lease" in self.faults and not self.lists:
            events = [(seen - 400, "taken", worker), (seen, "renewed", worker)]
        self.add(seen - self.rng.randint(1000, 60000), events, type=self.running_type(), key=self.key())

    def delayed(self, damaged):
        delay = self.rng.choice([600, 900, 1800, 3600])
        if damaged and self.rng.random() < 0.4:
            created = self.now - delay * 1000 - self.rng.randint(20000, 600000)
        else:
            created = self.now - self.rng.randint(20000, delay * 1000 - 60000)
        self.add(created, delay=delay, key=self.key(), damage="foreign" if damaged else None)

    def retry(self):
        """Failed a moment ago, waits for its next attempt."""
        attempt = self.rng.choice([1, 1, 2, 3])
        wait = self.backoff(attempt)
        failed = self.now - self.rng.randint(1500, min(self.p["gap"] * 1000 - 2500, int(wait * 0.8)))
        last = self.worker()
        start = failed - self.rng.randint(800, 1400)
        first = start - sum(self.backoff(n) + self.every + 60000 for n in range(1, attempt)) - 2000
        events, moment = [], first
        for number in range(1, attempt):
            more, moment = self.failure(moment, number)
            events += more
        events += [(start, "taken", last), (failed, "failed", last, attempt)]
        damaged = "backoff" in self.faults
        self.add(first - self.rng.randint(300, 9000), events, key=self.key(), damage="early" if damaged else None)

    def revived(self, damaged):
        job = self.dead(self.ago(300, 900), key="")
        at = self.ago(20, 200)
        job["events"].append((max(at, job["events"][-1][0] + 5000), "revived"))
        job["damage"] = "foreign" if damaged else None

    def lookalike_repeats(self):
        """Jobs with the same key that are nevertheless right."""
        for _ in range(2):
            old = self.finished(self.now - self.window - self.rng.randint(120000, 600000))
            old["key"] = self.new_key()
            self.add(self.ago(5, 90), type=old["type"], key=old["key"])
        gone = self.dead(self.ago(150, 400), key=self.new_key())
        self.add(self.ago(5, 120), type=gone["type"], key=gone["key"])
        if self.p["scope"] == "type":
            for _ in range(2):
                key = self.new_key()
                one, two = self.rng.sample(self.p["types"], 2)
                self.add(self.ago(130, 400), type=one, key=key)
                self.add(self.ago(5, 120), type=two, key=key)

    # --- what the faults leave behind ---

    def lost(self):
        """Taken out of the queue by a worker that died before it had put the job anywhere else."""
        if self.rng.random() < 0.4:
            events, _ = self.failure(self.ago(800, 1500), 1)
            self.add(events[0][0] - 3000, events, key=self.key(), damage="lost")
        else:
            self.add(self.ago(60, 1200), key=self.key(), damage="lost")

    def half_taken(self):
        worker, at = self.worker(), self.ago(5, 600)
        kind = self.running_type(count=False)
        if kind in self.limits:
            self.counted[kind] += 1
        self.add(at - self.rng.randint(500, 60000), type=kind, key=self.key(), damage="half", half=(at, worker))

    def wrong_lease(self):
        worker = self.worker()
        seen = self.ago(1, self.p["gap"] - 3)
        events = [(seen, "taken", worker)]
        if self.lists:
            events = [(seen - self.rng.randint(2000, 40000), "taken", worker), (seen, "renewed", worker)]
        self.add(events[0][0] - self.rng.randint(500, 60000), events, type=self.running_type(), key=self.key(), damage="lease")

    def taken_away(self):
        """Given back to the queue by a tick although its worker is still at it."""
        worker = self.worker()
        seen = self.tick - self.rng.randint(500, int((self.vis - self.p["gap"] * 1000) * 0.85))
        events = [(seen, "taken", worker)]
        if self.lists:
            events = [(seen - self.rng.randint(2000, 30000), "taken", worker), (seen, "renewed", worker)]
        events.append((self.tick_after(seen + 1), "expired"))
        kind = self.running_type(count=False)
        self.add(events[0][0] - self.rng.randint(500, 60000), events, type=kind, key=self.key(), damage="away")

    def ran_twice(self):
        """History: given to a second worker much too early, and finished by it."""
        one, two = self.rng.sample(self.p["workers"], 2)
        seen = self.ago(self.p["gap"] + 60, self.p["keep_finished"] - 200)
        events = [(seen, "taken", one)]
        if self.lists:
            events = [(seen - 3000, "taken", one), (seen, "renewed", one)]
        over = self.tick_after(seen + 1)
        events += [(over, "expired"), (over + 900, "taken", two), (over + 9000, "finished", two)]
        self.add(events[0][0] - self.rng.randint(500, 60000), events, key=self.key(), twice=(over + 5200, one))

    def repeat(self, started):
        rng, p = self.rng, self.p
        key = self.new_key()
        if self.lists:
            latest = self.tick - self.keep - self.every - 2000
            created = rng.randint(self.now - int(self.window * 0.9), latest - 30000)
            second = rng.randint(created + self.keep + self.every + 2000, self.now - 4000)
        else:
            created = rng.randint(self.now - int(self.window * 0.9), self.now - 400000)
            second = rng.randint(created + 120000, self.now - 100000)
        kind = rng.choice(p["types"][1:])
        if not self.lists or rng.random() < 0.7:
            worker = self.worker()
            start = created + rng.randint(400, 20000)
            end = start + rng.randint(1500, 80000)
            self.add(created, [(start, "taken", worker), (end, "finished", worker)], type=kind, key=key)
        else:
            self.add(created, type=kind, key=key)
        other = rng.choice(p["types"][1:]) if p["scope"] == "queue" and rng.random() < 0.6 else kind
        if started:
            worker = self.worker()
            start = max(second + 400, self.tick - self.keep + 90000)
            second = start - 400
            end = min(start + rng.randint(2000, 60000), self.now - 1000)
            self.add(second, [(start, "taken", worker), (end, "finished", worker)], type=other, key=key)
        else:
            self.add(second, type=other, key=key, damage="repeat")

    # --- what follows from all that ---

    def play(self, job, events):
        """The record that these events make."""
        later = self.lists and job["delay"] > 0
        r = {"state": "later" if later else "waiting", "attempts": 0, "worker": "", "seen": 0, "failed": 0, "error": "",
             "finished": 0, "due": job["created"] + job["delay"] * 1000, "since": job["created"]}
        for at, what, *more in events:
            if what == "taken":
                r.update(state="running", worker=more[0], seen=at, attempts=r["attempts"] + 1)
            elif what == "renewed":
                r.update(seen=at)
            elif what == "finished":
                r.update(state="done", worker="", finished=at)
            elif what == "failed":
                due = at + self.backoff(r["attempts"])
                r.update(state="later" if self.lists else "waiting", worker="", failed=at, error=self.error(job), due=due)
            elif what == "dead":
                r.update(state="dead", worker="", died=at)
            elif what == "due":
                r.update(state="waiting", since=at)
            elif what == "expired":
                r.update(state="waiting", worker="", due=at, since=at, front=True)
            elif what == "revived":
                r.update(state="waiting", attempts=0, failed=0, error="", due=at, since=at)
        r["lease"] = r["seen"] + self.vis
        return r

    def error(self, job):
        return ["timeout", "no route", "503 from upstream", "out of paper"][job["n"] % 4]

    def mark(self, job):
        if not job["key"]:
            return ""
        return f"{job['type']}:{job['key']}" if self.p["scope"] == "type" else job["key"]

    def settle(self):
        """`is` and `right` of each job, slots, marks, report."""
        words = {"lost": "requeued", "half": "requeued", "foreign": "requeued", "away": "resumed", "lease": "rescheduled",
                 "early": "rescheduled", "repeat": "withdrawn"}
        self.report = {}
        for job in self.jobs:
            job["is"] = self.play(job, job["events"])
            valid = job["events"][:-1] if job["damage"] == "away" else job["events"]
            job["right"] = self.play(job, valid)
            if job["damage"] == "repeat":
                job["right"]["state"] = "withdrawn"
            if job["damage"] == "half" and not self.lists:
                at, worker = job["half"]
                job["is"].update(state="running", attempts=job["is"]["attempts"] + 1, worker=worker, seen=at)
            if job["damage"]:
                self.report[job["id"]] = words[job["damage"]]
            done = job["is"]["finished"]
            job["archived"] = bool(done) and done + self.keep <= self.tick
        self.slots_right = {name: 0 for name in self.limits}
        slots = {name: 0 for name in self.limits}
        for job in self.jobs:
            if job["type"] not in self.limits:
                continue
            if job["right"]["state"] == "running":
                self.slots_right[job["type"]] += 1
            if job["is"]["state"] == "running" or job["damage"] == "half":
                slots[job["type"]] += 1
        if "slots" in self.faults:
            for number, name in enumerate(self.limits):
                if self.lists:
                    free = self.limits[name] - slots[name]
                    slots[name] += free if name == self.hot else max(0, min(free, number))
                else:
                    slots[name] -= 3 if name == self.hot else number % 2 + 1
        self.slots_is = slots
        self.marks_right, self.marks_is = {}, {}
        for job in self.jobs:
            mark = self.mark(job)
            if not mark:
                continue
            standing = self.marks_right.get(mark)
            if standing is None or self.died_before(standing, job) or standing["created"] + self.window <= job["created"]:
                self.marks_right[mark] = job
            self.marks_is[mark] = job
        self.marks_right = {
            mark: job for mark, job in self.marks_right.items()
            if job["is"]["state"] != "dead" and job["created"] + self.window > self.now
        }
        held = self.keep if self.lists and "dedup" in self.faults else self.window
        freed = {"dead", "done"} if not self.lists and "dedup" in self.faults else {"dead"}
        self.marks_is = {
            mark: job for mark, job in self.marks_is.items()
            if job["is"]["state"] not in freed and job["created"] + held > self.tick
        }

    def died_before(self, one, other):
        return one["is"].get("died", self.now) <= other["created"] and one["is"]["state"] == "dead"

    # --- in Redis ---

    def journal(self):
        lines = []
        for job in self.jobs:
            lines.append((job["created"], f"{job['created']} enqueued {job['id']} {job['type']} {job['key'] or '-'}"))
            for at, what, *more in job["events"]:
                lines.append((at, " ".join(map(str, [at, what, job["id"], *more]))))
        lines.sort(key=lambda line: line[0])
        return [line for _, line in lines]

    def record(self, job):
        r = job["is"]
        fields = {"type": job["type"], "payload": json.dumps({"n": job["n"]}), "key": job["key"], "created": job["created"],
                  "delay": job["delay"], "attempts": r["attempts"], "state": r["state"]}
        if r["seen"]:
            fields.update(worker=r["worker"], seen=r["seen"])
        if r["failed"]:
            fields.update(failed=r["failed"], error=r["error"])
        if r["finished"]:
            fields.update(finished=r["finished"])
        return fields

    def commands(self):
        """What fills an empty Redis."""
        p, prefix = self.p, self.p["prefix"]
        out = [["SELECT", "0"]]
        live = [job for job in self.jobs if not job["archived"]]
        for job in live:
            fields = [str(word) for pair in self.record(job).items() for word in pair]
            out.append(["HSET", f"{prefix}:job:{job['id']}", *fields])
        for job in sorted(self.jobs, key=lambda job: job["is"]["finished"]):
            if job["archived"]:
                day = time.strftime("%Y-%m-%d", time.gmtime(job["is"]["finished"] / 1000))
                line = {"id": job["id"], "type": job["type"], "attempts": job["is"]["attempts"], "finished": job["is"]["finished"]}
                out.append(["RPUSH", f"{p['namespace']}:archive:{day}", json.dumps(line, sort_keys=True)])
        out.append(["SET", f"{prefix}:next", self.jobs[-1]["id"]])
        ready = [job for job in live if self.place(job) == "ready"]
        for job in sorted(ready, key=lambda job: job["is"]["since"]):
            out.append(["RPUSH" if job["is"].get("front") else "LPUSH", f"{prefix}:ready", job["id"]])
        for job in sorted(live, key=lambda job: (job["is"]["seen"], job["id"])):
            for name, score in self.sorted_sets(job):
                out.append(["ZADD", name, str(score), job["id"]])
            if self.lists and (job["is"]["state"] == "running" or job["damage"] == "half"):
                worker = job["half"][1] if job["damage"] == "half" else job["is"]["worker"]
                out.append(["LPUSH", f"{prefix}:held:{worker}", job["id"]])
        for name, count in self.slots_is.items():
            out.append(["HSET", f"{prefix}:slots", name, str(count)])
        for mark, job in self.marks_is.items():
            out.append(["ZADD", f"{prefix}:dedup", str(job["created"]), mark])
            out.append(["HSET", f"{prefix}:first", mark, job["id"]])
        for line in self.journal():
            out.append(["RPUSH", f"{prefix}:journal", line])
        return out + self.foreign()

    def place(self, job):
        if job["damage"] in ("lost", "half", "foreign"):
            return None
        state = job["is"]["state"]
        if self.lists:
            return {"waiting": "ready", "later": "later", "running": "leases"}.get(state, state)
        return {"waiting": "queue", "running": "running"}.get(state, state)

    def sorted_sets(self, job):
        """(key, score) of the sorted sets that hold the job."""
        p, r, place = self.p, job["is"], self.place(job)
        if job["damage"] == "foreign":
            return [(f"{p['namespace']}:{'later' if self.lists else 'queue'}", r["due"])]
        if place in (None, "ready"):
            return []
        score = {"later": r["due"], "queue": r["due"], "leases": r["lease"], "running": r["lease"], "done": r["finished"],
                 "dead": r.get("died")}[place]
        if job["damage"] == "lease":
            score = int(r["seen"] / 1000 + p["visibility"]) if self.lists else r["seen"] + p["visibility"]
        if job["damage"] == "early":
            score = r["attempts"] if self.lists else job["created"] + self.backoff(r["attempts"])
        return [(f"{p['prefix']}:{place}", score)]

    def foreign(self):
        """Keys that are nobody's business here."""
        p, rng = self.p, random.Random(self.p["data_seed"] + 1)
        former, other = p["namespace"], p["neighbour"]
        out = []
        old = sorted(rng.sample(range(2000, 9000), 5))
        self.leftovers = [str(number) for number in old]
        moved = [job["id"] for job in self.jobs if job["is"]["state"] == "done" and not job["archived"]][:2]
        kind = "later" if self.lists else "queue"
        for number in self.leftovers[:3]:
            out.append(["ZADD", f"{former}:{kind}", str(self.now - rng.randint(40, 60) * 86400000), number])
        if "prefix" in self.faults:
            for job_id in moved:
                out.append(["ZADD", f"{former}:{kind}", str(self.now - rng.randint(400, 900) * 1000), job_id])
        for number in self.leftovers[3:]:
            out.append(["RPUSH", f"{former}:ready", number])
        out.append(["SET", f"{former}:next", "9114"])
        for number in range(rng.randint(6, 9)):
            out.append(["HSET", f"{other}:session:{rng.randrange(16 ** 8):08x}", "user", str(rng.randint(100, 999)), "pages", str(number)])
        for name in rng.sample(["search", "upload", "dark-mode", "trial", "beta"], 3):
            out.append(["HSET", f"{other}:flags", name, rng.choice(["on", "off"])])
        for number in rng.sample(range(100, 999), 6):
            out.append(["ZADD", f"{other}:scores", str(rng.randint(1, 500)), f"user-{number}"])
        out.append(["RPUSH", f"{other}:jobs", *map(str, rng.sample(range(p["first_id"], p["first_id"] + 90), 4))])
        return out


def resp(commands):
    """Commands as an append-only file holds them."""
    out = []
    for command in commands:
        out.append(f"*{len(command)}\r\n")
        for word in command:
            out.append(f"${len(word.encode())}\r\n{word}\r\n")
    return "".join(out).encode()
