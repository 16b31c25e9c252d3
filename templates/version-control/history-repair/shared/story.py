"""A git history as values: states of a project in, commits with their real ids out."""

import hashlib
import random
from pathlib import Path

HERE = Path(__file__).resolve().parent
ZONES = ["+0100", "+0200", "+0000", "+0530", "-0500"]
SURNAMES = ["Okafor", "Lindqvist", "Müller", "Tanaka", "Moreau"]
START = 1581324000


class Flags(dict):
    def __missing__(self, name):
        return False


class Template:
    """A file with `%% if`, `%% elif`, `%% else`, `%% end` lines over flags."""

    def __init__(self, text):
        self.names = set()
        lines = iter(text.splitlines(keepends=True))
        self.nodes = self._block(lines)[0]

    def _block(self, lines):
        nodes = []
        for line in lines:
            if not line.startswith("%%"):
                nodes.append(line)
                continue
            word, _, rest = line[2:].strip().partition(" ")
            if word != "if":
                return nodes, word, rest
            branches = []
            while word in ("if", "elif", "else"):
                code = compile(rest.strip() or "True", "<flag>", "eval")
                self.names.update(code.co_names)
                inner, word, following = self._block(lines)
                branches.append((code, inner))
                rest = following
            nodes.append(branches)
        return nodes, "end", ""

    def render(self, flags):
        return "".join(self._parts(self.nodes, Flags((name, True) for name in flags)))

    def _parts(self, nodes, flags):
        for node in nodes:
            if isinstance(node, str):
                yield node
                continue
            for code, inner in node:
                if eval(code, {"__builtins__": {}}, flags):
                    yield from self._parts(inner, flags)
                    break


def unformatted(text):
    """How the sources looked before the formatter came: single quotes where it would have put double ones."""
    lines = []
    for line in text.splitlines(keepends=True):
        if '"' in line and "'" not in line and '"""' not in line and "\\" not in line:
            line = line.replace('"', "'")
        lines.append(line)
    return "".join(lines)


class Project:
    """The files of the project in each of its states."""

    def __init__(self, params, words):
        self.package = params["package"]
        self.words = words
        self.changes = {}
        self.files = {}
        for path in sorted((HERE / "tree").rglob("*.tpl")):
            name = str(path.relative_to(HERE / "tree"))[: -len(".tpl")]
            self.files[name] = Template(path.read_text(encoding="utf-8"))
        self.memory = {}
        self.releases = []

    def render(self, flags):
        """Path to bytes; a file that renders to nothing isn't there."""
        version = next((v for v in reversed(self.releases) if v in flags), "0.0.0")
        version = next((f[len("patch:"):] for f in sorted(flags, reverse=True) if f.startswith("patch:")), version)
        views = "views" if "renamed" in flags else "render"
        tree = {}
        for name, template in self.files.items():
            if name == "pkg/render.py" and "gone" in flags:
                continue
            key = (name, frozenset(template.names & flags), "fmt" in flags, version, views)
            if key not in self.memory:
                self.memory[key] = self._file(name, template, flags, version, views)
            if self.memory[key] is not None:
                path, content = self.memory[key]
                tree[path] = content
        tree["CHANGELOG.md"] = self._changelog(flags)
        return tree

    def _file(self, name, template, flags, version, views):
        text = template.render(flags)
        if not text.strip():
            return None
        if name.endswith(".py") and "fmt" not in flags:
            text = unformatted(text)
        path = name.replace("pkg/render.py", f"pkg/{views}.py").replace("pkg/", self.package + "/")
        for word, value in {**self.words, "version": version, "views": views, "pkg": self.package}.items():
            text = text.replace(f"<<{word}>>", value)
        encoding = "latin-1" if name.startswith("samples/legacy") else "utf-8"
        content = text.encode(encoding)
        if name.startswith("samples/legacy"):
            content = content.replace(b"\n", b"\r\n")
        return path, content

    def _changelog(self, flags):
        parts = ["# Changelog\n"]
        order = [v for v in reversed(self.releases) if v in flags]
        patches = sorted((f[len("patch:"):] for f in flags if f.startswith("patch:")), reverse=True)
        for version in patches + order:
            lines = "".join(f"- {line}\n" for line in self.changes[version])
            parts.append(f"\n## {version}\n\n{lines}")
        return "".join(parts).encode()


def mode_of(path):
    return "100755" if path.endswith(".sh") else "100644"


def object_id(kind, content):
    return hashlib.sha1(b"%s %d\0" % (kind.encode(), len(content)) + content).hexdigest()


_blobs = {}
_trees = {}


def blob_id(content):
    if content not in _blobs:
        _blobs[content] = object_id("blob", content)
    return _blobs[content]


def tree_id(entries):
    """The id of a folder given {path: (mode, blob id)}."""
    key = tuple(sorted(entries.items()))
    if key in _trees:
        return _trees[key]
    here = {}
    below = {}
    for path, entry in entries.items():
        first, slash, rest = path.partition("/")
        if slash:
            below.setdefault(first, {})[rest] = entry
        else:
            here[first] = entry
    rows = [(name.encode(), mode, sha) for name, (mode, sha) in here.items()]
    rows += [(name.encode(), "40000", tree_id(inner)) for name, inner in below.items()]
    rows.sort(key=lambda row: row[0] + (b"/" if row[1] == "40000" else b""))
    raw = b"".join(b"%s %s\0%s" % (mode.encode(), name, bytes.fromhex(sha)) for name, mode, sha in rows)
    _trees[key] = object_id("tree", raw)
    return _trees[key]


