//! Text with `{{ parameters }}` to text: minijinja, strict, with a limit on work, and with seeded streams.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use indexmap::IndexMap;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, Object, Serde, ValueKind};
use minijinja::{AutoEscape, Environment, ErrorKind, State, UndefinedBehavior, Value};
use trajforge_schema::{Seed, TemplateId};

use crate::error::{Error, Fault, nearest};
use crate::stream::Stream;
use crate::words;
use crate::yaml::Text;

/// Steps of work that one file or string may take to render: about ten seconds on a slow machine.
const FUEL: u64 = 20_000_000;

/// Renders everything of one member of a family.
pub(crate) struct Renderer<'a> {
    environment: Environment<'static>,
    values: IndexMap<String, serde_json::Value>,
    context: Value,
    origin: Origin<'a>,
}

/// Where the text that is being rendered stands.
#[derive(Clone)]
struct Origin<'a> {
    template: &'a TemplateId,
    version: u32,
    seed: Seed,
    file: PathBuf,
    text: Arc<str>,
}

impl<'a> Renderer<'a> {
    /// A renderer for one member of the template in `folder`.
    pub(crate) fn new(folder: &Path, template: &'a TemplateId, version: u32, seed: Seed) -> Self {
        let file = folder.join("template.yaml");
        let origin = Origin { template, version, seed, file, text: Arc::from("") };
        let environment = environment(folder.to_owned(), template.clone(), version, seed);
        Self { environment, values: IndexMap::new(), context: Value::UNDEFINED, origin }
    }

    /// The stream of that name.
    pub(crate) fn stream(&self, name: &str) -> Stream {
        Stream::new(self.origin.template, self.origin.version, self.origin.seed, name)
    }

    /// Names the file that the next texts come from.
    pub(crate) fn open(&mut self, file: &Path, text: &str) {
        file.clone_into(&mut self.origin.file);
        self.origin.text = Arc::from(text);
    }

    /// The file that is open, and its text.
    pub(crate) fn opened(&self) -> (PathBuf, Arc<str>) {
        (self.origin.file.clone(), self.origin.text.clone())
    }

    /// Makes a value known to everything that is rendered after this.
    pub(crate) fn bind(&mut self, name: &str, value: serde_json::Value) {
        self.values.insert(name.to_owned(), value);
        self.context = Value::from(Serde(&self.values));
    }

    /// Takes a name back.
    pub(crate) fn unbind(&mut self, name: &str) {
        self.values.shift_remove(name);
        self.context = Value::from(Serde(&self.values));
    }

    /// Everything that is bound.
    pub(crate) fn values(&self) -> &IndexMap<String, serde_json::Value> {
        &self.values
    }

    /// A fault in the open file as a whole.
    pub(crate) fn fault(&self, message: impl Into<String>) -> Fault {
        Fault::new(&self.origin.file, message)
    }

    /// A fault at a text of the open file.
    pub(crate) fn fault_at(&self, text: &Text, message: impl Into<String>) -> Fault {
        self.fault(message).at(text.line, text.column).text(&self.origin.text)
    }

    /// A string of the open YAML file, rendered.
    pub(crate) fn text(&self, text: &Text) -> Result<String, Box<Fault>> {
        if !text.value.contains('{') {
            return Ok(text.value.clone());
        }
        self.environment
            .render_str(&text.value, self.context.clone())
            .map_err(|error| Box::new(self.placed(&error, &text.value, text)))
    }

    /// A whole file, rendered; faults point into it.
    pub(crate) fn whole(&self, file: &Path, text: &str) -> Result<String, Box<Fault>> {
        self.environment.render_str(text, self.context.clone()).map_err(|error| {
            let start = Text { value: String::new(), line: 1, column: 1 };
            let mut fault = self.placed(&error, text, &start).text(text);
            file.clone_into(&mut fault.file);
            Box::new(fault)
        })
    }

    /// The value of an expression of the open YAML file.
    pub(crate) fn evaluate(&self, expression: &Text) -> Result<serde_json::Value, Box<Fault>> {
        let evaluated = self
            .environment
            .compile_expression(&expression.value)
            .and_then(|compiled| compiled.eval(self.context.clone()))
            .map_err(|error| self.placed(&error, &expression.value, expression))?;
        if evaluated.is_undefined() {
            let fault = self.fault_at(expression, format!("`{}` is undefined", expression.value));
            return Err(Box::new(fault.hint(self.known(&expression.value))));
        }
        serde_json::to_value(&evaluated)
            .map_err(|error| Box::new(self.fault_at(expression, format!("the value can't be kept: {error}"))))
    }

