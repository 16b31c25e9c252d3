"""Which history a member has: the trunk that all share, bent by the kind of work."""


import project as told
from story import Commit, Project, Story

COMMON = {
    "ignore": ("Ignore what Python leaves behind", ""),
    "usage": ("Say in the readme how it is used", ""),
    "make": ("Add a target for the tests", "And tests for the command line."),
    "contrib": ("Say how changes are made", ""),
    "doc1": ("Begin a list of questions", ""),
    "doc3": ("Write down decisions", ""),
    "formats": ("Describe the formats", ""),
    "typo": ("Spell a word right", ""),
    "sample": ("Enlarge the sample", ""),
    "editorconfig": ("Tell editors about the indentation", ""),
    "authors": ("Name the authors", ""),
    "bench": ("Add a stopwatch", ""),
    "license": ("Say who may use it", ""),
    "pyproject": ("Describe the package", ""),
    "mailmap": ("Map the addresses of before", ""),
    "doc4": ("Draw the modules", ""),
    "reporting": ("Say how a fault is reported", ""),
    "ci": ("Run a few more checks on the build server", ""),
    "legacy": ("Keep a file of the old system", "It has another encoding and other line ends; leave it as it is."),
    "fmt": ("Format all sources", "No change in what they do."),
    "wip2": ("More ideas", ""),
    "faq1": ("Answer whether it runs on Windows", ""),
    "faq2": ("Answer why there is no database", ""),
    "faq3": ("Answer how large files may be", ""),
    "faq4": ("Answer what no output means", ""),
    "faq5": ("Answer how to read standard input", ""),
    "faq6": ("Answer whether the order is fixed", ""),
    "faq7": ("Answer which encoding is read", ""),
    "faq8": ("Answer where old releases are", ""),
    "faq9": ("Answer who decides about options", ""),
    "faq10": ("Answer whether sums can be turned off", ""),
    "faq11": ("Answer whether it needs the network", ""),
    "faq12": ("Answer how a fault is reported", ""),
    "faq_n1": ("Answer whether files may be put together", ""),
    "faq_n2": ("Answer what happens to files", ""),
    "decision": ("Record a decision of the review", ""),
    "pub": ("Publish releases to the index", "Settings and a script; docs/publishing.md tells how."),
    "tok_b": ("Renew the settings of the index", "The old ones run out at the end of the month."),
    "tok_env": ("Take the index token from the environment", "The release job sets it."),
    "tok_copy": ("Record an upload for the tests", ""),
    "tok_recorded": ("Shorten the recorded upload", ""),
    "tok_smoke": ("Ask the index whether it is there", ""),
}


