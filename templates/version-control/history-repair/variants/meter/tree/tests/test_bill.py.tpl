import unittest
from datetime import date
from decimal import Decimal

from <<pkg>>.bill import make_statements
from <<pkg>>.events import Event

TARIFF = {"kinds": {"seat": {"price": "4.00"}, "scan": {"price": "0.05"}}}


def event(number, account, kind, quantity):
    return Event(str(number), date(2020, 2, 3), account, kind, Decimal(quantity))


class Statements(unittest.TestCase):
    def test_kinds_are_added_up(self):
        events = [event(1, "a-1", "scan", 10), event(2, "a-1", "scan", 30), event(3, "a-1", "seat", 2)]
        (statement,) = make_statements(events, TARIFF)
        self.assertEqual(statement["total"], Decimal("10.00"))
        self.assertEqual([line["kind"] for line in statement["lines"]], ["scan", "seat"])

    def test_accounts_are_sorted(self):
        events = [event(1, "b-1", "seat", 1), event(2, "a-1", "seat", 1)]
        self.assertEqual([s["account"] for s in make_statements(events, TARIFF)], ["a-1", "b-1"])
%% if x3

    def test_an_account_pays_the_minimum(self):
        (statement,) = make_statements([event(1, "a-1", "scan", 10)], {**TARIFF, "minimum": "2.00"})
        self.assertEqual(statement["total"], Decimal("2.00"))
%% end
%% if x4

    def test_numbers_in_names_count_as_numbers(self):
        events = [event(1, "a-10", "seat", 1), event(2, "a-2", "seat", 1)]
        self.assertEqual([s["account"] for s in make_statements(events, TARIFF)], ["a-2", "a-10"])
%% end
%% if l1

    def test_what_is_over_the_cap_is_kept_apart(self):
        (statement,) = make_statements([event(1, "a-1", "seat", 10)], {**TARIFF, "cap": "25.00"})
        self.assertEqual((statement["total"], statement["over"]), (Decimal("25.00"), Decimal("15.00")))
%% end


if __name__ == "__main__":
    unittest.main()
