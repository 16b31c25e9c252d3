"""Makes a time sheet from the task's parameters: sheet.py FILE SEED_NAME"""

import json
import pathlib
import random
import sys

PARAMETERS = json.loads((pathlib.Path(__file__).parent / "params.json").read_text())["parameters"]


def rows(seed_name):
    draw = random.Random(PARAMETERS[seed_name])
    for day in range(1, PARAMETERS["days"] + 1):
        for person in PARAMETERS["people"]:
            if draw.random() < 0.8:
                yield day, person, draw.choice(["8", "7,5", "6,25", "4", "8,75"])


def text(seed_name):
    return "day;person;hours\n" + "\n".join(";".join(map(str, row)) for row in rows(seed_name))


if __name__ == "__main__":
    pathlib.Path(sys.argv[1]).write_text(text(sys.argv[2]))
