"""The hidden checks."""

import sheet
from trajforge_check import check, main, put, read, require, run_agent, scratch


def right(rows):
    sums = {}
    for _, person, worked in rows:
        sums[person] = sums.get(person, 0.0) + float(worked.replace(",", "."))
    return "".join(f"{person} {total:.2f}\n" for person, total in sorted(sums.items()))


def printed(text):
    path = scratch() / "sheet.csv"
    put(path, text)
    done = run_agent(["python3", "hours.py", path])
    require(done.code == 0, f"hours.py ended with {done.code}: {done.err[-300:]}")
    return done.out


@check
def totals():
    require(read("totals.txt").split() == right(sheet.rows("data_seed")).split(), "the totals are wrong")


@check
def other_sheet():
    require(printed(sheet.text("hidden_seed")) == right(sheet.rows("hidden_seed")), "another sheet is totalled wrongly")


@check
def small_sheets():
    require(printed("day;person;hours\n1;zed;0,5") == "zed 0.50\n", "a sheet of one line is totalled wrongly")
    require(printed("day;person;hours\n1;zed;0,5\n2;zed;8\n") == "zed 8.50\n", "a line feed at the end makes a difference")


@check
def sheet_untouched():
    require(read("hours.csv") == sheet.text("data_seed"), "hours.csv was changed")


main()
