%% if fix_d
import unittest
from decimal import Decimal

from <<pkg>>.events import to_quantity


class Quantities(unittest.TestCase):
    def test_thousands_may_be_set_apart(self):
        self.assertEqual(to_quantity("1,250.5"), Decimal("1250.5"))
%% if fix_d2

    def test_spaces_set_thousands_apart_as_well(self):
        self.assertEqual(to_quantity("1 250"), Decimal(1250))
%% end


if __name__ == "__main__":
    unittest.main()
%% end
