"""Names of the keys in Redis; docs/data.md says what they hold."""


class Keys:
    def __init__(self, prefix):
        self.next = f"{prefix}:next"
        self.queue = f"{prefix}:queue"
        self.running = f"{prefix}:running"
        self.done = f"{prefix}:done"
        self.dead = f"{prefix}:dead"
        self.slots = f"{prefix}:slots"
        self.dedup = f"{prefix}:dedup"
        self.first = f"{prefix}:first"
        self.journal = f"{prefix}:journal"
        self.jobs = f"{prefix}:job:"

    def job(self, job_id):
        return self.jobs + job_id
