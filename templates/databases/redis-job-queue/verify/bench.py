"""Redis servers, the agent's command line in batch mode, and a wire between the two that can be looked into."""

import json
import os
import pathlib
import select
import shlex
import shutil
import socket
import subprocess
import tempfile
import threading
import time

from trajforge_check import AS_AGENT, WORKSPACE, Failed, params, require

AGENT = 1000


def encode(words):
    out = [b"*%d\r\n" % len(words)]
    for word in words:
        word = word if isinstance(word, bytes) else str(word).encode()
        out.append(b"$%d\r\n%s\r\n" % (len(word), word))
    return b"".join(out)


class Wire:
    """One end of a conversation in Redis's protocol."""

    def __init__(self, sock):
        self.sock = sock
        self.file = sock.makefile("rb")

    def line(self):
        line = self.file.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("closed")
        return line

    def raw(self):
        """One message, as bytes."""
        line = self.line()
        kind, rest = line[:1], line[1:-2]
        if kind == b"$" and int(rest) >= 0:
            return line + self.file.read(int(rest) + 2)
        if kind == b"*" and int(rest) >= 0:
            return line + b"".join(self.raw() for _ in range(int(rest)))
        return line

    def value(self):
        """One message, as a value; errors are raised."""
        line = self.line()
        kind, rest = line[:1], line[1:-2]
        if kind == b"-":
            raise RuntimeError(rest.decode())
        if kind == b":":
            return int(rest)
        if kind == b"$":
            return self.file.read(int(rest) + 2)[:-2] if int(rest) >= 0 else None
        if kind == b"*":
            return [self.value() for _ in range(int(rest))] if int(rest) >= 0 else None
        return rest


class Client:
    def __init__(self, path):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(str(path))
        self.wire = Wire(self.sock)

    def many(self, commands):
        """The replies of a list of commands."""
        self.sock.sendall(b"".join(encode(words) for words in commands))
        return [self.wire.value() for _ in commands]

    def __call__(self, *words):
        return self.many([words])[0]

    def text(self, *words):
        return plain(self(*words))

    def everything(self):
        """Each key's name and its dump: equal states have equal values."""
        names = sorted(self("KEYS", "*"))
        return tuple(zip(names, self.many([("DUMP", name) for name in names])))

    def contents(self):
        """Each key's name and what it holds."""
        names = sorted(self("KEYS", "*"))
        kinds = self.many([("TYPE", name) for name in names])
        how = {
            b"string": lambda name: ("GET", name),
            b"list": lambda name: ("LRANGE", name, 0, -1),
            b"hash": lambda name: ("HGETALL", name),
            b"zset": lambda name: ("ZRANGE", name, 0, -1, "WITHSCORES"),
            b"set": lambda name: ("SMEMBERS", name),
        }
        known = [(name, kind) for name, kind in zip(names, kinds) if kind in how]
        values = self.many([how[kind](name) for name, kind in known])
        return {name.decode("utf-8", "replace"): shaped(kind, value) for (name, kind), value in zip(known, values)}


def plain(value):
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value


def shaped(kind, value):
    value = plain(value)
    if kind == b"hash":
        return dict(zip(value[::2], value[1::2]))
    if kind == b"zset":
        return {name: float(score) for name, score in zip(value[::2], value[1::2])}
    if kind == b"set":
        return set(value)
    return value


