//! Server-sent events, decoded from bytes that may be cut anywhere.
//!
//! The rules are those of the HTML standard's "event stream interpretation", with one leniency: an event that the
//! stream's end cuts off before its empty line is given out all the same, for some servers leave that line out.

/// One event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct SseEvent {
    /// Its name; empty where the stream gives none.
    pub(crate) name: String,
    /// Its data; several lines are joined by line feeds.
    pub(crate) data: String,
}

/// Turns bytes into events.
#[derive(Debug, Default)]
pub(crate) struct SseDecoder {
    line: Vec<u8>,
    after_return: bool,
    begun: bool,
    name: String,
    data: Option<String>,
}

impl SseEvent {
    /// An event without a name.
    pub(crate) fn unnamed(data: impl Into<String>) -> Self {
        Self { name: String::new(), data: data.into() }
    }

    /// An event with a name.
    pub(crate) fn named(name: impl Into<String>, data: impl Into<String>) -> Self {
        Self { name: name.into(), data: data.into() }
    }

    /// As it stands in a stream, with its empty line.
    pub(crate) fn encode(&self) -> String {
        let mut text = String::with_capacity(self.data.len() + self.name.len() + 24);
        if !self.name.is_empty() {
            text.push_str("event: ");
            text.push_str(&self.name);
            text.push('\n');
        }
        for line in self.data.split('\n') {
            text.push_str("data: ");
            text.push_str(line);
            text.push('\n');
        }
        text.push('\n');
        text
    }
}

impl SseDecoder {
    /// Takes in some bytes and gives the events that are complete with them.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Vec<SseEvent> {
        let mut events = Vec::new();
        let mut rest = bytes;
        while !rest.is_empty() {
            if std::mem::take(&mut self.after_return) && rest[0] == b'\n' {
                rest = &rest[1..];
                continue;
            }
            let Some(end) = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')) else {
                self.line.extend_from_slice(rest);
                break;
            };
            self.line.extend_from_slice(&rest[..end]);
            self.after_return = rest[end] == b'\r';
            rest = &rest[end + 1..];
            events.extend(self.end_line());
        }
        events
    }

    /// What the stream's end completes: an event whose empty line is missing.
    pub(crate) fn finish(mut self) -> Option<SseEvent> {
        let completed = if self.line.is_empty() { None } else { self.end_line() };
        completed.or_else(|| self.dispatch())
    }

    /// All events of a whole stream.
    pub(crate) fn decode(bytes: &[u8]) -> Vec<SseEvent> {
        let mut decoder = Self::default();
        let mut events = decoder.feed(bytes);
        events.extend(decoder.finish());
        events
    }

    fn end_line(&mut self) -> Option<SseEvent> {
        let bytes = std::mem::take(&mut self.line);
        let text = String::from_utf8_lossy(&bytes);
        let mark =
            if std::mem::replace(&mut self.begun, true) { None } else { text.strip_prefix('\u{feff}') };
        let line = mark.unwrap_or(&text);
        if line.is_empty() {
            return self.dispatch();
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "data" => match &mut self.data {
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
                none => *none = Some(value.to_owned()),
            },
            "event" => value.clone_into(&mut self.name),
            // Comments, ids and reconnection times say nothing of a reply.
            _ => {}
        }
        None
    }

    fn dispatch(&mut self) -> Option<SseEvent> {
        let name = std::mem::take(&mut self.name);
        self.data.take().map(|data| SseEvent { name, data })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn comments_line_ends_and_several_lines_of_data_are_understood() {
        let stream = "\u{feff}: keep-alive\r\n\r\ndata: a\r\ndata:b\r\n\r\nevent: x\rdata:  é\r\rid: 7\nretry: 9\n\ndata\n\ndata: [DONE]";
        assert_eq!(
            SseDecoder::decode(stream.as_bytes()),
            [
                SseEvent::unnamed("a\nb"),
                SseEvent::named("x", " é"),
                SseEvent::unnamed(""),
                SseEvent::unnamed("[DONE]")
            ]
        );
    }

    #[test]
    fn bytes_that_are_no_utf_8_are_replaced_and_harm_no_other_event() {
        let events = SseDecoder::decode(b"data: \xff\n\ndata: b\n\n");
        assert_eq!(events, [SseEvent::unnamed("\u{fffd}"), SseEvent::unnamed("b")]);
    }

    fn pieces() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            Just("data: ".to_owned()),
            Just("event:".to_owned()),
            Just("\n".to_owned()),
            Just("\r\n".to_owned()),
            Just("\r".to_owned()),
            Just(": comment".to_owned()),
            "[a-z é😀\u{feff}:]{0,6}",
        ];
        proptest::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat().into_bytes())
    }

    proptest! {
        #[test]
        fn cutting_the_bytes_anywhere_gives_the_same_events(
            bytes in pieces(),
            cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..8),
        ) {
            let whole = SseDecoder::decode(&bytes);
            let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            places.sort_unstable();
            let mut decoder = SseDecoder::default();
            let mut events = Vec::new();
            let mut start = 0;
            for end in places.into_iter().chain([bytes.len()]) {
                events.extend(decoder.feed(&bytes[start..end]));
                start = end;
            }
            events.extend(decoder.finish());
            prop_assert_eq!(events, whole);
        }

        #[test]
        fn an_encoded_event_is_decoded_to_itself(name in "[a-z_.]{0,12}", data in "[^\r\u{feff}]{0,40}") {
            let event = SseEvent { name, data };
            prop_assert_eq!(SseDecoder::decode(event.encode().as_bytes()), vec![event]);
        }
    }
}
