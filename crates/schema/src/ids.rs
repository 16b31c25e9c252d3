//! Identifiers: each its own type, so that one can't be passed for another.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A string that can't be the identifier it was meant for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{value:?} is no {noun}: {rule}")]
pub struct InvalidId {
    /// What was given.
    pub value: String,
    /// What it was meant to be.
    pub noun: &'static str,
    /// What one looks like.
    pub rule: &'static str,
}

fn is_slug(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 80
        && text.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}

fn is_file_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 230
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $noun:literal, $rule:literal, $valid:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        #[serde(try_from = "String", into = "String")]
        #[schemars(with = "String")]
        pub struct $name(String);

        impl $name {
            /// The identifier as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                let valid: fn(&str) -> bool = $valid;
                if valid(text) {
                    Ok(Self(text.to_owned()))
                } else {
                    Err(InvalidId { value: text.to_owned(), noun: $noun, rule: $rule })
                }
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;
            fn try_from(text: String) -> Result<Self, InvalidId> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
    };
}

id!(
    /// A template: `category/name`, which is also its folder under the template root.
    TemplateId,
    "template id",
    "write category/name in lower case letters, digits and dashes",
    |text| text.split_once('/').is_some_and(|(category, name)| is_slug(category) && is_slug(name))
);

id!(
    /// A task: `name-seed-digest`, the digest over everything that the task consists of.
    TaskId,
    "task id",
    "it is name-seed-digest, as `trajforge task make` prints it",
    is_file_name
);

id!(
    /// One attempt at one task by one scaffold with one model, unique within its run.
    RolloutId,
    "rollout id",
    "it is made of letters, digits, dots, dashes and underscores, as `trajforge status` prints it",
    is_file_name
);

id!(
    /// A run: the name of its folder.
    RunName,
    "run name",
    "use letters, digits, dots, dashes and underscores, beginning with a letter or digit",
    is_file_name
);

impl TemplateId {
    /// The part before the slash.
    pub fn category(&self) -> &str {
        self.0.split_once('/').map_or("", |(category, _)| category)
    }

    /// The part after the slash.
    pub fn name(&self) -> &str {
        self.0.split_once('/').map_or(self.0.as_str(), |(_, name)| name)
    }
}

/// A BLAKE3 digest, written as 64 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Digest(String);

impl Digest {
    /// The digest of some bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(blake3::hash(bytes).to_hex().to_string())
    }

    /// A digest that another program computed: 64 hexadecimal digits.
    pub fn from_hex(hex: impl Into<String>) -> Self {
        Self(hex.into())
    }

    /// All 64 digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first twelve digits: enough for people and for names.
    pub fn short(&self) -> &str {
        self.0.get(..12).unwrap_or(&self.0)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_id_has_a_category_and_a_name() {
        let id: TemplateId = "incident-response/double-charged".parse().unwrap();
        assert_eq!((id.category(), id.name()), ("incident-response", "double-charged"));
        for bad in ["", "one", "a/b/c", "A/b", "../b", "a/", "a b/c"] {
            assert!(bad.parse::<TemplateId>().is_err(), "{bad:?} was taken");
        }
    }

    #[test]
    fn a_run_name_can_not_leave_its_folder() {
        for bad in ["..", "../x", "/x", "", ".hidden", "a/b"] {
            assert!(bad.parse::<RunName>().is_err(), "{bad:?} was taken");
        }
    }
}
