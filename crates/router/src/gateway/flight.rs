//! One exchange under way: whatever becomes of it, it is settled and recorded once.

use std::sync::Arc;

use axum::http::StatusCode;
use bytes::Bytes;
use serde_json::Value;
use tokio::time::Instant;
use trajforge_schema::{Content, Dialect, Failure, FailureCode, ModelEntry, Tokens, Usage};

use super::exchange::{EXCHANGE_VERSION, Exchange, ExchangeEnd, View};
use super::session::State;
use crate::budget::{Bound, Budget, Reservation, bill};
use crate::dialect::{accumulate, protocol};
use crate::lost::{Charge, Lost};
use crate::model::metered::{pay, report, used};
use crate::pressure::Permit;
use crate::sse::SseDecoder;

/// An exchange under way. Dropped before its end, it was cancelled.
pub(super) struct Flight {
    state: Arc<State>,
    pub(super) exchange: Exchange,
    began: Instant,
    entry: Option<ModelEntry>,
    bound: Bound,
    reservation: Option<Reservation>,
    permit: Option<Permit>,
    /// Whether one of the session's steps is taken for it.
    is_step: bool,
    /// What the endpoint has sent so far.
    copy: Vec<u8>,
    /// What the client was given instead, where the two differ.
    given: Vec<u8>,
    is_stream: bool,
    is_open: bool,
}

/// What is known of a request when it comes.
pub(super) struct Arrival {
    pub(super) dialect: Dialect,
    pub(super) path: String,
    pub(super) repeated: u32,
    pub(super) user_agent: Option<String>,
    pub(super) request: Bytes,
}

/// What a request has to have before it may leave.
pub(super) struct Leave {
    pub(super) bound: Bound,
    pub(super) reservation: Option<Reservation>,
    pub(super) permit: Permit,
}

impl Flight {
    /// A request has come.
    pub(super) fn begin(state: Arc<State>, budget: &Budget, arrival: Arrival) -> Self {
        let exchange = Exchange {
            wire_version: EXCHANGE_VERSION,
            session: state.spec.name.clone(),
            number: state.arrive(),
            started: budget.now(),
            first_byte_seconds: None,
            seconds: 0.0,
            end: ExchangeEnd::Cancelled,
            status: 0,
            client_dialect: arrival.dialect,
            dialect: arrival.dialect,
            path: arrival.path,
            model: None,
            repeated: arrival.repeated,
            side_call: None,
            user_agent: arrival.user_agent,
            request_id: None,
            request: Content(arrival.request.to_vec()),
            sent: None,
            response: Content::default(),
            answered: None,
            view: View::default(),
            usage: Usage::default(),
            cost: None,
            failure: None,
        };
        Self {
            state,
            exchange,
            began: Instant::now(),
            entry: None,
            bound: Bound { input: Tokens(0), output: Tokens(0) },
            reservation: None,
            permit: None,
            is_step: false,
            copy: Vec::new(),
            given: Vec::new(),
            is_stream: false,
            is_open: true,
        }
    }

    /// The conversation, in the form of chat completions.
    pub(super) fn asks(&mut self, chat: &Value) {
        self.exchange.view.messages = chat["messages"].clone();
        self.exchange.view.tools = chat["tools"].clone();
    }

    /// The endpoint that is to be asked.
    pub(super) fn goes_to(&mut self, entry: &ModelEntry) {
        self.exchange.model = Some(entry.name.clone());
        self.exchange.dialect = entry.dialect;
        self.entry = Some(entry.clone());
    }

    /// One of the session's steps is taken for it.
    pub(super) fn takes_step(&mut self) {
        self.is_step = true;
        self.state.step_begins();
    }

    /// The request leaves.
    pub(super) fn leaves(&mut self, leave: Leave, sent: Option<&Bytes>) {
        self.bound = leave.bound;
        self.reservation = leave.reservation;
        self.permit = Some(leave.permit);
        self.exchange.sent = sent.map(|bytes| Content(bytes.to_vec()));
    }

