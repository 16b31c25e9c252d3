//! Money that may be spent: reserved at the worst case before a request leaves, settled with what it cost.
//!
//! ```text
//!   reserve(account, worst case) --+--> Reservation --+--> settle(cost)     charged at what it cost
//!                                  |                  +--> release()        nothing was billed
//!                                  |                  +--> dropped          charged at the worst case
//!                                  +--> waits while others hold what is missing
//!                                  +--> refused: a cap is reached
//! ```
//!
//! A request pays from several purses at once: its rollout's, its run's, its key's, its day's. At any moment
//! spent + reserved <= cap holds for each purse that has a cap, because both are changed under one lock and nothing
//! is ever charged above its reservation.

mod bill;
mod bound;
mod joint;
mod ledger;
mod purse;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use trajforge_schema::{Caps, Clock, Event, MicroDollars, Timestamp};

use crate::error::Error;
use joint::Joint;
use ledger::Ledger;

pub use bill::{Billed, bill};
pub use bound::Bound;
pub use purse::{Account, Purse, Scope};

/// Whoever listens to what happens.
pub type Listener = Arc<dyn Fn(Event) + Send + Sync>;

/// How often those who wait for money look whether another process has given some back.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// A cap that keeps a request from leaving.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the cap of {cap} for each {scope} is reached: {spent} are spent, and the next request may cost {asked}"
)]
pub struct CapReached {
    /// Which cap.
    pub scope: Scope,
    /// How much it is.
    pub cap: MicroDollars,
    /// What was spent of it.
    pub spent: MicroDollars,
    /// What the request may cost.
    pub asked: MicroDollars,
}

/// What one purse has given and promised.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Balance {
    /// Charged for good.
    pub spent: MicroDollars,
    /// Held for requests that are under way.
    pub reserved: MicroDollars,
}

/// What may be spent, and what was: shared by everything that asks a model.
pub struct Budget {
    caps: Caps,
    clock: Arc<dyn Clock>,
    listener: Listener,
    books: Mutex<Books>,
    settled: Notify,
}

#[derive(Default)]
struct Books {
    balances: BTreeMap<Purse, Balance>,
    ledger: Option<Ledger>,
    /// What other processes share in.
    joint: Option<Joint>,
    last_id: u64,
    /// The cap that no request of any rollout gets past.
    exhausted: Option<CapReached>,
}

/// Why an attempt to reserve came to nothing.
enum Denied {
    /// Others hold what is missing, and may give it back.
    Busy,
    Refused(CapReached),
}

impl Budget {
    /// A budget that is forgotten with the process.
    pub fn new(caps: Caps, clock: Arc<dyn Clock>, listener: Listener) -> Arc<Self> {
        Self::of(caps, clock, listener, Books::default())
    }

    /// A budget that goes on from what a file says was spent, and writes there: a reservation before its request may
    /// leave, so that after a kill whatever was under way counts at its worst case.
    pub fn open(
        path: &Path,
        caps: Caps,
        clock: Arc<dyn Clock>,
        listener: Listener,
    ) -> Result<Arc<Self>, Error> {
        let (ledger, spent) = Ledger::open(path)?;
        let balance = |(purse, spent)| (purse, Balance { spent, ..Balance::default() });
        let balances = spent.into_iter().map(balance).collect();
        let books = Books { balances, ledger: Some(ledger), ..Books::default() };
        Ok(Self::of(caps, clock, listener, books))
    }

    /// The same, where the caps for a key and for a day hold for every process that shares a second file.
    pub fn open_jointly(
        path: &Path,
        joint: &Path,
        caps: Caps,
        clock: Arc<dyn Clock>,
        listener: Listener,
    ) -> Result<Arc<Self>, Error> {
        let budget = Self::open(path, caps, clock, listener)?;
        budget.books().joint = Some(Joint::open(joint)?);
        Ok(budget)
    }

    fn of(caps: Caps, clock: Arc<dyn Clock>, listener: Listener, books: Books) -> Arc<Self> {
        Arc::new(Self { caps, clock, listener, books: Mutex::new(books), settled: Notify::new() })
    }

    /// What a file says was spent from each purse; requests that were under way count at their worst case.
    pub fn spent_in(path: &Path) -> Result<BTreeMap<Purse, MicroDollars>, Error> {
        ledger::read(path)
    }

    /// Holds the worst case of a request, or waits until others have given back enough for it. Where that can't
    /// happen the cap is reached, and the request must not leave.
    pub async fn reserve(
        self: &Arc<Self>,
        account: &Account,
        worst: MicroDollars,
    ) -> Result<Reservation, Error> {
        loop {
            let settled = self.settled.notified();
            tokio::pin!(settled);
            // Whoever settles between the look and the wait is heard, too.
            settled.as_mut().enable();
            match self.try_reserve(account, worst)? {
                Ok(reservation) => {
                    let rollout = account.rollout.clone();
                    (self.listener)(Event::BudgetReserved { rollout, amount: worst });
                    return Ok(reservation);
                }
                // Other processes settle unheard.
                Err(Denied::Busy) => drop(tokio::time::timeout(LOOK_AGAIN, settled).await),
                Err(Denied::Refused(reached)) => {
                    let CapReached { scope, cap, spent, asked } = reached.clone();
                    let (rollout, scope) = (account.rollout.clone(), scope.as_str().to_owned());
                    (self.listener)(Event::CapReached { rollout, scope, cap, spent, asked });
                    return Err(Error::CapReached(reached));
                }
            }
        }
    }

