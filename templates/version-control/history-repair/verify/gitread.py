"""The agent's repository as plain objects: read by git as the agent's user, believed only where hashes agree."""

import base64
import gzip
import hashlib
import os
import re

from trajforge_check import WORKSPACE, Failed, params, require, run_agent, scratch

ENVIRONMENT = {
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_GRAFT_FILE": "/dev/null",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_TERMINAL_PROMPT": "0",
}
GIT = "git -c core.fsmonitor=false -c core.hooksPath=/dev/null -c core.pager=cat"


class Repository:
    """Refs and every object of the store, reachable or not."""

    def __init__(self):
        self.folder = WORKSPACE / params()["repo"]
        inside = self.folder / ".git"
        require(inside.is_dir() and not inside.is_symlink(), f"{self.folder} is no repository any more")
        script = (
            f"{GIT} for-each-ref --format='%(refname) %(objectname)' && echo == && "
            f"({GIT} symbolic-ref -q HEAD || echo detached) && echo == && "
            f"{GIT} cat-file --batch-all-objects --unordered --batch | gzip -1 | base64 -w0"
        )
        done = run_agent(["bash", "-c", script], cwd=self.folder, env={**ENVIRONMENT, "GIT_DIR": str(inside)}, timeout=40)
        parts = done.out.split("==\n", 2)
        require(done.code == 0 and len(parts) == 3, f"the repository can't be read: {done.err[-300:]}")
        self.refs = dict(line.split(" ") for line in parts[0].splitlines())
        self.head = parts[1].strip()
        self.objects = self._objects(parts[2])
        self._trees = {}

    def _objects(self, text):
        try:
            raw = gzip.decompress(base64.b64decode(text))
        except (ValueError, OSError, EOFError) as error:
            raise Failed(f"the repository's objects can't be read: {error}") from None
        objects, at = {}, 0
        while at < len(raw):
            end = raw.index(b"\n", at)
            fields = raw[at:end].decode().split(" ")
            require(len(fields) == 3, f"an object can't be read: {fields}")
            name, kind, size = fields[0], fields[1], int(fields[2])
            content = raw[end + 1 : end + 1 + size]
            known = hashlib.sha1(b"%s %d\0" % (kind.encode(), size) + content).hexdigest()
            require(known == name, f"object {name} is not what its name says")
            objects[name] = (kind, content)
            at = end + 2 + size
        return objects

    def get(self, name, kind):
        found = self.objects.get(name)
        require(found is not None, f"object {name} is missing")
        require(found[0] == kind, f"object {name} is a {found[0]}, not a {kind}")
        return found[1]

    def peel(self, name):
        """The commit that an object stands for."""
        for _ in range(5):
            kind, content = self.objects.get(name, ("", b""))
            if kind != "tag":
                break
            name = content[7:47].decode()
        return name

    def commit(self, name):
        return Parsed(name, self.get(name, "commit"))

    def tip(self, ref):
        require(ref in self.refs, f"{ref} is gone")
        return self.peel(self.refs[ref])

    def ancestors(self, name):
        """Every commit that is reachable from one, itself included."""
        seen, waiting = {}, [name]
        while waiting:
            one = waiting.pop()
            if one not in seen:
                seen[one] = self.commit(one)
                waiting.extend(seen[one].parents)
        return seen

    def tree(self, name):
        """Path to (mode, object id) of a tree."""
        if name in self._trees:
            return self._trees[name]
        content, at, found = self.get(name, "tree"), 0, {}
        while at < len(content):
            zero = content.index(b"\0", at)
            mode, _, path = content[at:zero].partition(b" ")
            child = content[zero + 1 : zero + 21].hex()
            at = zero + 21
            path = path.decode("utf-8", "replace")
            require(path not in ("", ".", "..") and "/" not in path, f"a tree has an entry {path!r}")
            if mode == b"40000":
                found.update({f"{path}/{inner}": entry for inner, entry in self.tree(child).items()})
            else:
                found[path] = (mode.decode(), child)
        self._trees[name] = found
        return found

    def files(self, commit):
        return {path: self.get(child, "blob") for path, (mode, child) in self.tree(self.commit(commit).tree).items() if mode.startswith("100")}

    def export(self, files):
        """Files in a fresh folder where the agent's user can run them."""
        folder = scratch()
        for path, content in files.items():
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        return folder

    def reachable(self):
        """Ids of all objects that any ref leads to."""
        seen, waiting = set(), list(self.refs.values())
        while waiting:
            name = waiting.pop()
            if name in seen or name not in self.objects:
                continue
            seen.add(name)
            kind, content = self.objects[name]
            if kind == "tag":
                waiting.append(content[7:47].decode())
            elif kind == "commit":
                parsed = Parsed(name, content)
                waiting += [parsed.tree, *parsed.parents]
            elif kind == "tree":
                waiting += [child for _, child in self.tree(name).values()]
        return seen


class Parsed:
    """A commit's fields."""

    def __init__(self, name, content):
        head, _, message = content.partition(b"\n\n")
        self.id = name
        self.message = message.decode("utf-8", "replace")
        self.parents, self.tree, self.author, self.committer = [], "", "", ""
        for line in head.decode("utf-8", "replace").split("\n"):
            word, _, rest = line.partition(" ")
            if word == "parent":
                self.parents.append(rest)
            elif word in ("tree", "author", "committer"):
                setattr(self, word, rest)

    @property
    def subject(self):
        return self.message.split("\n", 1)[0]

    @property
    def picked(self):
        return re.findall(r"^\(cherry picked from commit ([0-9a-f]{40})\)$", self.message, re.M)
