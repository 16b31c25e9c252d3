//! Where a request differs from the one on file that is nearest to it.

use serde_json::Value;

/// Characters of a value that are shown.
const SHOWN: usize = 80;

/// Says where the nearest of these differs first; nothing where there are none.
pub(super) fn nearest<'a>(asked: &Value, recorded: impl Iterator<Item = &'a Value>) -> Option<String> {
    let text = asked.to_string();
    let nearest = recorded.max_by_key(|recorded| common(&text, &recorded.to_string()))?;
    let (place, asked, recorded) = first(asked, nearest, String::new())?;
    let place = if place.is_empty() { "the whole body".to_owned() } else { place };
    Some(format!(
        "the nearest recorded one differs first at {place}: {recorded} was recorded, {asked} is asked"
    ))
}

/// How many bytes are the same from the start, and from the end.
fn common(one: &str, other: &str) -> usize {
    let same = |(a, b): &(u8, u8)| a == b;
    let start = one.bytes().zip(other.bytes()).take_while(same).count();
    let end = one.bytes().rev().zip(other.bytes().rev()).take_while(same).count();
    start + end
}

/// The first place where two values differ, and what stands there in each.
fn first(one: &Value, other: &Value, place: String) -> Option<(String, String, String)> {
    match (one, other) {
        (Value::Object(a), Value::Object(b)) => {
            let names = a.keys().chain(b.keys().filter(|name| !a.contains_key(*name)));
            let at = |name: &String| if place.is_empty() { name.clone() } else { format!("{place}.{name}") };
            names.into_iter().find_map(|name| optional(a.get(name), b.get(name), at(name)))
        }
        (Value::Array(a), Value::Array(b)) => (0..a.len().max(b.len()))
            .find_map(|index| optional(a.get(index), b.get(index), format!("{place}[{index}]"))),
        _ if one == other => None,
        (Value::String(a), Value::String(b)) => {
            let same = a.chars().zip(b.chars()).take_while(|(a, b)| a == b).count();
            let tail = |text: &str| shown(&Value::from(text.chars().skip(same).collect::<String>()));
            Some((format!("{place}, character {}", same + 1), tail(a), tail(b)))
        }
        _ => Some((place, shown(one), shown(other))),
    }
}

fn optional(one: Option<&Value>, other: Option<&Value>, place: String) -> Option<(String, String, String)> {
    match (one, other) {
        (Some(one), Some(other)) => first(one, other, place),
        (one, other) => {
            let shown = |value: Option<&Value>| value.map_or("nothing".to_owned(), shown);
            Some((place, shown(one), shown(other)))
        }
    }
}

fn shown(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_first_difference_to_the_nearest_request_is_named() {
        let far = json!({ "model": "other", "messages": [] });
        let near = json!({ "messages": [{ "content": "list the files" }], "model": "m" });
        let asked = json!({ "messages": [{ "content": "list the folders" }], "model": "m" });
        let said = nearest(&asked, [&far, &near].into_iter()).unwrap();
        assert!(said.contains("messages[0].content, character 11"), "{said}");
        assert!(said.contains("\"iles\" was recorded") && said.contains("\"olders\" is asked"), "{said}");
        let longer = json!({ "messages": [{ "content": "list the files" }, 1], "model": "m" });
        let said = nearest(&longer, [&near].into_iter()).unwrap();
        assert!(said.contains("messages[1]: nothing was recorded, 1 is asked"), "{said}");
        assert_eq!(nearest(&asked, std::iter::empty()), None);
    }
}
