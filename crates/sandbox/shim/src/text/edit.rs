//! A piece of a text is replaced: the exact one, or the only one that differs in nothing but white space.

use std::fmt::Write as _;

use super::{Told, shortened};
use crate::protocol::Edit;

/// Lines that are shown of what may have been meant.
const MOST_NEAR: usize = 12;
/// How alike lines must be on the average to be shown.
const ALIKE: f64 = 0.5;
/// Comparisons of lines that a search for alike ones may take.
const MOST_COMPARED: usize = 2_000_000;

/// A file with its replacement made, and what to say about it.
///
/// # Errors
/// What to say when the replacement can't be made.
pub fn edited(name: &str, content: &[u8], edit: &Edit) -> Result<(String, Told), Told> {
    if edit.old.is_empty() {
        return Err(Told::wrong("The text to be replaced is empty; to make a new file, write it.\n"));
    }
    if edit.old == edit.new {
        return Err(Told::wrong("The old and the new text are the same; nothing would change.\n"));
    }
    let content = std::str::from_utf8(content)
        .map_err(|_| Told::wrong(format!("{name} is not UTF-8 text; change it with a command.\n")))?;
    let places: Vec<usize> = content.match_indices(&edit.old).map(|(at, _)| at).collect();
    let Some(first) = places.first() else {
        return if edit.all { Err(missing(name, content, &edit.old)) } else { nearly(name, content, edit) };
    };
    if places.len() > 1 && !edit.all {
        let lines: Vec<usize> = places.iter().map(|at| line_of(content, *at)).collect();
        return Err(ambiguous(name, &lines, ""));
    }
    let changed = content.replace(&edit.old, &edit.new);
    let line = line_of(&changed, *first);
    let text = match places.len() {
        1 => format!("Edited {name} at line {line}:\n"),
        count => format!("Edited {name} in {count} places; the first is at line {line}:\n"),
    };
    let told = shown(text, &changed, line, &edit.new);
    Ok((changed, told))
}

/// The replacement where the text is not there as it was given: made if it is there once but for white space, or but for
/// the line numbers of a listing.
fn nearly(name: &str, content: &str, edit: &Edit) -> Result<(String, Told), Told> {
    let (old, new) = (without_numbers(&edit.old), without_numbers(&edit.new));
    let old = old.as_deref().unwrap_or(&edit.old);
    let new = new.as_deref().unwrap_or(&edit.new);
    let lines: Vec<&str> = content.split_inclusive('\n').collect();
    let wanted = bare_lines(old);
    let places = windows(&lines, &wanted);
    let [at] = places.as_slice() else {
        if places.is_empty() {
            return Err(missing(name, content, old));
        }
        let places: Vec<usize> = places.iter().map(|at| at + 1).collect();
        return Err(ambiguous(name, &places, ", white space aside,"));
    };
    let window = &lines[*at..*at + wanted.len()];
    let fresh = fitted(window, old, new);
    let (before, after) = (lines[..*at].concat(), lines[*at + wanted.len()..].concat());
    let changed = format!("{before}{fresh}{after}");
    if changed == content {
        return Err(Told::wrong(
            "The old and the new text differ in white space alone; nothing would change.\n",
        ));
    }
    let text = format!(
        "Edited {name} at line {} by a fuzzy match: the text to be replaced is there but for its white space or line \
         numbers. Check the result:\n",
        at + 1
    );
    let told = shown(text, &changed, at + 1, new);
    Ok((changed, told))
}

