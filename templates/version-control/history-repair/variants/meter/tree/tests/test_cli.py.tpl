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
        code = main(["bill", "samples/events.csv", "--tariff", "samples/tariff.json", *arguments])
    return code, out.getvalue()


class Cli(unittest.TestCase):
    def test_text_names_every_account(self):
        code, text = run()
        self.assertEqual(code, 0)
        self.assertIn("a-1", text)
%% if json

    def test_json_has_a_total_for_each_account(self):
        _, text = run("--json")
        self.assertTrue(all("total" in one for one in json.loads(text)["accounts"]))
%% end
%% if only

    def test_one_account(self):
        _, text = run("--account", "a-2")
        self.assertNotIn("a-1", text)
%% end
%% if csv

    def test_csv_has_a_head(self):
        _, text = run("--csv")
        self.assertEqual(text.splitlines()[0], "account,kind,quantity,amount")
%% end
%% if r2_later

    def test_days(self):
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            main(["days", "samples/events.csv"])
        self.assertEqual(json.loads(out.getvalue())[0]["account"], "a-1")
%% end


if __name__ == "__main__":
    unittest.main()
%% end
