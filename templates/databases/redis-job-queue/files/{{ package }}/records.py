"""A job's record: one hash per job."""

from dataclasses import dataclass


@dataclass
class Job:
    id: str
    type: str
    payload: str
    key: str
    created: int
    delay: int
    state: str
    attempts: int
    worker: str = ""
    seen: int = 0
    failed: int = 0
    error: str = ""
    finished: int = 0

    def public(self):
        """What a worker gets to see."""
        return {"id": self.id, "type": self.type, "payload": self.payload, "attempt": self.attempts}


NUMBERS = ("created", "delay", "attempts", "seen", "failed", "finished")


def load(client, keys, job_id):
    """The job with that id, or None."""
    fields = client.hgetall(keys.job(job_id))
    if not fields:
        return None
    for name in NUMBERS:
        fields[name] = int(fields.get(name, 0))
    known = {name: fields[name] for name in Job.__dataclass_fields__ if name in fields}
    return Job(id=job_id, **known)
