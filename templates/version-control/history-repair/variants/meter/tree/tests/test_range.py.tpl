%% if fix_e
import unittest
from datetime import date
from decimal import Decimal

from <<pkg>>.events import Event, between


class Range(unittest.TestCase):
    def test_both_ends_belong_to_it(self):
        events = [Event(str(day), date(2020, 2, day), "a-1", "scan", Decimal(1)) for day in range(1, 6)]
        chosen = between(events, date(2020, 2, 2), date(2020, 2, 4))
        self.assertEqual([event.day.day for event in chosen], [2, 3, 4])


if __name__ == "__main__":
    unittest.main()
%% end
