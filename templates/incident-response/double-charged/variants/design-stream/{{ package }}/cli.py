"""The command line: docs/cli.md."""

import argparse
import json
import logging
import sys
import time

from . import config, marks, report, runs
from .gateway import GatewayGone
from .ledger import Ledger
from .locking import Busy, lock

FORMAT = "%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s %(message)s"
BUSY = 75
GONE = 69


def parser():
    top = argparse.ArgumentParser(prog=__package__)
    commands = top.add_subparsers(dest="command", required=True)

    run = commands.add_parser("run", help="charge what has fallen due")
    run.add_argument("--to", required=True, type=marks.parse)
    run.add_argument("--state", required=True)
    run.add_argument("--gateway", required=True)
    run.add_argument("--worker", default="main")
    run.add_argument("--page-size", type=int)
    run.add_argument("--pause-ms", type=int)

    status = commands.add_parser("status", help="where the ledger stands, as JSON")
    listing = commands.add_parser("report", help="what a run has booked, as CSV")
    listing.add_argument("--run", required=True)
    for command in (run, status, listing):
        command.add_argument("--ledger", required=True)
        command.add_argument("--config", default="recon.ini")
    return top


def main(argv=None):
    args = parser().parse_args(argv)
    logging.Formatter.converter = time.gmtime
    logging.basicConfig(level=logging.INFO, format=FORMAT, datefmt="%Y-%m-%dT%H:%M:%S")
    if args.command == "run":
        return run(args)
    ledger = Ledger(args.ledger)
    if args.command == "status":
        zone = config.load(args.config).zone
        print(json.dumps({"mark": marks.text(marks.read(ledger, zone)), **ledger.outcomes()}, sort_keys=True))
    else:
        report.write(ledger.booked(args.run), sys.stdout)
    return 0


def run(args):
    policy = config.load(args.config, args.page_size, args.pause_ms)
    try:
        with lock(args.ledger, args.state):
            runs.run(Ledger(args.ledger), args.gateway, args.to, args.worker, policy)
    except Busy as busy:
        logging.getLogger(__name__).info("%s, nothing done", busy)
        return BUSY
    except GatewayGone as gone:
        logging.getLogger(__name__).error("gateway gone: %s", gone)
        return GONE
    return 0
