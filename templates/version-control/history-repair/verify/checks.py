"""The hidden checks: the history is rebuilt here, and the agent's is held against it."""

import json
import os
import random
import re
import shutil
from datetime import date
from fractions import Fraction

import plan
import reference
from gitread import ENVIRONMENT, GIT, Repository
from story import blob_id
from trajforge_check import WORKSPACE, Failed, check, main, params, read, require, run_agent

P = params()
WORK = P["work"]
METER = P["project"] == "meter"
STORY = plan.build(P)
FACTS = STORY.facts
MADE = FACTS["made"]
MAIN = STORY.heads["main"]
MOVING = {
    "regression": ["main"],
    "dropped_fix": ["main", "release/0.4"],
    "lost_work": ["main"],
    "backport": ["release/0.4"],
    "secret": [],
}[WORK]


def rng(name):
    return random.Random(f"{P['hidden_seed']}/{name}")


# Running the tool ----------------------------------------------------------------------------------------------------


def call(repo, folder, case, arguments=None):
    """Runs the tool of an exported tree on a case's files."""
    work = repo.export(case.files)
    arguments = arguments or case.arguments
    done = run_agent(["python3", "-m", P["package"], *arguments], cwd=work, env={"PYTHONPATH": str(folder)}, timeout=20)
    shutil.rmtree(work)
    return done


def answers(repo, folder, case, where):
    """The tool says what it has to."""
    done = call(repo, folder, case)
    require(done.code == 0, f"{where}: {' '.join(case.arguments)} ends with {done.code}: {done.err[-300:]}")
    try:
        if case.arguments[0] == "days":
            rows = json.loads(done.out)
            found = {(row["account"], row["day"]): Fraction(str(row["quantity"])) for row in rows}
            require(len(found) == len(rows), f"{where}: an account has a day twice")
        else:
            found = (reference.meter_read if METER else reference.sheet_read)(done.out)
    except (ValueError, KeyError, TypeError, AttributeError, AssertionError) as error:
        raise Failed(f"{where}: the output can't be read: {error!r}") from None
    if WORK == "lost_work" and "grand_total" not in case.expected:
        found.pop("grand_total", None)
    if found != case.expected:
        raise Failed(f"{where}: {' '.join(case.arguments)} is wrong: {difference(found, case.expected)}")
    return done


def difference(found, expected):
    for part in expected:
        if found.get(part) != expected[part]:
            have, want = found.get(part), expected[part]
            if isinstance(want, dict) and isinstance(have, dict):
                key = next((k for k in [*want, *have] if have.get(k) != want.get(k)), None)
                return f"{part} {key}: {have.get(key)} instead of {want.get(key)}"
            return f"{part}: {have} instead of {want}"
    return f"unexpected {sorted(set(found) - set(expected))}"


def refuses(repo, folder, case, where, line=None):
    """The tool ends with code 2, and names the line if asked to."""
    done = call(repo, folder, case)
    require(done.code == 2, f"{where}: {' '.join(case.arguments)} ends with {done.code} instead of 2: {done.err[-200:]}")
    if line is not None:
        named = re.search(rf"(?<![0-9]){line}(?![0-9])", done.err)
        require(named and "Traceback" not in done.err, f"{where}: the message does not name line {line}: {done.err[-200:]}")


def case(name, flags, spice=(), by="person"):
    if METER:
        return reference.meter_case(rng(name), flags, spice)
    return reference.sheet_case(rng(name), flags, spice, by)


SPICE = (
    {"fix_a": ["mark"], "fix_b": ["half"], "fix_d": ["large"], "fix_e": ["until"], "one": ["boundary"], "two": ["mixed"]}
    if METER
    else {"fix_a": ["tabs"], "fix_b": ["half"], "fix_d": ["capitals"], "fix_e": ["until"], "one": ["overnight"], "two": ["new year"]}
)


def plain(repo, folder, flags, where, careful=False):
    """Features that no kind of work is about."""
    spice = ["no half"] if careful else []
    if METER:
        answers(repo, folder, case("plain", flags, [*spice, "explain"]), where)
        answers(repo, folder, reference.meter_days(rng("days"), False), where)
    else:
        answers(repo, folder, case("plain", flags, [*spice, "night"], "project"), where)
        answers(repo, folder, case("week", flags, [*spice, "week"], "week"), where)


