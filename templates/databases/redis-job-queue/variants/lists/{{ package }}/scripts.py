"""The Lua scripts: whatever changes more than one key happens inside Redis, in one go."""

import pathlib

FOLDER = pathlib.Path(__file__).parent / "lua"


class Scripts:
    def __init__(self, client):
        for path in FOLDER.glob("*.lua"):
            setattr(self, path.stem, client.register_script(path.read_text(encoding="utf-8")))
