%% if x1
import unittest

from <<pkg>>.rules import Rules


class Counted(unittest.TestCase):
    def test_a_long_span_has_a_break(self):
        rules = Rules({"break_after": 360, "break": 30})
        self.assertEqual(rules.counted(480), 450)
        self.assertEqual(rules.counted(360), 360)
%% if x2

    def test_minutes_are_rounded_to_a_unit(self):
        rules = Rules({"round_to": 6})
        self.assertEqual(rules.counted(61), 60)
        self.assertEqual(rules.counted(64), 66)
%% end


if __name__ == "__main__":
    unittest.main()
%% end