def incomplete(flags):
    """An input with a place that could be filled in by guessing."""
    made = case("incomplete", flags)
    name = "in.csv" if METER else "in.txt"
    lines = made.files[name].decode().splitlines()
    if METER:
        fields = lines[3].split(",")
        lines.append(",".join(["q1", *fields[1:3], "", "4"]))
    else:
        fields = lines[2].split()
        lines.append(f"{fields[0]} {fields[1]} 05:00-06:00")
    made.files[name] = ("\n".join(lines) + "\n").encode()
    return made


def without(flags):
    """An input that fix_c refuses, and the number of its line."""
    made = case("refused", flags)
    name = "in.csv" if METER else "in.txt"
    lines = made.files[name].decode().splitlines()
    at = 6
    if METER:
        fields = lines[at].split(",")
        fields[2] = ""
        lines[at] = ",".join(fields)
    else:
        fields = lines[at].split()
        fields[2] = fields[2].split("-")[0] + "-" + fields[2].split("-")[0]
        lines[at] = " ".join(fields)
    made.files[name] = ("\n".join(lines) + "\n").encode()
    return made, at + 1


def report():
    """REPORT.json."""
    try:
        found = json.loads(read("REPORT.json"))
    except ValueError as error:
        raise Failed(f"REPORT.json is no JSON: {error}") from None
    require(isinstance(found, dict), "REPORT.json holds no object")
    return found


def listed(found, name):
    value = found.get(name)
    require(isinstance(value, list) and all(isinstance(one, str) for one in value), f"{name} of REPORT.json is no list of strings")
    require(len(set(value)) == len(value), f"{name} of REPORT.json names something twice")
    return value


# Guards --------------------------------------------------------------------------------------------------------------


@check
def tree():
    """main is checked out, as it is committed, and nothing is half done."""
    repo = Repository()
    require(repo.head == "refs/heads/main", f"HEAD is {repo.head}, not main")
    for state in ["MERGE_HEAD", "CHERRY_PICK_HEAD", "REVERT_HEAD", "BISECT_LOG", "rebase-merge", "rebase-apply"]:
        require(not os.path.lexists(repo.folder / ".git" / state), f"something is half done: .git/{state}")
    done = run_agent(f"{GIT} status --porcelain --untracked-files=no", cwd=repo.folder, env=ENVIRONMENT)
    require(done.code == 0 and not done.out.strip(), f"the working tree differs from main:\n{done.out[:300]}{done.err[-200:]}")
    for path, content in repo.files(repo.tip("refs/heads/main")).items():
        target = repo.folder / path
        require(target.is_file() and not target.is_symlink() and target.read_bytes() == content, f"{path} differs from main")


@check
def history():
    """What was there is still there: refs that nobody asked to move, and the commits of those that were moved."""
    repo = Repository()
    if WORK == "secret":
        return same_but_for_tokens(repo)
    for ref, name in STORY.all_refs().items():
        if ref.startswith("refs/remotes/"):
            continue
        if ref.removeprefix("refs/heads/") in MOVING:
            require(name in repo.ancestors(repo.tip(ref)), f"the commits that were on {ref} are not all there")
        else:
            require(repo.refs.get(ref) == name, f"{ref} was moved or is gone")


@check
def features():
    """The rest of the tool is as it was."""
    repo = Repository()
    for branch in {"dropped_fix": ["main", "release/0.4"], "backport": ["main"]}.get(WORK, ["main"]):
        flags = STORY.heads[branch].flags
        folder = repo.export(repo.files(repo.tip(f"refs/heads/{branch}")))
        plain(repo, folder, flags, branch)


# A regression --------------------------------------------------------------------------------------------------------


@check
def culprit():
    found = report()
    require(found.get("culprit") == FACTS["culprit"].id, "the culprit is another commit")
    require(sorted(listed(found, "affected")) == FACTS["affected"], "other versions are affected")


