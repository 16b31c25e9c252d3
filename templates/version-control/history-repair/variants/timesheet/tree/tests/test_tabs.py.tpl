%% if fix_a
import os
import tempfile
import unittest

from <<pkg>>.sheet import Sheet


class Tabs(unittest.TestCase):
    def test_fields_may_be_set_apart_by_tabs(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "sheet.txt")
            with open(path, "w", encoding="utf-8") as file:
                file.write("2020-02-03\tmei\t09:00-10:00\tatlas\n")
            (entry,) = Sheet.read(path).entries
            self.assertEqual((entry.person, entry.project), ("mei", "atlas"))


if __name__ == "__main__":
    unittest.main()
%% end
