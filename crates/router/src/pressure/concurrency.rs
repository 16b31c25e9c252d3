//! How many requests at the same time: one more for each round that goes well, half of them after an overload.
//!
//! Additive increase, multiplicative decrease (Chiu and Jain, 1989), as TCP does it.

/// Where an endpoint without a limit of its own begins.
const FIRST: f64 = 8.0;
/// The most that is ever tried.
const MOST: f64 = 1024.0;

/// The limit, and how many are under way.
#[derive(Debug)]
pub(super) struct Concurrency {
    limit: f64,
    most: f64,
    under_way: u32,
    /// Counts the decreases: an overload of a request that left before the last one is old news.
    epoch: u64,
}

impl Concurrency {
    /// Begins at what is allowed, or at a careful number where nothing is said.
    pub(super) fn new(allowed: Option<u32>) -> Self {
        let most = allowed.map_or(MOST, |allowed| f64::from(allowed.max(1)));
        Self { limit: if allowed.is_some() { most } else { FIRST }, most, under_way: 0, epoch: 0 }
    }

    pub(super) fn has_room(&self) -> bool {
        self.under_way < self.limit()
    }

    /// At least 1.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is from 1 to MOST")]
    pub(super) fn limit(&self) -> u32 {
        self.limit as u32
    }

    /// A request leaves; gives the epoch that it belongs to.
    pub(super) fn begin(&mut self) -> u64 {
        self.under_way += 1;
        self.epoch
    }

    pub(super) fn ended(&mut self) {
        self.under_way = self.under_way.saturating_sub(1);
    }

    /// After as many successes as the limit, it is one more. One that was far from used up says nothing.
    pub(super) fn succeeded(&mut self) {
        let was_used = f64::from(self.under_way + 1) * 2.0 >= self.limit;
        if was_used {
            self.limit = (self.limit + 1.0 / self.limit).min(self.most);
        }
    }

    pub(super) fn overloaded(&mut self, epoch: u64) {
        if epoch == self.epoch {
            self.limit = (self.limit / 2.0).max(1.0);
            self.epoch += 1;
        }
    }
}
