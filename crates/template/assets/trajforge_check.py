"""Hidden checks in Python: what a template's verify/ files import. Laid at /verify by trajforge.

A check is a function; it passes by returning and fails by raising Failed (use require()).
The agent's code is never imported here: it is run as the agent's user, in a process of its own.

    from trajforge_check import Failed, check, main, params, require, run_agent

    @check
    def totals():
        done = run_agent(["python3", "-m", "shop", "report"], timeout=20)
        require(done.code == 0, f"report ended with {done.code}: {done.err[-300:]}")
        require(done.out.split() == expected(), "the totals are wrong")

    main()

Exit codes: 0 passed, 1 failed, 3 the check itself is broken (an exception that is not Failed).
"""

import json
import os
import pathlib
import select
import shutil
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
WORKSPACE = pathlib.Path(os.environ.get("WORKSPACE", "/workspace"))
OUTPUT_LIMIT = 4_000_000
# Characters of a check's own output that reach its record.
REPORTED = 4_000
# Where the agent's Python programs keep what they compile: outside the workspace, and once for all checks.
BYTECODE = "/dev/shm/.agent-bytecode"
# Found once, on the verifier's own PATH: the agent's code gets another one.
AS_AGENT = shutil.which("as-agent") or "as-agent"

_checks = {}


class Failed(Exception):
    """The agent's work does not hold."""


class Done:
    """A process of the agent's code that has ended: exit code (124 after a timeout), stdout, stderr."""

    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err


def params():
    """The task's parameters, as drawn from the seed."""
    return json.loads((HERE / "params.json").read_text())["parameters"]


def check(function):
    """Registers a check under its function's name."""
    _checks[function.__name__] = function
    return function


def require(condition, message):
    """Fails the check with a message unless the condition holds."""
    if not condition:
        raise Failed(message)


def run_agent(command, timeout=30, input=None, cwd=None, env=None):
    """Runs the agent's code as the agent's user, with the task's variables and those of env and no others.

    A string goes through bash. Never raises for what that code does.
    """
    if isinstance(command, str):
        command = ["bash", "-c", command]
    variables = {"PYTHONPYCACHEPREFIX": BYTECODE, "PYTHONHASHSEED": "0", **(env or {})}
    assignments = [f"{name}={value}" for name, value in variables.items()]
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = subprocess.Popen(
            [AS_AGENT, *assignments, *map(str, command)],
            stdin=subprocess.PIPE if input is not None else subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            cwd=str(cwd or WORKSPACE),
            start_new_session=True,
        )
        try:
            process.communicate(input.encode() if isinstance(input, str) else input, timeout=timeout)
            code = process.returncode
        except subprocess.TimeoutExpired:
            code = 124
        finally:
            try:
                os.killpg(process.pid, 9)
            except (ProcessLookupError, PermissionError):
                pass
            process.wait()
        return Done(code, _text(out), _text(err))


def _text(stream):
    stream.seek(0)
    return stream.read(OUTPUT_LIMIT).decode("utf-8", "replace")


def scratch(copy_workspace=False, in_memory=False):
    """A fresh folder that belongs to the agent's user; with copy_workspace, a copy of the workspace.

    With in_memory it has room for some 60 MB, commits of a database cost nothing there, and no file can be executed.
    """
    folder = pathlib.Path(tempfile.mkdtemp(prefix="check-", dir="/dev/shm" if in_memory else None))
    if copy_workspace:
        target = folder / "workspace"
        shutil.copytree(WORKSPACE, target, symlinks=True, ignore_dangling_symlinks=True)
    os.chown(folder, 1000, 1000)
    for place, folders, files in os.walk(folder) if copy_workspace else ():
        for name in folders + files:
            os.chown(os.path.join(place, name), 1000, 1000, follow_symlinks=False)
    return folder / "workspace" if copy_workspace else folder


def put(path, content):
    """Writes a file that the agent's user owns and may read, for use as hidden input; folders that it needs are made."""
    path = pathlib.Path(path)
    missing = [folder for folder in path.parents if not folder.exists()]
    path.parent.mkdir(parents=True, exist_ok=True)
    for folder in missing:
        os.chown(folder, 1000, 1000)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    os.chown(path, 1000, 1000)


def read(path, limit=8_000_000):
    """The text of a file of the workspace; fails the check where it is missing, no regular file, or too large."""
    path = WORKSPACE / path
    require(not path.is_symlink() and path.is_file(), f"{path} is missing or is no regular file")
    require(path.stat().st_size <= limit, f"{path} is larger than {limit} bytes")
    return path.read_bytes().decode("utf-8", "replace")


def main():
    """Runs the checks that the command line names, or all of them; with --each, as trajforge asks for them."""
    if sys.argv[1:2] == ["--each"]:
        for name, _, seconds in (argument.partition("=") for argument in sys.argv[2:]):
            print(json.dumps({"name": name, **_apart(name, float(seconds))}), flush=True)
        return
    status = max((_run(name) for name in sys.argv[1:] or list(_checks)), default=0)
    sys.stdout.flush()
    sys.exit(status)


def _run(name):
    try:
        _checks[name]()
        print(f"{name}: passed")
        return 0
    except Failed as failure:
        print(f"{name}: {failure}")
        return 1
    except Exception:
        import traceback

        traceback.print_exc(file=sys.stdout)
        return 3


def _apart(name, seconds):
    """Runs a check in a process of its own, forked from this one: its exit code (None after a timeout), output, seconds."""
    output = os.memfd_create(name)
    started = time.monotonic()
    child = os.fork()
    if child == 0:
        os.setsid()
        os.dup2(output, 1)
        os.dup2(output, 2)
        status = 3
        try:
            status = _run(name)
            sys.stdout.flush()
        finally:
            os._exit(status)
    ended = select.poll()
    ended.register(os.pidfd_open(child), select.POLLIN)
    in_time = ended.poll(seconds * 1000)
    if not in_time:
        os.killpg(child, 9)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    text = os.pread(output, OUTPUT_LIMIT, 0).decode("utf-8", "replace")
    os.close(output)
    if len(text) > REPORTED:
        text = f"{text[: REPORTED // 4]}\n[...]\n{text[-REPORTED * 3 // 4 :]}"
    return {"exit_code": status if in_time else None, "output": text, "seconds": time.monotonic() - started}
