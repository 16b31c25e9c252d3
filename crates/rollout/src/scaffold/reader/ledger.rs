//! The account of a source: each of its fields is carried over, kept raw, or dropped for a reason.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

/// A field that stands elsewhere too.
pub(super) const REPEATED: &str = "said twice";

/// A field that never says anything else.
pub(super) const CONSTANT: &str = "always the same";

/// A field that says of what kind its holder is.
pub(super) const PLACED: &str = "said by its place in the recording";

/// What became of every field of a source. A field is a scalar, or an empty list or object.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Account {
    /// All there are.
    pub fields: u64,
    /// That have a place in the recording.
    pub carried: u64,
    /// That are kept as they are, by where they stood.
    pub raw: u64,
    /// That were left out on purpose, by why.
    pub dropped: BTreeMap<String, u64>,
}

/// A source while it is taken apart: what is not taken stays, and is kept raw.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    account: Account,
    raw: BTreeMap<String, Value>,
}

/// One piece of a source, and where it stands there.
#[derive(Debug)]
pub(super) struct Piece {
    place: String,
    rest: Option<Value>,
}

impl Ledger {
    /// Begins with a whole document.
    pub(super) fn open(&mut self, place: &str, document: Value) -> Piece {
        self.account.fields += fields(&document);
        Piece { place: place.to_owned(), rest: Some(document) }
    }

    /// Takes a field out, for a place in the recording; null where it is not there.
    pub(super) fn carry(&mut self, piece: &mut Piece, pointer: &str) -> Value {
        let Some(value) = piece.remove(pointer) else { return Value::Null };
        self.account.carried += fields(&value);
        value
    }

    /// The same, for a text.
    pub(super) fn carry_text(&mut self, piece: &mut Piece, pointer: &str) -> Option<String> {
        piece.at(pointer).as_str()?;
        super::optional(&self.carry(piece, pointer))
    }

    /// Leaves a field out.
    pub(super) fn drop(&mut self, piece: &mut Piece, pointer: &str, why: &str) {
        if let Some(value) = piece.remove(pointer) {
            *self.account.dropped.entry(why.to_owned()).or_default() += fields(&value);
        }
    }

    /// Leaves a field out if it is the same as another one that is kept.
    pub(super) fn drop_repeated(&mut self, piece: &mut Piece, pointer: &str, kept: &Value) {
        if !kept.is_null() && piece.at(pointer) == kept {
            self.drop(piece, pointer, REPEATED);
        }
    }

    /// Keeps what is left of a piece.
    pub(super) fn close(&mut self, piece: Piece) {
        if let Some(rest) = piece.rest {
            self.account.raw += fields(&rest);
            self.raw.insert(piece.place, rest);
        }
    }

    /// The account, and what is kept raw.
    pub(super) fn settle(self) -> (Account, BTreeMap<String, Value>) {
        (self.account, self.raw)
    }
}

impl Piece {
    /// What stands there; null where nothing does, or where it was taken.
    pub(super) fn at(&self, pointer: &str) -> &Value {
        self.rest.as_ref().and_then(|rest| rest.pointer(pointer)).unwrap_or(&Value::Null)
    }

    /// Takes a list apart, each item a piece of its own.
    pub(super) fn split(&mut self, pointer: &str) -> Vec<Self> {
        if self.at(pointer).as_array().is_none_or(Vec::is_empty) {
            return Vec::new();
        }
        let Some(Value::Array(items)) = self.remove(pointer) else { return Vec::new() };
        let place = |number| format!("{}{pointer}/{number}", self.place);
        let numbered = items.into_iter().enumerate();
        numbered.map(|(number, item)| Self { place: place(number), rest: Some(item) }).collect()
    }

    /// Takes out what stands at a pointer into objects, with every object that is empty then.
    fn remove(&mut self, pointer: &str) -> Option<Value> {
        if pointer.is_empty() {
            return self.rest.take();
        }
        let (parent, name) = pointer.rsplit_once('/')?;
        let holder = self.rest.as_mut()?.pointer_mut(parent)?.as_object_mut()?;
        let value = holder.shift_remove(name)?;
        if holder.is_empty() {
            self.remove(parent);
        }
        Some(value)
    }
}

/// How many fields a value has.
fn fields(value: &Value) -> u64 {
    match value {
        Value::Array(items) if !items.is_empty() => items.iter().map(fields).sum(),
        Value::Object(members) if !members.is_empty() => members.values().map(fields).sum(),
        _ => 1,
    }
}
