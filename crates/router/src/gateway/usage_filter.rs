//! Hides from a client the usage that the gateway asked for in its place, and touches no other byte.

use serde_json::Value;

use crate::sse::SseDecoder;

/// What has come of an event that is not whole.
#[derive(Debug, Default)]
pub(super) struct UsageFilter {
    buffer: Vec<u8>,
}

impl UsageFilter {
    /// The bytes that the client is given of these.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Vec<u8> {
        // The end of an event may be cut in two.
        let mut from = self.buffer.len().saturating_sub(3);
        self.buffer.extend_from_slice(bytes);
        let mut given = Vec::new();
        while let Some(end) = end_of_event(&self.buffer, from) {
            let event: Vec<u8> = self.buffer.drain(..end).collect();
            if !is_usage(&event) {
                given.extend_from_slice(&event);
            }
            from = 0;
        }
        given
    }

    /// What is left at the stream's end.
    pub(super) fn finish(&mut self) -> Vec<u8> {
        let rest = std::mem::take(&mut self.buffer);
        if is_usage(&rest) { Vec::new() } else { rest }
    }
}

/// The index after the empty line that ends the first event.
fn end_of_event(bytes: &[u8], from: usize) -> Option<usize> {
    let rest = bytes.get(from..)?;
    let plain = rest.windows(2).position(|pair| pair == b"\n\n").map(|at| at + 2);
    let with_returns = rest.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4);
    plain.into_iter().chain(with_returns).min().map(|end| from + end)
}

/// Whether an event carries the usage and no choice.
fn is_usage(event: &[u8]) -> bool {
    if !event.windows(7).any(|bytes| bytes == b"\"usage\"") {
        return false;
    }
    SseDecoder::decode(event).iter().any(|event| {
        serde_json::from_str::<Value>(&event.data).is_ok_and(|chunk| {
            chunk["usage"].is_object() && chunk["choices"].as_array().is_some_and(Vec::is_empty)
        })
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const USAGE: &str = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1}}";

    proptest! {
        #[test]
        fn only_the_usage_is_missing_wherever_the_bytes_are_cut(
            end in prop_oneof![Just("\n\n"), Just("\r\n\r\n")],
            cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..6),
            is_last in any::<bool>(),
        ) {
            let text = "data: {\"choices\":[{\"delta\":{\"content\":\"say \\\"usage\\\"\"}}],\"usage\":null}";
            let shown = format!(": hello{end}{text}{end}data: [DONE]{end}");
            let all = if is_last { format!("{shown}{USAGE}") } else { shown.replace("data: [DONE]", &format!("{USAGE}{end}data: [DONE]")) };
            let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(all.len() + 1)).collect();
            places.sort_unstable();
            let (mut filter, mut given, mut start) = (UsageFilter::default(), Vec::new(), 0);
            for place in places.into_iter().chain([all.len()]) {
                given.extend(filter.feed(&all.as_bytes()[start..place]));
                start = place;
            }
            given.extend(filter.finish());
            prop_assert_eq!(String::from_utf8(given).unwrap(), shown);
        }
    }
}