@check
def repaired():
    repo = Repository()
    folder = repo.export(repo.files(repo.tip("refs/heads/main")))
    flags, fault = MAIN.flags, P["fault"]
    if METER:
        answers(repo, folder, case("fault", flags, [*SPICE[fault], "explain"]), "main")
        if fault == "two":
            answers(repo, folder, reference.meter_days(rng("days again"), True), "main")
        else:
            answers(repo, folder, case("fault again", flags, [*SPICE[fault], "mixed", "until"]), "main")
    elif fault == "one":
        answers(repo, folder, case("fault", flags, ["overnight", "night"], "project"), "main")
        answers(repo, folder, case("fault again", flags, ["overnight", "week"], "person"), "main")
    else:
        answers(repo, folder, case("fault", flags, ["new year"], "week"), "main")
        answers(repo, folder, case("fault again", flags, ["new year", "week"], "week"), "main")


@check
def tested():
    """The tests on main pass, and fail with the code that main had."""
    repo = Repository()
    files = repo.files(repo.tip("refs/heads/main"))
    command = ["python3", "-m", "unittest", "discover", "-s", "tests"]
    done = run_agent(command, cwd=repo.export(files), timeout=40)
    require(done.code == 0, f"the tests on main fail: {done.err[-300:]}")
    package = P["package"] + "/"
    before = {path: content for path, content in files.items() if not path.startswith(package)}
    before.update({path: content for path, content in MAIN.files.items() if path.startswith(package)})
    done = run_agent(command, cwd=repo.export(before), timeout=40)
    require(done.code not in (0, 124), "the tests on main pass without the repair as well")


# Fixes that a merge lost ---------------------------------------------------------------------------------------------


@check
def traced():
    found = report()
    require(found.get("merge") == FACTS["merge"].id, "it was another merge")
    require(sorted(listed(found, "lost")) == sorted(one.id for one in FACTS["lost"]), "it lost other commits")


def restored(branch):
    repo = Repository()
    folder = repo.export(repo.files(repo.tip(f"refs/heads/{branch}")))
    flags = STORY.heads[branch].flags | set(FACTS["lost_flags"])
    # A fix that the merge kept has to be there as well.
    for flag in ["fix_a", "fix_d"]:
        done = answers(repo, folder, case(flag, flags, SPICE[flag]), branch)
    made = case("order", flags, ["mixed"] if METER else [])
    if not METER:
        lines = made.files["in.txt"].decode().splitlines()
        made.files["in.txt"] = "\n".join([lines[0], *reversed(lines[1:])]).encode() + b"\n"
    done = answers(repo, folder, made, branch)
    require("warning" not in done.err.lower(), f"{branch}: what was left out on purpose is back")


@check
def main_restored():
    restored("main")


@check
def release_restored():
    restored("release/0.4")
    repo = Repository()
    tip = repo.tip("refs/heads/release/0.4")
    folder = repo.export(repo.files(tip))
    bad, _ = without(STORY.heads["release/0.4"].flags)
    done = call(repo, folder, bad)
    require(done.code == 0, f"release/0.4 refuses what it accepted: {done.err[-200:]}")


# A credential --------------------------------------------------------------------------------------------------------

TOKENS = [("pt_live_" + P[name]).encode() for name in ["token_a", "token_b"]]
MARK = b"REDACTED"


def redacted(content):
    for token in TOKENS:
        content = content.replace(token, MARK)
    return content


