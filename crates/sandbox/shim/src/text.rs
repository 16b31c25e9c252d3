//! The texts that a language model reads about files: shared by the shim and by the scripted fake.

mod edit;

use std::borrow::Cow;
use std::fmt::Write as _;

use regex::bytes::Regex;

pub use edit::edited;

/// A text that is shown is at most about this long.
const MAX_SHOWN: usize = 48 << 10;
const MAX_LINE: usize = 2000;
const MAX_MATCHES: usize = 200;
const MAX_MATCH: usize = 300;
const MAX_ENTRIES: usize = 400;
/// Of one inner folder: a folder full of data must not push everything else out.
const MAX_INNER: usize = 60;

/// What an agent is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// The text.
    pub text: String,
    /// Whether it says that something went wrong.
    pub is_error: bool,
    /// Bytes of a file that were left out; the text declares it too.
    pub cut_bytes: u64,
}

impl Told {
    /// How something went.
    pub fn well(text: impl Into<String>) -> Self {
        Self { text: text.into(), is_error: false, cut_bytes: 0 }
    }

    /// What went wrong.
    pub fn wrong(text: impl Into<String>) -> Self {
        Self { is_error: true, ..Self::well(text) }
    }
}

/// Numbered lines of a file, from line `offset` (1 is the first), at most `limit` of them.
pub fn numbered(name: &str, content: &[u8], offset: u64, limit: u64) -> Told {
    if content.is_empty() {
        return Told::well(format!("{name} is empty.\n"));
    }
    if is_binary(content) {
        return Told::wrong(format!(
            "{name} is a binary file of {} bytes; look at it with a command.\n",
            content.len()
        ));
    }
    let lines: Vec<&[u8]> =
        content.strip_suffix(b"\n").unwrap_or(content).split(|byte| *byte == b'\n').collect();
    let first = usize::try_from(offset.max(1)).unwrap_or(usize::MAX);
    if first > lines.len() {
        return Told::wrong(format!(
            "{name} has only {} lines; line {first} is past its end.\n",
            lines.len()
        ));
    }
    let limit = usize::try_from(limit.max(1)).unwrap_or(usize::MAX);
    let mut text = String::new();
    let mut next = first;
    for line in lines.iter().skip(first - 1).take(limit) {
        if text.len() > MAX_SHOWN {
            break;
        }
        let _ = writeln!(text, "{next:>6}\t{}", shortened(line));
        next += 1;
    }
    let mut told = Told::well(text);
    if next <= lines.len() {
        told.cut_bytes = lines[next - 1..].iter().map(|line| line.len() as u64 + 1).sum();
        let left = lines.len() - next + 1;
        let _ = writeln!(told.text, "[{left} more lines; read on with offset {next}]");
    }
    told
}

/// That a whole file was written; `before` is whether there was one.
pub fn written(name: &str, content: &[u8], before: Before) -> Told {
    let lines = content.split_inclusive(|byte| *byte == b'\n').count();
    let verb = match before {
        Before::Nothing => "Created",
        Before::File => "Replaced",
    };
    Told::well(format!("{verb} {name} ({lines} lines, {} bytes).\n", content.len()))
}

/// What was there before a file was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Before {
    /// No file.
    Nothing,
    /// A file.
    File,
}

/// A line as text, cut where it is endless.
fn shortened(line: &[u8]) -> String {
    if line.len() <= MAX_LINE {
        return String::from_utf8_lossy(line).into_owned();
    }
    let left = line.len() - MAX_LINE;
    format!("{} [... {left} more bytes in this line]", String::from_utf8_lossy(&line[..MAX_LINE]))
}

/// Whether the beginning of a file holds a NUL byte, as no text does.
pub fn is_binary(content: &[u8]) -> bool {
    content.iter().take(8192).any(|byte| *byte == 0)
}

/// Lines that match a pattern, collected file by file until there are enough.
#[derive(Debug)]
pub struct Matches {
    pattern: Regex,
    text: String,
    count: usize,
    files: usize,
    is_full: bool,
}

impl Matches {
    /// Nothing yet.
    ///
    /// # Errors
    /// What to say when the pattern is no regular expression.
    pub fn of(pattern: &str) -> Result<Self, Told> {
        let pattern = Regex::new(pattern)
            .map_err(|error| Told::wrong(format!("The pattern is no regular expression: {error}\n")))?;
        Ok(Self { pattern, text: String::new(), count: 0, files: 0, is_full: false })
    }

    /// Looks into one more file; false when no more are wanted.
    pub fn look_into(&mut self, name: &str, content: &[u8]) -> bool {
        if is_binary(content) {
            return !self.is_full;
        }
        self.files += 1;
        let lines = content.strip_suffix(b"\n").unwrap_or(content);
        for (at, line) in lines.split(|byte| *byte == b'\n').enumerate() {
            if !self.pattern.is_match(line) {
                continue;
            }
            if self.count == MAX_MATCHES || self.text.len() > MAX_SHOWN {
                self.is_full = true;
                return false;
            }
            self.count += 1;
            let shown = String::from_utf8_lossy(&line[..line.len().min(MAX_MATCH)]);
            let more = if line.len() > MAX_MATCH { " ..." } else { "" };
            let _ = writeln!(self.text, "{}:{}: {shown}{more}", on_one_line(name), at + 1);
        }
        true
    }

    /// Takes no more, because there is no time.
    pub fn stop(&mut self) {
        self.is_full = true;
    }

