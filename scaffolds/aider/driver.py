"""Has Aider work on one task as its patient user would: says yes to everything, and asks it to go on until it is done.

Aider needs a git work tree. Its repository is kept outside the workspace, so the task's files stay the task's own.
Exit codes: 0 it says that it is done; 3 a limit was reached; 5 the model could not be asked; 6 anything else.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

DONE, LIMIT, MODEL, BROKEN = 0, 3, 5, 6
GO_ON = "If anything is left to do, go on with it. If the task is done, answer with the word DONE and nothing else."
TASK = {name.removeprefix("TRAJFORGE_"): value for name, value in os.environ.items() if name.startswith("TRAJFORGE_")}
# What commands see; Aider puts the model's key among its own variables.
CLEAN = {name: value for name, value in os.environ.items() if not name.startswith("TRAJFORGE_")}
OUTPUT, WORKSPACE = Path(TASK["OUTPUT"]), TASK["WORKSPACE"]
PLACE = {"GIT_DIR": str(OUTPUT / "git"), "GIT_WORK_TREE": WORKSPACE}


def git(*arguments):
    """What git says about the repository."""
    command = ["git", "-c", "user.name=aider", "-c", "user.email=aider@localhost", "-c", "core.quotePath=false"]
    done = subprocess.run([*command, *arguments], env=CLEAN | PLACE, cwd=WORKSPACE, capture_output=True, check=True)
    return done.stdout.decode(errors="replace")


def start_repository():
    """One commit of everything that is there, in a repository elsewhere; every part of Aider is led to it."""
    git("init", "--quiet")
    git("config", "user.name", "aider")
    git("config", "user.email", "aider@localhost")
    git("add", "--all")
    git("commit", "--quiet", "--no-verify", "--allow-empty", "--message=the workspace as it was given")
    import git as gitpython

    class Elsewhere(gitpython.Repo):
        """The one repository, wherever it is looked for."""

        def __init__(self, *_, **options):
            super().__init__(PLACE["GIT_DIR"], odbt=options.get("odbt", gitpython.GitDB))
            self.git.update_environment(**PLACE)

    gitpython.Repo = Elsewhere


class Driver:
    """Watches what one coder does, and writes it down after each reply."""

    def __init__(self):
        self.replies, self.commands, self.edits = [], [], []
        self.response, self.problem, self.said = None, None, ""
        self.coder = self.make_coder()

    def make_coder(self):
        """Aider, as its own command line would make it, with hooks where its work can be seen."""
        import aider.coders.base_coder
        import aider.commands
        import aider.repomap
        from aider.main import main

        aider.coders.base_coder.run_cmd = aider.commands.run_cmd = self.run
        aider.repomap.RepoMap.TAGS_CACHE_DIR = str(OUTPUT / "tags")
        options = ["--model", f"openai/{TASK['MODEL']}", "--weak-model", f"openai/{TASK['MODEL']}", "--edit-format", "diff"]
        options += ["--openai-api-base", TASK["BASE_URL"], "--openai-api-key", TASK["API_KEY"], "--timeout", "600"]
        options += ["--yes-always", "--no-check-update", "--analytics-disable", "--no-show-model-warnings", "--no-pretty"]
        options += ["--no-show-release-notes", "--no-gitignore", "--no-detect-urls", "--suggest-shell-commands"]
        for kind in ("chat", "input", "llm"):
            options += [f"--{kind}-history-file", str(OUTPUT / f"{kind}.history")]
        if TASK.get("TEST_COMMAND"):
            options += ["--test-cmd", TASK["TEST_COMMAND"], "--auto-test"]
        coder = main(options, return_coder=True)
        # A second call to the model would word the message of a commit that nobody reads.
        coder.repo.get_commit_message = lambda *_, **__: "an edit"
        coder.io.confirm_ask = lambda *_, **__: True
        coder.io.offer_url = lambda *_, **__: False
        for name in ("send", "send_message", "get_edits", "run_shell_commands", "show_send_output_stream"):
            setattr(coder, name, self.watch(name, getattr(coder, name)))
        return coder

    def watch(self, name, inner):
        """A method of the coder, seen by the method of ours that has its name."""
        return lambda *arguments, **options: getattr(self, name)(inner, *arguments, **options)

    def run(self, command, verbose=False, error_print=None, cwd=None):
        """Stands in for Aider's own, which has no limit in time."""
        process = subprocess.Popen(
            ["bash", "-c", command], cwd=cwd or WORKSPACE, env=CLEAN, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        )
        began, limit = time.monotonic(), float(TASK["ACTION_SECONDS"])
        try:
            output, late = process.communicate(timeout=limit)[0], False
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            output, late = process.communicate()[0] + f"\n[killed after {limit:.0f} s]\n".encode(), True
        text = output.decode(errors="replace")
        code = None if late else process.returncode
        seconds = round(time.monotonic() - began, 3)
        self.commands.append({"command": command, "exit_code": code, "output": text, "seconds": seconds})
        # Aider shows what is printed alone: a command that fails in silence would look like one that did its work.
        return process.returncode, text if not code else f"{text}[exit code {code}]\n"

    def send(self, inner, *arguments, **options):
        """One request to the model; Aider swallows what goes wrong with it, and ends well."""
        try:
            yield from inner(*arguments, **options)
            self.problem = None
        except Exception as error:
            self.problem = f"{type(error).__name__}: {error}"
            raise

    def show_send_output_stream(self, inner, completion):
        """The reply's pieces, each with the id of the reply."""
        def pieces():
            for piece in completion:
                self.response = piece.id
                yield piece

        yield from inner(pieces())

    def get_edits(self, inner, *arguments, **options):
        """The edits that Aider reads out of a reply; those without a path are commands."""
        edits = inner(*arguments, **options)
        self.edits += [{"path": edit[0], "search": edit[1], "replace": edit[2]} for edit in edits if edit[0]]
        return edits

    def run_shell_commands(self, inner):
        """What commands print goes into the next message, and not into one of its own that no reply answers."""
        self.said = inner() or ""
        return ""

    def send_message(self, inner, message):
        """One message, its reply and all that followed from it."""
        before, started = git("rev-parse", "HEAD").strip(), time.time()
        self.commands, self.edits, self.response, self.said = [], [], None, ""
        self.coder.shell_commands = []
        yield from inner(message)
        if self.coder.reflected_message:
            self.coder.reflected_message = self.said + self.coder.reflected_message
        commits = git("log", "--reverse", "--format=%H", f"{before}..HEAD").split()
        self.replies.append({
            "response_id": self.response,
            "message": message,
            "text": self.coder.partial_response_content,
            "edits": self.edits,
            "commits": [{"id": commit, "diff": git("show", "--format=", commit)} for commit in commits],
            "suggested": self.coder.shell_commands,
            "commands": self.commands,
            "said": self.said,
            "reflected": self.coder.reflected_message,
            "problem": self.problem,
            "started": started,
            "finished": time.time(),
        })
        self.keep("running")

    def keep(self, status):
        """What is known so far, whole or not at all."""
        from aider import __version__

        record = {"format": "aider-driver-1", "aider": __version__, "status": status, "replies": self.replies}
        part = OUTPUT / "rounds.part"
        part.write_text(json.dumps(record, ensure_ascii=False))
        part.replace(OUTPUT / "rounds.json")

    def work(self):
        """Rounds, until one changes nothing and runs nothing."""
        until = time.monotonic() + float(TASK["SECONDS"])
        message = Path(TASK["INSTRUCTION"]).read_text()
        while time.monotonic() < until and len(self.replies) < int(TASK["STEPS"]):
            seen = len(self.replies)
            # Files that the task names are shown at once; a task that begins like a command of Aider's is none.
            self.coder.run(with_message=message, preproc=not message.lstrip().startswith(("/", "!")))
            if self.problem or len(self.replies) == seen:
                return "model" if self.problem else "silent"
            if not any(reply["edits"] or reply["commands"] or reply["reflected"] for reply in self.replies[seen:]):
                return "done"
            message = self.said + GO_ON
        return "limit"


def main():
    """Prepares, works, and says how it went."""
    OUTPUT.mkdir(parents=True, exist_ok=True)
    os.chdir(WORKSPACE)
    start_repository()
    driver = Driver()
    status = driver.work()
    driver.keep(status)
    if driver.problem:
        print(driver.problem.replace(TASK["API_KEY"], "***"), file=sys.stderr)
    return {"done": DONE, "limit": LIMIT, "model": MODEL}.get(status, BROKEN)


if __name__ == "__main__":
    sys.exit(main())
