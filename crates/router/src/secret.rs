//! A key that can be sent and never be printed.

use std::fmt;

/// A secret: its `Debug` and `Display` show nothing of it.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// Wraps a key.
    pub fn new(key: impl Into<String>) -> Self {
        Self(key.into())
    }

    /// The key itself, for the request's header.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether a text holds the key.
    pub(crate) fn is_in(&self, text: &str) -> bool {
        self.0.len() >= 6 && text.contains(&self.0)
    }

    /// A text in which the key, wherever it stands, is replaced by stars.
    pub fn mask(&self, text: &str) -> String {
        if self.0.len() < 6 { text.to_owned() } else { text.replace(&self.0, "******") }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(******)")
    }
}
