"""What the reporting team reads: finished jobs, one JSON line each, in a list per day.

Their loader knows these lists by the queue's former name, which is why it has a setting of its own.
"""

import json
import time


def push(pipe, settings, job):
    day = time.strftime("%Y-%m-%d", time.gmtime(job.finished / 1000))
    line = {"id": job.id, "type": job.type, "attempts": job.attempts, "finished": job.finished}
    pipe.rpush(f"{settings.namespace}:archive:{day}", json.dumps(line, sort_keys=True))
