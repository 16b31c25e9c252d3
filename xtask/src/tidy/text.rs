//! Rules about the lines of a file.

use super::Finding;
use super::tree::Tree;

/// Every Rust file opens by saying what it is for.
pub(super) fn first_lines(tree: &Tree) -> Vec<Finding> {
    let rule = "first-line";
    let mut findings = Vec::new();
    for (path, text) in tree.ending(&[".rs"]) {
        let first = text.lines().next().unwrap_or_default();
        let Some(sentence) = first.strip_prefix("//! ") else {
            findings.push(Finding::new(
                path,
                1,
                rule,
                "the file does not open with `//! ` and what it is for",
            ));
            continue;
        };
        if !sentence.ends_with(['.', ':']) {
            findings.push(Finding::new(path, 1, rule, "the first line is no sentence with an end"));
        }
    }
    findings
}

/// Nothing is left for later in what is shipped.
pub(super) fn unfinished(tree: &Tree) -> Vec<Finding> {
    let words =
        [concat!("to", "do!"), concat!("un", "implemented!"), concat!("FIX", "ME"), concat!("TO", "DO")];
    let mut findings = Vec::new();
    // The worlds of tasks may hold anything: they are somebody else's work in progress.
    let files =
        tree.ending(&[".rs", ".sh", ".yaml", ".py"]).filter(|(path, _)| !path.starts_with("templates/"));
    for (path, text) in files {
        for (number, line) in numbered(text) {
            if let Some(word) = words.iter().find(|word| is_word(line, word)) {
                findings.push(Finding::new(path, number, "unfinished", format!("{word} is left in it")));
            }
        }
    }
    findings
}

/// No line ends in blanks.
pub(super) fn trailing_space(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.files().filter(|(path, _)| !is_exact(path)) {
        for (number, line) in numbered(text) {
            if line.ends_with([' ', '\t']) {
                findings.push(Finding::new(path, number, "trailing-space", "the line ends in blanks"));
            }
        }
    }
    findings
}

/// Nothing depends on where a developer works; `/root` alone is a container's home.
pub(super) fn developer_paths(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.files() {
        for (number, line) in numbered(text) {
            for place in [concat!("/wo", "rk/"), concat!("/ro", "ot/")] {
                if starts_a_path(line, place) {
                    let what = format!("{place} is a place on a developer's machine");
                    findings.push(Finding::new(path, number, "developer-path", what));
                }
            }
        }
    }
    findings
}

/// Whether a file's bytes are what it is about: recorded formats, snapshots, what tasks are made of.
fn is_exact(path: &str) -> bool {
    path.starts_with("testdata/")
        || path.starts_with("templates/")
        || path.contains("/snapshots/")
        || path.contains("/tests/cmd/")
}

fn numbered(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.split('\n').enumerate().map(|(index, line)| (index + 1, line.strip_suffix('\r').unwrap_or(line)))
}

/// Whether the word occurs with no letter on either side.
fn is_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        !before.is_some_and(is_letter) && !after.is_some_and(is_letter)
    })
}

fn is_letter(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Whether an absolute path begins with this, and not a relative one or an address's.
fn starts_a_path(line: &str, place: &str) -> bool {
    line.match_indices(place).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|c| is_letter(c) || matches!(c, '.' | '-' | '~' | '}' | ')' | '/' | '*'))
    })
}

#[cfg(test)]
mod tests {
    use super::super::found;
    use super::*;

    #[test]
    fn a_file_opens_with_a_sentence() {
        let files = [
            ("a.rs", "//! What it is for.\nfn a() {}"),
            ("b.rs", "//! What is done, in this order:\n"),
            ("c.rs", "fn c() {}"),
            ("d.rs", "//! Something\n\nfn d() {}"),
            ("e.txt", "anything"),
        ];
        assert_eq!(
            found(first_lines, &files),
            [
                "c.rs:1: first-line: the file does not open with `//! ` and what it is for",
                "d.rs:1: first-line: the first line is no sentence with an end",
            ]
        );
    }

    #[test]
    fn what_is_left_for_later_is_found() {
        let later = format!("one\n# {}: later", concat!("TO", "DO"));
        let other = concat!("fn f() { to", "do!() }\nlet METHODS_TO", "DO = 1;");
        let files = [("a.py", later.as_str()), ("b.rs", other), ("c.md", later.as_str())];
        let findings = found(unfinished, &files);
        assert_eq!(findings.len(), 2, "{findings:?}");
        assert!(
            findings[0].starts_with("a.py:2: unfinished") && findings[1].starts_with("b.rs:1: unfinished")
        );
    }

    #[test]
    fn blanks_at_the_end_are_found() {
        let files = [("a.md", "one\ntwo \nthree\t\n"), ("testdata/x.txt", "as recorded \n")];
        let findings = found(trailing_space, &files);
        assert_eq!(
            findings,
            [
                "a.md:2: trailing-space: the line ends in blanks",
                "a.md:3: trailing-space: the line ends in blanks"
            ]
        );
    }

    #[test]
    fn places_on_a_developers_machine_are_found() {
        let bad = concat!("see /wo", "rk/notes and \"/ro", "ot/x\"");
        let good = concat!("home /ro", "ot, src/wo", "rk/a, https://host/wo", "rk/b");
        assert_eq!(found(developer_paths, &[("a.md", bad)]).len(), 2);
        assert!(found(developer_paths, &[("b.md", good)]).is_empty());
    }
}
