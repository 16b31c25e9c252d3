%% if fix_c
import os
import tempfile
import unittest

from <<pkg>>.events import read_events


class MissingAccount(unittest.TestCase):
    def test_the_row_is_refused_with_its_line(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "events.csv")
            with open(path, "w", encoding="utf-8") as file:
                file.write("id,day,account,kind,quantity\n1,2020-02-03,a-1,scan,5\n2,2020-02-03,,scan,5\n")
            with self.assertRaisesRegex(ValueError, ":3: no account"):
                read_events(path)


if __name__ == "__main__":
    unittest.main()
%% end
