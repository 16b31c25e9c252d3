//! A page as lines of text, with its links numbered and its forms listed.

mod fields;

use super::fetch::Fetched;
use super::form::Form;
use super::html::{Piece, attribute, pieces};

/// Elements that begin and end a line.
const BLOCKS: [&str; 36] = [
    "address",
    "article",
    "aside",
    "blockquote",
    "body",
    "dd",
    "details",
    "dialog",
    "div",
    "dl",
    "dt",
    "fieldset",
    "figcaption",
    "figure",
    "footer",
    "form",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "header",
    "hr",
    "li",
    "main",
    "nav",
    "ol",
    "p",
    "pre",
    "section",
    "summary",
    "table",
    "tr",
    "ul",
    "caption",
];
/// Elements whose text is not for people.
const UNSEEN: [&str; 6] = ["script", "style", "noscript", "template", "iframe", "svg"];

/// A page for an agent.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Rendered {
    pub(super) title: String,
    pub(super) lines: Vec<String>,
    /// Where the links lead, as the page has it; the first is link 1.
    pub(super) links: Vec<String>,
    pub(super) forms: Vec<Form>,
}

/// Renders whatever came back.
pub(super) fn render(fetched: &Fetched) -> Rendered {
    let kind = fetched.header("content-type").unwrap_or("text/html").to_ascii_lowercase();
    let text = String::from_utf8_lossy(&fetched.body);
    let mut rendered = if kind.starts_with("text/html") || kind.starts_with("application/xhtml") {
        of_html(&text)
    } else if kind.starts_with("text/")
        || kind.contains("json")
        || kind.contains("xml")
        || kind.contains("javascript")
    {
        Rendered { lines: text.lines().map(str::to_owned).collect(), ..Rendered::default() }
    } else {
        let line =
            format!("[{} bytes of {kind}: nothing to read; save it with a command]", fetched.body.len());
        Rendered { lines: vec![line], ..Rendered::default() }
    };
    if fetched.is_cut {
        rendered.lines.push("[the rest of this page is missing: it is too long]".to_owned());
    }
    rendered
}

/// A page in the making.
#[derive(Default)]
struct Writer {
    rendered: Rendered,
    line: String,
    /// The element whose inside is left out, and how deep it is nested in itself.
    unseen: Option<(String, usize)>,
    inside: Inside,
    /// The link that is open has so many characters before it on its line.
    link: Option<usize>,
    /// The last form is open.
    in_form: bool,
    /// The option that is being read.
    option: Option<(Option<String>, String, bool)>,
}

/// What text means at the moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Inside {
    /// Words in a line.
    #[default]
    Flow,
    /// The page's title.
    Title,
    /// Lines as they are.
    Pre,
    /// A field's value.
    Textarea,
    /// Words in a line that are a button's value where it has none.
    Button,
}

fn of_html(text: &str) -> Rendered {
    let mut writer = Writer::default();
    for piece in pieces(text) {
        match piece {
            Piece::Open(name, attributes) => writer.open(&name, &attributes),
            Piece::Close(name) => writer.close(&name),
            Piece::Text(text) => writer.text(&text),
        }
    }
    writer.end_line();
    let lines = &mut writer.rendered.lines;
    while lines.last().is_some_and(String::is_empty) {
        lines.pop();
    }
    writer.rendered
}

impl Writer {
    fn open(&mut self, name: &str, attributes: &[(String, String)]) {
        if let Some((unseen, depth)) = &mut self.unseen {
            *depth += usize::from(unseen == name);
            return;
        }
        if UNSEEN.contains(&name) {
            self.unseen = Some((name.to_owned(), 1));
            return;
        }
        if BLOCKS.contains(&name) {
            self.end_line();
        }
        match name {
            "title" => self.inside = Inside::Title,
            "br" => self.break_line(),
            "hr" => self.rendered.lines.push("---".to_owned()),
            "pre" => self.inside = Inside::Pre,
            "li" => {
                // One without words before it leaves nothing.
                self.line.clear();
                self.line.push_str("- ");
            }
            "td" | "th" if !self.line.trim().is_empty() => self.line.push_str(" | "),
            "h1" | "h2" | "h3" | "h4" | "h5" | "h6" => {
                let level = name[1..].parse().unwrap_or(1);
                self.empty_line();
                self.line.push_str(&"#".repeat(level));
                self.line.push(' ');
            }
            "p" | "table" | "blockquote" => self.empty_line(),
            "a" => {
                self.end_link();
                if let Some(target) = attribute(attributes, "href").filter(|target| !target.starts_with('#'))
                {
                    self.rendered.links.push(target.to_owned());
                    self.link = Some(self.line.len());
                }
            }
            "img" => {
                let words = attribute(attributes, "alt").unwrap_or_default();
                self.line.push_str(&format_image(words));
            }
            "form" => self.form(attributes),
            "input" | "select" | "textarea" | "button" | "option" => self.field(name, attributes),
            _ => {}
        }
    }

