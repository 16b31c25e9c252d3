#!/usr/bin/env python3
"""A gateway to try things with: docs/gateway.md."""

import argparse
import decimal
import json
import os
import sys
import time


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--book", required=True)
    parser.add_argument("--timeout-every", type=int, default=0)
    parser.add_argument("--lose-every", type=int, default=0)
    parser.add_argument("--short-every", type=int, default=0)
    parser.add_argument("--delay-ms", type=int, default=0)
    args = parser.parse_args()

    answers = {}
    count = 0
    for line in sys.stdin:
        request = json.loads(line)
        time.sleep(args.delay_ms / 1000)
        key = request.get("key")
        answer = answers.get(key)
        if request.get("do") != "charge" or not key:
            answer = {"status": 400, "error": "not a charge"}
        elif answer is None:
            count += 1
            answer = handle(request, count, args, answers)
        print(json.dumps(answer), flush=True)


def nth(count, every):
    return every > 0 and count % every == 0


def handle(request, count, args, answers):
    if request["customer"].endswith("00"):
        answers[request["key"]] = {"status": 402, "reason": "refused"}
        return answers[request["key"]]
    if nth(count, args.lose_every):
        return {"status": 504}
    captured = decimal.Decimal(request["amount"])
    if nth(count, args.short_every):
        captured -= decimal.Decimal((0, (1,), captured.as_tuple().exponent))
    charge = f"ch_sim{os.getpid():x}{count:04d}"
    with open(args.book, "a", encoding="utf-8") as book:
        book.write(json.dumps({**request, "charge": charge, "captured": str(captured)}) + "\n")
    answers[request["key"]] = {"status": 201, "charge": charge, "captured": str(captured)}
    return {"status": 504} if nth(count, args.timeout_every) else answers[request["key"]]


if __name__ == "__main__":
    main()
