"""Runs modules of the workspace as commands, one after the other, each with fresh modules: cases from stdin, results to stdout.

One process for all of them, as starting Python two hundred times would cost more than everything else together.
"""

import contextlib
import io
import json
import os
import runpy
import signal
import sys
import traceback

request = json.load(sys.stdin)
before, environment = set(sys.modules), dict(os.environ)
sys.pycache_prefix = "/tmp/.driver-bytecode"  # kept between checks, which saves compiling anew
sys.dont_write_bytecode = False
here = os.getcwd()


def late(*_):
    raise TimeoutError("the command did not end")


def run(case):
    os.chdir(here)
    os.environ.clear()
    os.environ.update({**environment, **case["env"]})
    sys.path[:] = [here, *paths]
    for name in [name for name in sys.modules if name not in before]:
        if (getattr(sys.modules[name], "__file__", None) or here).startswith(here):
            del sys.modules[name]
    sys.argv, sys.stdin = [case["module"], *case["argv"]], io.StringIO(case["stdin"])
    out, err, code = io.StringIO(), io.StringIO(), 0
    signal.alarm(15)
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            runpy.run_module(case["module"], run_name="__main__", alter_sys=True)
        except SystemExit as end:
            code = 0 if end.code is None else end.code if isinstance(end.code, int) else 1
        except BaseException:
            traceback.print_exc()
            code = 1
    signal.alarm(0)
    return {"code": code, "out": out.getvalue()[:200_000], "err": err.getvalue()[-600:]}


paths = list(sys.path)
signal.signal(signal.SIGALRM, late)
results = [run(case) for case in request]
json.dump(results, sys.stdout)
