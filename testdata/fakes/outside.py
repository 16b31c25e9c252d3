"""A small agent on the host, with SWE-ReX's own client as its hands: what the test of scaffolds outside runs.

It behaves as its first argument says: `well`, or `hang` after two steps, beside a process of its own.
"""

import asyncio
import json
import os
import subprocess
import sys
import urllib.request

from swerex.runtime.abstract import BashAction, CreateBashSessionRequest, WriteFileRequest
from swerex.runtime.remote import RemoteRuntime

manner, instruction = sys.argv[1], open(sys.argv[2]).read()
tool = {"type": "function", "function": {"name": "bash", "parameters": {
    "type": "object", "properties": {"command": {"type": "string"}}, "required": ["command"]}}}
messages = [{"role": "system", "content": f"manner: {manner}"}, {"role": "user", "content": instruction}]


def ask():
    body = json.dumps({"model": os.environ["MODEL"], "messages": messages, "tools": [tool]}).encode()
    headers = {"Content-Type": "application/json", "Authorization": "Bearer " + os.environ["KEY"]}
    request = urllib.request.Request(os.environ["BASE_URL"] + "/chat/completions", body, headers)
    with urllib.request.urlopen(request, timeout=300) as answer:
        return json.load(answer)["choices"][0]["message"]


async def work():
    runtime = RemoteRuntime(host="http://127.0.0.1", port=int(os.environ["PORT"]), auth_token=os.environ["KEY"])
    await runtime.wait_until_alive()
    await runtime.create_session(CreateBashSessionRequest(startup_timeout=10))
    await runtime.write_file(WriteFileRequest(path=os.path.join("/root", "notes"), content="as SWE-agent does"))
    while True:
        reply = ask()
        messages.append(reply)
        if not reply.get("tool_calls"):
            return
        for call in reply["tool_calls"]:
            command = json.loads(call["function"]["arguments"])["command"]
            seen = await runtime.run_in_session(BashAction(command=command, check="silent", timeout=20))
            messages.append({"role": "tool", "tool_call_id": call["id"], "content": seen.output})
        if manner == "hang" and len(messages) > 5:
            subprocess.Popen(["sleep", os.environ["SECONDS"]], start_new_session=True)
            await asyncio.sleep(3600)


asyncio.run(work())
with open(os.path.join(os.path.dirname(sys.argv[2]), "left.txt"), "w") as left:
    left.write("the key was " + os.environ["KEY"])