class Server:
    """A redis-server of our own, possibly on a copy of the live data."""

    def __init__(self, data=None):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="redis-"))
        self.socket = self.folder / "redis.sock"
        if data:
            require(pathlib.Path(data).is_dir(), f"{data} is gone")
            shutil.copytree(data, self.folder / "data", ignore=lambda _, names: [n for n in names if n.endswith(".sock")])
        else:
            (self.folder / "data").mkdir()
        subprocess.run(["chown", "-R", "-h", f"{AGENT}:{AGENT}", str(self.folder)], check=True)
        options = ["--port", "0", "--unixsocket", self.socket, "--unixsocketperm", "777", "--dir", self.folder / "data",
                   "--save", "", "--appendonly", "yes" if data else "no", "--databases", "4"]
        self.process = subprocess.Popen(
            [AS_AGENT, "redis-server", *map(str, options)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            stdin=subprocess.DEVNULL, cwd="/",
        )
        self.client = self.connected()

    def connected(self):
        deadline = time.monotonic() + 15
        while time.monotonic() < deadline:
            require(self.process.poll() is None, "Redis does not start on the data that was left behind")
            try:
                client = Client(self.socket)
                client("DBSIZE")
                return client
            except (OSError, RuntimeError):
                time.sleep(0.005)
        raise Failed("Redis does not come up on the data that was left behind")

    def url(self, database=0):
        return f"unix://{self.socket}?db={database}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


class Tap:
    """Stands between a client and a server; remembers the server's state after every single command."""

    def __init__(self, server):
        self.server = server
        self.path = server.folder / "tap.sock"
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(self.path))
        os.chmod(self.path, 0o777)
        self.listener.listen(8)
        self.look = Client(server.socket)
        self.states = []
        threading.Thread(target=self.accept, daemon=True).start()

    def url(self):
        return f"unix://{self.path}?db=0"

    def accept(self):
        while True:
            sock, _ = self.listener.accept()
            threading.Thread(target=self.relay, args=(sock,), daemon=True).start()

    def relay(self, sock):
        near, far = Wire(sock), socket.socket(socket.AF_UNIX)
        far.connect(str(self.server.socket))
        back = Wire(far)
        try:
            while True:
                far.sendall(near.raw())
                reply = back.raw()
                self.states.append(self.look.everything())
                sock.sendall(reply)
        except (OSError, ValueError):
            far.close()

    def taken(self):
        """The states since the last call, without repetitions, in order."""
        states, self.states = self.states, []
        return list(dict.fromkeys(states))


CONFIG = """[queue]
redis = unix:///nowhere.sock
prefix = {prefix}
visibility = {visibility}
backoff_base = {backoff_base}
backoff_cap = {backoff_cap}
dedup_window = {dedup_window}
keep_finished = {keep_finished}
max_attempts = {max_attempts}

[limits]
{limits}

[archive]
namespace = {namespace}
"""


def config(folder, settings):
    path = pathlib.Path(folder) / "checked.ini"
    limits = "\n".join(f"{name} = {count}" for name, count in settings["limits"].items())
    path.write_text(CONFIG.format(**{**settings, "limits": limits}))
    path.chmod(0o644)
    return path


class Session:
    """The agent's `batch` command, line by line."""

    def __init__(self, url, settings_path):
        command = [AS_AGENT, "PYTHONHASHSEED=0", "python3", "-m", params()["package"], "--config", settings_path, "--redis", url, "batch"]
        self.complaints = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            list(map(str, command)), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.complaints, cwd=str(WORKSPACE),
            start_new_session=True,
        )
        self.rest = b""

    def __call__(self, now, *words):
        line = " ".join([f"{now:.3f}", *(shlex.quote(str(word)) for word in words)])
        try:
            self.process.stdin.write(line.encode() + b"\n")
            self.process.stdin.flush()
        except OSError:
            raise Failed(f"batch has ended: {self.last_words()}") from None
        answer = self.answer(line)
        require(not (isinstance(answer, dict) and "error" in answer and "id" not in answer), f"`{line}` says {answer}")
        return answer

    def answer(self, line):
        deadline = time.monotonic() + 15
        while b"\n" not in self.rest:
            wait = deadline - time.monotonic()
            ready = wait > 0 and select.select([self.process.stdout], [], [], wait)[0]
            require(ready, f"no answer to `{line}`")
            more = os.read(self.process.stdout.fileno(), 65536)
            require(more, f"batch has ended at `{line}`: {self.last_words()}")
            self.rest += more
        text, self.rest = self.rest.split(b"\n", 1)
        try:
            return json.loads(text)
        except ValueError:
            raise Failed(f"the answer to `{line}` is no JSON: {text[:200]!r}") from None

    def last_words(self):
        self.complaints.seek(0)
        return self.complaints.read().decode("utf-8", "replace")[-400:]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            os.killpg(self.process.pid, 9)
        except (ProcessLookupError, PermissionError):
            self.process.kill()
        self.process.wait()
