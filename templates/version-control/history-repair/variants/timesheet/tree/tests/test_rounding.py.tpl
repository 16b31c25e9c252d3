%% if fix_b
import unittest

from <<pkg>>.rules import Rules


class Rounding(unittest.TestCase):
    def test_half_a_unit_goes_up(self):
        rules = Rules({"round_to": 6})
        self.assertEqual([rules.rounded(minutes) for minutes in (3, 9, 15)], [6, 12, 18])


if __name__ == "__main__":
    unittest.main()
%% end
