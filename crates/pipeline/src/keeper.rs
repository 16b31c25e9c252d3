//! The keeper of a run: removes what dead workers left while it goes on, and lets no rollout start on a disk that is nearly full.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use trajforge_sandbox::Sandboxes;
use trajforge_schema::Event;

use crate::world::Events;

/// Between two looks.
const ROUND: Duration = Duration::from_secs(20);
const GIB: u64 = 1 << 30;
/// With less room than this no rollout starts.
const LOW: u64 = 2 * GIB;
/// With this much rollouts start again.
const ENOUGH: u64 = 3 * GIB;

/// What it has found.
#[derive(Debug, Default)]
pub(crate) struct Keeper {
    is_closed: AtomicBool,
}

impl Keeper {
    /// Whether a rollout may start.
    pub(crate) fn admits(&self) -> bool {
        !self.is_closed.load(Ordering::Relaxed)
    }

    /// Looks again and again; ends only by being dropped.
    pub(crate) async fn keep(&self, sandboxes: &dyn Sandboxes, events: &Events) {
        loop {
            self.look(sandboxes, events).await;
            tokio::time::sleep(ROUND).await;
        }
    }

    async fn look(&self, sandboxes: &dyn Sandboxes, events: &Events) {
        let room = match sandboxes.tend(&mut |event| events(event)).await {
            Ok(room) => room,
            Err(error) => {
                // Whoever needs the engine will meet the same error, and can do something about it.
                tracing::debug!(%error, "the engine could not be looked after");
                return;
            }
        };
        let Some(free) = room.disk_bytes else { return };
        let was_closed = self.is_closed.load(Ordering::Relaxed);
        let is_closed = if was_closed { free < ENOUGH } else { free < LOW };
        self.is_closed.store(is_closed, Ordering::Relaxed);
        let gib = free as f64 / GIB as f64;
        if is_closed && !was_closed {
            let message = format!(
                "{gib:.1} GiB of disk are left: no rollout starts before there is more; `trajforge image prune` and `docker \
                 system prune` free some"
            );
            events(Event::Warning { message });
        } else if was_closed && !is_closed {
            events(Event::Warning {
                message: format!("{gib:.1} GiB of disk are free again: rollouts go on"),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;
    use std::sync::{Arc, Mutex};

    use async_trait::async_trait;
    use trajforge_sandbox::{Error, Room, Sandbox, SandboxSpec};

    use super::*;

    /// An engine of which only the disk matters.
    struct Disk(AtomicU64);

    #[async_trait]
    impl Sandboxes for Disk {
        async fn create(&self, _: &SandboxSpec) -> Result<Box<dyn Sandbox>, Error> {
            Err(Error::Refused { reason: "there is none".to_owned() })
        }

        async fn drain(&self) {}

        async fn tend(&self, _: &mut (dyn FnMut(Event) + Send)) -> Result<Room, Error> {
            Ok(Room { disk_bytes: Some(self.0.load(Ordering::Relaxed)) })
        }
    }

    #[tokio::test]
    async fn a_disk_that_fills_up_stops_rollouts_until_there_is_room_again() {
        let said = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&said);
        let events: Events = Arc::new(move |event| heard.lock().unwrap().push(event));
        let (keeper, disk) = (Keeper::default(), Disk(AtomicU64::new(50 * GIB)));
        let mut course = Vec::new();
        for free in [50 * GIB, 2 * GIB, 2 * GIB - 1, GIB, 2 * GIB + 1, 3 * GIB, 2 * GIB + 1] {
            disk.0.store(free, Ordering::Relaxed);
            keeper.look(&disk, &events).await;
            course.push(keeper.admits());
        }
        assert_eq!(course, [true, true, false, false, false, true, true]);
        assert_eq!(said.lock().unwrap().len(), 2, "it is told once when it stops, and once when it goes on");
    }
}