def same_but_for_tokens(repo):
    """Every ref leads to the same history, but for the tokens."""
    pairs, waiting = {}, []
    for name, commit in STORY.heads.items():
        waiting.append((commit, repo.tip(f"refs/heads/{name}"), name))
    for name, (commit, stamp, message, _) in STORY.tags.items():
        require(f"refs/tags/{name}" in repo.refs, f"tag {name} is gone")
        kind, content = repo.objects[repo.refs[f"refs/tags/{name}"]]
        require(kind == "tag", f"tag {name} is no annotated tag any more")
        require(f"\ntagger {stamp}\n\n{message}".encode() in content, f"tag {name} has another tagger, date or message")
        waiting.append((commit, repo.peel(repo.refs[f"refs/tags/{name}"]), name))
    blobs = {}
    while waiting:
        ours, theirs, where = waiting.pop()
        if ours.id in pairs:
            require(pairs[ours.id] == theirs, f"{where}: commit {ours.subject!r} exists in two versions")
            continue
        pairs[ours.id] = theirs
        parsed = repo.commit(theirs)
        for part in ["author", "committer", "message"]:
            require(getattr(parsed, part) == getattr(ours, part), f"{where}: commit {ours.subject!r} has another {part}")
        require(len(parsed.parents) == len(ours.parents), f"{where}: commit {ours.subject!r} has other parents")
        waiting += [(a, b, where) for a, b in zip(ours.parents, parsed.parents)]
        if parsed.tree == ours.tree:
            continue
        found = repo.tree(parsed.tree)
        require(set(found) == set(ours.files), f"{where}: commit {ours.subject!r} has other files")
        for path, (mode, child) in found.items():
            require(mode == ("100755" if path.endswith(".sh") else "100644"), f"{where}: {path} has mode {mode}")
            content = ours.files[path]
            if child != blob_id(content) and (child, path, content) not in blobs:
                require(redacted(repo.get(child, "blob")) == redacted(content), f"{where}: {path} differs at {ours.subject!r}")
                blobs[child, path, content] = True
    return None


@check
def refs_clean():
    repo = Repository()
    for ref in STORY.all_refs():
        require(ref in repo.refs, f"{ref} is gone")
    for name in repo.reachable():
        require(not any(token in repo.objects[name][1] for token in TOKENS), f"a ref still leads to a token, in object {name}")


@check
def store_clean():
    repo = Repository()
    for name, (_, content) in repo.objects.items():
        require(not any(token in content for token in TOKENS), f"object {name} still holds a token")
    for folder, _, names in os.walk(WORKSPACE):
        for name in names:
            path = os.path.join(folder, name)
            if os.path.isfile(path) and not os.path.islink(path) and os.path.getsize(path) < 20_000_000:
                with open(path, "rb") as file:
                    content = file.read()
                require(not any(token in content for token in TOKENS), f"{path} holds a token")


@check
def inventory():
    repo, found = Repository(), report()
    paths = {path for commit in STORY.commits for path, content in commit.files.items() if redacted(content) != content}
    require(set(listed(found, "paths")) == paths, "the paths in REPORT.json are others")
    before = {ref: name for ref, name in STORY.all_refs().items() if repo.refs.get(ref) != name}
    require(before, "no ref was rewritten")
    refs = found.get("refs")
    require(isinstance(refs, dict), "refs of REPORT.json is no object")
    want = {ref: [name, repo.refs.get(ref)] for ref, name in before.items()}
    require(refs == want, "the refs in REPORT.json are not those that were rewritten")


# Lost work -----------------------------------------------------------------------------------------------------------


def lost():
    return FACTS["kept"], FACTS["dropped"]


@check
def replayed():
    repo = Repository()
    kept, dropped = lost()
    added = set(repo.ancestors(repo.tip("refs/heads/main"))) - set(STORY.ancestors(MAIN))
    chain, at = [], repo.tip("refs/heads/main")
    while at != MAIN.id:
        commit = repo.commit(at)
        require(len(commit.parents) == 1, f"{commit.subject!r} is a merge or a root")
        chain.insert(0, commit)
        at = commit.parents[0]
        require(len(chain) <= 40, "main does not come from what it was")
    require(len(chain) == len(added), "main has more than one line of new commits")
    authors = [commit.author for commit in kept]
    replays = [commit for commit in chain if commit.author in authors]
    require([c.author for c in replays] == authors, "the commits, their authors, dates or their order are not those that were lost")
    for commit, was in zip(replays, kept):
        require(commit.subject == was.subject, f"{was.subject!r} is called {commit.subject!r}")
    require(all(commit.author != dropped.author for commit in chain), "a commit is back that was left out on purpose")


