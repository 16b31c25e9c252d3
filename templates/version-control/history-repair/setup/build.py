"""Writes the repository that the agent finds."""

import json
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
sys.dont_write_bytecode = True

import plan  # noqa: E402


def main():
    params = json.loads((HERE / "params.json").read_text())["parameters"]
    story = plan.build(params)
    repo = Path.cwd() / params["repo"]
    stamp = f"{story.clock + 4000} +0000"
    env = {**os.environ, "GIT_COMMITTER_DATE": stamp, "GIT_COMMITTER_NAME": "setup", "GIT_COMMITTER_EMAIL": "setup@localhost"}

    def git(*arguments, data=None):
        return subprocess.run(["git", "-C", str(repo), *arguments], input=data, env=env, check=True, stdout=subprocess.PIPE).stdout

    subprocess.run(["git", "init", "-q", "-b", "main", "--template=", str(repo)], check=True)
    git("fast-import", "--quiet", data=story.stream())
    git("update-ref", "-d", "refs/build")
    found = dict(line.split()[::-1] for line in git("for-each-ref", "--format=%(objectname) %(refname)").decode().splitlines())
    assert found == story.all_refs(), (found, story.all_refs())
    git("read-tree", "main")
    for path, content in story.heads["main"].files.items():
        target = repo / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
        target.chmod(0o755 if path.endswith(".sh") else 0o644)
    git("pack-refs", "--all")
    logs(story, params, repo)


def logs(story, params, repo):
    """The reflogs that a clone of this age would have."""
    git = repo / ".git"
    subprocess.run(["rm", "-rf", str(git / "logs"), str(git / "hooks"), str(git / "branches")], check=True)
    zero = "0" * 40
    who = story.people[2]
    main = story.heads["main"]
    url = f"ssh://git@git.{params['company'].lower()}.example/{params['repo']}.git"

    def line(old, new, when, text, person=who):
        return f"{old} {new} {person[0]} <{person[1]}> {when} {person[2]}\t{text}\n"

    def when(commit):
        return int(commit.committer.rsplit(" ", 2)[1]) + 60

    entries = [line(zero, main.id, story.clock + 3000, f"clone: from {url}")]
    files = {"HEAD": entries, "refs/heads/main": entries}
    if params["work"] == "secret":
        draft, first = story.facts["dangling"][0], story.facts["made"]["pub"]
        files["HEAD"] = files["refs/heads/main"] = [
            line(zero, first.parents[0].id, when(first) - 900, f"clone: from {url}"),
            line(first.parents[0].id, draft.id, when(first) - 400, "commit: Publish releases"),
            line(draft.id, first.id, when(first), f"commit (amend): {first.subject}"),
            line(first.id, main.id, story.clock + 3000, "pull: Fast-forward"),
        ]
    if params["work"] == "lost_work":
        with open(git / "config", "a", encoding="utf-8") as config:
            config.write(f'[remote "origin"]\n\turl = {url}\n\tfetch = +refs/heads/*:refs/remotes/origin/*\n')
            config.write('[branch "main"]\n\tremote = origin\n\tmerge = refs/heads/main\n')
        files = lost_logs(story, params["trace"], line, when, url)
    for name, lines in files.items():
        path = git / "logs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(lines), encoding="utf-8")


def lost_logs(story, trace, line, when, url):
    facts = story.facts
    zero = "0" * 40
    base, draft, main = facts["base"], facts["draft"], story.heads["main"]
    one, two, three, four, five = facts["lost"]
    reset = when(main) + 900
    if trace == "dangling":
        entry = [line(zero, main.id, reset, f"clone: from {url}")]
        return {"HEAD": entry, "refs/heads/main": entry}
    if trace == "remote reflog":
        local = [
            line(zero, base.id, when(base), f"clone: from {url}"),
            line(base.id, main.id, reset, "reset: moving to origin/main"),
        ]
        remote = [
            line(zero, base.id, when(base), f"clone: from {url}"),
            line(base.id, draft.id, when(draft), "fetch origin: fast-forward"),
            line(draft.id, five.id, when(five), "fetch origin: forced-update"),
            line(five.id, main.id, reset - 60, "fetch origin: forced-update"),
        ]
        return {"HEAD": local, "refs/heads/main": local, "refs/remotes/origin/main": remote}
    steps = [(one, "commit"), (draft, "commit"), (two, "commit (amend)"), (three, "commit"), (four, "commit"), (five, "commit")]
    local, before = [line(zero, base.id, when(base), f"clone: from {url}")], base
    moment = when(one)
    for commit, verb in steps:
        moment = max(moment + 60, when(commit))
        local.append(line(before.id, commit.id, moment, f"{verb}: {commit.subject}"))
        before = commit
    local.append(line(before.id, main.id, reset, "reset: moving to origin/main"))
    remote = [
        line(zero, base.id, when(base), f"clone: from {url}"),
        line(base.id, main.id, reset - 60, "fetch: fast-forward"),
    ]
    return {"HEAD": local, "refs/heads/main": local, "refs/remotes/origin/main": remote}


main()
