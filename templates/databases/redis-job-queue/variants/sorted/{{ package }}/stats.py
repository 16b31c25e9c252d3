"""Counts for the dashboard."""


def counts(client, keys):
    with client.pipeline() as pipe:
        pipe.zcard(keys.queue)
        pipe.zcard(keys.running)
        pipe.zcard(keys.done)
        pipe.zcard(keys.dead)
        pipe.hgetall(keys.slots)
        waiting, running, done, dead, slots = pipe.execute()
    return {
        "waiting": waiting,
        "running": running,
        "done": done,
        "dead": dead,
        "slots": {name: int(count) for name, count in sorted(slots.items())},
    }
