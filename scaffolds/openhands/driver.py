"""Has an OpenHands agent-server on this machine's loopback work on one task, and keeps the events of the conversation.

Exit codes: 0 finished; 3 a limit was reached; 4 the agent stood still; 5 the model could not be asked; 6 anything else.
"""

import json
import os
import secrets
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from importlib import metadata
from pathlib import Path

FINISHED, LIMIT, STUCK, MODEL, BROKEN = 0, 3, 4, 5, 6
TOOLS = ["terminal", "file_editor", "task_tracker"]
# As OpenHands' own default has it: long tasks need it, though each summary is a call of its own.
CONDENSER = {"kind": "LLMSummarizingCondenser", "max_size": 80, "keep_first": 4}


class Server:
    """A server of our own, reached with a token that nobody else has."""

    def __init__(self, folder):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self.token = secrets.token_hex(16)
        places = {
            "SESSION_API_KEY": self.token,
            "OH_CONVERSATIONS_PATH": str(folder / "conversations"),
            "OH_BASH_EVENTS_DIR": str(folder / "bash_events"),
            "OH_ENABLE_VSCODE": "false",
            "OH_ENABLE_VNC": "false",
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        }
        # The agent's commands inherit the server's variables: they need not see the model's key.
        clean = {name: value for name, value in os.environ.items() if not name.startswith("TRAJFORGE_")}
        command = [sys.executable, "-m", "openhands.agent_server", "--host", "127.0.0.1", "--port", str(port)]
        with open(folder / "server.log", "wb") as log:
            self.process = subprocess.Popen(
                command, env=clean | places, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def ask(self, path, body=None):
        """One request and its answer."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"X-Session-API-Key": self.token, "Content-Type": "application/json"}
        request = urllib.request.Request(self.url + path, data=data, headers=headers)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    def wait(self, seconds):
        """Until it answers, or is dead, or the time is up."""
        until = time.monotonic() + seconds
        while time.monotonic() < until and self.process.poll() is None:
            try:
                self.ask("/health")
                return
            except (OSError, ValueError):
                time.sleep(0.1)
        raise RuntimeError("the agent-server did not start")

    def stop(self):
        """Ends it, with force if it has to be."""
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def request(task):
    """The conversation: one message, a cap on its rounds, no title."""
    llm = {"model": f"openai/{task['MODEL']}", "base_url": task["BASE_URL"], "api_key": task["API_KEY"]}
    llm |= {"num_retries": 2, "timeout": 600, "usage_id": "agent"}
    agent = {"kind": "Agent", "llm": llm, "tools": tools(task)}
    agent["condenser"] = CONDENSER | {"llm": llm | {"usage_id": "condenser"}}
    text = Path(task["INSTRUCTION"]).read_text()
    return {
        "agent": agent,
        "workspace": {"kind": "LocalWorkspace", "working_dir": task["WORKSPACE"]},
        "initial_message": {"role": "user", "content": [{"type": "text", "text": text}], "run": True},
        "max_iterations": int(task["STEPS"]),
        "autotitle": False,
    }


def tools(task):
    """The browser's tools on top, where a browser is there; what it writes for itself goes beside our files."""
    found = [{"name": name} for name in TOOLS]
    if task.get("BROWSER"):
        folder = Path(task["OUTPUT"]) / "browser"
        places = {"user_data_dir": str(folder / "profile"), "downloads_path": str(folder / "downloads")}
        found.append({"name": "browser_tool_set", "params": places})
    return found


def events(server, conversation):
    """All of them, in order."""
    found, page = [], ""
    while page is not None:
        answer = server.ask(f"/api/conversations/{conversation}/events/search?limit=100{page}")
        found += answer["items"]
        page = answer["next_page_id"] and f"&page_id={answer['next_page_id']}"
    return found


def keep(file, server, conversation, status):
    """What is known so far, whole or not at all."""
    version = metadata.version("openhands-agent-server")
    record = {"format": "openhands-events-1", "version": version, "status": status, "events": events(server, conversation)}
    part = file.with_suffix(".part")
    part.write_text(json.dumps(record, ensure_ascii=False))
    part.replace(file)
    return record["events"]


def code(status, seen):
    """What the end means."""
    if status == "finished":
        return FINISHED
    if status == "stuck":
        return STUCK
    errors = [event["code"] for event in seen if event["kind"] == "ConversationErrorEvent"]
    last = errors[-1] if errors else ""
    if last == "MaxIterationsReached":
        return LIMIT
    return MODEL if last.startswith("LLM") else BROKEN


def main():
    """Starts the server, waits for the conversation's end, keeps what happened."""
    task = {name.removeprefix("TRAJFORGE_"): value for name, value in os.environ.items()}
    output = Path(task["OUTPUT"])
    output.mkdir(parents=True, exist_ok=True)
    until = time.monotonic() + float(task["SECONDS"])
    server = Server(output)
    try:
        server.wait(120)
        conversation = server.ask("/api/conversations", request(task))["id"]
        status, known = "running", 0
        while status in ("idle", "running") and time.monotonic() < until:
            time.sleep(0.2)
            status = server.ask(f"/api/conversations/{conversation}")["execution_status"]
            # Kept as it grows: whoever runs out of time or patience kills this program.
            count = server.ask(f"/api/conversations/{conversation}/events/count")
            if count != known:
                keep(output / "events.json", server, conversation, status)
                known = count
        seen = keep(output / "events.json", server, conversation, status)
        errors = [event for event in seen if event["kind"] == "ConversationErrorEvent"]
        for error in errors:
            print(f"{error['code']}: {error['detail']}", file=sys.stderr)
        return LIMIT if status in ("idle", "running") else code(status, seen)
    except (OSError, RuntimeError, ValueError, KeyError) as error:
        detail = error.read().decode(errors="replace") if isinstance(error, urllib.error.HTTPError) else ""
        print(f"{type(error).__name__}: {error} {detail}", file=sys.stderr)
        return BROKEN
    finally:
        server.stop()


if __name__ == "__main__":
    sys.exit(main())
