"""A scaffold in Python: tool calling, standard library only.

Each line on standard input and standard output is one JSON object. Words for people go to standard error: what is printed
is taken for a message.
"""

import json
import sys
import urllib.request

SYSTEM = """You are an experienced engineer at work in a Linux sandbox. The work lies in {workspace}. Act by calling tools,
one step at a time; look before you change anything. When the work is done and verified, call `submit`."""
NUDGE = "Your reply called no tool. Go on by calling one; if the work is done and verified, call `submit`."


def say(**message):
    print(json.dumps(message), flush=True)


def hear():
    """The next line; ends the program when there is none, or when nothing more is wanted."""
    line = sys.stdin.readline()
    message = json.loads(line) if line else {"type": "stop"}
    if message["type"] == "stop":
        sys.exit(0)
    return message


def ask(model, messages, tools):
    """The model's reply, through the gateway; a refusal ends the program, and the rollout knows why."""
    body = {"model": model["name"], "messages": messages, "tools": tools, "max_tokens": model["output_tokens"]}
    request = urllib.request.Request(
        model["base_url"] + "/chat/completions",
        data=json.dumps(body).encode(),
        headers={"content-type": "application/json", "authorization": "Bearer " + model["key"]},
    )
    with urllib.request.urlopen(request, timeout=600) as response:
        return json.load(response)["choices"][0]["message"]


def act(call):
    """Has one call carried out; gives what the model is to see."""
    name, arguments = call["function"]["name"], call["function"]["arguments"]
    try:
        fields = json.loads(arguments or "{}")
    except ValueError as error:
        return f"the arguments are no JSON: {error}"
    say(type="action", action={**fields, "type": name}, tool_call_id=call["id"])
    return hear()["text"]


def main():
    task = hear()
    say(type="ready", protocol=task["protocol"])
    messages = [
        {"role": "system", "content": SYSTEM.format(workspace=task["workspace"])},
        {"role": "user", "content": task["instruction"]},
    ]
    while True:
        reply = ask(task["model"], messages, task["tools"])
        messages.append(reply)
        for call in reply.get("tool_calls") or []:
            messages.append({"role": "tool", "tool_call_id": call["id"], "content": act(call)})
        if not reply.get("tool_calls"):
            messages.append({"role": "user", "content": NUDGE})


main()
