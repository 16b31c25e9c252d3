%% if fix_c
import os
import tempfile
import unittest

from <<pkg>>.sheet import Sheet


class EmptySpan(unittest.TestCase):
    def test_the_line_is_refused_with_its_number(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "sheet.txt")
            with open(path, "w", encoding="utf-8") as file:
                file.write("2020-02-03 mei 09:00-10:00 atlas\n\n2020-02-03 mei 11:00-11:00 atlas\n")
            with self.assertRaisesRegex(ValueError, ":3: an empty span"):
                Sheet.read(path)


if __name__ == "__main__":
    unittest.main()
%% end
