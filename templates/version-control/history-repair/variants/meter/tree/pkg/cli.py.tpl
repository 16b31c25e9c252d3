"""The command line."""

import argparse
%% if r2_later
import json
%% end
import sys
%% if range
from datetime import date
%% end

from . import __version__
%% if l4
from .bill import daily, make_statements, without_zero
%% elif r2_later
from .bill import daily, make_statements
%% else
from .bill import make_statements
%% end
%% if range
from .events import between, read_events
%% else
from .events import read_events
%% end
%% if csv
from .<<views>> import as_csv, as_json, as_text
%% elif json
from .<<views>> import as_json, as_text
%% else
from .<<views>> import as_text
%% end
from .tariff import load_tariff


def build_parser():
    """What can be said on the command line."""
    parser = argparse.ArgumentParser(prog="<<pkg>>")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True)
    bill = commands.add_parser("bill", help="make a statement for each account")
    bill.add_argument("events")
    bill.add_argument("--tariff", required=True)
%% if only
    bill.add_argument("--account", help="make the statement of one account")
%% end
%% if range
    bill.add_argument("--since", type=date.fromisoformat, help="the first day")
    bill.add_argument("--until", type=date.fromisoformat, help="the last day")
%% end
%% if csv
    form = bill.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true")
    form.add_argument("--csv", action="store_true")
%% elif json
    bill.add_argument("--json", action="store_true")
%% end
%% if r1_later
    bill.add_argument("--explain", action="store_true", help="name the tier of each line (JSON)")
%% end
%% if l4
    bill.add_argument("--quiet", action="store_true", help="leave out accounts that owe nothing")
%% end
    bill.set_defaults(run=run_bill)
%% if check
    check = commands.add_parser("check", help="see whether a file can be billed")
    check.add_argument("events")
    check.add_argument("--tariff", required=True)
    check.set_defaults(run=run_check)
%% end
%% if r2_later
    days = commands.add_parser("days", help="what each account used on each day, as JSON")
    days.add_argument("events")
    days.set_defaults(run=run_days)
%% end
    return parser


def run_bill(options):
    """The statements of a file."""
    tariff = load_tariff(options.tariff)
    events = read_events(options.events)
%% if only
    if options.account:
        events = [event for event in events if event.account == options.account]
%% end
%% if range
    events = between(events, options.since, options.until)
%% end
    statements = make_statements(events, tariff)
%% if l4
    if options.quiet:
        statements = without_zero(statements)
%% end
%% if csv
    if options.csv:
        return as_csv(statements)
%% end
%% if json
    if options.json:
%% if l2
        return as_json(statements, options.explain, tariff.get("currency", ""))
%% elif r1_later
        return as_json(statements, options.explain)
%% else
        return as_json(statements)
%% end
%% end
%% if l2
    return as_text(statements, tariff.get("currency", ""))
%% else
    return as_text(statements)
%% end
%% if check


def run_check(options):
    """How many events there are, once all of them can be billed."""
    kinds = load_tariff(options.tariff)["kinds"]
    events = read_events(options.events)
    unknown = sorted({event.kind for event in events} - set(kinds))
    if unknown:
        raise ValueError(f"the tariff has no kind {', '.join(map(repr, unknown))}")
    return f"{len(events)} events"
%% end
%% if r2_later


def run_days(options):
    """What each account used on each day."""
    return json.dumps(daily(read_events(options.events)), indent=2)
%% end


def main(arguments=None):
    """Runs a command; the exit code is 2 where the files don't allow it."""
    options = build_parser().parse_args(arguments)
    try:
        print(options.run(options))
    except (ValueError, OSError) as error:
        print(f"<<pkg>>: {error}", file=sys.stderr)
        return 2
    return 0