    /// The endpoint has begun to answer.
    pub(super) fn answers(&mut self, status: StatusCode, request_id: Option<&str>, is_stream: bool) {
        self.exchange.status = status.as_u16();
        self.exchange.request_id = request_id.map(str::to_owned);
        self.is_stream = is_stream;
    }

    /// The endpoint has sent some bytes.
    pub(super) fn receives(&mut self, bytes: &[u8]) {
        if self.exchange.first_byte_seconds.is_none() {
            self.exchange.first_byte_seconds = Some(self.began.elapsed().as_secs_f64());
        }
        self.copy.extend_from_slice(bytes);
    }

    /// How many bytes the endpoint has sent.
    pub(super) fn received(&self) -> usize {
        self.copy.len()
    }

    /// The client is given other bytes than the endpoint's.
    pub(super) fn gives(&mut self, bytes: &[u8]) {
        self.given.extend_from_slice(bytes);
    }

    /// Whether all of a reply is there.
    pub(super) fn is_whole(&self) -> bool {
        self.response().0
    }

    /// The reply in the endpoint's dialect, if all of it is there.
    pub(super) fn whole(&self) -> Option<Value> {
        let (is_whole, response) = self.response();
        is_whole.then_some(response)
    }

    /// The reply has come to its end, whole or not.
    pub(super) fn ends(&mut self) {
        let (is_whole, response) = self.response();
        let end = if is_whole { ExchangeEnd::Whole } else { ExchangeEnd::Failed };
        if !is_whole && self.exchange.failure.is_none() {
            let what = "the endpoint ended its reply before it was whole, or sent none";
            self.exchange.failure = Some(Failure::new(FailureCode::ModelMalformed, what));
        }
        self.finish(end, is_whole.then_some(&response));
    }

    /// The endpoint failed or broke off; what the client is told of it, if anything, has been given already.
    pub(super) fn fails(&mut self, status: u16, lost: &Lost) {
        self.exchange.status = status;
        self.exchange.failure = Some(Failure::new(lost.code, self.state.mask(&lost.message)));
        if let Some(permit) = self.permit.take() {
            report(permit, lost);
        }
        if let (Some(entry), Some(reservation)) = (&self.entry, self.reservation.take()) {
            self.exchange.cost = Some(pay(entry, self.bound, reservation, lost));
        }
        if let Charge::Known(usage) = lost.charge {
            self.exchange.usage = usage;
        }
        self.finish(ExchangeEnd::Failed, None);
    }

    /// The gateway does not let it through, and answers itself.
    pub(super) fn refused(&mut self, status: StatusCode, body: &[u8], failure: Option<Failure>) {
        self.exchange.status = status.as_u16();
        self.exchange.failure = failure;
        self.copy = body.to_vec();
        self.finish(ExchangeEnd::Refused, None);
    }

    /// The response as far as it came, and whether it is whole.
    fn response(&self) -> (bool, Value) {
        let dialect = self.exchange.dialect;
        if self.is_stream {
            let streamed = accumulate(dialect, &SseDecoder::decode(&self.copy));
            let is_whole = streamed.complete && protocol(dialect).is_response(&streamed.response);
            return (is_whole, streamed.response);
        }
        match serde_json::from_slice::<Value>(&self.copy) {
            Ok(response) => (protocol(dialect).is_response(&response), response),
            Err(_) => (false, Value::Null),
        }
    }

