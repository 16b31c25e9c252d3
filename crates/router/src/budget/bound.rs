//! How many tokens a request can use at most, known before it is sent.

use serde_json::Value;
use trajforge_schema::{MicroDollars, ModelEntry, Tokens};

/// Tokens that a provider may add on its own: the system prompt that explains tools to the model, and what marks off
/// each message. Anthropic's documentation names up to 700 for its tools; the rest is room.
const ADDED: u64 = 4_096;

/// The most tokens that a request can read and write.
///
/// Input is bounded by the bytes of the request's JSON: the tokenisers in use are byte-level (BPE, or SentencePiece
/// with byte fallback), so a token stands for at least one byte, and the JSON around a message has more bytes than the
/// template that replaces it has tokens. What is not in the request, such as an image behind a link, is not bounded:
/// send images as data. Output is bounded by the limit that the request names, which providers hold to, reasoning
/// included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bound {
    /// Tokens read.
    pub input: Tokens,
    /// Tokens written.
    pub output: Tokens,
}

impl Bound {
    /// The bound of a request's body, in any dialect. A body without a limit of its own is taken to be sent with the
    /// entry's: whoever sends it has to see to that.
    pub fn of(entry: &ModelEntry, body: &Value) -> Self {
        Self::of_bytes(entry, body, body.to_string().len())
    }

    /// The same where the number of bytes is known.
    pub fn of_bytes(entry: &ModelEntry, body: &Value, bytes: usize) -> Self {
        let named = ["max_tokens", "max_completion_tokens", "max_output_tokens"];
        let limit = named.iter().filter_map(|name| body[*name].as_u64()).max();
        let replies = body["n"].as_u64().unwrap_or(1).max(1);
        Self {
            input: Tokens((bytes as u64).saturating_add(ADDED)),
            output: Tokens(limit.unwrap_or(entry.output_tokens).saturating_mul(replies)),
        }
    }

    /// What that costs at most; nothing is known where the entry has no price.
    pub fn worst_case(&self, entry: &ModelEntry) -> Option<MicroDollars> {
        entry.price.map(|price| price.most(self.input, self.output))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_limit_is_the_requests_own_for_each_reply_and_the_entrys_where_it_has_none() {
        let entry = ModelEntry { output_tokens: 100, ..ModelEntry::at("m", "http://127.0.0.1:9/v1") };
        let output = |body: &Value| Bound::of(&entry, body).output.0;
        assert_eq!(output(&json!({})), 100);
        assert_eq!(output(&json!({ "max_completion_tokens": 7, "n": 3 })), 21);
        assert_eq!(output(&json!({ "max_output_tokens": 5_000 })), 5_000);
    }

    #[test]
    fn input_is_bounded_by_bytes_not_by_characters() {
        let entry = ModelEntry::at("m", "http://127.0.0.1:9/v1");
        let bound = Bound::of(&entry, &json!({ "messages": "\u{1f600}".repeat(5_000) })).input.0;
        assert!(bound > 4 * 5_000, "{bound}");
    }
}
