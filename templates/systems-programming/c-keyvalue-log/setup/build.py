"""Lays the store, the feed and the archive into data/."""

import json
import pathlib
import sys

here = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(here))
sys.dont_write_bytecode = True

import world  # noqa: E402

parameters = json.loads((here / "params.json").read_text())["parameters"]
data = pathlib.Path("data")
data.mkdir(exist_ok=True)
for name, content in world.files(parameters).items():
    (data / name).write_bytes(content)
