//! A model as one rollout uses it: let in when the provider takes it, paid from the budget, asked again where that helps.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::time::Instant;
use trajforge_schema::{MicroDollars, ModelEntry, Tokens, Unpriced, Usage};

use crate::budget::{Account, Billed, Bound, Budget, Purse, Reservation, bill};
use crate::error::Error;
use crate::lost::{Charge, Lost};
use crate::model::endpoint::Endpoint;
use crate::model::{ChatRequest, Model, Reply};
use crate::pressure::{Backoff, Parking, Permit, Pressure, Pressures};
use crate::stream::Stream;

/// Requests for one reply at most.
const MOST_REQUESTS: u32 = 5;
/// The first wait between two requests is at most this; the limit doubles.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// The longest wait between two requests that the provider does not ask for.
const LONGEST_WAIT: Duration = Duration::from_mins(1);
/// Bytes of a request for each token, as a guess for the provider's rate limit; what was used sets it right.
const BYTES_A_TOKEN: u64 = 4;

/// On which terms models are asked: shared by everything of one process.
#[derive(Clone)]
pub struct Terms {
    /// What may be spent.
    pub budget: Arc<Budget>,
    /// What providers take.
    pub pressures: Arc<Pressures>,
    /// What to do with a model whose price is unknown.
    pub unpriced: Unpriced,
    /// Waits are drawn from streams of this seed.
    pub seed: u64,
    /// The first wait between two requests is at most this.
    pub first_wait: Duration,
}

impl Terms {
    /// These budget and seed, with nothing known of any provider, and unknown prices refused.
    pub fn new(budget: Arc<Budget>, seed: u64) -> Self {
        let pressures = Arc::new(Pressures::new(seed));
        Self { budget, pressures, unpriced: Unpriced::Refuse, seed, first_wait: FIRST_WAIT }
    }
}

/// An endpoint on somebody's account.
pub struct Metered {
    endpoint: Arc<Endpoint>,
    pressure: Arc<Pressure>,
    terms: Terms,
    account: Account,
    meter: Meter,
    calls: AtomicU64,
}

/// What a rollout has used of the world so far; clones share it.
#[derive(Clone)]
pub struct Meter {
    parking: Parking,
    budget: Arc<Budget>,
    purse: Option<Purse>,
    /// Spent from the purse before this try began.
    before: MicroDollars,
    is_priced: bool,
    /// What the last request could have cost at most, in micro-dollars.
    worst: Arc<AtomicU64>,
}

impl Meter {
    /// A meter for a try of whoever the account names.
    pub fn new(budget: &Arc<Budget>, account: &Account, entry: &ModelEntry) -> Self {
        let purse = account.rollout.clone().map(Purse::Rollout);
        let before = purse.as_ref().map_or(MicroDollars(0), |purse| budget.balance(purse).spent);
        let (budget, is_priced) = (Arc::clone(budget), entry.price.is_some());
        Self { parking: Parking::default(), budget, purse, before, is_priced, worst: Arc::default() }
    }

    /// Time that was spent waiting for the provider or for money; it is nobody's working time.
    pub fn parking(&self) -> &Parking {
        &self.parking
    }

    /// What this try has cost, requests included that gave no reply; absent where the price is unknown.
    pub fn cost(&self) -> Option<MicroDollars> {
        let purse = self.purse.as_ref()?;
        let spent = self.budget.balance(purse).spent;
        self.is_priced.then(|| MicroDollars(spent.0.saturating_sub(self.before.0)))
    }

    /// What is left of its rollout's cap; absent where there is none.
    pub fn left(&self) -> Option<Left> {
        let cap = self.budget.caps().rollout.filter(|cap| cap.0 > 0)?;
        let left = cap.0.saturating_sub(self.budget.balance(self.purse.as_ref()?).spent.0);
        let worst = self.worst.load(Ordering::Relaxed);
        Some(Left { share: left as f64 / cap.0 as f64, requests: left.checked_div(worst) })
    }
}

/// What is left of a cap.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Left {
    /// From 0 to 1.
    pub share: f64,
    /// Requests that are sure to be let through, if the next ones are as large as the last one; unknown before that.
    pub requests: Option<u64>,
}

/// What one reply has taken so far.
#[derive(Debug, Default)]
struct Taken {
    requests: u32,
    cost: MicroDollars,
    seconds: f64,
}

impl Metered {
    /// The endpoint, on these terms and this account.
    pub fn new(endpoint: Arc<Endpoint>, terms: &Terms, account: Account) -> Self {
        let pressure = terms.pressures.of(endpoint.entry());
        let meter = Meter::new(&terms.budget, &account, endpoint.entry());
        Self { endpoint, pressure, terms: terms.clone(), account, meter, calls: AtomicU64::new(0) }
    }