    /// Whether a condition holds; absent conditions do.
    pub(crate) fn holds(&self, condition: Option<&Text>) -> Result<bool, Box<Fault>> {
        let Some(condition) = condition else {
            return Ok(true);
        };
        match self.evaluate(condition)? {
            serde_json::Value::Bool(holds) => Ok(holds),
            other => Err(Box::new(
                self.fault_at(condition, format!("a condition must be true or false, this is {other}"))
                    .hint("compare it with something: `cause == 'retry'`"),
            )),
        }
    }

    fn placed(&self, error: &minijinja::Error, source: &str, start: &Text) -> Fault {
        let range = error.range().filter(|range| range.end <= source.len());
        let (line, column) = match &range {
            Some(range) => position(source, range.start, start),
            None => (start.line + error.line().unwrap_or(1) - 1, 0),
        };
        let culprit = range.and_then(|range| source.get(range)).unwrap_or_default();
        let culprit = self.unknown_name(culprit).unwrap_or(culprit);
        let detail = error.detail().map(|detail| format!(": {detail}")).unwrap_or_default();
        let message = match error.kind() {
            ErrorKind::UndefinedError if !culprit.is_empty() => format!("`{culprit}` is undefined"),
            ErrorKind::OutOfFuel => "rendering takes too much work".to_owned(),
            kind => format!("{kind}{detail}"),
        };
        let fault = self.fault(message).at(line, column).text(&self.origin.text);
        match error.kind() {
            ErrorKind::UndefinedError => fault.hint(self.known(culprit)),
            ErrorKind::OutOfFuel => fault.hint("build large data in `setup/` with a script instead"),
            ErrorKind::SyntaxError => {
                fault.hint("text with braces of its own goes between {% raw %} and {% endraw %}")
            }
            _ => fault,
        }
    }

    /// The first name in a piece of template that nothing is bound to.
    fn unknown_name<'t>(&self, piece: &'t str) -> Option<&'t str> {
        const WORDS: [&str; 12] =
            ["if", "else", "elif", "for", "in", "and", "or", "not", "is", "true", "false", "none"];
        let names = piece.split(|c: char| !(c.is_alphanumeric() || c == '_'));
        let is_name = |name: &&str| name.starts_with(|c: char| c.is_alphabetic() || c == '_');
        names.filter(is_name).find(|name| !WORDS.contains(name) && !self.values.contains_key(*name))
    }

    fn known(&self, culprit: &str) -> String {
        let word = self.unknown_name(culprit).unwrap_or(culprit);
        let names = || self.values.keys().map(String::as_str);
        match nearest(word, names()) {
            Some(name) => format!("did you mean `{name}`?"),
            None => format!("the parameters are {}", names().collect::<Vec<_>>().join(", ")),
        }
    }
}

fn position(source: &str, at: usize, start: &Text) -> (usize, usize) {
    let before = source.get(..at).unwrap_or_default();
    let line = before.matches('\n').count();
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count();
    // Block scalars keep their indentation on every line, so the first line's column serves for all.
    (start.line + line, column + start.column)
}

fn environment(folder: PathBuf, template: TemplateId, version: u32, seed: Seed) -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    environment.set_fuel(Some(FUEL));
    environment.set_debug(true);
    let mut syntax = SyntaxConfig::builder();
    // `{#` is the length of a shell variable; comments are `{## ... ##}`.
    syntax.comment_delimiters("{##", "##}").trim_blocks(true).lstrip_blocks(true).keep_trailing_newline(true);
    environment.set_syntax(syntax.build().expect("the delimiters above differ"));
    environment.set_loader(move |name| {
        let inside = !name.starts_with('/') && name.split('/').all(|part| part != "..");
        Ok(inside.then(|| std::fs::read_to_string(folder.join(name)).ok()).flatten())
    });
    environment.add_function("stream", move |name: &str| {
        Value::from_object(Draws(Mutex::new(Stream::new(
            &template,
            version,
            seed,
            &format!("stream.{name}"),
        ))))
    });
    environment.add_function("time", time);
    environment.add_filter("snake", |text: &str| words_in(text).join("_"));
    environment.add_filter("kebab", |text: &str| words_in(text).join("-"));
    environment.add_filter("pascal", |text: &str| {
        words_in(text).iter().map(|word| capital(word)).collect::<String>()
    });
    environment.add_filter("camel", |text: &str| {
        let words = words_in(text);
        words
            .iter()
            .enumerate()
            .map(|(n, word)| if n == 0 { word.clone() } else { capital(word) })
            .collect::<String>()
    });
    environment.add_filter("sh", |text: &str| format!("'{}'", text.replace('\'', r"'\''")));
    environment.add_filter("py", |value: Value| python(&value));
    environment
}

