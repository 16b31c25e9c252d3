//! Errors in templates: file, line, column, what is wrong, and what to write instead.

use std::fmt;
use std::path::{Path, PathBuf};

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use trajforge_schema::InvalidId;

/// What can go wrong between a template folder and a task.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Something that the template's author has to mend.
    #[error(transparent)]
    Fault(#[from] Box<Fault>),
    /// No template of that name.
    #[error("there is no template {id:?}")]
    UnknownTemplate {
        /// What was asked for.
        id: String,
        /// The nearest one that exists.
        nearest: Option<String>,
    },
    /// A string that is no template id.
    #[error(transparent)]
    Id(#[from] InvalidId),
    /// A folder or file that can't be read or written.
    #[error("can't {doing} {}", path.display())]
    Io {
        /// `read` or `write`.
        doing: &'static str,
        /// Which.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// The folder for a task is there already.
    #[error("{} exists and is not empty", .0.display())]
    OutputExists(PathBuf),
}

impl Error {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Fault(fault) => fault.hint.clone(),
            Self::UnknownTemplate { nearest: Some(nearest), .. } => Some(format!("did you mean {nearest}?")),
            Self::UnknownTemplate { .. } => {
                Some("`trajforge template list` shows those there are".to_owned())
            }
            Self::OutputExists(_) => Some("name a folder that does not exist yet".to_owned()),
            Self::Id(_) | Self::Io { .. } => None,
        }
    }

    pub(crate) fn io(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { doing, path, source }
    }
}

/// One mistake in a template, with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The file.
    pub file: PathBuf,
    /// From 1; 0 when the fault belongs to the file as a whole.
    pub line: usize,
    /// From 1, in characters; 0 when unknown.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub hint: Option<String>,
    /// The file's text, for the excerpt.
    text: Option<String>,
}

impl Fault {
    pub(crate) fn new(file: &Path, message: impl Into<String>) -> Self {
        Self { file: file.to_owned(), line: 0, column: 0, message: message.into(), hint: None, text: None }
    }

    pub(crate) fn at(mut self, line: usize, column: usize) -> Self {
        (self.line, self.column) = (line, column);
        self
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub(crate) fn text(mut self, text: &str) -> Self {
        self.text = Some(text.to_owned());
        self
    }

    /// With the offending line and a caret below it, for a terminal.
    pub fn pretty(&self, coloured: bool) -> String {
        let renderer = if coloured { Renderer::styled() } else { Renderer::plain() };
        let path = self.file.display().to_string();
        let title = Level::ERROR.primary_title(self.message.as_str());
        let place =
            self.text.as_deref().and_then(|text| offset(text, self.line, self.column).map(|at| (text, at)));
        let mut group = match place {
            Some((text, at)) => {
                let end =
                    text[at..].find(|c: char| c.is_whitespace()).map_or(text.len(), |length| at + length);
                let caret = AnnotationKind::Primary.span(at..end.max(at));
                Group::with_title(title).element(Snippet::source(text).path(path).annotation(caret))
            }
            None => Group::with_title(title)
                .element(Level::NOTE.message(format!("in {path}:{}:{}", self.line, self.column))),
        };
        if let Some(hint) = &self.hint {
            group = group.element(Level::HELP.message(hint.as_str()));
        }
        renderer.render(&[group])
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
            if self.column > 0 {
                write!(f, ":{}", self.column)?;
            }
        }
        write!(f, ": {}", self.message)
    }
}

impl std::error::Error for Fault {}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        Self::Fault(Box::new(fault))
    }
}

/// The byte offset of a line and column, both from 1; a column of 0 means the line's first character.
fn offset(text: &str, line: usize, column: usize) -> Option<usize> {
    let start: usize = text.split_inclusive('\n').take(line.checked_sub(1)?).map(str::len).sum();
    let rest = text.get(start..)?;
    let skipped = rest.chars().take(column.saturating_sub(1)).take_while(|c| *c != '\n').map(char::len_utf8);
    Some(start + skipped.sum::<usize>())
}

/// The candidate most like a word, if one is alike enough to be meant.
pub(crate) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    candidates
        .into_iter()
        .map(|candidate| (strsim::normalized_damerau_levenshtein(word, candidate), candidate))
        .filter(|(likeness, _)| *likeness >= 0.5)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate.to_owned())
}