    fn try_reserve(
        self: &Arc<Self>,
        account: &Account,
        worst: MicroDollars,
    ) -> Result<Result<Reservation, Denied>, Error> {
        let purses = account.purses(self.clock.now());
        let mut books = self.books();
        if let Some(cap) = self.caps.request.filter(|&cap| worst > cap) {
            let (scope, spent) = (Scope::Request, MicroDollars(0));
            return Ok(Err(Denied::Refused(CapReached { scope, cap, spent, asked: worst })));
        }
        let mut busy = false;
        for purse in &purses {
            let scope = purse.scope();
            let is_joint = books.joint.is_some() && matches!(scope, Scope::Key | Scope::Day);
            let Some(cap) = cap_of(&self.caps, scope).filter(|_| !is_joint) else { continue };
            let Balance { spent, reserved } = books.balance(purse);
            if spent + worst > cap {
                let reached = CapReached { scope, cap, spent, asked: worst };
                if scope != Scope::Rollout {
                    books.exhausted.get_or_insert_with(|| reached.clone());
                }
                return Ok(Err(Denied::Refused(reached)));
            }
            busy |= spent + reserved + worst > cap;
        }
        if busy {
            return Ok(Err(Denied::Busy));
        }
        let joint_at = match books.reserve_jointly(&self.caps, &purses, worst)? {
            Ok(at) => at,
            Err(denied) => return Ok(Err(denied)),
        };
        books.last_id += 1;
        let id = books.last_id;
        if let Some(ledger) = &mut books.ledger {
            ledger.reserve(id, &purses, worst)?;
        }
        for purse in &purses {
            books.balances.entry(purse.clone()).or_default().reserved += worst;
        }
        let budget = Arc::clone(self);
        let rollout = account.rollout.clone();
        Ok(Ok(Reservation { budget, id, joint_at, purses, rollout, worst, is_open: true }))
    }

    /// What one purse has given and promised.
    pub fn balance(&self, purse: &Purse) -> Balance {
        self.books().balance(purse)
    }

    /// The caps.
    pub fn caps(&self) -> Caps {
        self.caps
    }

    /// The cap of the run, a key or the day that has refused a request, if any has: nothing that is begun after that
    /// can count on getting anywhere.
    pub fn exhausted(&self) -> Option<CapReached> {
        self.books().exhausted.clone()
    }

    /// The moment, by this budget's clock.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn charge(&self, reservation: &Reservation, cost: MicroDollars) {
        let mut books = self.books();
        for purse in &reservation.purses {
            let balance = books.balances.entry(purse.clone()).or_default();
            balance.reserved = MicroDollars(balance.reserved.0.saturating_sub(reservation.worst.0));
            balance.spent += cost;
        }
        let written = books.ledger.as_mut().map_or(Ok(()), |ledger| ledger.settle(reservation.id, cost));
        let written = written.and(match (&mut books.joint, reservation.joint_at) {
            (Some(joint), Some(at)) => joint.settle(at, cost),
            _ => Ok(()),
        });
        drop(books);
        if let Err(error) = written {
            // The reservation stands in the file: whoever reads it counts the worst case, never too little.
            tracing::warn!("a settlement could not be written: {error}");
        }
        self.settled.notify_waiters();
        let (rollout, reserved) = (reservation.rollout.clone(), reservation.worst);
        (self.listener)(Event::BudgetSettled { rollout, reserved, cost });
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        // Balances are changed whole or not at all, so a panic elsewhere leaves them right.
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Books {
    /// Holds it in the ledger that is shared, if there is one; gives the place there.
    fn reserve_jointly(
        &mut self,
        caps: &Caps,
        purses: &[Purse],
        worst: MicroDollars,
    ) -> Result<Result<Option<u64>, Denied>, Error> {
        let Some(joint) = &mut self.joint else { return Ok(Ok(None)) };
        let asked = joint.reserve(caps, purses, worst)?;
        if let Err(Denied::Refused(reached)) = &asked {
            self.exhausted.get_or_insert_with(|| reached.clone());
        }
        Ok(asked.map(Some))
    }

    fn balance(&self, purse: &Purse) -> Balance {
        self.balances.get(purse).copied().unwrap_or_default()
    }
}

fn cap_of(caps: &Caps, scope: Scope) -> Option<MicroDollars> {
    match scope {
        Scope::Request => caps.request,
        Scope::Rollout => caps.rollout,
        Scope::Run => caps.run,
        Scope::Key => caps.key,
        Scope::Day => caps.day,
    }
}

/// Money that is held for one request. Dropped without a word, it is charged whole: a request that was cancelled
/// half-way, or whose reply nobody could read, may have been billed.
#[must_use]
pub struct Reservation {
    budget: Arc<Budget>,
    id: u64,
    /// Its place in the ledger that is shared.
    joint_at: Option<u64>,
    purses: Vec<Purse>,
    rollout: Option<trajforge_schema::RolloutId>,
    worst: MicroDollars,
    is_open: bool,
}

impl Reservation {
    /// What is held.
    pub fn worst(&self) -> MicroDollars {
        self.worst
    }

    /// Charges what the request cost, and gives what was charged. A request can't cost more than its worst case; a
    /// cost that does is a broken endpoint's, and the worst case is charged.
    pub fn settle(mut self, cost: MicroDollars) -> MicroDollars {
        let charged = cost.min(self.worst);
        if charged < cost {
            tracing::warn!("a request is said to have cost {cost}, more than the {charged} that it can");
        }
        self.is_open = false;
        self.budget.charge(&self, charged);
        charged
    }

    /// Charges the worst case, and gives what was charged.
    pub fn settle_at_worst(self) -> MicroDollars {
        let worst = self.worst;
        self.settle(worst)
    }

    /// Gives everything back: the request never reached the provider, or was refused without being billed.
    pub fn release(self) {
        self.settle(MicroDollars(0));
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if self.is_open {
            self.budget.charge(self, self.worst);
        }
    }
}
