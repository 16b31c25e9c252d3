"""The command line."""

import argparse
import sys
%% if range
from datetime import date
%% end

from . import __version__
%% if csv
from .<<views>> import CsvView, JsonView, TextView
%% elif json
from .<<views>> import JsonView, TextView
%% else
from .<<views>> import TextView
%% end
from .rules import Rules
from .sheet import Sheet
%% if l4
from .totals import Totals, without_zero
%% else
from .totals import Totals
%% end
%% if r2_later
from .weeks import week_of
%% end


class Report:
    """`report`: totals of a sheet."""

    def add_to(self, commands):
        """Says what may stand on the command line."""
        parser = commands.add_parser("report", help="add up a sheet")
        parser.add_argument("sheet")
        parser.add_argument("--rules", required=True)
%% if x3
        parser.add_argument("--by", choices=["person", "week", "project"], default="person")
%% else
        parser.add_argument("--by", choices=["person", "week"], default="person")
%% end
%% if only
        parser.add_argument("--person", help="count the entries of one person")
%% end
%% if range
        parser.add_argument("--since", type=date.fromisoformat, help="the first day")
        parser.add_argument("--until", type=date.fromisoformat, help="the last day")
%% end
%% if r2_later
        parser.add_argument("--week", help="count one week, such as 2020-W07")
%% end
%% if csv
        form = parser.add_mutually_exclusive_group()
        form.add_argument("--json", dest="view", action="store_const", const=JsonView, default=TextView)
        form.add_argument("--csv", dest="view", action="store_const", const=CsvView)
%% elif json
        parser.add_argument("--json", dest="view", action="store_const", const=JsonView, default=TextView)
%% end
%% if r1_later
        parser.add_argument("--night", action="store_true", help="show the hours between 22:00 and 06:00 (JSON)")
%% end
%% if l4
        parser.add_argument("--quiet", action="store_true", help="leave out rows without hours")
%% end
        parser.set_defaults(run=self.run)

    def run(self, options):
        """The totals, shown."""
        rules = Rules.load(options.rules)
        sheet = Sheet.read(options.sheet)
%% if only
        if options.person:
            sheet = sheet.of(options.person)
%% end
%% if range
        sheet = sheet.between(options.since, options.until)
%% end
%% if r2_later
        if options.week:
            sheet = Sheet([entry for entry in sheet.entries if week_of(entry.day) == options.week])
%% end
        rows = Totals(rules, options.by).rows(sheet)
%% if l4
        if options.quiet:
            rows = without_zero(rows)
%% end
%% if l2
        view = options.view(unit=rules.values.get("unit", ""), night=options.night)
%% elif r1_later
        view = options.view(night=options.night)
%% elif json
        view = options.view()
%% else
        view = TextView()
%% end
        return view.show(rows)
%% if check


class Check:
    """`check`: whether a sheet can be read."""

    def add_to(self, commands):
        """Says what may stand on the command line."""
        parser = commands.add_parser("check", help="see whether a sheet can be read")
        parser.add_argument("sheet")
        parser.set_defaults(run=self.run)

    def run(self, options):
        """How many entries there are."""
        return f"{len(Sheet.read(options.sheet).entries)} entries"
%% end


def build_parser():
    """What can be said on the command line."""
    parser = argparse.ArgumentParser(prog="<<pkg>>")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True)
%% if check
    for command in [Report(), Check()]:
        command.add_to(commands)
%% else
    Report().add_to(commands)
%% end
    return parser


def main(arguments=None):
    """Runs a command; the exit code is 2 where the files don't allow it."""
    options = build_parser().parse_args(arguments)
    try:
        print(options.run(options))
    except (ValueError, OSError) as error:
        print(f"<<pkg>>: {error}", file=sys.stderr)
        return 2
    return 0
