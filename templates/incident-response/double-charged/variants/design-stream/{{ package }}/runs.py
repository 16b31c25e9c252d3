"""A run: everything that fell due since the mark, one operation after the other."""

import logging
from collections import Counter

from . import marks
from .charging import Keys, charge
from .gateway import Gateway
from .pages import due

log = logging.getLogger(__name__)


def name_of(end, worker):
    return f"{end:%Y%m%dT%H%M}-{worker}"


def run(ledger, command, end, worker, policy):
    start = marks.read(ledger, policy.zone)
    if start >= end:
        log.info("nothing falls due up to %s", marks.text(end))
        return Counter()
    name = name_of(end, worker)
    log.info("run %s opens %s to %s", name, marks.text(start), marks.text(end))
    handled = ledger.handled_by_unfinished()
    ledger.open_run(name, marks.text(start), marks.text(end))
    counts = Counter()
    with Gateway(command) as gateway:
        for outcome in outcomes(ledger, gateway, start, end, handled, Keys(name), policy):
            ledger.book(name, outcome)
            counts[outcome.kind] += 1
    marks.write(ledger, end, policy.zone)
    ledger.close_runs()
    ended = ", ".join(f"{counts[kind]} {kind}" for kind in ("captured", "declined", "short", "unclear"))
    log.info("run %s closes: %d requests, %s", name, gateway.requests, ended)
    return counts


def outcomes(ledger, gateway, start, end, handled, keys, policy):
    for operation in due(ledger, marks.text(start), marks.text(end), policy.page_size):
        if operation.id not in handled:
            yield charge(gateway, operation, keys, policy)