    fn finish(&mut self, end: ExchangeEnd, response: Option<&Value>) {
        if !std::mem::replace(&mut self.is_open, false) {
            return;
        }
        if let Some(response) = response {
            self.understand(response);
        } else if self.is_step {
            self.state.give_step_back();
        }
        if let Some(reservation) = self.reservation.take() {
            // The model may have worked on it, and may have been paid.
            self.exchange.cost = Some(reservation.settle_at_worst());
        }
        if let (Some(permit), ExchangeEnd::Failed) = (self.permit.take(), end) {
            permit.failed();
        }
        self.exchange.end = end;
        self.exchange.seconds = self.began.elapsed().as_secs_f64();
        self.exchange.response = Content(std::mem::take(&mut self.copy));
        if !self.given.is_empty() {
            self.exchange.answered = Some(Content(std::mem::take(&mut self.given)));
        }
        self.mask();
        (self.state.spec.capture)(&self.exchange);
        if self.is_step {
            self.state.step_ends();
        }
        self.state.leave(self.exchange.usage, self.exchange.cost.unwrap_or_default());
    }

    /// Reads a whole response: what it says, used and cost.
    fn understand(&mut self, response: &Value) {
        let Some(entry) = &self.entry else { return };
        let protocol = protocol(entry.dialect);
        let chat = protocol.chat_response(response);
        let choice = &chat["choices"][0];
        let said = protocol.usage(response).unwrap_or(Usage { estimated: true, ..Usage::default() });
        let billed = bill(entry, self.bound, said, &choice["message"]);
        self.exchange.usage = billed.usage;
        self.exchange.cost = billed.cost;
        if let Some(reservation) = self.reservation.take() {
            self.exchange.cost = Some(reservation.settle(billed.cost.unwrap_or_default()));
        }
        if let Some(permit) = self.permit.take() {
            permit.succeeded(used(billed.usage, self.bound));
        }
        self.state.remember(&choice["message"]);
        let view = &mut self.exchange.view;
        view.reply = choice["message"].clone();
        view.response_id = chat["id"].as_str().map(str::to_owned);
        view.finish_reason = choice["finish_reason"].as_str().map(str::to_owned);
        view.logprobs = choice["logprobs"].clone();
        view.token_ids = choice["token_ids"].clone();
    }

    /// No record holds a key, even where somebody put one into a conversation.
    fn mask(&mut self) {
        let state = Arc::clone(&self.state);
        let exchange = &mut self.exchange;
        let contents = [Some(&mut exchange.request), exchange.sent.as_mut(), Some(&mut exchange.response)];
        let mut has_leaked = false;
        for content in contents.into_iter().flatten().chain(exchange.answered.as_mut()) {
            let masked = content.as_text().filter(|text| state.leaks(text)).map(|text| state.mask(text));
            if let Some(masked) = masked {
                *content = Content::from(masked.as_str());
                has_leaked = true;
            }
        }
        // What is in no byte is in no view, but for what JSON writes in another way, or what a stream spells in pieces.
        let is_spelled = state.leaks(&exchange.view.reply.to_string());
        if !has_leaked && !is_spelled {
            return;
        }
        if is_spelled && !has_leaked {
            for content in [Some(&mut exchange.response), exchange.answered.as_mut()].into_iter().flatten() {
                *content = Content::from(WITHHELD);
            }
            (exchange.view.logprobs, exchange.view.token_ids) = (Value::Null, Value::Null);
        }
        for value in [&mut exchange.view.messages, &mut exchange.view.reply] {
            mask_value(&state, value);
        }
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        if !self.is_open {
            return;
        }
        // A client that has all it wants may hang up before the connection is at its end.
        let (is_whole, response) = self.response();
        let (end, response) =
            if is_whole { (ExchangeEnd::Whole, Some(&response)) } else { (ExchangeEnd::Cancelled, None) };
        self.finish(end, response);
    }
}

/// Stands for the bytes of a stream whose pieces spell a key, in which it can't be masked.
const WITHHELD: &str = "[withheld: these pieces spell out a key; the view holds what they mean]";

fn mask_value(state: &State, value: &mut Value) {
    match value {
        Value::String(text) if state.leaks(text) => *text = state.mask(text),
        Value::Array(items) => items.iter_mut().for_each(|item| mask_value(state, item)),
        Value::Object(fields) => fields.values_mut().for_each(|item| mask_value(state, item)),
        _ => {}
    }
}