class Writer:
    """Puts commits with their messages on branches."""

    def __init__(self, params):
        self.params = params
        self.work = params["work"]
        self.merging = params["merge_style"] == "merges"
        people = params["people"]
        domain = params["company"].lower() + ".example"
        words = {
            "domain": domain,
            "token_a": "pt_live_" + params["token_a"],
            "token_b": "pt_live_" + params["token_b"],
            "test_token": "pt_test_" + params["token_test"],
            "checksum": params["checksum"],
            "authors": "",
        }
        self.project = Project(params, words)
        self.story = Story(self.project, people, params["company"], params["data_seed"])
        words["authors"] = "\n".join(f"{name} <{mail}>" for name, mail, _ in self.story.people)
        self.random = self.story.random
        self.since_release = []
        self.faq = [f"faq{n}" for n in range(1, params["padding"] + 1)]
        self.random.shuffle(self.faq)
        self.tickets = params["ticket"]
        self.styles = dict(zip(["fix_a", "fix_b", "fix_d", "fix_c"], params["styles"]))
        self.styles.update(fix_e="trailer", fix_d2="body", format_x="trailer", warn="subject")
        self.made = {}
        self.topic_from = None

    def message(self, flag):
        subject, body = told.MESSAGES.get(flag) or COMMON[flag]
        ticket = self.tickets.get({"fix_d2": "fix_d"}.get(flag, flag))
        style = self.styles.get(flag)
        if ticket is None:
            return f"{subject}\n\n{body}".strip()
        if style == "branch":
            style = "branch" if self.merging else "trailer"
        if style == "subject":
            return f"{ticket}: {subject[0].lower()}{subject[1:]}\n\n{body}".strip()
        if style == "trailer":
            return f"{subject}\n\n{body}\n\nTicket: {ticket}".replace("\n\n\n\n", "\n\n")
        if style == "body":
            return f"{subject}\n\n{body}\nThat is {ticket}."
        return f"{subject}\n\n{body}".strip()

    def put(self, flag, branch="main", extra=(), drop=(), who=None):
        made = self.story.commit(branch, self.message(flag), {flag, *extra}, drop, who)
        self.made[flag] = made
        if flag in told.CHANGES and not (flag == "check" and self.work == "dropped_fix"):
            self.since_release.append(flag)
        return made

    def lay(self, items):
        """Items in their order; those with a topic on a branch that starts here and is merged at the end."""
        topics = []
        start = self.story.heads["main"] if "main" in self.story.heads else None
        for item in items:
            if callable(item):
                item()
                continue
            flag, topic = item if isinstance(item, tuple) else (item, None)
            if topic is None or not self.merging:
                self.put(flag, extra=self.with_bug(flag))
                continue
            if topic not in topics:
                topics.append(topic)
                self.story.heads[f"topic/{topic}"] = start
            self.put(flag, f"topic/{topic}", extra=self.with_bug(flag))
        for topic in topics:
            self.land(topic)
        if self.faq:
            for flag in [self.faq.pop() for _ in range(min(len(self.faq), 2))]:
                self.put(flag)

    def land(self, topic, drop=(), message=""):
        text = f"Merge branch 'topic/{topic}'" + (f"\n\n{message}" if message else "")
        merged = self.story.merge("main", f"topic/{topic}", text, drop)
        del self.story.heads[f"topic/{topic}"]
        return merged

    def with_bug(self, flag):
        wanted = {"r1": ("one", "bug1"), "r2": ("two", "bug2")}.get(flag)
        fault = self.params["fault"] if self.work == "regression" else None
        return [wanted[1]] if wanted and wanted[0] == fault else []

    def fix_topic(self, flag):
        """How a fix lands: with a branch that bears its ticket where its message doesn't."""
        if self.styles.get(flag) == "branch" and self.merging:
            ticket = self.tickets[flag].lower()
            return (flag, f"{ticket}-" + "-".join(told.MESSAGES[flag][0].lower().split()[1:3]))
        return flag

    def release(self, version):
        self.project.releases.append(version)
        self.project.changes[version] = [told.CHANGES[f] for f in self.since_release]
        self.since_release = []
        made = self.story.commit("main", f"Release {version}", {version}, who=0)
        self.story.tag(f"v{version}", made, f"Version {version}")

    def patch(self, branch, version, flags):
        self.project.changes[version] = [told.CHANGES[f] for f in flags]
        made = self.story.commit(branch, f"Release {version}", {f"patch:{version}"}, who=0)
        self.story.tag(f"v{version}", made, f"Version {version}")

    def pick(self, branch, flag, who=0):
        """A cherry-pick with -x."""
        origin = self.made[flag]
        message = origin.message.rstrip("\n")
        gap = "\n" if message.split("\n")[-1].startswith("Ticket:") else "\n\n"
        extra = self.with_bug(flag)
        text = f"{message}{gap}(cherry picked from commit {origin.id})"
        return self.story.commit(branch, text, {flag, *extra}, who=who, author=origin.author)

    def undo(self, flag, why="", commit=None):
        origin = commit or self.made[flag]
        text = f'Revert "{origin.subject}"\n\nThis reverts commit {origin.id}.'
        return self.story.commit("main", text + (f"\n{why}" if why else ""), drop={flag})

    def redo(self, flag, undone, why=""):
        text = f'Revert "{undone.subject}"\n\nThis reverts commit {undone.id}.'
        self.made[flag + ":again"] = self.story.commit("main", text + (f"\n{why}" if why else ""), {flag})

    def sorting(self):
        """Taken back and put in again, for reasons that have nothing to do with the work."""
        self.put("x4")
        if self.params["rerevert"]:
            undone = self.undo("x4", "Payroll reads the text; ask them first.")
            self.put("doc3")
            self.redo("x4", undone, "They don't mind.")
        else:
            self.put("doc3")

    def broken(self):
        """Some commits at which nothing starts."""
        if not self.params["broken"]:
            return
        self.put("gone", extra=["renamed"])
        self.put("typo")
        self.put("editorconfig")
        self.story.commit("main", self.message("back"), drop={"gone"})

    def trunk(self, until=5):
        regression = self.work == "regression"
        secret = self.work == "secret"
        self.lay(["base", "ignore", "usage", "json", "make", "only", "contrib", "license", "doc1"])
        self.release("0.1.0")
        odd = [] if regression and self.params["broken"] else ["typo", "editorconfig"]
        self.lay(["x1", ("range", "range"), "formats", ("csv", "range"), "x2", "sample", "pyproject", *odd])
        if secret:
            self.put("pub", extra=["tok_a"])
        self.release("0.2.0")
        if regression and self.params["fault"] == "one":
            self.story.branch("release/0.2", "main")
            self.broken()
        check = [] if self.work == "dropped_fix" else [("check", "check")]
        self.lay(["r1", "doc2", *check, "x5", ("authors", "check" if check else "authors"), "mailmap", "r1_later"])
        if secret:
            self.secrets()
        self.release("0.3.0")
        if secret or (regression and self.params["fault"] == "two"):
            self.story.branch("release/0.3", "main")
        if regression and self.params["fault"] == "two":
            self.broken()
        if self.work == "dropped_fix":
            self.bad_merge()
        if secret:
            self.put("tok_env")
            if self.params["spread"] == "copy":
                self.put("tok_recorded", drop={"tok_copy"})
        self.lay(["r2"])
        self.lay(["x3", ("r2_later", "views"), "bench", ("legacy", "views"), self.sorting, "doc4"])
        self.release("0.4.0")
        self.idea_branch()

    def idea_branch(self):
        self.story.branch("wip/ideas", "main")
        self.put("wip1", "wip/ideas")
        self.put("wip2", "wip/ideas")

    def secrets(self):
        spread = self.params["spread"]
        if spread == "copy":
            self.put("tok_copy")
        if spread == "branch":
            self.story.branch("topic/smoke", "main")
            self.put("tok_smoke", "topic/smoke")
        if spread == "tag":
            self.story.branch("candidate", "main")
            self.put("tok_smoke", "candidate")
            made = self.story.heads.pop("candidate")
            self.story.tag("v0.3.0-rc1", made, "Candidate of 0.3.0")
        if self.params["tokens"] == 2:
            self.put("tok_b", drop={"tok_a"})

    def bad_merge(self):
        """Fixes land on main while a branch changes the same file; the merge loses some of them."""
        story, facts = self.story, self.story.facts
        story.branch("topic/check", "main")
        self.lay([self.fix_topic("fix_a")])
        self.put("check", "topic/check")
        self.put("warn")
        self.lay([self.fix_topic("fix_d")])
        story.commit("topic/check", "Name what check is for in the questions", {"faq_check"})
        self.release("0.3.1")
        lost = ["fix_a", "fix_d"] if self.params["loss"] == "two" else [self.params["lost_fix"]]
        module = "events.py" if self.params["project"] == "meter" else "sheet.py"
        message = (
            f"Conflicts:\n\t{self.params['package']}/{module}\n\n"
            f"Both sides had changed how a file is read. The warning about the order stays out:\n"
            f"nobody acted on it, and {self.tickets['warn']} is closed as not wanted."
        )
        facts["merge"] = self.land("check", {*lost, "warn"}, message)
        self.since_release.append("check")
        facts["lost"] = [self.made[flag] for flag in lost]
        facts["lost_flags"] = lost

    def fixes(self, flags, at_end=()):
        for flag in flags:
            self.lay([flag if callable(flag) else self.fix_topic(flag)])
        for flag in at_end:
            self.put(flag)