/// What takes the place of a window, with its indentation and its line ends.
fn fitted(window: &[&str], old: &str, new: &str) -> String {
    let olds: Vec<&str> = old.lines().skip_while(|line| line.trim().is_empty()).collect();
    let pairs = || window.iter().zip(&olds).filter(|(_, old)| !old.trim().is_empty());
    let (own, given) = pairs().next().map(|(line, old)| (indent(line), indent(old))).unwrap_or_default();
    // Only where one shift explains every line: anything else would be a guess.
    let shifted = |line: &str| indent(line).strip_prefix(given).map(|rest| format!("{own}{rest}"));
    let is_shift = pairs().all(|(line, old)| shifted(old).as_deref() == Some(indent(line)));
    let end = if window.iter().all(|line| line.ends_with("\r\n")) { "\r\n" } else { "\n" };
    let mut fresh = String::new();
    for line in new.trim_matches('\n').lines() {
        match shifted(line).filter(|_| is_shift && !line.trim().is_empty()) {
            Some(indent) => fresh.extend([indent.as_str(), line.trim_start(), end]),
            None => fresh.extend([line, end]),
        }
    }
    let is_last = window.last().is_some_and(|line| !line.ends_with('\n'));
    if is_last && fresh.ends_with(end) {
        fresh.truncate(fresh.len() - end.len());
    }
    fresh
}

/// A text without the line numbers that a listing puts before each line.
fn without_numbers(text: &str) -> Option<String> {
    let bare = |line: &str| {
        let (number, rest) = line.split_once('\t')?;
        let number = number.trim();
        let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| rest.to_owned())
    };
    let lines: Option<Vec<String>> = text.lines().map(bare).collect();
    lines.filter(|lines| !lines.is_empty()).map(|lines| lines.join("\n") + "\n")
}

fn indent(line: &str) -> &str {
    &line[..line.len() - line.trim_start().len()]
}

/// A line's words, with one space between them.
fn bare(line: &str) -> String {
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The lines of a text, bare, without empty ones at its ends.
fn bare_lines(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = text.lines().map(bare).skip_while(String::is_empty).collect();
    while lines.last().is_some_and(String::is_empty) {
        lines.pop();
    }
    lines
}

/// Where as many lines are the wanted ones, white space aside.
fn windows(lines: &[&str], wanted: &[String]) -> Vec<usize> {
    if wanted.is_empty() || lines.len() < wanted.len() {
        return Vec::new();
    }
    let lines: Vec<String> = lines.iter().map(|line| bare(line)).collect();
    let window = lines.windows(wanted.len()).enumerate();
    window.filter(|(_, window)| *window == wanted).map(|(at, _)| at).collect()
}

fn missing(name: &str, content: &str, old: &str) -> Told {
    Told::wrong(format!("The text to be replaced is not in {name}.{}\n", nearest(content, old)))
}

fn ambiguous(name: &str, places: &[usize], aside: &str) -> Told {
    let mut lines: Vec<String> = places.iter().take(10).map(ToString::to_string).collect();
    if places.len() > lines.len() {
        lines.push("...".to_owned());
    }
    Told::wrong(format!(
        "The text to be replaced is{aside} {} times in {name} (lines {}). Give more of the text around it, so that it is \
         unique, or ask for all.\n",
        places.len(),
        lines.join(", ")
    ))
}

/// What may have been meant by a text that isn't there.
fn nearest(content: &str, old: &str) -> String {
    let wanted = bare_lines(old);
    let lines: Vec<&str> = content.lines().collect();
    let bares: Vec<String> = lines.iter().map(|line| bare(line)).collect();
    let length = wanted.len().min(lines.len());
    if length == 0 || lines.len().saturating_mul(length) > MOST_COMPARED {
        return String::new();
    }
    let score = |at: usize| bares[at..].iter().zip(&wanted).map(|(a, b)| alike(a, b)).sum::<f64>();
    let mut best = (0, 0.0);
    for at in 0..lines.len() {
        let score = score(at);
        if score > best.1 {
            best = (at, score);
        }
    }
    let (at, score) = best;
    if score < ALIKE * wanted.len() as f64 {
        return String::new();
    }
    let mut text = " The closest lines are:\n".to_owned();
    for (index, line) in lines.iter().enumerate().skip(at).take(length.min(MOST_NEAR)) {
        let _ = writeln!(text, "{:>6}\t{}", index + 1, shortened(line.as_bytes()));
    }
    let differs = bares[at..].iter().zip(&wanted).position(|(a, b)| a != b);
    if let Some(index) = differs {
        let _ = write!(text, "The first difference is in line {}.", at + index + 1);
    }
    text
}

/// How alike two lines are, from 0 to 1: what they share at their beginnings and ends.
fn alike(a: &str, b: &str) -> f64 {
    if a == b {
        return 1.0;
    }
    let (long, short) = (a.len().max(b.len()), a.len().min(b.len()));
    let start = a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b).count();
    let end = a.bytes().rev().zip(b.bytes().rev()).take_while(|(a, b)| a == b).count();
    (start + end.min(short - start)) as f64 / long.max(1) as f64
}

