import unittest
from datetime import date

from <<pkg>>.clock import Span
from <<pkg>>.rules import Rules
from <<pkg>>.sheet import Entry, Sheet
from <<pkg>>.totals import Totals


def entry(day, person, span, project="atlas"):
    return Entry(date(2020, 2, day), person, Span.parse(span), project)


class Rows(unittest.TestCase):
    def test_a_row_for_each_person(self):
        sheet = Sheet([entry(3, "mei", "09:00-12:00"), entry(3, "ada", "09:00-10:00"), entry(4, "mei", "13:00-14:00")])
        rows = Totals(Rules({})).rows(sheet)
        self.assertEqual([(row["name"], row["minutes"]) for row in rows], [("ada", 60), ("mei", 240)])

    def test_a_row_for_each_week(self):
        sheet = Sheet([entry(7, "mei", "09:00-10:00"), entry(12, "mei", "09:00-10:00")])
        rows = Totals(Rules({}), by="week").rows(sheet)
        self.assertEqual([row["name"] for row in rows], ["2020-W06", "2020-W07"])
%% if x3

    def test_a_row_for_each_project(self):
        sheet = Sheet([entry(7, "mei", "09:00-10:00", "atlas"), entry(7, "mei", "10:00-11:00", "borealis")])
        rows = Totals(Rules({}), by="project").rows(sheet)
        self.assertEqual([row["name"] for row in rows], ["atlas", "borealis"])
%% end
%% if l1

    def test_what_is_over_the_cap_is_kept_apart(self):
        (row,) = Totals(Rules({"cap": 120})).rows(Sheet([entry(3, "mei", "09:00-12:00")]))
        self.assertEqual((row["minutes"], row["over"]), (120, 60))
%% end


if __name__ == "__main__":
    unittest.main()
