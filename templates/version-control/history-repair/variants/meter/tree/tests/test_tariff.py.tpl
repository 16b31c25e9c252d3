%% if x1
import unittest
from decimal import Decimal

from <<pkg>>.tariff import unit_price

TARIFF = {
    "kinds": {
        "disk": {
            "tiers": [
                {"up_to": 100, "price": "0.12"},
                {"up_to": 500, "price": "0.10"},
                {"price": "0.07"},
            ]
        }
    }
}


class Tiers(unittest.TestCase):
    def test_the_whole_quantity_has_the_price_of_its_tier(self):
        for quantity, price in [(40, "0.12"), (300, "0.10"), (501, "0.07"), (9000, "0.07")]:
            self.assertEqual(unit_price(TARIFF, "disk", Decimal(quantity)), Decimal(price))
%% if x2

    def test_what_is_free_costs_nothing(self):
        from <<pkg>>.tariff import free_units

        self.assertEqual(free_units({"kinds": {"scan": {"price": "1", "free": 20}}}, "scan"), 20)
%% end
%% if r1_later

    def test_tiers_are_numbered_from_one(self):
        from <<pkg>>.tariff import tier_of

        self.assertEqual(tier_of(TARIFF, "disk", Decimal(40)), 1)
        self.assertEqual(tier_of(TARIFF, "disk", Decimal(501)), 3)
%% end


if __name__ == "__main__":
    unittest.main()
%% end
