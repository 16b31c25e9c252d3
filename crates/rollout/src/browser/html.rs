//! HTML as a list of tags and texts, by the standard's own tokenizer.

use std::cell::RefCell;

use html5ever::tendril::StrTendril;
use html5ever::tokenizer::states::{Rawtext, Rcdata, ScriptData};
use html5ever::tokenizer::{
    BufferQueue, Tag, TagKind, Token, TokenSink, TokenSinkResult, Tokenizer, TokenizerOpts,
};

/// A piece of a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    /// A tag that opens.
    Open(String, Vec<(String, String)>),
    /// A tag that closes.
    Close(String),
    /// Characters.
    Text(String),
}

#[derive(Default)]
struct Sink(RefCell<Vec<Piece>>);

impl TokenSink for Sink {
    type Handle = ();

    fn process_token(&self, token: Token, _: u64) -> TokenSinkResult<()> {
        let mut pieces = self.0.borrow_mut();
        match token {
            Token::TagToken(Tag { kind: TagKind::StartTag, name, attrs, .. }) => {
                let pair = |attribute: html5ever::Attribute| {
                    (attribute.name.local.to_string(), attribute.value.to_string())
                };
                let name = name.to_string();
                // Inside these, nothing is a tag but their own end.
                let raw = match name.as_str() {
                    "script" => Some(ScriptData),
                    "style" | "noscript" | "iframe" => Some(Rawtext),
                    "textarea" | "title" => Some(Rcdata),
                    _ => None,
                };
                pieces.push(Piece::Open(name, attrs.into_iter().map(pair).collect()));
                return raw.map_or(TokenSinkResult::Continue, TokenSinkResult::RawData);
            }
            Token::TagToken(Tag { name, .. }) => pieces.push(Piece::Close(name.to_string())),
            Token::CharacterTokens(text) => match pieces.last_mut() {
                Some(Piece::Text(before)) => before.push_str(&text),
                _ => pieces.push(Piece::Text(text.to_string())),
            },
            _ => {}
        }
        TokenSinkResult::Continue
    }
}

/// The pieces of a page.
pub(super) fn pieces(text: &str) -> Vec<Piece> {
    let input = BufferQueue::default();
    input.push_back(StrTendril::from(text));
    let tokenizer = Tokenizer::new(Sink::default(), TokenizerOpts::default());
    // It comes back where a script would run; nothing does.
    while !input.is_empty() {
        let _ = tokenizer.feed(&input);
    }
    tokenizer.end();
    tokenizer.sink.0.into_inner()
}

/// An attribute's value.
pub(super) fn attribute<'a>(attributes: &'a [(String, String)], name: &str) -> Option<&'a str> {
    attributes.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_texts_and_what_only_looks_like_a_tag_are_told_apart() {
        let text = "<p a=1>x &amp; y<br/></p><script>if (a<b) {'</p>'}</script><!-- <i> -->&#65;";
        let open = |name: &str| Piece::Open(name.to_owned(), Vec::new());
        let expected = [
            Piece::Open("p".into(), vec![("a".into(), "1".into())]),
            Piece::Text("x & y".into()),
            open("br"),
            Piece::Close("p".into()),
            open("script"),
            Piece::Text("if (a<b) {'</p>'}".into()),
            Piece::Close("script".into()),
            Piece::Text("A".into()),
        ];
        assert_eq!(pieces(text), expected);
    }
}
