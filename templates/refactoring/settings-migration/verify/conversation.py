"""Talks to a command that runs on: writes files, sends a line, waits for the answer; a JSON list of answers to stdout."""

import json
import pathlib
import signal
import subprocess
import sys

signal.alarm(25)
request = json.load(sys.stdin)
process = subprocess.Popen(request["command"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
answers = []
for files, line in request["turns"]:
    for path, text in files.items():
        pathlib.Path(path).write_text(text)
    try:
        process.stdin.write(line + "\n")
        process.stdin.flush()
    except BrokenPipeError:
        break
    answers.append(process.stdout.readline().rstrip("\n"))
process.kill()
print(json.dumps(answers))
