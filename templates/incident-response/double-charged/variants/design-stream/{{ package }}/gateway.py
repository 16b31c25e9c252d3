"""Client of the payment gateway: one JSON object a line, see docs/gateway.md."""

import json
import shlex
import subprocess
from typing import NamedTuple, Optional

from . import money

CREATED = 201
DECLINED = 402
TIMEOUT = 504


class GatewayGone(Exception):
    """The gateway ended the session or talks nonsense."""


class Reply(NamedTuple):
    status: int
    charge: Optional[str] = None
    captured: Optional[str] = None


class Gateway:
    """One session with the gateway."""

    def __init__(self, command):
        self.requests = 0
        self.process = subprocess.Popen(
            shlex.split(command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()

    def charge(self, key, operation):
        return self._send(
            {
                "do": "charge",
                "key": key,
                "reference": operation.id,
                "customer": operation.customer,
                "amount": money.to_text(operation.amount, operation.currency),
                "currency": operation.currency,
            }
        )

    def _send(self, message):
        self.requests += 1
        try:
            self.process.stdin.write(json.dumps(message) + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise GatewayGone("the session ended")
        reply = json.loads(line)
        if reply["status"] not in (CREATED, DECLINED, TIMEOUT):
            raise GatewayGone(f"{reply['status']}: {reply.get('error', 'no reason given')}")
        return Reply(reply["status"], reply.get("charge"), reply.get("captured"))
