//! How much a provider takes: when the next request may leave, shared by all workers of a key.
//!
//! ```text
//!   admit --> breaker --> pause --> concurrency --> requests --> tokens --> Permit
//!             (closed?)   (Retry-    (AIMD)          (bucket)     (bucket)     |
//!                          After)                                             v
//!             <------------------- what came of it --------------------- succeeded, overloaded, failed
//! ```
//!
//! Whoever is first in line waits for what is missing; the others wait behind. Nothing here sends anything.

mod backoff;
mod breaker;
mod bucket;
mod concurrency;
mod parking;
mod retry_after;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;
use trajforge_schema::{ModelEntry, RateLimits, Tokens};

use breaker::Breaker;
use bucket::Bucket;
use concurrency::Concurrency;

pub use backoff::Backoff;
pub use breaker::BreakerState;
pub use parking::{Parked, Parking};
pub use retry_after::retry_after;

/// The longest that a provider's Retry-After is believed.
const LONGEST_PAUSE: Duration = Duration::from_mins(10);

/// What one endpoint takes from one key for one model.
#[derive(Debug)]
pub struct Pressure {
    state: Mutex<State>,
    /// Held by whoever is first in line.
    line: tokio::sync::Mutex<()>,
    changed: Notify,
}

#[derive(Debug)]
struct State {
    breaker: Breaker,
    paused_until: Option<Instant>,
    concurrency: Concurrency,
    requests: Option<Bucket>,
    tokens: Option<Bucket>,
}

/// What keeps a request back.
enum Obstacle {
    /// It goes away by itself.
    Until(Instant),
    /// Another request has to end first.
    Others,
}

/// The endpoint has failed so often that nobody asks it at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Open {
    /// How long until one request may try it.
    pub wait: Duration,
}

/// What to do while the breaker is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum WhenOpen {
    /// Wait until the endpoint may be tried.
    Wait,
    /// Say so at once.
    Leave,
}

impl Pressure {
    /// What the limits of an entry allow. The breaker's waits are spread by a stream of this seed.
    pub fn new(limits: RateLimits, seed: u64) -> Arc<Self> {
        let now = Instant::now();
        let bucket = |rate: Option<u64>| rate.map(|rate| Bucket::new(rate, now));
        let state = State {
            breaker: Breaker::new(seed),
            paused_until: None,
            concurrency: Concurrency::new(limits.concurrency),
            requests: bucket(limits.requests_per_minute),
            tokens: bucket(limits.tokens_per_minute),
        };
        Arc::new(Self {
            state: Mutex::new(state),
            line: tokio::sync::Mutex::default(),
            changed: Notify::new(),
        })
    }

    /// Waits until a request that is expected to use so many tokens may leave. First come, first served.
    pub async fn admit(self: &Arc<Self>, tokens: Tokens) -> Permit {
        loop {
            if let Ok(permit) = self.enter(tokens, WhenOpen::Wait).await {
                return permit;
            }
        }
    }

    /// The same, but for an open breaker, of which it tells at once: there is another endpoint to go to.
    pub async fn admit_unless_open(self: &Arc<Self>, tokens: Tokens) -> Result<Permit, Open> {
        self.enter(tokens, WhenOpen::Leave).await
    }

    async fn enter(self: &Arc<Self>, tokens: Tokens, when_open: WhenOpen) -> Result<Permit, Open> {
        let _first = self.line.lock().await;
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let now = Instant::now();
            let (taken, wait) = {
                let mut state = self.state();
                (state.take(tokens, now), state.breaker.wait(now))
            };
            match (taken, wait) {
                (Ok(epoch), _) => {
                    return Ok(Permit { pressure: Arc::clone(self), tokens, epoch, is_open: true });
                }
                (Err(_), Some(wait)) if when_open == WhenOpen::Leave => return Err(Open { wait }),
                (Err(Obstacle::Until(moment)), _) => {
                    // Something may change for the better, or for the worse, before then.
                    let _ = tokio::time::timeout_at(moment, changed).await;
                }
                (Err(Obstacle::Others), _) => changed.await,
            }
        }
    }

    /// Whether the endpoint is asked, left alone, or tried.
    pub fn breaker(&self) -> BreakerState {
        self.state().breaker.state(Instant::now())
    }

    /// How many requests may be under way at the same time, at the moment.
    pub fn concurrency(&self) -> u32 {
        self.state().concurrency.limit()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ended(&self, permit: &Permit, change: impl FnOnce(&mut State, Instant)) {
        {
            let mut state = self.state();
            state.concurrency.ended();
            change(&mut state, Instant::now());
            if let BreakerState::HalfOpen = permit.epoch.breaker {
                state.breaker.probe_ended();
            }
        }
        self.changed.notify_waiters();
    }
}

