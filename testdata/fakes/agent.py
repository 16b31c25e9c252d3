"""A small agent that misbehaves as its argument says: what the tests of external scaffolds run."""

import json
import os
import pathlib
import subprocess
import sys
import time
import urllib.error
import urllib.request

manner, instruction = sys.argv[1], pathlib.Path(sys.argv[2]).read_text()
tool = {"type": "function", "function": {"name": "bash", "parameters": {
    "type": "object", "properties": {"command": {"type": "string"}}, "required": ["command"]}}}
messages = [{"role": "system", "content": f"manner: {manner}"}, {"role": "user", "content": instruction}]


def ask():
    model = "no-such-model" if manner == "unknown-model" and len(messages) > 4 else os.environ["MODEL"]
    body = json.dumps({"model": model, "messages": messages, "tools": [tool]}).encode()
    headers = {"Content-Type": "application/json", "Authorization": "Bearer " + os.environ["KEY"]}
    request = urllib.request.Request(os.environ["BASE_URL"] + "/chat/completions", body, headers)
    with urllib.request.urlopen(request, timeout=300) as answer:
        return json.load(answer)["choices"][0]["message"]


def work():
    while True:
        try:
            reply = ask()
        except urllib.error.HTTPError as error:
            print("the model could not be asked:", error.code, error.read().decode(), file=sys.stderr)
            if manner == "deaf":
                time.sleep(0.05)
                continue
            if manner == "smooth":
                return
            sys.exit(1)
        messages.append(reply)
        if not reply.get("tool_calls"):
            return
        for call in reply["tool_calls"]:
            command = json.loads(call["function"]["arguments"])["command"]
            done = subprocess.run(["bash", "-c", command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            messages.append({"role": "tool", "tool_call_id": call["id"], "content": done.stdout})
        if manner == "hang" and len(messages) > 5:
            time.sleep(3600)
        if manner == "flood":
            for _ in range(4000):
                print("x" * 10000)


if manner == "crash":
    sys.exit("the agent has no configuration; its key is " + os.environ["KEY"])
if manner == "mute":
    sys.exit(0)
work()
if manner == "torn":
    pathlib.Path(sys.argv[3], "trajectory.json").write_text('{"messages": [')
if manner == "forks":
    subprocess.Popen(["bash", "-c", "while true; do echo again >> forked.txt; sleep 0.05; done"], start_new_session=True)
    while not pathlib.Path("forked.txt").exists():
        time.sleep(0.01)