class Commit:
    """One commit, with the id that git gives it."""

    def __init__(self, flags, files, parents, author, committer, message):
        self.flags = flags
        self.files = files
        self.parents = parents
        self.author = author
        self.committer = committer
        self.message = message if message.endswith("\n") else message + "\n"
        self.tree = tree_id({path: (mode_of(path), blob_id(content)) for path, content in files.items()})
        self.id = self.as_object()[0]

    @property
    def subject(self):
        return self.message.split("\n", 1)[0]

    def as_object(self, parents=None, tree=None):
        parents = [p.id for p in self.parents] if parents is None else parents
        head = [f"tree {tree or self.tree}", *(f"parent {p}" for p in parents)]
        head += [f"author {self.author}", f"committer {self.committer}"]
        raw = ("\n".join(head) + "\n\n" + self.message).encode()
        return object_id("commit", raw), raw


class Story:
    """A history under construction."""

    def __init__(self, project, people, company, seed):
        self.project = project
        self.random = random.Random(seed)
        self.clock = START + self.random.randint(0, 200) * 3600
        domain = company.lower() + ".example"
        self.people = [
            (f"{name.title()} {surname}", f"{name}@{domain}", zone)
            for name, surname, zone in zip(people, SURNAMES, ZONES)
        ]
        self.commits = []
        self.heads = {}
        self.tags = {}
        self.refs = {}
        self.facts = {}

    def tick(self):
        self.clock += self.random.randint(25 * 60, 30 * 3600)
        return self.clock

    def stamp(self, who, when):
        name, email, zone = self.people[who]
        return f"{name} <{email}> {when} {zone}"

    def write(self, parents, flags, message, who=None, author=None):
        """A commit that is on no branch yet."""
        who = self.random.randrange(len(self.people)) if who is None else who
        stamp = self.stamp(who, self.tick())
        made = Commit(frozenset(flags), self.project.render(frozenset(flags)), parents, author or stamp, stamp, message)
        self.commits.append(made)
        return made

    def commit(self, branch, message, add=(), drop=(), who=None, author=None):
        head = self.heads.get(branch)
        flags = (set(head.flags) if head else set()) | set(add)
        made = self.write([head] if head else [], flags - set(drop), message, who, author)
        self.heads[branch] = made
        return made

    def merge(self, branch, other, message, drop=(), who=None):
        ours, theirs = self.heads[branch], self.heads[other]
        base = self.base(ours, theirs).flags
        flags = (ours.flags & theirs.flags) | ((ours.flags | theirs.flags) - base)
        made = self.write([ours, theirs], set(flags) - set(drop), message, who)
        self.heads[branch] = made
        return made

    def ancestors(self, commit):
        seen, waiting = {}, [commit]
        while waiting:
            one = waiting.pop()
            if one.id not in seen:
                seen[one.id] = one
                waiting.extend(one.parents)
        return seen

    def base(self, left, right):
        common = self.ancestors(left).keys() & self.ancestors(right).keys()
        return next(c for c in reversed(self.commits) if c.id in common)

    def branch(self, name, start):
        self.heads[name] = self.heads[start] if isinstance(start, str) else start

    def tag(self, name, commit, message, who=0):
        """An annotated tag."""
        stamp = self.stamp(who, self.clock + 300)
        raw = f"object {commit.id}\ntype commit\ntag {name}\ntagger {stamp}\n\n{message}\n".encode()
        self.tags[name] = (commit, stamp, message + "\n", object_id("tag", raw))

    def all_refs(self):
        """Ref to the id of the object that it names."""
        refs = {f"refs/heads/{name}": commit.id for name, commit in self.heads.items()}
        refs.update({f"refs/tags/{name}": tag[3] for name, tag in self.tags.items()})
        refs.update({name: commit.id for name, commit in self.refs.items()})
        return refs

    def stream(self):
        """The input of git fast-import that makes this repository."""
        out = []
        blobs, marks = {}, {}
        for commit in self.commits:
            for content in commit.files.values():
                if content not in blobs:
                    blobs[content] = len(blobs) + 1
                    out.append(b"blob\nmark :%d\ndata %d\n%s\n" % (blobs[content], len(content), content))
        for number, commit in enumerate(self.commits, len(blobs) + 1):
            marks[commit.id] = number
            text = commit.message.encode()
            head = f"commit refs/build\nmark :{number}\nauthor {commit.author}\ncommitter {commit.committer}\n"
            out.append(b"reset refs/build\n" + head.encode() + b"data %d\n%s" % (len(text), text))
            for word, parent in zip(["from", *["merge"] * 9], commit.parents):
                out.append(f"{word} :{marks[parent.id]}\n".encode())
            out.append(b"deleteall\n")
            for path, content in commit.files.items():
                out.append(f"M {mode_of(path)} :{blobs[content]} {path}\n".encode())
            out.append(b"\n")
        refs = {f"refs/heads/{name}": commit for name, commit in self.heads.items()} | self.refs
        for name, commit in refs.items():
            out.append(f"reset {name}\nfrom :{marks[commit.id]}\n\n".encode())
        for name, (commit, stamp, message, _) in self.tags.items():
            text = message.encode()
            out.append(f"tag {name}\nfrom :{marks[commit.id]}\ntagger {stamp}\n".encode())
            out.append(b"data %d\n%s\n" % (len(text), text))
        return b"".join(out)