    fn close(&mut self, name: &str) {
        if let Some((unseen, depth)) = &mut self.unseen {
            *depth -= usize::from(unseen == name);
            if *depth == 0 {
                self.unseen = None;
            }
            return;
        }
        match name {
            "a" => self.end_link(),
            "form" => self.in_form = false,
            "option" | "select" => self.end_option(),
            "title" | "textarea" | "button" => self.inside = Inside::Flow,
            _ => {}
        }
        if BLOCKS.contains(&name) {
            self.end_line();
            if ["p", "table", "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "pre"].contains(&name) {
                self.empty_line();
            }
        }
        if name == "pre" {
            self.inside = Inside::Flow;
        }
    }

    fn text(&mut self, text: &str) {
        if self.unseen.is_some() {
            return;
        }
        if let Some((_, label, _)) = &mut self.option {
            label.push_str(text);
            return;
        }
        match self.inside {
            Inside::Title => {
                self.rendered.title.push_str(&text.split_whitespace().collect::<Vec<_>>().join(" "));
            }
            Inside::Textarea => {
                if let Some(field) = self.last_field() {
                    field.value.push_str(text);
                }
            }
            Inside::Pre => self.preformatted(text),
            Inside::Button => {
                if let Some(field) = self.last_field().filter(|field| field.value.is_empty()) {
                    text.trim().clone_into(&mut field.value);
                }
                self.words(text);
            }
            Inside::Flow => self.words(text),
        }
    }

    fn words(&mut self, text: &str) {
        let begins = text.starts_with(char::is_whitespace);
        let ends = text.ends_with(char::is_whitespace);
        let is_open = !self.line.is_empty() && !self.line.ends_with(char::is_whitespace);
        let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
        if begins && is_open {
            self.line.push(' ');
        }
        self.line.push_str(&words);
        if ends && !words.is_empty() {
            self.line.push(' ');
        }
    }

    fn preformatted(&mut self, text: &str) {
        for (index, line) in text.split('\n').enumerate() {
            if index > 0 {
                self.break_line();
            }
            self.line.push_str(line);
        }
    }

    fn end_link(&mut self) {
        let Some(start) = self.link.take() else { return };
        let number = self.rendered.links.len();
        if self.line.get(start..).unwrap_or_default().trim().is_empty() {
            self.line.push_str("(link)");
        }
        let spaces = self.line.len() - self.line.trim_end().len();
        self.line.truncate(self.line.len() - spaces);
        self.line.push_str(&format_link(number));
        if spaces > 0 {
            self.line.push(' ');
        }
    }

    /// Ends the line, if anything is on it.
    fn end_line(&mut self) {
        if self.link.is_some() && !self.line.trim().is_empty() {
            self.end_link();
        }
        if self.line.trim().is_empty() || self.line.trim() == "-" {
            // A bullet waits for its words.
            if self.line.trim().is_empty() {
                self.line.clear();
            }
            return;
        }
        self.break_line();
    }

    fn break_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        self.rendered.lines.push(line.trim_end().to_owned());
        self.link = self.link.map(|_| 0);
    }

    fn empty_line(&mut self) {
        if self.rendered.lines.last().is_some_and(|line| !line.is_empty()) && self.line.trim().is_empty() {
            self.rendered.lines.push(String::new());
        }
    }
}

fn format_link(number: usize) -> String {
    format!(" [{number}]")
}

fn format_image(words: &str) -> String {
    if words.is_empty() { String::new() } else { format!("[image: {words}]") }
}

#[cfg(test)]
mod tests;