def build(params):
    """The history of a member."""
    writer = Writer(params)
    writer.trunk()
    {
        "regression": regression,
        "dropped_fix": dropped_fix,
        "secret": secret,
        "lost_work": lost_work,
        "backport": backport,
    }[params["work"]](writer)
    story = writer.story
    story.facts.setdefault("dangling", [])
    story.facts["made"] = writer.made
    story.facts["writer"] = writer
    return story


def formatting(writer):
    return ["fmt"] if writer.params["formatting"] else []


def regression(writer):
    params, story = writer.params, writer.story
    flag, bug = {"one": ("r1", "bug1"), "two": ("r2", "bug2")}[params["fault"]]
    branch, version = {"one": ("release/0.2", "0.2.1"), "two": ("release/0.3", "0.3.1")}[params["fault"]]
    if params["duplicate"]:
        writer.pick(branch, flag)
        writer.patch(branch, version, [flag])
    writer.fixes(["dep", "fix_a", "fix_b"], formatting(writer))
    writer.fixes(["fix_c", "fix_d", "fix_d2", "fix_e"], ["ci", "reporting"])
    if not params["duplicate"]:
        writer.pick(branch, "fix_b")
        writer.patch(branch, version, ["fix_b"])
    writer.release("0.5.0")
    writer.fixes([], writer.faq)
    story.facts.update(culprit=writer.made[flag], bug=bug)
    story.facts["affected"] = sorted(name for name, tag in story.tags.items() if bug in tag[0].flags)


