"""The command line: docs/cli.md."""

import argparse
import json
import logging
import time

from . import report, settings, slots
from .guard import Guard, LedgerBusy
from .night import Night
from .store import Store
from .wire import SessionEnded

log = logging.getLogger(__name__)

FORMAT = "%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s %(message)s"


def arguments(argv):
    parser = argparse.ArgumentParser(prog=__package__)
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--ledger", required=True)
    shared.add_argument("--config", default="recon.ini")
    commands = parser.add_subparsers(dest="command", required=True)

    run = commands.add_parser("run", parents=[shared], help="charge what has fallen due")
    run.add_argument("--to", required=True, type=slots.moment, dest="until")
    run.add_argument("--state", required=True)
    run.add_argument("--gateway", required=True)
    run.add_argument("--worker", default="main")
    run.add_argument("--page-size", type=int)
    run.add_argument("--pause-ms", type=int)
    run.set_defaults(function=run_night)

    status = commands.add_parser("status", parents=[shared], help="where the ledger stands, as JSON")
    status.set_defaults(function=print_status)

    listing = commands.add_parser("report", parents=[shared], help="what a run has booked, as CSV")
    listing.add_argument("--run", required=True)
    listing.set_defaults(function=print_report)
    return parser.parse_args(argv)


def main(argv=None):
    args = arguments(argv)
    logging.Formatter.converter = time.gmtime
    logging.basicConfig(level=logging.INFO, format=FORMAT, datefmt="%Y-%m-%dT%H:%M:%S")
    return args.function(args)


def run_night(args):
    chosen = settings.read(args.config, args.page_size, args.pause_ms)
    try:
        with Guard(args.ledger, args.state):
            Night(Store(args.ledger), chosen, args.gateway, args.worker).work(args.until)
    except LedgerBusy as busy:
        log.info("%s, nothing done", busy)
        return 75
    except SessionEnded as ended:
        log.error("gateway gone: %s", ended)
        return 69
    return 0


def print_status(args):
    store = Store(args.ledger)
    mark = slots.iso(slots.moment(store.mark()))
    print(json.dumps({"mark": mark, **store.outcomes()}, sort_keys=True))
    return 0


def print_report(args):
    for line in report.lines(Store(args.ledger).booked(args.run)):
        print(line)
    return 0