/// Seconds since 1970 to text in UTC, with strftime's directives.
fn time(seconds: i64, format: &str) -> Result<String, minijinja::Error> {
    let wrong = |error: jiff::Error| minijinja::Error::new(ErrorKind::InvalidOperation, error.to_string());
    let moment = jiff::Timestamp::from_second(seconds).map_err(wrong)?;
    jiff::fmt::strtime::format(format, &moment.to_zoned_datetime(jiff::tz::TimeZone::UTC)).map_err(wrong)
}

fn words_in(text: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut previous_lower = false;
    for c in text.chars() {
        if !c.is_alphanumeric() || (c.is_uppercase() && previous_lower) {
            words.push(String::new());
        }
        if c.is_alphanumeric() {
            words.last_mut().expect("there is always one").extend(c.to_lowercase());
        }
        previous_lower = c.is_lowercase() || c.is_numeric();
    }
    words.retain(|word| !word.is_empty());
    words
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// A Python literal.
fn python(value: &Value) -> Result<String, minijinja::Error> {
    let joined = |items: Vec<String>| items.join(", ");
    Ok(match value.kind() {
        ValueKind::None | ValueKind::Undefined => "None".to_owned(),
        ValueKind::Bool => if value.is_true() { "True" } else { "False" }.to_owned(),
        ValueKind::Seq | ValueKind::Iterable => {
            let items = value.try_iter()?.map(|item| python(&item)).collect::<Result<_, _>>()?;
            format!("[{}]", joined(items))
        }
        ValueKind::Map => {
            let pair = |key: Value| Ok(format!("{}: {}", python(&key)?, python(&value.get_item(&key)?)?));
            let items = value.try_iter()?.map(pair).collect::<Result<_, minijinja::Error>>()?;
            format!("{{{}}}", joined(items))
        }
        ValueKind::String => {
            serde_json::to_string(value.as_str().unwrap_or_default()).expect("a string always serialises")
        }
        _ => value.to_string(),
    })
}

/// A seeded stream inside a template.
#[derive(Debug)]
struct Draws(Mutex<Stream>);

impl Object for Draws {
    fn call_method(
        self: &Arc<Self>,
        _: &mut State<'_, '_>,
        method: &str,
        args: &[Value],
    ) -> Result<Value, minijinja::Error> {
        let mut stream = self.0.lock().expect("no draw panics while it holds the lock");
        drawn(&mut stream, method, args)
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a stream")
    }
}

fn drawn(stream: &mut Stream, method: &str, args: &[Value]) -> Result<Value, minijinja::Error> {
    use minijinja::value::from_args;
    let wrong = |message: String| minijinja::Error::new(ErrorKind::InvalidOperation, message);
    let items = |list: &Value| list.try_iter().map(Iterator::collect::<Vec<Value>>);
    match method {
        "int" => {
            let (low, high): (i64, i64) = from_args(args)?;
            if low > high {
                return Err(wrong(format!("int({low}, {high}) holds no number")));
            }
            Ok(Value::from(stream.int(low, high)))
        }
        "chance" => {
            let (probability,): (f64,) = from_args(args)?;
            Ok(Value::from(stream.unit() < probability))
        }
        "choice" => {
            let (list,): (Value,) = from_args(args)?;
            let list = items(&list)?;
            if list.is_empty() {
                return Err(wrong("choice() of an empty list".to_owned()));
            }
            Ok(list[stream.index(list.len())].clone())
        }
        "sample" | "shuffle" => {
            let (list, count): (Value, Option<usize>) = from_args(args)?;
            let list = items(&list)?;
            let count = count.unwrap_or(list.len()).min(list.len());
            Ok(stream.order(list.len()).into_iter().take(count).map(|index| list[index].clone()).collect())
        }
        "hex" => {
            let (digits,): (usize,) = from_args(args)?;
            Ok(Value::from(stream.hex(digits.min(1024))))
        }
        "word" => {
            let (name, _): (String, Kwargs) = from_args(args)?;
            let list = words::list(&name).ok_or_else(|| wrong(format!("there is no word list {name:?}")))?;
            Ok(Value::from(list[stream.index(list.len())]))
        }
        _ => Err(minijinja::Error::new(
            ErrorKind::UnknownMethod,
            format!("a stream has no {method}(); it has int, chance, choice, sample, shuffle, hex and word"),
        )),
    }
}

impl From<Box<Fault>> for Fault {
    fn from(fault: Box<Fault>) -> Self {
        *fault
    }
}

/// A file of the template and its text.
pub(crate) fn read_text(file: &Path) -> Result<String, Error> {
    std::fs::read_to_string(file).map_err(Error::io("read", file))
}
