%% if fix_e
import unittest
from datetime import date

from <<pkg>>.clock import Span
from <<pkg>>.sheet import Entry, Sheet


class Range(unittest.TestCase):
    def test_both_ends_belong_to_it(self):
        entries = [Entry(date(2020, 2, day), "mei", Span.parse("09:00-10:00"), "atlas") for day in range(1, 6)]
        chosen = Sheet(entries).between(date(2020, 2, 2), date(2020, 2, 4))
        self.assertEqual([entry.day.day for entry in chosen.entries], [2, 3, 4])


if __name__ == "__main__":
    unittest.main()
%% end
