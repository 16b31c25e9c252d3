//! A request on its way to an endpoint: through served, caps, money and pressure.

use std::sync::Arc;

use axum::http::{HeaderMap, StatusCode};
use bytes::Bytes;
use serde_json::Value;
use trajforge_schema::{Dialect, Failure, FailureCode};

use super::super::flight::{Flight, Leave};
use super::super::gate;
use super::super::prepare::{self, Prepared};
use super::super::session::State;
use super::super::{AtCap, Served, Shared};
use super::call::{self, Call};
use crate::budget::{Account, Bound, Reservation};
use crate::dialect::{ErrorKind, protocol};
use crate::error::Error;
use crate::model::metered::guess;
use crate::pressure::Open;
use crate::wire::{self, Answer, Broken, Order, Pace};

/// Why a request goes no further.
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) kind: ErrorKind,
    pub(super) message: String,
    pub(super) failure: Option<Failure>,
}

/// A request on its way.
pub(super) struct Asked<'a> {
    pub(super) shared: &'a Shared,
    pub(super) state: &'a Arc<State>,
    pub(super) headers: &'a HeaderMap,
    pub(super) call: &'a Call,
    pub(super) bytes: Bytes,
}

/// What the endpoint said to it.
pub(super) struct Answered {
    pub(super) sent: Result<Answer, Broken>,
    pub(super) url: String,
    pub(super) dialect: Dialect,
    pub(super) wants_stream: bool,
    pub(super) hides_usage: bool,
}

impl Asked<'_> {
    /// Sends the request, if it may leave.
    pub(super) async fn ask(&self, flight: &mut Flight) -> Result<Answered, Refusal> {
        let body: Value = serde_json::from_slice(&self.bytes)
            .map_err(|error| Refusal::invalid(format!("the body is no JSON: {error}")))?;
        let mut chat = protocol(self.call.dialect).chat_request(&body);
        flight.asks(&chat);
        flight.exchange.side_call = self.state.spec.side_calls.of(&chat);
        if let Some(capped) = self.state.capped() {
            return Err(self.at_cap(capped));
        }
        if flight.exchange.side_call.is_none() {
            gate::hold(self.state, flight).await.map_err(|reason| self.at_cap(reason))?;
        }
        let served = self.served(&body)?;
        flight.goes_to(&served.entry);
        if flight.exchange.side_call.is_none() {
            self.state.take_step().map_err(|capped| self.at_cap(capped))?;
            flight.takes_step();
        }
        let is_same = served.entry.dialect == self.call.dialect;
        if !is_same && body["previous_response_id"].is_string() {
            let what = "previous_response_id needs an endpoint that speaks responses, and this one does not: send the \
                        whole conversation";
            return Err(Refusal::invalid(what.to_owned()));
        }
        let wants_stream = body["stream"] == true;
        let prepared = if is_same {
            prepare::same(&served.entry, body, &self.bytes)
        } else {
            self.state.restore(&mut chat);
            prepare::translated(&served.entry, &chat)
        };
        let leave = self.leave(served, &prepared).await?;
        flight.leaves(leave, prepared.is_changed.then_some(&prepared.bytes));
        let order = self.order(served, &prepared);
        let url = order.url();
        let hides_usage = prepared.hides_usage;
        let sent = tokio::select! {
            biased;
            () = self.state.closing() => Err(Broken::Cut("was left: the session is closed".to_owned())),
            sent = self.shared.wire.send(order) => sent,
        };
        Ok(Answered { sent, url, dialect: served.entry.dialect, wants_stream, hides_usage })
    }

    fn served(&self, body: &Value) -> Result<&Served, Refusal> {
        let Some(model) = body["model"].as_str() else {
            return Err(Refusal::invalid("the request names no model".to_owned()));
        };
        self.state.served(model).ok_or_else(|| {
            let names: Vec<&str> =
                self.state.spec.models.iter().map(|served| served.entry.name.as_str()).collect();
            let message = format!("there is no model {model:?} here; there is {}", names.join(", "));
            Refusal { status: StatusCode::NOT_FOUND, kind: ErrorKind::NotFound, message, failure: None }
        })
    }

    /// Reserves the money and waits for the endpoint's turn.
    async fn leave(&self, served: &Served, prepared: &Prepared) -> Result<Leave, Refusal> {
        let _parked = self.state.spec.parking.park();
        let bound = Bound::of_bytes(&served.entry, &prepared.body, prepared.bytes.len());
        let account = Account { key: served.entry.key_variable.clone(), ..self.state.spec.account.clone() };
        let reservation = match bound.worst_case(&served.entry) {
            None => None,
            Some(worst) => match self.shared.spec.budget.reserve(&account, worst).await {
                Ok(reservation) => Some(reservation),
                Err(Error::CapReached(reached)) => {
                    self.state.cap(&reached.to_string());
                    return Err(self.at_cap(reached.to_string()));
                }
                Err(error) => return Err(Refusal::internal(error.to_string())),
            },
        };
        let pressure = self.shared.spec.pressures.of(&served.entry);
        match pressure.admit_unless_open(guess(bound)).await {
            Ok(permit) => Ok(Leave { bound, reservation, permit }),
            Err(Open { wait }) => {
                reservation.into_iter().for_each(Reservation::release);
                let message = format!(
                    "{} has failed again and again, and is left alone for {} s more",
                    served.entry.name,
                    wait.as_secs()
                );
                let failure = Some(Failure::new(FailureCode::ModelUnreachable, message.clone()));
                let status = StatusCode::SERVICE_UNAVAILABLE;
                Err(Refusal { status, kind: ErrorKind::Upstream, message, failure })
            }
        }
    }

    fn at_cap(&self, message: String) -> Refusal {
        let (status, kind) = match self.state.spec.at_cap {
            AtCap::Unauthorized => (StatusCode::UNAUTHORIZED, ErrorKind::Key),
            AtCap::NotFound => (StatusCode::NOT_FOUND, ErrorKind::NotFound),
        };
        Refusal { status, kind, message, failure: None }
    }

    fn order(&self, served: &Served, prepared: &Prepared) -> Order {
        let (entry, key) = (&served.entry, served.key.as_ref());
        let is_same = entry.dialect == self.call.dialect;
        let mut headers = if is_same { call::forwarded(self.headers) } else { HeaderMap::new() };
        for (name, value) in &wire::headers(entry.dialect, key) {
            // The client's own version of Anthropic's protocol is what it speaks.
            if name != "anthropic-version" || !headers.contains_key(name) {
                headers.insert(name.clone(), value.clone());
            }
        }
        let query = self.call.query.as_deref().filter(|_| is_same);
        let query = query.map_or(String::new(), |query| format!("?{query}"));
        let limit = Bound::of_bytes(entry, &prepared.body, 0).output.0;
        Order {
            base: entry.base_url.clone(),
            path: format!("{}{query}", entry.dialect.path()),
            headers,
            body: prepared.bytes.clone(),
            pace: Pace::of(entry, limit),
            key: served.key.clone(),
        }
    }
}

impl Refusal {
    fn invalid(message: String) -> Self {
        Self { status: StatusCode::BAD_REQUEST, kind: ErrorKind::Invalid, message, failure: None }
    }

    fn internal(message: String) -> Self {
        let failure = Some(Failure::new(FailureCode::Internal, message.clone()));
        Self { status: StatusCode::INTERNAL_SERVER_ERROR, kind: ErrorKind::Upstream, message, failure }
    }
}
