"""Counts for the dashboard."""


def counts(client, keys):
    with client.pipeline() as pipe:
        pipe.llen(keys.ready)
        pipe.zcard(keys.later)
        pipe.zcard(keys.leases)
        pipe.zcard(keys.done)
        pipe.zcard(keys.dead)
        pipe.hgetall(keys.slots)
        ready, later, running, done, dead, slots = pipe.execute()
    return {
        "waiting": ready,
        "later": later,
        "running": running,
        "done": done,
        "dead": dead,
        "slots": {name: int(count) for name, count in sorted(slots.items())},
    }
