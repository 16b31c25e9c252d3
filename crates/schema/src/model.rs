//! A model: an LLM behind an endpoint, what it costs, and what it used.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::condensation::Condensation;
use crate::dialect::Dialect;
use crate::provenance::Provenance;
use crate::skill::Skill;
use crate::units::{MicroDollars, PICO_PER_MICRO, TokenPrice, Tokens};

/// One entry of `models/*.yaml`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ModelEntry {
    /// The name that `--model` takes.
    pub name: String,
    /// The endpoint, up to and without the dialect's path: `https://api.example.com/v1`.
    pub base_url: String,
    /// What it speaks.
    pub dialect: Dialect,
    /// The name that the provider knows.
    pub model: String,
    /// The environment variable that holds the key; none for endpoints without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_variable: Option<String>,
    /// Tokens that a conversation may have.
    #[serde(default = "context_tokens")]
    pub context_tokens: u64,
    /// Tokens that one reply may have.
    #[serde(default = "output_tokens")]
    pub output_tokens: u64,
    /// Seconds until one request counts as lost.
    #[serde(default = "request_seconds")]
    pub request_seconds: u64,
    /// What it costs; a model without a price is refused unless the user allows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<Price>,
    /// The day on which the price was looked up: `2026-11-24`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price_date: Option<String>,
    /// What the provider allows.
    #[serde(default, skip_serializing_if = "RateLimits::is_none")]
    pub limits: RateLimits,
    /// More fields for each request, such as `temperature`.
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    pub parameters: serde_json::Map<String, Value>,
    /// Whether a program plays the model: recorded with each trajectory.
    #[serde(default)]
    pub provenance: Provenance,
    /// Makes it a simulated model, which plays the oracles of a run's tasks this well; `base_url` is set when it starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub simulated: Option<Skill>,
}

impl ModelEntry {
    /// An entry of OpenAI's dialect with nothing but its place: no key, no price, no limits.
    pub fn at(name: &str, base_url: &str) -> Self {
        Self {
            name: name.to_owned(),
            base_url: base_url.to_owned(),
            dialect: Dialect::OpenaiChat,
            model: name.to_owned(),
            key_variable: None,
            context_tokens: context_tokens(),
            output_tokens: output_tokens(),
            request_seconds: request_seconds(),
            price: None,
            price_date: None,
            limits: RateLimits::default(),
            parameters: serde_json::Map::new(),
            provenance: Provenance::Model,
            simulated: None,
        }
    }
}

/// What a provider allows; shared by all workers that use the same model of the same endpoint with the same key.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RateLimits {
    /// Requests a minute; any number where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests_per_minute: Option<u64>,
    /// Tokens a minute, read and written together; any number where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens_per_minute: Option<u64>,
    /// Requests at the same time; found out by trying where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<u32>,
}

impl RateLimits {
    fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

fn context_tokens() -> u64 {
    128_000
}
fn output_tokens() -> u64 {
    8_192
}
fn request_seconds() -> u64 {
    300
}

/// What tokens cost, in US dollars per million of them, which is the same number as micro-dollars for each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Price {
    /// Tokens read.
    pub input: TokenPrice,
    /// Tokens written.
    pub output: TokenPrice,
    /// Tokens read from the provider's cache; the input price where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cached_input: Option<TokenPrice>,
    /// Tokens read and written into the provider's cache; the input price where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write: Option<TokenPrice>,
    /// Tokens written as reasoning; the output price where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<TokenPrice>,
}

impl Price {
    /// A price that knows only tokens read and written.
    pub fn of(input: TokenPrice, output: TokenPrice) -> Self {
        Self { input, output, ..Self::default() }
    }

    /// What some usage costs: summed exactly, and rounded up once to the next micro-dollar.
    ///
    /// Parts that are larger than their whole, as broken endpoints report them, count no more than the whole.
    pub fn cost(&self, usage: &Usage) -> MicroDollars {
        let cached = usage.cached_input.0.min(usage.input.0);
        let written = usage.cache_write.0.min(usage.input.0 - cached);
        let fresh = usage.input.0 - cached - written;
        let reasoning = usage.reasoning.0.min(usage.output.0);
        let said = usage.output.0 - reasoning;
        in_micro_dollars(&[
            (fresh, self.input),
            (cached, self.cached_input.unwrap_or(self.input)),
            (written, self.cache_write.unwrap_or(self.input)),
            (said, self.output),
            (reasoning, self.reasoning.unwrap_or(self.output)),
        ])
    }

    /// The most that a request can cost which reads and writes no more tokens than these, whatever their kind.
    pub fn most(&self, input: Tokens, output: Tokens) -> MicroDollars {
        let dearest = |price: TokenPrice, others: [Option<TokenPrice>; 2]| {
            others.into_iter().flatten().fold(price, TokenPrice::max)
        };
        in_micro_dollars(&[
            (input.0, dearest(self.input, [self.cached_input, self.cache_write])),
            (output.0, dearest(self.output, [self.reasoning, None])),
        ])
    }
}

/// A sum of tokens at their prices; one that no 64 bits hold is the largest there is.
fn in_micro_dollars(parts: &[(u64, TokenPrice)]) -> MicroDollars {
    let sum = parts.iter().fold(0_u128, |sum, (tokens, price)| {
        sum.saturating_add(u128::from(*tokens) * u128::from(price.pico_dollars()))
    });
    MicroDollars(u64::try_from(sum.div_ceil(u128::from(PICO_PER_MICRO))).unwrap_or(u64::MAX))
}

