"""What docs/cli.md and docs/data.md promise, as a model that answers are held against."""

from trajforge_check import require


class Model:
    def __init__(self, settings, design, curve, scope):
        self.s = settings
        self.lists = design == "lists"
        self.curve = curve
        self.scope = scope
        self.jobs = {}
        self.marks = {}

    @classmethod
    def of(cls, world, settings):
        """The state in which a repair has to leave the queue."""
        p = world.p
        model = cls(settings, p["design"], p["backoff"], p["scope"])
        for job in world.jobs:
            if job["archived"]:
                continue
            right = job["right"]
            model.jobs[job["id"]] = {
                "type": job["type"], "payload": None, "state": right["state"], "attempts": right["attempts"],
                "worker": right["worker"], "seen": right["seen"], "due": right["due"], "ended": right["finished"] or right.get("died"),
                "mark": world.mark(job),
            }
        model.marks = {mark: (job["created"], job["id"]) for mark, job in world.marks_right.items()}
        return model

    def lease(self, job):
        return job["seen"] + self.s["visibility"] * 1000

    def backoff(self, n):
        factor = 2 ** (n - 1) if self.curve == "exponential" else n
        return min(self.s["backoff_base"] * factor, self.s["backoff_cap"]) * 1000

    def mark(self, kind, key):
        return key and (f"{kind}:{key}" if self.scope == "type" else key)

    def having(self, *states):
        return [job_id for job_id, job in self.jobs.items() if job["state"] in states]

    def room(self, kind):
        limit = self.s["limits"].get(kind)
        return limit is None or self.busy(kind) < limit

    def busy(self, kind):
        return sum(job["type"] == kind and job["state"] == "running" for job in self.jobs.values())

    def may_start(self, at):
        return {i for i in self.having("waiting", "later") if self.jobs[i]["due"] <= at and self.room(self.jobs[i]["type"])}

    def must_start(self, at):
        """Without the jobs that a tick has still to move."""
        return {i for i in self.may_start(at) if self.jobs[i]["state"] == "waiting"}

    def moments(self):
        """When something will happen by itself."""
        for job in self.jobs.values():
            if job["state"] == "running":
                yield self.lease(job)
            elif job["state"] in ("later", "waiting"):
                yield job["due"]

    # --- one method per command: does it, and holds the answer against the promise ---

    def enqueue(self, session, now, kind, payload, key="", delay=0):
        at, mark = round(now * 1000), self.mark(kind, key)
        options = ["--key", key] if key else []
        answer = session(now, "enqueue", kind, payload, *options, *(["--delay", delay] if delay else []))
        job_id = answer.get("id") if isinstance(answer, dict) else None
        require(isinstance(job_id, str), f"enqueue answers {answer}")
        since, first = self.marks.get(mark, (None, None)) if mark else (None, None)
        if since is not None and at < since + self.s["dedup_window"] * 1000:
            require(answer.get("created") is False, f"a repeat of {mark}, {(at - since) / 1000:.1f} s after the first, was accepted")
            require(job_id == first, f"a repeat of {mark} got {job_id} instead of {first}")
            return job_id
        require(answer.get("created") is True, f"a job with the mark {mark!r} was refused although no window is open")
        require(job_id not in self.jobs, f"the id {job_id} was given twice")
        state = "later" if self.lists and delay else "waiting"
        self.jobs[job_id] = {"type": kind, "payload": payload, "state": state, "attempts": 0, "worker": "", "seen": 0,
                             "due": at + delay * 1000, "ended": None, "mark": mark}
        if mark:
            self.marks[mark] = (at, job_id)
        return job_id

    def take(self, session, now, worker):
        at = round(now * 1000)
        answer = session(now, "take", worker)
        if answer is None:
            must = self.must_start(at)
            require(not must, f"take at {now:.1f} gives nothing although {len(must)} jobs may start, such as {sorted(must)[:3]}")
            return None
        require(isinstance(answer, dict) and {"id", "type", "payload", "attempt"} <= answer.keys(), f"take answers {answer}")
        job_id = answer["id"]
        job = self.jobs.get(job_id)
        require(job is not None, f"take hands out {job_id}, which has no business in the queue")
        if job_id not in self.may_start(at):
            require(job["state"] in ("waiting", "later"), f"take hands out {job_id}, which is {job['state']}")
            require(job["due"] <= at, f"{job_id} starts {(job['due'] - at) / 1000:.1f} s before it is due")
            require(False, f"{job_id} starts although all slots of {job['type']} are in use")
        job.update(state="running", worker=worker, seen=at, attempts=job["attempts"] + 1)
        require(answer["type"] == job["type"], f"{job_id} has changed its type")
        require(job["payload"] in (None, answer["payload"]), f"{job_id} has changed its payload")
        require(answer["attempt"] == job["attempts"], f"{job_id} is at attempt {answer['attempt']}, not {job['attempts']}")
        return job_id

    def holds(self, worker, job_id):
        job = self.jobs[job_id]
        return job["state"] == "running" and job["worker"] == worker

    def held(self, answer, command, worker, job_id):
        expected = self.holds(worker, job_id)
        require(isinstance(answer, dict) and answer.get("held") is expected,
                f"{command} {worker} {job_id} answers {answer}, but held is {expected}")
        return expected

    def renew(self, session, now, worker, job_id):
        if self.held(session(now, "renew", worker, job_id), "renew", worker, job_id):
            self.jobs[job_id]["seen"] = round(now * 1000)

    def finish(self, session, now, worker, job_id):
        if self.held(session(now, "finish", worker, job_id), "finish", worker, job_id):
            self.jobs[job_id].update(state="done", worker="", ended=round(now * 1000))

    def fail(self, session, now, worker, job_id):
        at, job = round(now * 1000), self.jobs[job_id]
        answer = session(now, "fail", worker, job_id, "it broke")
        if not self.held(answer, "fail", worker, job_id):
            return
        if job["attempts"] >= self.s["max_attempts"]:
            self.bury(job_id, at)
        else:
            job.update(state="later" if self.lists else "waiting", worker="", due=at + self.backoff(job["attempts"]))
        require(answer.get("dead") is (job["state"] == "dead"), f"fail of {job_id} at attempt {job['attempts']} answers {answer}")

    def bury(self, job_id, at):
        job = self.jobs[job_id]
        job.update(state="dead", worker="", ended=at)
        if self.marks.get(job["mark"], (0, None))[1] == job_id:
            del self.marks[job["mark"]]

    def tick(self, session, now):
        at = round(now * 1000)
        session(now, "tick")
        for job_id in self.having("running"):
            job = self.jobs[job_id]
            if self.lease(job) > at:
                continue
            if job["attempts"] >= self.s["max_attempts"]:
                self.bury(job_id, at)
            else:
                job.update(state="waiting", worker="", due=at)
        for job_id in self.having("later"):
            if self.jobs[job_id]["due"] <= at:
                self.jobs[job_id]["state"] = "waiting"
        for job_id in self.having("done"):
            if self.jobs[job_id]["ended"] + self.s["keep_finished"] * 1000 <= at:
                del self.jobs[job_id]

    def revive(self, session, now, job_id):
        answer, job = session(now, "revive", job_id), self.jobs[job_id]
        require(isinstance(answer, dict) and answer.get("revived") is (job["state"] == "dead"), f"revive {job_id} answers {answer}")
        if job["state"] == "dead":
            job.update(state="waiting", attempts=0, due=round(now * 1000), ended=None)

    # --- what Redis holds ---

    def audit(self, contents, now):
        """Holds the keys against docs/data.md: every id in its place once, with the right time; counters; marks."""
        at, prefix = round(now * 1000), self.s["prefix"]
        sets = ("later", "leases", "done", "dead") if self.lists else ("queue", "running", "done", "dead")
        found = {}
        for name in sets:
            for job_id, score in contents.get(f"{prefix}:{name}", {}).items():
                found.setdefault(job_id, []).append((name, score))
        for name in contents:
            if self.lists and (name == f"{prefix}:ready" or name.startswith(f"{prefix}:held:")):
                for job_id in contents[name]:
                    found.setdefault(job_id, []).append((name[len(prefix) + 1:], None))
        strange = sorted(found.keys() - self.jobs.keys())
        require(not strange, f"ids without a job in the queue's keys: {strange[:5]}")
        for job_id, job in self.jobs.items():
            record = contents.get(f"{prefix}:job:{job_id}")
            require(isinstance(record, dict), f"the record of {job_id} is gone")
            self.audit_job(job_id, job, record, sorted(found.get(job_id, []), key=lambda place: place[0]), at)
        slots = contents.get(f"{prefix}:slots", {})
        for kind in self.s["limits"]:
            require(slots.get(kind, "0") == str(self.busy(kind)), f"slots of {kind} say {slots.get(kind)}, {self.busy(kind)} are running")
        self.audit_marks(contents.get(f"{prefix}:dedup", {}), contents.get(f"{prefix}:first", {}), at)

    def audit_job(self, job_id, job, record, places, at):
        state = record.get("state")
        moved = job["state"] == "later" and state == "waiting" and job["due"] <= at
        require(state == job["state"] or moved, f"{job_id} is recorded as {state}, but is {job['state']}")
        require(record.get("attempts", "0") == str(job["attempts"]), f"{job_id} has {record.get('attempts')} attempts, not {job['attempts']}")
        names = [name for name, _ in places]
        scores = {name: score for name, score in places if score is not None}
        if state == "running":
            require(record.get("worker") == job["worker"], f"{job_id} is recorded at {record.get('worker')!r}, not {job['worker']}")
            wanted = [f"held:{job['worker']}", "leases"] if self.lists else ["running"]
        else:
            home = {"waiting": "ready" if self.lists else "queue"}.get(state, state)
            wanted = [] if state == "withdrawn" else [home]
        require(names == wanted, f"{job_id} ({state}) is in {names or 'no place'}, not in {wanted or 'no place'}")
        for name, score in scores.items():
            if name in ("leases", "running"):
                require(abs(score - self.lease(job)) <= 1, f"the lease of {job_id} is off by {score - self.lease(job):.0f} ms")
            elif name in ("later", "queue"):
                right = abs(score - job["due"]) <= 1 or (job["due"] <= at and score <= at)
                require(right, f"{job_id} is due {score - job['due']:.0f} ms from when it should be")

    def audit_marks(self, dedup, first, at):
        window = self.s["dedup_window"] * 1000
        for mark, (since, job_id) in self.marks.items():
            if since + window > at:
                require(mark in dedup, f"the mark {mark} is forgotten {(since + window - at) / 1000:.0f} s early")
                require(abs(dedup[mark] - since) <= 1, f"the mark {mark} stands since the wrong moment")
                require(first.get(mark) == job_id, f"the mark {mark} leads to {first.get(mark)}, not to {job_id}")
        for mark, since in dedup.items():
            known = self.marks.get(mark)
            ours = known is not None and known[0] + window > at
            require(ours or since + window <= at, f"the mark {mark} is taken, but should be free")
