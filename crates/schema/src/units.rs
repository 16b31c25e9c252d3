//! Quantities with their units in the type.

use std::fmt;
use std::ops::{Add, AddAssign};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Picks one member of a template's family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Seed(pub u64);

impl fmt::Display for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Money, in millionths of a US dollar; never a float.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(transparent)]
pub struct MicroDollars(pub u64);

impl MicroDollars {
    /// For display and statistics only.
    pub fn as_dollars(self) -> f64 {
        self.0 as f64 / 1e6
    }
}

impl fmt::Display for MicroDollars {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "${:.4}", self.as_dollars())
    }
}

/// A count of model tokens.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(transparent)]
pub struct Tokens(pub u64);

impl fmt::Display for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Tokens {
    /// Whether there are none.
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
    pub(crate) fn is_zero(&self) -> bool {
        self.0 == 0
    }
}

/// Pico-dollars in a micro-dollar.
pub(crate) const PICO_PER_MICRO: u64 = 1_000_000;
/// The dearest price of a token that is taken for one: a dollar.
const DEAREST: f64 = 1e6;

/// What one token costs, exact to the millionth of a micro-dollar; written in US dollars per million tokens.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(try_from = "f64", into = "f64")]
#[schemars(with = "f64")]
pub struct TokenPrice(u64);

/// A number that is no price of a token.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[error("{0} is no price: write US dollars per million tokens, from 0 to 1000000, with at most six decimals")]
pub struct InvalidPrice(pub f64);

impl TokenPrice {
    /// In millionths of a micro-dollar.
    pub fn pico_dollars(self) -> u64 {
        self.0
    }
}

impl TryFrom<f64> for TokenPrice {
    type Error = InvalidPrice;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is between 0 and 10^12")]
    fn try_from(dollars: f64) -> Result<Self, InvalidPrice> {
        let pico = (dollars * PICO_PER_MICRO as f64).round();
        // What is written with six decimals is at most rounding away from a whole number.
        let is_exact = (dollars * PICO_PER_MICRO as f64 - pico).abs() < 1e-3;
        if (0.0..=DEAREST).contains(&dollars) && is_exact {
            Ok(Self(pico as u64))
        } else {
            Err(InvalidPrice(dollars))
        }
    }
}

impl From<TokenPrice> for f64 {
    fn from(price: TokenPrice) -> Self {
        price.0 as f64 / PICO_PER_MICRO as f64
    }
}

macro_rules! sum {
    ($name:ident) => {
        impl Add for $name {
            type Output = Self;
            fn add(self, other: Self) -> Self {
                Self(self.0.saturating_add(other.0))
            }
        }
        impl AddAssign for $name {
            fn add_assign(&mut self, other: Self) {
                *self = *self + other;
            }
        }
        impl std::iter::Sum for $name {
            fn sum<I: Iterator<Item = Self>>(items: I) -> Self {
                items.fold(Self::default(), Add::add)
            }
        }
    };
}
sum!(MicroDollars);
sum!(Tokens);