/// What was so when a request left: an answer to an old request does not count against what was changed since.
#[derive(Debug, Clone, Copy)]
struct Epoch {
    concurrency: u64,
    breaker: BreakerState,
}

impl State {
    /// Takes what a request needs, all of it or nothing.
    fn take(&mut self, tokens: Tokens, now: Instant) -> Result<Epoch, Obstacle> {
        if let Some(wait) = self.breaker.wait(now) {
            // While another request tries the endpoint, its end decides.
            return Err(if wait.is_zero() { Obstacle::Others } else { Obstacle::Until(now + wait) });
        }
        if let Some(until) = self.paused_until.filter(|until| *until > now) {
            return Err(Obstacle::Until(until));
        }
        if !self.concurrency.has_room() {
            return Err(Obstacle::Others);
        }
        let ready = |bucket: &mut Option<Bucket>, amount| bucket.as_mut().map(|it| it.ready(amount, now));
        let waits = [ready(&mut self.requests, 1), ready(&mut self.tokens, tokens.0)];
        if let Some(wait) = waits.into_iter().flatten().filter(|wait| !wait.is_zero()).max() {
            return Err(Obstacle::Until(now + wait));
        }
        if let Some(bucket) = &mut self.requests {
            bucket.take(1);
        }
        if let Some(bucket) = &mut self.tokens {
            bucket.take(tokens.0);
        }
        let breaker = self.breaker.begin(now);
        Ok(Epoch { concurrency: self.concurrency.begin(), breaker })
    }
}

/// The right to send one request. Dropped without a word, it only makes room: a request that was cancelled says
/// nothing about the endpoint.
#[derive(Debug)]
#[must_use]
pub struct Permit {
    pressure: Arc<Pressure>,
    tokens: Tokens,
    epoch: Epoch,
    is_open: bool,
}

impl Permit {
    /// The endpoint answered, and used so many tokens: what was taken for it is set right.
    pub fn succeeded(mut self, used: Tokens) {
        self.is_open = false;
        self.pressure.ended(&self, |state, now| {
            if let Some(bucket) = &mut state.tokens {
                bucket.correct(self.tokens.0, used.0);
            }
            state.concurrency.succeeded();
            state.breaker.succeeded(now);
        });
    }

    /// The endpoint said that it is too much (429, 529), perhaps with the time after which it may be asked again: that
    /// holds for everybody.
    pub fn overloaded(mut self, retry_after: Option<Duration>) {
        self.is_open = false;
        self.pressure.ended(&self, |state, now| {
            state.concurrency.overloaded(self.epoch.concurrency);
            // It lives, and says what it needs.
            state.breaker.succeeded(now);
            if let Some(pause) = retry_after {
                let until = now + pause.min(LONGEST_PAUSE);
                state.paused_until = Some(state.paused_until.map_or(until, |earlier| earlier.max(until)));
            }
        });
    }

    /// The endpoint could not be reached, broke off, or failed by itself (5xx).
    pub fn failed(mut self) {
        self.is_open = false;
        self.pressure.ended(&self, |state, now| state.breaker.failed(now));
    }

    /// The endpoint refused the request for what is in it: it is well.
    pub fn refused(mut self) {
        self.is_open = false;
        self.pressure.ended(&self, |state, now| state.breaker.succeeded(now));
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if self.is_open {
            self.pressure.ended(self, |_, _| {});
        }
    }
}

/// The pressure of each endpoint, model and key: one for all who share it.
#[derive(Debug, Default)]
pub struct Pressures {
    seed: u64,
    known: Mutex<BTreeMap<String, Arc<Pressure>>>,
}

impl Pressures {
    /// None so far; what they draw comes from streams of this seed.
    pub fn new(seed: u64) -> Self {
        Self { seed, known: Mutex::default() }
    }

    /// That of an entry.
    pub fn of(&self, entry: &ModelEntry) -> Arc<Pressure> {
        let key = entry.key_variable.as_deref().unwrap_or_default();
        let name = format!("{} {} {key}", entry.base_url, entry.model);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let seed = crate::stream::Stream::new(self.seed, &name).bits();
        Arc::clone(known.entry(name).or_insert_with(|| Pressure::new(entry.limits, seed)))
    }
}