    /// Waits, with the task's clock standing still, until a request may leave and its worst case is paid for.
    async fn let_in(&self, bound: Bound, worst: MicroDollars) -> Result<(Permit, Reservation), Error> {
        let _parked = self.meter.parking.park();
        let permit = self.pressure.admit(guess(bound)).await;
        let reservation = self.terms.budget.reserve(&self.account, worst).await?;
        Ok((permit, reservation))
    }

    /// Makes one request and pays for it, whatever comes of it.
    async fn once(
        &self,
        body: &Bytes,
        bound: Bound,
        taken: &mut Taken,
    ) -> Result<Result<Reply, Lost>, Error> {
        let entry = self.endpoint.entry();
        let worst = match (bound.worst_case(entry), self.terms.unpriced) {
            (Some(worst), _) => worst,
            (None, Unpriced::Allow) => MicroDollars(0),
            (None, Unpriced::Refuse) => return Err(Error::Unpriced { model: entry.name.clone() }),
        };
        self.meter.worst.store(worst.0, Ordering::Relaxed);
        let (permit, reservation) = self.let_in(bound, worst).await?;
        taken.requests += 1;
        let began = Instant::now();
        let asked = self.endpoint.send(body.clone()).await;
        taken.seconds += began.elapsed().as_secs_f64();
        Ok(match asked {
            Ok(reply) => {
                let Billed { usage, cost } = bill(entry, bound, reply.usage, &reply.message);
                permit.succeeded(used(usage, bound));
                taken.cost += reservation.settle(cost.unwrap_or_default());
                Ok(Reply { usage, ..reply })
            }
            Err(lost) => {
                taken.cost += pay(entry, bound, reservation, &lost);
                report(permit, &lost);
                Err(lost)
            }
        })
    }
}

#[async_trait]
impl Model for Metered {
    fn entry(&self) -> &ModelEntry {
        self.endpoint.entry()
    }

    fn meter(&self) -> Option<Meter> {
        Some(self.meter.clone())
    }

    async fn complete(&self, request: &ChatRequest) -> Result<Reply, Error> {
        let mut taken = Taken::default();
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        let rollout = self.account.rollout.as_ref().map(ToString::to_string).unwrap_or_default();
        let seed = Stream::new(self.terms.seed, &format!("waits {rollout} {call}")).bits();
        let mut backoff = Backoff::new(self.terms.first_wait, LONGEST_WAIT, seed);
        let parked_before = self.meter.parking.time();
        // The same bytes for every try, and for what they may cost at most.
        let body = self.endpoint.body(request);
        let bytes = Bytes::from(body.to_string());
        let bound = Bound::of_bytes(self.entry(), &body, bytes.len());
        loop {
            let lost = match self.once(&bytes, bound, &mut taken).await? {
                Ok(reply) => {
                    let parked = self.meter.parking.time().saturating_sub(parked_before);
                    return Ok(Reply {
                        requests: taken.requests,
                        cost: self.entry().price.map(|_| taken.cost),
                        seconds: taken.seconds,
                        parked_seconds: parked.as_secs_f64(),
                        ..reply
                    });
                }
                Err(lost) => lost,
            };
            let requests = taken.requests;
            if !lost.retry || requests == MOST_REQUESTS {
                return Err(Error::Request { code: lost.code, message: lost.message, requests });
            }
            tracing::debug!(requests, "asking again: {}", lost.message);
            let wait = backoff.wait().max(lost.wait.unwrap_or_default().min(LONGEST_WAIT));
            let _parked = self.meter.parking.park();
            tokio::time::sleep(wait).await;
        }
    }
}

pub(crate) fn guess(bound: Bound) -> Tokens {
    Tokens(bound.input.0 / BYTES_A_TOKEN)
}

/// What a reply counts for in the provider's rate limit.
pub(crate) fn used(usage: Usage, bound: Bound) -> Tokens {
    if usage.estimated { guess(bound) } else { usage.total() }
}

/// Charges a request that gave no reply: nothing where nothing was billed, the worst case where nobody knows.
pub(crate) fn pay(entry: &ModelEntry, bound: Bound, reservation: Reservation, lost: &Lost) -> MicroDollars {
    match lost.charge {
        Charge::Nothing => {
            reservation.release();
            MicroDollars(0)
        }
        Charge::Unknown => reservation.settle_at_worst(),
        Charge::Known(usage) => {
            let something = serde_json::json!({ "content": lost.message });
            reservation.settle(bill(entry, bound, usage, &something).cost.unwrap_or_default())
        }
    }
}

/// Tells the endpoint's pressure what a lost request says about it.
pub(crate) fn report(permit: Permit, lost: &Lost) {
    match lost.status {
        Some(429 | 529) => permit.overloaded(lost.wait),
        Some(503) if lost.wait.is_some() => permit.overloaded(lost.wait),
        _ if lost.retry => permit.failed(),
        _ => permit.refused(),
    }
}
