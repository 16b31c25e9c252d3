//! A page as lines of text, with its links numbered and its forms listed.

use super::fetch::Fetched;
use super::form::{Field, Form, Kind};
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
            "form" => {
                let is = |name: &str, value: &str| {
                    attribute(attributes, name).is_some_and(|own| own.eq_ignore_ascii_case(value))
                };
                self.rendered.forms.push(Form {
                    action: attribute(attributes, "action").unwrap_or_default().to_owned(),
                    is_post: is("method", "post"),
                    is_multipart: is("enctype", "multipart/form-data"),
                    fields: Vec::new(),
                });
                self.in_form = true;
            }
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

    fn field(&mut self, element: &str, attributes: &[(String, String)]) {
        if element == "option" {
            self.end_option();
            let value = attribute(attributes, "value").map(str::to_owned);
            self.option = Some((value, String::new(), attribute(attributes, "selected").is_some()));
            return;
        }
        let (name, kind) = (attribute(attributes, "name").unwrap_or_default(), attribute(attributes, "type"));
        let kind = match (element, kind.unwrap_or_default().to_ascii_lowercase().as_str()) {
            ("select", _) => Kind::Choice,
            ("textarea", _) => Kind::Text,
            ("button", "button" | "reset") | ("input", "button" | "reset" | "file") => return,
            ("button", _) | ("input", "submit" | "image") => Kind::Submit,
            (_, "hidden") => Kind::Hidden,
            (_, "checkbox") => Kind::Checkbox,
            (_, "radio") => Kind::Radio,
            _ => Kind::Text,
        };
        let without_value = match kind {
            Kind::Checkbox | Kind::Radio => "on",
            Kind::Submit if element == "input" => "Submit",
            _ => "",
        };
        let field = Field {
            name: name.to_owned(),
            kind,
            value: attribute(attributes, "value").unwrap_or(without_value).to_owned(),
            is_chosen: attribute(attributes, "checked").is_some(),
            options: Vec::new(),
        };
        self.inside = match element {
            "textarea" => Inside::Textarea,
            "button" => Inside::Button,
            _ => self.inside,
        };
        if self.in_form
            && let Some(form) = self.rendered.forms.last_mut()
        {
            form.fields.push(field);
        }
    }

    fn last_field(&mut self) -> Option<&mut Field> {
        self.rendered.forms.last_mut().filter(|_| self.in_form)?.fields.last_mut()
    }

    fn end_option(&mut self) {
        let Some((value, label, is_selected)) = self.option.take() else { return };
        let Some(field) = self.last_field().filter(|field| field.kind == Kind::Choice) else { return };
        let label = label.split_whitespace().collect::<Vec<_>>().join(" ");
        let value = value.unwrap_or_else(|| label.clone());
        if is_selected || field.options.is_empty() {
            field.value.clone_from(&value);
        }
        field.options.push((value, label));
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
mod tests {
    use std::collections::BTreeMap;

    use url::Url;

    use super::*;

    #[test]
    fn a_page_becomes_lines_with_numbered_links() {
        let page = "<html><head><title>The\n board</title><style>p {}</style></head><body><h1>News</h1>\
                    <p>Read <a href='/a'>the first</a>, or\n   <a href=\"b?x=1\"><b>another</b></a>.<p>Last.\
                    <ul><li>one<li><a href=c>two</a></ul><table><tr><th>k<th>v</tr><tr><td>1</td><td>2</td></tr></table>\
                    <pre>a  b\n  c</pre><script>hidden()</script><img src=x alt='a cat'>";
        let rendered = of_html(page);
        assert_eq!(rendered.title, "The board");
        let expected = [
            "# News",
            "",
            "Read the first [1], or another [2].",
            "",
            "Last.",
            "- one",
            "- two [3]",
            "",
            "k | v",
            "1 | 2",
            "",
            "a  b",
            "  c",
            "",
            "[image: a cat]",
        ];
        assert_eq!(rendered.lines, expected);
        assert_eq!(rendered.links, ["/a", "b?x=1", "c"]);
    }

    fn form() -> Form {
        let page = "<form action='/join?old=1' method=POST><input type=hidden name=token value=t>\
                    <input name=who value='nobody'><textarea name=why>be &amp; cause</textarea>\
                    <select name=day><option value=1>Monday<option value=2 selected>Tuesday</select>\
                    <input type=checkbox name=news value=yes checked><input type=radio name=size value=s><input type=radio name=size value=l checked>\
                    <button name=go value=later>Later</button><button name=do>Join</button></form>";
        of_html(page).forms.remove(0)
    }

    fn sent(fields: &[(&str, &str)]) -> Result<String, String> {
        let fields: BTreeMap<String, String> =
            fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let page = Url::parse("http://localhost/board/").unwrap();
        form().fill(&page, &fields).map(|order| format!("{} {}", order.url, order.form.unwrap_or_default()))
    }

    #[test]
    fn a_form_is_sent_with_its_own_values_where_no_others_are_given() {
        let all =
            "http://localhost/join?old=1 token=t&who=nobody&why=be+%26+cause&day=2&news=yes&size=l&go=later";
        assert_eq!(sent(&[]).as_deref(), Ok(all));
        let other = [("who", "Ines ü"), ("day", "Monday"), ("news", "off"), ("size", "s"), ("do", "")];
        let expected =
            "http://localhost/join?old=1 token=t&who=Ines+%C3%BC&why=be+%26+cause&day=1&size=s&do=Join";
        assert_eq!(sent(&other).as_deref(), Ok(expected));
    }

    #[test]
    fn what_a_form_does_not_have_is_told() {
        assert!(sent(&[("nme", "x")]).unwrap_err().contains("it has who, why, day, news, size, go, do."));
        assert!(sent(&[("day", "Sunday")]).unwrap_err().contains("one of 1, 2."));
        assert!(sent(&[("size", "xl")]).unwrap_err().contains("one of s, l."));
        assert!(sent(&[("token", "mine")]).is_err());
        let text = form().to_string();
        assert!(text.starts_with("POST /join?old=1\n  who: \"nobody\"\n"), "{text}");
        assert!(text.contains("  day: \"2\", one of 1 (Monday), 2 (Tuesday)\n  news: on\n"), "{text}");
    }
}
