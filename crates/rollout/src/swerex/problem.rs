//! Errors as SWE-ReX's client raises them again: a status of their own, and the path of a class that exists there.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

/// What went wrong, by the class that the client makes of it.
#[derive(Debug)]
pub(super) struct Problem {
    class: &'static str,
    message: String,
    extra: Value,
}

impl Problem {
    /// A problem of a class of `swerex.exceptions`.
    pub(super) fn new(class: Class, message: impl Into<String>) -> Self {
        Self { class: class.path(), message: message.into(), extra: json!({}) }
    }

    /// The same, with what the class knows beside its message.
    pub(super) fn with(mut self, extra: Value) -> Self {
        self.extra = extra;
        self
    }
}

/// The classes that are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// Anything else.
    Swerex,
    /// A command that ended with another code than 0.
    NonZeroExitCode,
    /// A command that bash can't read.
    BashIncorrectSyntax,
    /// A command that did not end in time.
    CommandTimeout,
    /// A session that is open already.
    SessionExists,
    /// A session that is not.
    SessionDoesNotExist,
    /// A file that is not there.
    FileNotFound,
    /// A file that can't be read or written.
    Os,
}

impl Class {
    fn path(self) -> &'static str {
        match self {
            Self::Swerex => "swerex.exceptions.SwerexException",
            Self::NonZeroExitCode => "swerex.exceptions.NonZeroExitCodeError",
            Self::BashIncorrectSyntax => "swerex.exceptions.BashIncorrectSyntaxError",
            Self::CommandTimeout => "swerex.exceptions.CommandTimeoutError",
            Self::SessionExists => "swerex.exceptions.SessionExistsError",
            Self::SessionDoesNotExist => "swerex.exceptions.SessionDoesNotExistError",
            Self::FileNotFound => "builtins.FileNotFoundError",
            Self::Os => "builtins.OSError",
        }
    }
}

impl From<trajforge_sandbox::Error> for Problem {
    fn from(error: trajforge_sandbox::Error) -> Self {
        Self::new(Class::Swerex, error.to_string())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let told = json!({
            "message": self.message, "class_path": self.class, "traceback": "", "extra_info": self.extra,
        });
        // 511, "network authentication required", is what the protocol has chosen.
        (StatusCode::NETWORK_AUTHENTICATION_REQUIRED, axum::Json(json!({ "swerexception": told })))
            .into_response()
    }
}
