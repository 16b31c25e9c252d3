//! Word lists for names that have to look like work: one word a line, in `assets/words/`. Append only.

const LISTS: [(&str, &str); 8] = [
    ("people", include_str!("../assets/words/people.txt")),
    ("companies", include_str!("../assets/words/companies.txt")),
    ("products", include_str!("../assets/words/products.txt")),
    ("cities", include_str!("../assets/words/cities.txt")),
    ("hosts", include_str!("../assets/words/hosts.txt")),
    ("nouns", include_str!("../assets/words/nouns.txt")),
    ("adjectives", include_str!("../assets/words/adjectives.txt")),
    ("verbs", include_str!("../assets/words/verbs.txt")),
];

/// The lists there are.
pub(crate) const NAMES: [&str; 8] =
    ["people", "companies", "products", "cities", "hosts", "nouns", "adjectives", "verbs"];

/// The words of a list.
pub(crate) fn list(name: &str) -> Option<Vec<&'static str>> {
    LISTS.iter().find(|(list, _)| *list == name).map(|(_, text)| text.lines().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_list_has_different_words_and_a_name() {
        assert_eq!(LISTS.map(|(name, _)| name), NAMES);
        for name in NAMES {
            let words = list(name).unwrap();
            let different: std::collections::BTreeSet<_> = words.iter().collect();
            assert!(words.len() >= 40 && different.len() == words.len(), "{name}: {} words", words.len());
            assert!(words.iter().all(|word| !word.trim().is_empty()), "{name} has an empty line");
        }
    }
}
