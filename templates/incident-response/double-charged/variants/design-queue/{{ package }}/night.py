"""The nightly job: finish what was left open, then feed and work off what fell due since."""

import logging
from collections import Counter

from . import slots
from .feeder import Feeder
from .items import ENDED
from .machine import Machine
from .wire import Session

log = logging.getLogger(__name__)


class Night:
    def __init__(self, store, settings, gateway, worker):
        self.store = store
        self.settings = settings
        self.gateway = gateway
        self.worker = worker

    def work(self, until):
        left = self.store.open_batch()
        if left:
            batch, _, closes = left
            items = self.store.waiting(batch)
            log.info("batch %s resumed: %d items left", batch, len(items))
            self.work_off(batch, closes, items)
        opens = slots.moment(self.store.mark())
        if opens >= until:
            log.info("nothing falls due up to %s", slots.iso(until))
            return
        batch = f"{until:%Y%m%dT%H%M}-{self.worker}"
        log.info("batch %s opens %s to %s", batch, slots.iso(opens), slots.iso(until))
        self.store.begin(batch, slots.iso(opens), slots.iso(until))
        Feeder(self.store, self.settings).fill(batch, opens, until)
        self.store.fed()
        self.work_off(batch, slots.iso(until), self.store.waiting(batch))

    def work_off(self, batch, closes, items):
        counts = Counter()
        session = Session(self.gateway)
        try:
            machine = Machine(session, self.settings)
            for item in items:
                self.store.book(machine.finish(item))
                counts[item.state] += 1
        finally:
            session.close()
        self.store.close(batch, closes)
        ended = ", ".join(f"{counts[state]} {state}" for state in ENDED)
        log.info("batch %s closes: %d requests, %s", batch, session.sent, ended)
