import unittest

from <<pkg>>.clock import Span


class Length(unittest.TestCase):
    def test_a_span_within_a_day(self):
        self.assertEqual(Span.parse("09:00-17:30").length, 510)

    def test_no_time_of_day(self):
        with self.assertRaises(ValueError):
            Span.parse("09:00-25:00")
%% if r1_later

    def test_night(self):
        self.assertEqual(Span.parse("05:00-09:00").night, 60)
        self.assertEqual(Span.parse("21:00-23:00").night, 60)
%% end


if __name__ == "__main__":
    unittest.main()
