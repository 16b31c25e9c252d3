"""Names of the keys in Redis; docs/data.md says what they hold."""


class Keys:
    def __init__(self, prefix):
        self.prefix = prefix
        self.jobs = f"{prefix}:job:"
        self.next = f"{prefix}:next"
        self.ready = f"{prefix}:ready"
        self.later = f"{prefix}:later"
        self.leases = f"{prefix}:leases"
        self.done = f"{prefix}:done"
        self.dead = f"{prefix}:dead"
        self.slots = f"{prefix}:slots"
        self.dedup = f"{prefix}:dedup"
        self.first = f"{prefix}:first"
        self.journal = f"{prefix}:journal"

    def job(self, job_id):
        return self.jobs + job_id

    def held(self, worker):
        return f"{self.prefix}:held:{worker}"
