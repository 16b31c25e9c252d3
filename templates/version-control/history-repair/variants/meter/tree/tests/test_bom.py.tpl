%% if fix_a
import os
import tempfile
import unittest

from <<pkg>>.events import read_events


class ByteOrderMark(unittest.TestCase):
    def test_a_file_may_begin_with_one(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "events.csv")
            with open(path, "w", encoding="utf-8-sig") as file:
                file.write("id,day,account,kind,quantity\n1,2020-02-03,a-1,scan,5\n")
            self.assertEqual(len(read_events(path)), 1)


if __name__ == "__main__":
    unittest.main()
%% end
