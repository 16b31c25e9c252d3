//! Threads for requests: a few stand ready, more come when all are busy, so that nobody waits for a slow one.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

/// Something to do.
pub(crate) type Job = Box<dyn FnOnce() + Send>;

const READY: usize = 3;
const STACK: usize = 512 << 10;

/// The threads.
#[derive(Clone)]
pub(crate) struct Pool {
    shared: Arc<Shared>,
}

struct Shared {
    queue: Mutex<Queue>,
    arrived: Condvar,
}

struct Queue {
    jobs: VecDeque<Job>,
    idle: usize,
}

impl Pool {
    pub(crate) fn new() -> io::Result<Self> {
        let shared = Arc::new(Shared {
            queue: Mutex::new(Queue { jobs: VecDeque::new(), idle: 0 }),
            arrived: Condvar::new(),
        });
        let pool = Self { shared };
        for _ in 0..READY {
            pool.grow()?;
        }
        Ok(pool)
    }

    /// Has it done by the next free thread. Where no further thread can be had (the agent has used up all processes),
    /// it waits for one of those that are there.
    pub(crate) fn run(&self, job: Job) {
        let mut queue = self.shared.lock();
        queue.jobs.push_back(job);
        let lacking = queue.jobs.len() > queue.idle;
        drop(queue);
        if lacking {
            let _ = self.grow();
        }
        self.shared.arrived.notify_one();
    }

    fn grow(&self) -> io::Result<()> {
        let shared = Arc::clone(&self.shared);
        thread::Builder::new().stack_size(STACK).spawn(move || shared.serve()).map(drop)
    }
}

impl Shared {
    fn serve(&self) {
        loop {
            let mut queue = self.lock();
            let job = loop {
                if let Some(job) = queue.jobs.pop_front() {
                    break job;
                }
                if queue.idle >= READY {
                    return;
                }
                queue.idle += 1;
                queue = self.arrived.wait(queue).unwrap_or_else(PoisonError::into_inner);
                queue.idle -= 1;
            };
            drop(queue);
            job();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