@check
def work_is_back():
    repo = Repository()
    flags = MAIN.flags | ({"l1", "l2", "l3", "l4", "l5"} - {P["dropped"]})
    folder = repo.export(repo.files(repo.tip("refs/heads/main")))
    made = case("lost", flags, ["until"])
    answers(repo, folder, made, "main")
    done = call(repo, folder, made, [a for a in made.arguments if a != "--json"])
    rules = json.loads(made.files["tariff.json" if METER else "rules.json"])
    unit = rules["currency" if METER else "unit"]
    lines = done.out.splitlines()
    totals = [line for line in lines if line.split()[:1] == ["total"]] if METER else lines[:-1]
    require(totals and all(line.endswith(" " + unit) for line in totals), "the unit does not stand behind the totals")
    answers(repo, folder, quiet_case(flags) if P["dropped"] == "l3" else guessed_case(flags), "main")


def guessed_case(flags):
    """What a row leaves out is that of the row before it with the same account or person."""
    made = case("guessed", flags)
    if METER:
        rows = [["k1", "a-1", "scan", "30"], ["k2", "b-1", "seat", "2"], ["k3", "a-1", "", "7"], ["k4", "b-1", "", "1"]]
        lines = [f"{number},2020-05-04,{account},{kind},{quantity}" for number, account, kind, quantity in rows]
        made.files["in.csv"] = ("id,day,account,kind,quantity\n" + "\n".join(lines) + "\n").encode()
        tariff = json.loads(made.files["tariff.json"])
        whole = [["k1", None, "a-1", "scan", Fraction(30)], ["k2", None, "b-1", "seat", Fraction(2)]]
        whole += [["k3", None, "a-1", "scan", Fraction(7)], ["k4", None, "b-1", "seat", Fraction(1)]]
        made.expected = reference.meter_bill(whole, tariff, flags)
        return made
    day = date(2020, 5, 4)
    made.files["in.txt"] = (
        b"2020-05-04 ada 09:00-10:00 atlas\n2020-05-04 mei 09:00-11:00 borealis\n"
        b"2020-05-04 ada 11:00-12:30\n2020-05-04 mei 12:00-12:30\n2020-05-04 pia 12:00-13:00\n"
    )
    whole = [[day, "ada", 540, 60, "atlas", ""], [day, "mei", 540, 120, "borealis", ""], [day, "ada", 660, 90, "atlas", ""]]
    whole += [[day, "mei", 720, 30, "borealis", ""], [day, "pia", 720, 60, "", ""]]
    made.arguments = ["report", "in.txt", "--rules", "rules.json", "--json", "--by", "project"]
    made.expected = reference.sheet_report(whole, json.loads(made.files["rules.json"]), flags, "project")
    return made


def quiet_case(flags):
    """--quiet leaves out what is zero."""
    made = case("quiet", flags)
    if METER:
        tariff = json.loads(made.files["tariff.json"])
        tariff["minimum"] = "0"
        rows = [["k1", "2020-05-04", "nobody-1", "scan", "3"], ["k2", "2020-05-04", "some-1", "scan", "30"]]
        made.files["in.csv"] = ("id,day,account,kind,quantity\n" + "\n".join(map(",".join, rows)) + "\n").encode()
        made.files["tariff.json"] = json.dumps(tariff).encode()
        made.expected = reference.meter_bill([["k2", None, "some-1", "scan", Fraction(30)]], tariff, flags)
    else:
        made.files["in.txt"] = b"2020-05-04 ada 09:00-09:01 atlas\n2020-05-04 mei 09:00-10:00 atlas\n"
        rules = json.loads(made.files["rules.json"])
        made.expected = reference.sheet_report([[date(2020, 5, 4), "mei", 540, 60, "atlas", ""]], rules, flags, "person")
    made.arguments.append("--quiet")
    return made


@check
def stays_out():
    """What was decided against is not on main."""
    repo = Repository()
    folder = repo.export(repo.files(repo.tip("refs/heads/main")))
    if P["dropped"] == "l4":
        made = quiet_case(MAIN.flags)
        return refuses(repo, folder, made, "main")
    made = incomplete(MAIN.flags)
    if METER:
        return refuses(repo, folder, made, "main")
    done = call(repo, folder, made, ["report", "in.txt", "--rules", "rules.json", "--json", "--by", "project"])
    try:
        names = [row["name"] for row in json.loads(done.out)["rows"]]
    except (ValueError, KeyError, TypeError) as error:
        raise Failed(f"main: the output can't be read: {error!r}") from None
    require("(none)" in names, "an entry without a project was given one")
    return None


