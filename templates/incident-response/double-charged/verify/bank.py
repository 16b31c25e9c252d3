"""A gateway that lives in the check's own process; the agent's code reaches it through a relay."""

import decimal
import json
import pathlib
import socket
import threading

from trajforge_check import put

RELAY = """
import os, socket, sys
link = socket.socket(socket.AF_UNIX)
link.connect(sys.argv[1])
back = link.makefile("rb")
while True:
    line = sys.stdin.buffer.readline()
    if not line:
        break
    link.sendall(line)
    answer = back.readline()
    if not answer:
        break
    os.write(1, answer)
"""


MOST_REQUESTS = 3000


class Bank:
    """`plans` says for each reference how its first requests go; then everything succeeds.

    A plan is a list of ("timeout", made), ("short", captured), ("decline",) or ("ok",).
    A timeout that was made takes the item behind it with it: that is what was made.
    """

    def __init__(self, folder, plans=None):
        self.plans = {reference: list(plan) for reference, plan in (plans or {}).items()}
        self.charges, self.requests, self.wrong = [], [], []
        self.mutex = threading.Lock()
        self.hold_at, self.held, self.release = None, threading.Event(), threading.Event()
        self.hang_up_at = None
        self.sessions = 0
        relay, path = pathlib.Path(folder) / "relay.py", pathlib.Path(folder) / "gateway.sock"
        put(relay, RELAY)
        self.command = f"/usr/bin/env python3 -I -S {relay} {path}"
        self.server = socket.socket(socket.AF_UNIX)
        self.server.bind(str(path))
        path.chmod(0o777)
        self.server.listen(16)
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            link, _ = self.server.accept()
            self.sessions += 1
            threading.Thread(target=self.serve, args=(link, self.sessions), daemon=True).start()

    def serve(self, link, session):
        keys = {}
        stream = link.makefile("rwb")
        try:
            for line in stream:
                try:
                    request = json.loads(line)
                    answer = self.answer(request, session, keys)
                except (ValueError, KeyError, TypeError, AttributeError, ArithmeticError) as error:
                    self.wrong.append(f"a request that makes no sense: {line[:120]!r} ({error})")
                    answer = {"status": 400, "error": "the request makes no sense"}
                if answer is None:
                    break
                stream.write(json.dumps(answer).encode() + b"\n")
                stream.flush()
        except OSError:
            pass
        finally:
            stream.close()
            link.close()

    def answer(self, request, session, keys):
        with self.mutex:
            self.requests.append((session, request["reference"]))
            number = len(self.requests)
        if number == self.hang_up_at or number > MOST_REQUESTS:
            return None
        if number == self.hold_at:
            self.held.set()
            self.release.wait(20)
        with self.mutex:
            return self.decide(request, session, keys)

    def decide(self, request, session, keys):
        if request["do"] != "charge" or not isinstance(request["key"], str) or not request["key"]:
            raise ValueError("not a charge")
        plan = self.plans.get(request["reference"], [])
        if plan and plan[0][0] == "timeout":
            _, made = plan.pop(0)
            if made and request["key"] not in keys:
                keys[request["key"]] = self.make(request, session, plan.pop(0) if plan and plan[0][0] != "timeout" else ("ok",))
            return {"status": 504}
        if request["key"] not in keys:
            keys[request["key"]] = self.make(request, session, plan.pop(0) if plan else ("ok",))
        return keys[request["key"]]

    def make(self, request, session, how):
        if how[0] == "decline":
            self.plans[request["reference"]] = [("decline",)]
            return {"status": 402, "reason": "refused"}
        captured = how[1] if how[0] == "short" else request["amount"]
        charge = {
            "charge": f"ch_{len(self.charges) + 1:010x}",
            "reference": request["reference"],
            "customer": request["customer"],
            "amount": request["amount"],
            "currency": request["currency"],
            "captured": captured,
            "session": session,
            "full": decimal.Decimal(captured) >= decimal.Decimal(request["amount"]),
        }
        self.charges.append(charge)
        return {"status": 201, "charge": charge["charge"], "captured": captured}

    def standing(self):
        rows = {}
        for charge in self.charges:
            if charge["full"]:
                rows.setdefault(charge["reference"], []).append(charge)
        return rows
