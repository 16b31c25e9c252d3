"""Works in a sandbox through SWE-ReX's own client, and expects of it what SWE-ReX's own server gives: PORT KEY."""

import asyncio
import sys
import tempfile
from pathlib import Path

from swerex.exceptions import (
    BashIncorrectSyntaxError,
    CommandTimeoutError,
    NonZeroExitCodeError,
    SessionDoesNotExistError,
    SessionExistsError,
    SwerexException,
)
from swerex.runtime.abstract import (
    BashAction,
    BashInterruptAction,
    CloseBashSessionRequest,
    Command,
    CreateBashSessionRequest,
    ReadFileRequest,
    UploadRequest,
    WriteFileRequest,
)
from swerex.runtime.remote import RemoteRuntime


async def raises(kind, work):
    """The error of exactly this kind that the work ends with."""
    try:
        await work
    except Exception as error:
        assert type(error) is kind, f"{type(error)} instead of {kind}: {error}"
        return error
    raise AssertionError(f"{kind} was not raised")


async def sessions(runtime):
    """What a session remembers, and how commands end in it."""
    await runtime.create_session(CreateBashSessionRequest(startup_source=["/nowhere/it's"], startup_timeout=10))
    await raises(SessionExistsError, runtime.create_session(CreateBashSessionRequest()))
    run = lambda command, **more: runtime.run_in_session(BashAction(command=command, **more))
    await run("mkdir -p sub && cd sub && export COLOUR=green && hue() { echo \"hue $1\"; }")
    seen = await run("hue $COLOUR; basename $PWD; echo é 😀")
    assert (seen.output, seen.exit_code) == ("hue green\nsub\né 😀\n", 0), seen
    assert (await run("(exit 7)", check="silent")).exit_code == 7
    assert (await run("(exit 7)", check="ignore")).exit_code is None
    error = await raises(NonZeroExitCodeError, run("echo said; (exit 7)", error_msg="it broke"))
    assert str(error).startswith("it broke: ") and "exit code 7" in str(error) and "said" in str(error), error
    error = await raises(BashIncorrectSyntaxError, run("echo 'never closed"))
    assert "unexpected EOF" in error.extra_info["bash_stderr"], error.extra_info
    await raises(CommandTimeoutError, run("sleep 60", timeout=0.3))
    assert (await runtime.run_in_session(BashInterruptAction())).exit_code == 0
    assert (await run("cat <<END\nafter $COLOUR\nEND")).output == "after green\n", "the session was lost"
    await raises(SwerexException, run("python3", is_interactive_command=True))
    await runtime.create_session(CreateBashSessionRequest(session="other"))
    assert (await run("echo \"[$COLOUR]\"", session="other")).output == "[]\n"
    await runtime.close_session(CloseBashSessionRequest(session="other"))
    await raises(SessionDoesNotExistError, run("true", session="other"))
    await raises(SessionDoesNotExistError, runtime.close_session(CloseBashSessionRequest(session="other")))
    await runtime.create_session(CreateBashSessionRequest(session="other"))


async def programs(runtime):
    """Programs apart from the sessions."""
    execute = lambda command, **more: runtime.execute(Command(command=command, **more))
    seen = await execute(["sh", "-c", "echo out; echo \"$A b\" >&2; exit 3"], env={"A": "it's"})
    assert (seen.stdout, seen.stderr, seen.exit_code) == ("out\n", "it's b\n", 3), seen
    seen = await execute("echo $0; pwd; echo err >&2", shell=True, cwd="/tmp", merge_output_streams=True)
    assert (seen.stdout, seen.stderr) == ("sh\n/tmp\nerr\n", ""), seen
    assert (await execute("pwd")).stdout == "/workspace\n"
    await raises(NonZeroExitCodeError, execute(["false"], check=True))
    await raises(CommandTimeoutError, execute(["sleep", "60"], timeout=0.3))
    assert not (await execute("ls -A /tmp | grep swerex", shell=True, merge_output_streams=True)).stdout, "files were left behind"


async def files(runtime):
    """Files in and out, one by one and as a folder."""
    text = "two\nlines, é 😀, no end"
    await runtime.write_file(WriteFileRequest(path="/workspace/a/b/text", content=text))
    assert (await runtime.read_file(ReadFileRequest(path="/workspace/a/b/text"))).content == text
    await raises(FileNotFoundError, runtime.read_file(ReadFileRequest(path="/workspace/none")))
    await raises(OSError, runtime.write_file(WriteFileRequest(path="/proc/none", content="")))
    await runtime.execute(Command(command="printf '\\377x' > bytes", shell=True))
    await raises(SwerexException, runtime.read_file(ReadFileRequest(path="bytes")))
    assert (await runtime.read_file(ReadFileRequest(path="bytes", errors="replace"))).content == "\ufffdx"
    with tempfile.TemporaryDirectory() as folder:
        inner = Path(folder) / "tools" / "bin"
        inner.mkdir(parents=True)
        (inner / "hello").write_text("#!/bin/sh\necho hello\n")
        (inner / "hello").chmod(0o755)
        (inner / "bytes").write_bytes(bytes(range(256)) * 1000)
        await runtime.upload(UploadRequest(source_path=f"{folder}/tools", target_path="/workspace/tools"))
        # As SWE-agent does: all at once, below a folder that is not there.
        many = [UploadRequest(source_path=f"{folder}/tools", target_path=f"/workspace/deep/er/{n}") for n in range(8)]
        await asyncio.gather(*(runtime.upload(request) for request in many))
        await runtime.upload(UploadRequest(source_path=str(inner / "bytes"), target_path="/workspace/up/one"))
    seen = await runtime.execute(Command(command="tools/bin/hello; cmp tools/bin/bytes up/one && wc -c < up/one", shell=True))
    assert seen.stdout == "hello\n256000\n", seen


async def main(port, key):
    """Everything, then the end."""
    refused = RemoteRuntime(host="http://127.0.0.1", port=port, auth_token="wrong")
    alive = await refused.is_alive()
    assert not alive and "401" in alive.message, alive
    runtime = RemoteRuntime(host="http://127.0.0.1", port=port, auth_token=key)
    await runtime.wait_until_alive(timeout=10)
    await sessions(runtime)
    await programs(runtime)
    await files(runtime)
    await runtime.close()
    await raises(SessionDoesNotExistError, runtime.run_in_session(BashAction(command="true")))


asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