    /// All of it.
    pub fn report(mut self) -> Told {
        let pattern = self.pattern.as_str();
        let _ = match (self.count, self.is_full) {
            (0, true) => writeln!(
                self.text,
                "No line matches {pattern:?} in the {} files that there was time for.",
                self.files
            ),
            (0, false) => writeln!(self.text, "No line matches {pattern:?} ({} files searched).", self.files),
            (count, true) => {
                writeln!(self.text, "[stopped after {count} matches; narrow the pattern or the path]")
            }
            (_, false) => Ok(()),
        };
        Told::well(self.text)
    }
}

/// One line of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The name, without its folder.
    pub name: String,
    /// What it is.
    pub kind: LineKind,
}

/// What a listed entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LineKind {
    /// A folder.
    Folder,
    /// A file, with its size in bytes.
    File(u64),
    /// A link, with its target.
    Link(String),
    /// Anything else.
    Special,
}

impl Line {
    fn show(&self) -> String {
        let name = on_one_line(&self.name);
        match &self.kind {
            LineKind::Folder => format!("{name}/"),
            LineKind::File(bytes) => format!("{name}  {}", size(*bytes)),
            LineKind::Link(target) => format!("{name} -> {}", on_one_line(target)),
            LineKind::Special => format!("{name}  (special)"),
        }
    }
}

/// A folder and its folders; `inside` gives what is in one of them, or why it can't be looked into.
pub fn listed(name: &str, mut lines: Vec<Line>, inside: impl Fn(&str) -> Result<Vec<Line>, String>) -> Told {
    lines.sort_by(|a, b| a.name.cmp(&b.name));
    let mut text = format!("{}:\n", on_one_line(name));
    if lines.is_empty() {
        text.push_str("(empty)\n");
    }
    let mut room = MAX_ENTRIES;
    for (at, line) in lines.iter().enumerate() {
        if room == 0 {
            let _ = writeln!(text, "[{} more entries; list an inner folder]", lines.len() - at);
            break;
        }
        room -= 1;
        let _ = writeln!(text, "{}", line.show());
        if line.kind != LineKind::Folder || line.name == ".git" {
            continue;
        }
        match inside(&line.name) {
            Ok(mut inner) => {
                inner.sort_by(|a, b| a.name.cmp(&b.name));
                room -= listed_inside(&inner, room.min(MAX_INNER), &mut text);
            }
            Err(why) => {
                let _ = writeln!(text, "  [{why}]");
            }
        }
    }
    Told::well(text)
}

fn listed_inside(lines: &[Line], room: usize, text: &mut String) -> usize {
    for line in lines.iter().take(room) {
        let _ = writeln!(text, "  {}", line.show());
    }
    if lines.len() > room {
        let _ = writeln!(text, "  [{} more]", lines.len() - room);
    }
    lines.len().min(room)
}

/// A name in which nothing can begin a line of its own or steer a terminal.
fn on_one_line(name: &str) -> Cow<'_, str> {
    if !name.contains(char::is_control) {
        return Cow::Borrowed(name);
    }
    let mut text = String::with_capacity(name.len() + 8);
    for character in name.chars() {
        if character.is_control() {
            text.extend(character.escape_default());
        } else {
            text.push(character);
        }
    }
    Cow::Owned(text)
}

/// A size for people.
pub fn size(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..1_048_576 => format!("{:.1} KiB", bytes as f64 / 1024.0),
        _ => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_can_not_pass_for_another_line() {
        let line = |name: &str| Line { name: name.to_owned(), kind: LineKind::Special };
        let told = listed("/w", vec![line("a\nfake"), line("\x1b[2J"), line("é")], |_| Ok(Vec::new()));
        assert_eq!(told.text, "/w:\n\\u{1b}[2J  (special)\na\\nfake  (special)\né  (special)\n");
    }

    #[test]
    fn an_endless_line_is_cut_and_says_so() {
        assert!(shortened(&[b'x'; 2500]).ends_with("[... 500 more bytes in this line]"));
    }

    #[test]
    fn a_long_file_says_where_to_read_on() {
        let content = "line\n".repeat(30);
        let told = numbered("f", content.as_bytes(), 11, 10);
        assert!(told.text.starts_with("    11\tline\n"));
        assert!(told.text.ends_with("    20\tline\n[10 more lines; read on with offset 21]\n"));
        assert_eq!(told.cut_bytes, 50);
    }

    #[test]
    fn a_search_stops_when_there_is_enough() {
        let mut matches = Matches::of("x").unwrap();
        assert!(!matches.look_into("f", "x\n".repeat(500).as_bytes()));
        assert!(
            matches.report().text.ends_with("[stopped after 200 matches; narrow the pattern or the path]\n")
        );
    }

    #[test]
    fn a_folder_full_of_data_does_not_hide_the_rest() {
        let folder = |name: &str| Line { name: name.to_owned(), kind: LineKind::Folder };
        let file = |at| Line { name: format!("{at:04}"), kind: LineKind::File(1500) };
        let told = listed("/w", vec![folder("z"), folder("data")], |name| match name {
            "data" => Ok((0..1000).map(file).collect()),
            _ => Err("permission denied".to_owned()),
        });
        assert!(told.text.starts_with("/w:\ndata/\n  0000  1.5 KiB\n"));
        assert!(told.text.ends_with("  [940 more]\nz/\n  [permission denied]\n"), "{}", told.text);
    }
}
