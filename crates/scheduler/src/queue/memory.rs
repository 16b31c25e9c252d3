//! A queue in memory: for tests, and for runs that nobody wants to resume.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use trajforge_schema::{RolloutId, Timestamp};

use super::{Completion, Counts, Lease, Queue, Release, Released, Row};
use crate::error::{Error, Result};
use crate::plan::Planned;

/// A queue that lives as long as its last clone.
#[derive(Debug, Clone)]
pub struct MemoryQueue {
    rows: Arc<Mutex<Vec<Row>>>,
    max_tries: u32,
}

impl MemoryQueue {
    /// An empty queue; a rollout is settled as an error after `max_tries` tries that failed or were lost.
    pub fn new(max_tries: u32) -> Self {
        Self { rows: Arc::default(), max_tries }
    }

    fn rows(&self) -> MutexGuard<'_, Vec<Row>> {
        // A panic elsewhere leaves rows between two transitions, never inside one.
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with_row<T>(&self, lease: &Lease, change: impl FnOnce(&mut Row) -> Result<T>) -> Result<T> {
        let mut rows = self.rows();
        match rows.iter_mut().find(|row| row.spec.id == lease.spec.id) {
            Some(row) => change(row),
            None => Err(Error::LeaseLost { rollout: lease.spec.id.clone() }),
        }
    }
}

#[async_trait]
impl Queue for MemoryQueue {
    async fn submit(&self, rollouts: Vec<Planned>) -> Result<u64> {
        let mut rows = self.rows();
        let before = rows.len();
        let mut known: HashSet<RolloutId> = rows.iter().map(|row| row.spec.id.clone()).collect();
        for planned in rollouts {
            if known.insert(planned.spec.id.clone()) {
                rows.push(Row::new(planned));
            }
        }
        Ok((rows.len() - before) as u64)
    }

    async fn lease(&self, worker: &str, now: Timestamp, ttl: Duration) -> Result<Option<Lease>> {
        let mut rows = self.rows();
        for row in rows.iter_mut().filter(|row| row.has_expired(now)) {
            row.expire(now, self.max_tries);
        }
        let mut next: Option<&mut Row> = None;
        for row in rows.iter_mut().filter(|row| row.may_be_taken(now)) {
            if next.as_ref().is_none_or(|best| row.priority > best.priority) {
                next = Some(row);
            }
        }
        Ok(next.map(|row| row.take(worker, now, ttl)))
    }

    async fn heartbeat(&self, lease: &Lease, now: Timestamp, ttl: Duration) -> Result<()> {
        self.with_row(lease, |row| row.keep(lease, now, ttl))
    }

    async fn complete(&self, lease: &Lease, completion: Completion) -> Result<()> {
        self.with_row(lease, |row| row.complete(lease, completion))
    }

    async fn release(&self, lease: &Lease, release: Release, now: Timestamp) -> Result<Released> {
        self.with_row(lease, |row| row.release(lease, release, now, self.max_tries))
    }

    async fn reclaim(&self) -> Result<u64> {
        let mut rows = self.rows();
        let mut reclaimed = 0;
        for row in rows.iter_mut() {
            reclaimed += u64::from(row.reclaim());
        }
        Ok(reclaimed)
    }

    async fn reopen(&self, rollouts: &[RolloutId]) -> Result<u64> {
        let mut rows = self.rows();
        let mut reopened = 0;
        for row in rows.iter_mut().filter(|row| rollouts.contains(&row.spec.id)) {
            reopened += u64::from(row.reopen());
        }
        Ok(reopened)
    }

    async fn counts(&self, now: Timestamp) -> Result<Counts> {
        let mut counts = Counts::default();
        for row in self.rows().iter() {
            row.count_into(&mut counts, now);
        }
        Ok(counts)
    }

    async fn rows(&self) -> Result<Vec<Row>> {
        Ok(self.rows().clone())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::OnceLock;

    use super::*;
    use crate::queue::conformance::{Backend, conformance};

    /// Opening it again gives the same rows.
    struct Memory(OnceLock<MemoryQueue>);

    impl Backend for Memory {
        fn new() -> Self {
            Self(OnceLock::new())
        }

        fn open(&self, max_tries: u32) -> Arc<dyn Queue> {
            Arc::new(self.0.get_or_init(|| MemoryQueue::new(max_tries)).clone())
        }
    }

    conformance!(Memory);
}