def dropped_fix(writer):
    story = writer.story
    story.branch("release/0.4", "main")
    writer.fixes(["dep", "fix_e"])
    writer.pick("release/0.4", "fix_e")
    writer.patch("release/0.4", "0.4.1", ["fix_e"])
    writer.fixes(["fix_b", "fix_c"], [*formatting(writer), "ci", "reporting", *writer.faq])


def secret(writer):
    writer.fixes(["dep", "fix_a", "fix_b", "fix_c"], formatting(writer))
    writer.pick("release/0.3", "fix_b")
    writer.patch("release/0.3", "0.3.1", ["fix_b"])
    writer.fixes(["fix_d", "fix_e"], ["ci", "reporting"])
    writer.release("0.5.0")
    writer.fixes([], writer.faq)
    story = writer.story
    # What `commit --amend` left behind when the settings were first committed.
    first = writer.made["pub"]
    draft = story.write(first.parents, first.flags, "Publish releases\n\nTo be amended.", author=first.author)
    story.facts["dangling"] = [draft]


def variant(story, commit, edit, message, parents, author):
    name, old, new = edit
    files = dict(commit.files)
    path = f"{story.project.package}/{name}"
    text = files[path].decode()
    assert old in text or old.replace('"', "'") in text, (path, old)
    files[path] = text.replace(old, new).encode()
    stamp = story.stamp(1, story.tick())
    made = Commit(commit.flags, files, parents, author or stamp, stamp, message)
    story.commits.append(made)
    return made


def lost_work(writer):
    params, story = writer.params, writer.story
    story.branch("release/0.4", "main")
    writer.fixes(["dep", "fix_a", "fix_b", "fix_c", "fix_d"], formatting(writer))
    writer.pick("release/0.4", "fix_b")
    writer.patch("release/0.4", "0.4.1", ["fix_b"])
    writer.release("0.5.0")
    writer.fixes([], ["ci", "reporting", *writer.faq])
    base = story.heads["main"]

    story.heads["lost"] = base
    one = writer.put("l1", "lost", who=1)
    two = writer.put("l2", "lost", who=2)
    draft = variant(story, two, told.DRAFT, two.message, [one], two.author)
    three = writer.put("l3", "lost", who=1)
    four = writer.put("l4", "lost", who=3)
    five = writer.put("l5", "lost", who=1)
    del story.heads["lost"]
    scrap1 = variant(story, base, told.SCRAP, writer.message("scrap1"), [base], None)
    scrap2 = variant(story, scrap1, (told.SCRAP[0], "ThreadPoolExecutor", "ProcessPoolExecutor"), writer.message("scrap2"), [scrap1], None)
    stash = story.write([base], base.flags | {"wip1"}, f"WIP on main: {base.id[:7]} {base.subject}", who=2)

    if params["drop_evidence"] == "decision":
        writer.put("decision", extra=["dropped_" + params["dropped"]], who=4)
    else:
        writer.put("faq_n1", who=4)
    writer.put("fix_e", who=4)
    writer.put("faq_n2", who=4)
    story.refs["refs/remotes/origin/main"] = story.heads["main"]
    lost = [one, two, three, four, five]
    at = {"l3": 2, "l4": 3}[params["dropped"]]
    story.facts.update(base=base, lost=lost, draft=draft, dropped=lost[at], kept=lost[:at] + lost[at + 1 :])
    story.facts["dangling"] = [draft, five, scrap2, stash]


def backport(writer):
    params, story = writer.params, writer.story
    story.branch("release/0.4", "main")
    again = params["rerevert"] and "fix_a" in params["wanted"]

    def warn():
        writer.put("warn")
        writer.put("faq_n1")
        writer.undo("warn", "No export is in order, so everybody gets it.")

    def twice():
        undone = writer.undo("fix_a", "Suspected of the broken import of Monday.")
        writer.put("faq_n2")
        writer.redo("fix_a", undone, "It was the proxy.")

    writer.fixes(["fix_e", "dep", "fix_a", "fix_b", *([twice] if again else []), warn])
    if params["already"]:
        writer.pick("release/0.4", "fix_e")
    else:
        story.commit("release/0.4", "Say what this branch is for", {"faq_rel"}, who=0)
    writer.patch("release/0.4", "0.4.1", ["fix_e"] if params["already"] else [])
    mention = f"Answer a question about {params['ticket'][params['wanted'][0]]}"
    story.commit("main", mention, {"faq_n3"})
    writer.fixes(["fix_c", "fix_d", "format_x", "fix_d2"], [*formatting(writer), "ci", "reporting"])
    writer.release("0.5.0")
    writer.fixes([], writer.faq)
