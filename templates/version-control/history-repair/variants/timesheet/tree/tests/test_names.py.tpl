%% if fix_d
import os
import tempfile
import unittest

from <<pkg>>.sheet import Sheet


def first(text):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "sheet.txt")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return Sheet.read(path).entries[0]


class Names(unittest.TestCase):
    def test_persons_have_no_capitals(self):
        self.assertEqual(first("2020-02-03 Mei 09:00-10:00 atlas\n").person, "mei")
%% if fix_d2

    def test_projects_have_none_either(self):
        self.assertEqual(first("2020-02-03 Mei 09:00-10:00 Atlas\n").project, "atlas")
%% end


if __name__ == "__main__":
    unittest.main()
%% end
