"""Runs modules of the workspace as commands, each in a process of its own: cases from stdin, results to stdout, in JSON."""

import argparse, ast, collections, configparser, contextlib, copy, dataclasses, enum, functools, importlib.util, inspect, io  # noqa
import json, os, pathlib, pkgutil, re, runpy, shutil, signal, string, sys, tempfile, textwrap, tomllib, traceback, types, typing  # noqa

request = json.load(sys.stdin)
sys.pycache_prefix = tempfile.mkdtemp()


def run(case):
    out, err, given = (tempfile.TemporaryFile() for _ in range(3))
    given.write(case.get("stdin", "").encode())
    given.seek(0)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            signal.alarm(20)
            for number, file in enumerate((given, out, err)):
                os.dup2(file.fileno(), number)
            sys.stdin = open(0, closefd=False)
            os.environ.update(case.get("env", {}))
            sys.path.insert(0, os.getcwd())
            sys.argv = [case["module"], *case["argv"]]
            runpy.run_module(case["module"], run_name="__main__", alter_sys=True)
            code = 0
        except SystemExit as end:
            code = 0 if end.code is None else end.code if isinstance(end.code, int) else 1
        except BaseException:
            traceback.print_exc()
        finally:
            try:
                sys.stdout.flush()
                sys.stderr.flush()
            finally:
                os._exit(code & 255)
    status = os.waitpid(child, 0)[1]
    texts = []
    for file in (out, err):
        file.seek(0)
        texts.append(file.read(200_000).decode("utf-8", "replace"))
    return {"code": os.waitstatus_to_exitcode(status), "out": texts[0], "err": texts[1][-600:]}


results = [run(case) for case in request]
shutil.rmtree(sys.pycache_prefix, ignore_errors=True)
print(json.dumps(results))
