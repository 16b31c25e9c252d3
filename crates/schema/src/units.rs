//! Quantities with their units in the type.

use std::fmt;
use std::ops::{Add, AddAssign};
use std::str::FromStr;

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

/// A text that is no amount of money.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no amount: write US dollars with at most six decimals, such as 2.50")]
pub struct InvalidMoney(pub String);

impl FromStr for MicroDollars {
    type Err = InvalidMoney;
    /// US dollars, as people write them: `20`, `2.50`, `0.000001`. Exact: no float is made of it.
    fn from_str(text: &str) -> Result<Self, InvalidMoney> {
        let wrong = || InvalidMoney(text.to_owned());
        let digits = text.trim().trim_start_matches('$');
        let (whole, part) = digits.split_once('.').unwrap_or((digits, "0"));
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !is_number(whole) || !is_number(part) || part.len() > 6 {
            return Err(wrong());
        }
        let dollars = whole.parse::<u64>().ok().and_then(|whole| whole.checked_mul(1_000_000));
        let micro = format!("{part:0<6}").parse::<u64>().map_err(|_| wrong())?;
        dollars.and_then(|dollars| dollars.checked_add(micro)).map(Self).ok_or_else(wrong)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_is_read_to_the_last_digit() {
        let read = |text: &str| text.parse::<MicroDollars>().ok().map(|money| money.0);
        assert_eq!(read("20"), Some(20_000_000));
        assert_eq!(read("$0.1"), Some(100_000));
        assert_eq!(read("2.000001"), Some(2_000_001));
        assert_eq!(read("18446744073709.551615"), Some(u64::MAX));
        for wrong in ["", ".", "1.", "-1", "1e3", "0.0000001", "1,5", "18446744073709.551616", "NaN"] {
            assert_eq!(read(wrong), None, "{wrong:?}");
        }
    }
}
