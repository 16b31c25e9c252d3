//! `bench/RESULTS.md`: one section for each benchmark, replaced by each recorded run.

use std::path::Path;

use anyhow::Context as _;

const HEAD: &str = "# Results\n\nWritten by `cargo xtask bench NAME --record`: each section is one run, whole. Only figures \
                    of one section may be\ncompared with each other.\n";

/// Puts a section in the place of the one of that name, or at the end.
pub(crate) fn record(root: &Path, name: &str, body: &str) -> anyhow::Result<()> {
    let file = root.join("bench/RESULTS.md");
    let text = std::fs::read_to_string(&file).unwrap_or_else(|_| HEAD.to_owned());
    std::fs::write(&file, replaced(&text, name, body)).context("write bench/RESULTS.md")
}

fn replaced(text: &str, name: &str, body: &str) -> String {
    let heading = format!("\n## {name}\n");
    let section = format!("{heading}\n{}\n", body.trim_end());
    let Some(start) = text.find(&heading) else {
        return format!("{}\n{section}", text.trim_end());
    };
    let after = start + heading.len();
    let end = text[after..].find("\n## ").map_or(text.len(), |at| after + at);
    format!("{}{section}{}", &text[..start], &text[end..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_takes_the_place_of_its_older_self() {
        let first = replaced("# Results\n", "a", "one\n");
        let both = replaced(&first, "b", "two");
        assert_eq!(both, "# Results\n\n## a\n\none\n\n## b\n\ntwo\n");
        assert_eq!(replaced(&both, "a", "three"), "# Results\n\n## a\n\nthree\n\n## b\n\ntwo\n");
        assert_eq!(replaced(&both, "b", "four"), "# Results\n\n## a\n\none\n\n## b\n\nfour\n");
    }
}
