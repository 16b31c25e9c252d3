//! What a reply is charged at: by the provider's numbers where they can be, by the bound where they can't.

use serde_json::Value;
use trajforge_schema::{MicroDollars, ModelEntry, Tokens, Usage};

use super::Bound;

/// What a reply used and cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Billed {
    /// What it used, marked where any of it is an estimate.
    pub usage: Usage,
    /// What it cost; absent where the price is unknown.
    pub cost: Option<MicroDollars>,
}

/// Holds what a provider says it used against what can be.
///
/// Numbers that are missing (which reads as zero on either side of a reply that says something) are replaced by the
/// bound; numbers above the bound are cut to it. So nothing is charged above the worst case that was reserved, and
/// nothing that may have been billed is taken for free.
pub fn bill(entry: &ModelEntry, bound: Bound, said: Usage, message: &Value) -> Billed {
    let side = |said: Tokens, most: Tokens, is_due: bool| match said.0 {
        0 if is_due => (most, true),
        tokens if tokens > most.0 => (most, true),
        _ => (said, false),
    };
    let (input, input_estimated) = side(said.input, bound.input, true);
    let (output, output_estimated) = side(said.output, bound.output, says_something(message));
    let contradicts =
        said.cached_input.0.saturating_add(said.cache_write.0) > said.input.0 || said.reasoning > said.output;
    let usage = Usage {
        input,
        output,
        estimated: said.estimated || input_estimated || output_estimated || contradicts,
        ..said
    };
    Billed { usage, cost: entry.price.map(|price| price.cost(&usage)) }
}

fn says_something(message: &Value) -> bool {
    let fields = ["content", "tool_calls", "reasoning_content", "reasoning", "output"];
    fields.iter().any(|name| match &message[*name] {
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        _ => true,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use trajforge_schema::Price;

    use super::*;

    fn billed(said: Usage) -> Billed {
        let price: Price = serde_json::from_value(json!({ "input": 1, "output": 2 })).unwrap();
        let entry = ModelEntry { price: Some(price), ..ModelEntry::at("m", "http://127.0.0.1:9/v1") };
        let bound = Bound { input: Tokens(1_000), output: Tokens(100) };
        bill(&entry, bound, said, &json!({ "role": "assistant", "content": "hi" }))
    }

    #[test]
    fn numbers_that_can_be_are_taken_and_others_are_replaced_by_the_bound() {
        let usage =
            |input, output| Usage { input: Tokens(input), output: Tokens(output), ..Usage::default() };
        for (said, cost, estimated) in [
            (usage(10, 5), 20, false),
            (usage(0, 0), 1_200, true),
            (usage(0, 5), 1_010, true),
            (usage(10, 0), 210, true),
            (usage(u64::MAX, 5), 1_010, true),
            (usage(10, 101), 210, true),
            (Usage { cached_input: Tokens(11), ..usage(10, 5) }, 20, true),
        ] {
            let billed = billed(said);
            assert_eq!(
                (billed.cost, billed.usage.estimated),
                (Some(MicroDollars(cost)), estimated),
                "{said:?}"
            );
        }
    }
}
