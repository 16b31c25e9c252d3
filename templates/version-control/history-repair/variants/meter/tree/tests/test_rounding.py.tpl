%% if fix_b
import unittest
from decimal import Decimal

from <<pkg>>.money import to_money


class Rounding(unittest.TestCase):
    def test_half_a_cent_goes_up(self):
        self.assertEqual(to_money(Decimal("0.125")), Decimal("0.13"))
        self.assertEqual(to_money(Decimal("0.135")), Decimal("0.14"))


if __name__ == "__main__":
    unittest.main()
%% end
