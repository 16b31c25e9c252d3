"""The session with the payment gateway: JSON lines, see docs/gateway.md."""

import json
import shlex
import subprocess

from . import currency


class SessionEnded(Exception):
    """The gateway is gone, or says something that we can't act on."""


class Session:
    def __init__(self, command):
        self.sent = 0
        self.child = subprocess.Popen(
            shlex.split(command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def close(self):
        self.child.stdin.close()
        self.child.stdout.close()
        self.child.wait()

    def charge(self, key, operation):
        """The gateway's answer as a dictionary."""
        amount = currency.decimal_text(operation.amount, operation.currency)
        request = dict(
            do="charge",
            key=key,
            reference=operation.id,
            customer=operation.customer,
            amount=amount,
            currency=operation.currency,
        )
        self.sent += 1
        try:
            print(json.dumps(request), file=self.child.stdin, flush=True)
        except BrokenPipeError as error:
            raise SessionEnded("the session ended") from error
        answer = self.child.stdout.readline()
        if not answer:
            raise SessionEnded("the session ended")
        return json.loads(answer)
