//! Where words go: data to stdout, everything for people to stderr.

use std::fmt::Display;
use std::io::{self, Write as _};

/// Prints data.
pub(crate) fn data(text: impl Display) -> io::Result<()> {
    writeln!(io::stdout().lock(), "{text}")
}

/// Says something to people.
pub(crate) fn people(text: impl Display) {
    // Nobody is there to hear that stderr is gone.
    let _ = writeln!(io::stderr().lock(), "{text}");
}
