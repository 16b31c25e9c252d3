%% if make
import contextlib
import io
%% if json
import json
%% end
import unittest

from <<pkg>>.cli import main


def run(*arguments):
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        code = main(["report", "samples/sheet.txt", "--rules", "samples/rules.json", *arguments])
    return code, out.getvalue()


class Cli(unittest.TestCase):
    def test_text_names_every_person(self):
        code, text = run()
        self.assertEqual(code, 0)
        self.assertIn("ada", text)
%% if json

    def test_json_has_hours_for_each_row(self):
        _, text = run("--json")
        self.assertTrue(all("hours" in row for row in json.loads(text)["rows"]))
%% end
%% if only

    def test_one_person(self):
        _, text = run("--person", "mei")
        self.assertNotIn("ada", text)
%% end
%% if csv

    def test_csv_has_a_head(self):
        _, text = run("--csv")
        self.assertEqual(text.splitlines()[0], "name,hours")
%% end
%% if r2_later

    def test_one_week(self):
        _, text = run("--week", "2020-W06", "--by", "week")
        self.assertIn("2020-W06", text)
        self.assertNotIn("2020-W07", text)
%% end


if __name__ == "__main__":
    unittest.main()
%% end