/// What one or many requests used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Tokens read, cached and cache-writing ones included.
    pub input: Tokens,
    /// Of those, tokens that came from the provider's cache.
    pub cached_input: Tokens,
    /// Of those, tokens that were written into the provider's cache.
    #[serde(default, skip_serializing_if = "Tokens::is_zero")]
    pub cache_write: Tokens,
    /// Tokens written, reasoning included.
    pub output: Tokens,
    /// Of those, tokens of reasoning.
    #[serde(default, skip_serializing_if = "Tokens::is_zero")]
    pub reasoning: Tokens,
    /// Whether any of these numbers is an estimate, because the provider gave none or one that can't be.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub estimated: bool,
}

impl Usage {
    /// Read and written together.
    pub fn total(&self) -> Tokens {
        self.input + self.output
    }
}

impl std::ops::AddAssign for Usage {
    fn add_assign(&mut self, other: Self) {
        self.input += other.input;
        self.cached_input += other.cached_input;
        self.cache_write += other.cache_write;
        self.output += other.output;
        self.reasoning += other.reasoning;
        self.estimated |= other.estimated;
    }
}

/// One exchange with a model, lossless: the reply as it came, and what it cost.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ModelTurn {
    /// From 1.
    pub turn: u32,
    /// The assistant's message, every field that the provider sent.
    pub message: Value,
    /// Messages that the scaffold put before this turn and that are neither the prompt nor a tool's result.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inserted: Vec<Value>,
    /// What made the conversation shorter before this turn was asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub condensations: Vec<Condensation>,
    /// The provider's id of the reply.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_id: Option<String>,
    /// Why the model stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finish_reason: Option<String>,
    /// The log-probabilities of the reply's tokens, as the provider gave them.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub logprobs: Value,
    /// The ids of the tokens that were read, where the provider gave them.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub prompt_token_ids: Value,
    /// The ids of the reply's tokens, where the provider gave them.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub token_ids: Value,
    /// What it used.
    pub usage: Usage,
    /// What it cost; absent where the price is unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<MicroDollars>,
    /// Requests that it took, failed ones included.
    pub requests: u32,
    /// That requests were under way, failed ones included.
    pub seconds: f64,
    /// That were spent waiting before and between them, for the provider or for money: the task's clock stood still.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub parked_seconds: f64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_zero(seconds: &f64) -> bool {
    *seconds == 0.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn price(text: &str) -> Price {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn cost_is_rounded_up_once_and_each_kind_of_token_has_its_price() {
        let all = price(
            r#"{"input": 3, "output": 15.0, "cached_input": 0.3, "cache_write": 3.75, "reasoning": 20}"#,
        );
        let usage = Usage {
            input: Tokens(1_000),
            cached_input: Tokens(800),
            cache_write: Tokens(100),
            output: Tokens(11),
            reasoning: Tokens(1),
            estimated: false,
        };
        assert_eq!(all.cost(&usage), MicroDollars(300 + 240 + 375 + 150 + 20));
        let one = Usage { input: Tokens(1), output: Tokens(1), ..Usage::default() };
        assert_eq!(price(r#"{"input": 0.4, "output": 0.5}"#).cost(&one), MicroDollars(1));
        assert_eq!(price(r#"{"input": 0.6, "output": 0.5}"#).cost(&one), MicroDollars(2));
    }

    #[test]
    fn a_sum_that_floats_would_miss_is_exact() {
        let usage = Usage { input: Tokens(3), ..Usage::default() };
        assert_eq!(price(r#"{"input": 0.1, "output": 0}"#).cost(&usage), MicroDollars(1));
        let many = Usage { input: Tokens(10_000_000_000), ..Usage::default() };
        assert_eq!(price(r#"{"input": 0.1, "output": 0}"#).cost(&many), MicroDollars(1_000_000_000));
    }

    #[test]
    fn usage_that_contradicts_itself_costs_no_more_than_its_whole() {
        let price = price(r#"{"input": 1, "output": 2, "cached_input": 1}"#);
        let usage = Usage {
            input: Tokens(10),
            cached_input: Tokens(50),
            cache_write: Tokens(50),
            output: Tokens(5),
            reasoning: Tokens(9),
            estimated: true,
        };
        assert_eq!(price.cost(&usage), price.most(Tokens(10), Tokens(5)));
    }

    #[test]
    fn the_most_is_at_the_dearest_price_of_each_side() {
        let price = price(r#"{"input": 1, "output": 2, "cache_write": 5, "reasoning": 3}"#);
        assert_eq!(price.most(Tokens(10), Tokens(10)), MicroDollars(80));
    }

    #[test]
    fn a_price_that_is_no_amount_is_refused_and_a_good_one_comes_back_as_it_was_written() {
        for wrong in ["-1", "1e300", "\"cheap\"", "0.0000001", "null"] {
            let text = format!(r#"{{"input": {wrong}, "output": 1}}"#);
            assert!(serde_json::from_str::<Price>(&text).is_err(), "{text} was taken");
        }
        let text = r#"{"input":0.27,"output":1.1,"cached_input":0.07}"#;
        assert_eq!(serde_json::to_string(&price(text)).unwrap(), text);
    }

    #[test]
    fn usage_without_reasoning_or_cache_writes_keeps_its_bytes() {
        let usage = Usage { input: Tokens(3), output: Tokens(2), ..Usage::default() };
        let text = r#"{"input":3,"cached_input":0,"output":2}"#;
        assert_eq!(serde_json::to_string(&usage).unwrap(), text);
        assert_eq!(serde_json::from_str::<Usage>(text).unwrap(), usage);
    }
}