@check
def accounted():
    repo, found = Repository(), report()
    kept, dropped = lost()
    mapping = found.get("recovered")
    require(isinstance(mapping, dict) and set(mapping) == {c.id for c in kept}, "recovered names other commits than those that were lost")
    line = repo.ancestors(repo.tip("refs/heads/main"))
    for was in kept:
        became = line.get(mapping[was.id])
        require(became is not None and became.author == was.author, f"{was.subject!r} did not become {mapping[was.id]}")
    require(listed(found, "left_out") == [dropped.id], "another commit was left out")


# A backport ----------------------------------------------------------------------------------------------------------


def wanted():
    flags = [flag for flag in P["wanted"]]
    return flags + (["fix_d2"] if "fix_d" in flags else [])


@check
def fixes():
    repo = Repository()
    flags = STORY.heads["release/0.4"].flags | set(wanted())
    folder = repo.export(repo.files(repo.tip("refs/heads/release/0.4")))
    for flag in P["wanted"]:
        if flag == "fix_c":
            made, line = without(flags)
            refuses(repo, folder, made, "release/0.4", line)
        else:
            answers(repo, folder, case(flag, flags, SPICE[flag]), "release/0.4")
    plain(repo, folder, flags, "release/0.4")


@check
def nothing_else():
    """What nobody asked for, or must not be there, is not on the release branch."""
    repo = Repository()
    flags = STORY.heads["release/0.4"].flags
    folder = repo.export(repo.files(repo.tip("refs/heads/release/0.4")))
    made = case("order", flags, ["no half", *(["mixed"] if METER else [])])
    if not METER:
        lines = made.files["in.txt"].decode().splitlines()
        made.files["in.txt"] = "\n".join([lines[0], *reversed(lines[1:])]).encode() + b"\n"
    done = answers(repo, folder, made, "release/0.4")
    require("warning" not in done.err.lower(), "release/0.4 warns about the order")
    document = json.loads(done.out)
    values = [one["total"] for one in document["accounts"]] if METER else [one["hours"] for one in document["rows"]]
    require(not any(isinstance(value, str) for value in values), "the format of release/0.4 has changed")
    if "fix_b" not in P["wanted"]:
        answers(repo, folder, case("half", flags, ["half"]), "release/0.4 (rounding was not asked for)")
    done = call(repo, folder, made, ["--version"])
    require(done.out.strip() == "0.4.1", f"release/0.4 says that it is version {done.out.strip()!r}")


def picked(repo):
    old = STORY.ancestors(STORY.heads["release/0.4"])
    fresh = [c for name, c in repo.ancestors(repo.tip("refs/heads/release/0.4")).items() if name not in old]
    return [name for commit in fresh for name in commit.picked]


@check
def provenance():
    repo = Repository()
    sources = picked(repo)
    allowed = {MADE["dep"].id}
    for flag in wanted():
        same = {MADE[flag].id} | ({MADE[f"{flag}:again"].id} if f"{flag}:again" in MADE else set())
        require(same & set(sources), f"no commit on release/0.4 says that it was picked from {MADE[flag].subject!r}")
        allowed |= same
    allowed |= {c.id for c in STORY.commits if c.subject.startswith('Revert "') and MADE.get("fix_a") and MADE["fix_a"].subject in c.subject}
    require(set(sources) <= allowed, "release/0.4 has commits that were not asked for")


@check
def listing():
    repo, found = Repository(), report()
    taken = listed(found, "taken")
    require(taken and set(taken) == set(picked(repo)), "taken does not list the commits that were picked")
    require(listed(found, "left_out") == [P["ticket"][P["not_taken"]]], "other tickets were left out")
    there = [P["ticket"]["fix_e"]] if P["already"] else []
    require(listed(found, "already_there") == there, "other tickets were there already")


main()