/// What is told of a change: the text, and the lines around it as they are.
fn shown(mut text: String, changed: &str, line: usize, new: &str) -> Told {
    let count = (new.lines().count() + 6).min(40);
    for (at, line) in changed.lines().enumerate().skip(line.saturating_sub(4)).take(count) {
        let _ = writeln!(text, "{:>6}\t{}", at + 1, shortened(line.as_bytes()));
    }
    Told::well(text)
}

fn line_of(content: &str, at: usize) -> usize {
    content[..at].matches('\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edit(content: &str, old: &str, new: &str) -> Result<(String, Told), Told> {
        let (session, path) = ("s".to_owned(), "f".to_owned());
        edited(
            "f",
            content.as_bytes(),
            &Edit { session, path, old: old.to_owned(), new: new.to_owned(), all: false },
        )
    }

    #[test]
    fn white_space_that_differs_is_forgiven_once_and_said() {
        let content = "class A:\n    def f(self):\n        return 1\n\n    def g(self):\n        return 2\n";
        let (changed, told) =
            edit(content, "def g(self):\n    return 2", "def g(self):\n    x = 3\n    return x").unwrap();
        assert!(changed.ends_with("    def g(self):\n        x = 3\n        return x\n"), "{changed}");
        assert!(told.text.contains("fuzzy") && told.text.contains("line 5"), "{}", told.text);
        let numbered = "     3\t        return 1\n";
        let (changed, _) = edit(content, numbered, "     3\t        return 7\n").unwrap();
        assert!(changed.contains("        return 7\n\n"), "{changed}");
        let (changed, _) = edit("a\r\nb  c\r\n", "a\nb c\n", "x\ny\n").unwrap();
        assert_eq!(changed, "x\r\ny\r\n");
        let (changed, _) = edit("a\n\tb", "  b\n", "  c\n").unwrap();
        assert_eq!(changed, "a\n\tc");
    }

    #[test]
    fn a_fuzzy_match_that_is_not_the_only_one_changes_nothing() {
        let told = edit("if a:\n    x = 1\nelse:\n  x = 1\n", "x  = 1", "x = 2").unwrap_err();
        assert!(
            told.text.contains("white space aside, 2 times") && told.text.contains("lines 2, 4"),
            "{}",
            told.text
        );
        assert!(edit("  a\n", "a  \n", "   a\n").is_ok());
        assert!(edit("  a\n", "a  \n", "a\n").unwrap_err().text.contains("nothing would change"));
    }

    #[test]
    fn a_text_that_is_not_there_is_answered_with_the_lines_that_may_be_meant() {
        let content = "def f():\n    return 1\n\ndef g(x):\n    y = x + 1\n    return y\n";
        let told = edit(content, "def g(x):\n    y = x + 2\n    return y\n", "pass\n").unwrap_err();
        assert!(told.text.contains("     4\tdef g(x):\n     5\t    y = x + 1\n"), "{}", told.text);
        assert!(told.text.contains("difference is in line 5"), "{}", told.text);
        assert_eq!(nearest(content, "nothing like it"), "");
    }
}
