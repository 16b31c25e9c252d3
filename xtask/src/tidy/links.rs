//! What is in the code has its place in the documentation, and the other way round.

use std::collections::BTreeSet;

use super::Finding;
use super::tree::Tree;

const ARCHITECTURE: &str = "docs/ARCHITECTURE.md";
const ERRORS: &str = "docs/errors/README.md";
const DECISIONS: &str = "docs/decisions/README.md";
const CODES: &str = "crates/pipeline/src/error.rs";
const FAILURES: &str = "crates/schema/src/failure.rs";

/// Every crate is on the architecture page.
pub(super) fn architecture(tree: &Tree) -> Vec<Finding> {
    let page = tree.text(ARCHITECTURE).unwrap_or_default();
    let crates: BTreeSet<&str> =
        tree.below("crates/").filter_map(|path| path.strip_suffix("/Cargo.toml")).collect();
    let missing = crates.into_iter().filter(|name| !page.contains(&format!("| `{name}` |")));
    missing
        .map(|name| {
            Finding::new(ARCHITECTURE, 1, "architecture", format!("the crate {name} is not in its table"))
        })
        .collect()
}

/// Every error code has a page and a line in the index, and every page is of a code.
pub(super) fn error_codes(tree: &Tree) -> Vec<Finding> {
    let rule = "error-codes";
    let codes: BTreeSet<String> = match variants(tree, CODES, "Code") {
        Ok(variants) => variants.iter().map(|variant| variant.to_uppercase()).collect(),
        Err(finding) => return vec![Finding { rule, ..finding }],
    };
    let pages: BTreeSet<String> = tree
        .below("docs/errors/")
        .filter_map(|path| path.strip_suffix(".md"))
        .filter(|name| *name != "README")
        .map(str::to_owned)
        .collect();
    let index = tree.text(ERRORS).unwrap_or_default();
    let mut findings = Vec::new();
    for code in codes.difference(&pages) {
        findings.push(Finding::new(CODES, 1, rule, format!("{code} has no page docs/errors/{code}.md")));
    }
    for page in pages.difference(&codes) {
        findings.push(Finding::new(&format!("docs/errors/{page}.md"), 1, rule, "there is no such code"));
    }
    for code in codes.iter().filter(|code| !index.contains(&format!("({code}.md)"))) {
        findings.push(Finding::new(ERRORS, 1, rule, format!("{code} is not in the index")));
    }
    findings
}

/// Every code of a failed rollout is explained.
pub(super) fn failure_codes(tree: &Tree) -> Vec<Finding> {
    let rule = "failure-codes";
    let page = tree.text(ERRORS).unwrap_or_default();
    let names = match variants(tree, FAILURES, "FailureCode") {
        Ok(variants) => variants,
        Err(finding) => return vec![Finding { rule, ..finding }],
    };
    let names = names.iter().map(|variant| snake(variant));
    names
        .filter(|name| !page.contains(&format!("`{name}`")))
        .map(|name| Finding::new(ERRORS, 1, rule, format!("`{name}` is not explained")))
        .collect()
}

/// Every decision is in the index, and every line of the index leads to one.
pub(super) fn decisions(tree: &Tree) -> Vec<Finding> {
    let rule = "decisions";
    let Some(index) = tree.text(DECISIONS) else {
        return vec![Finding::new(DECISIONS, 1, rule, "there is no index of decisions")];
    };
    let pages: BTreeSet<&str> = tree
        .below("docs/decisions/")
        .filter(|path| path.strip_suffix(".md").is_some_and(|name| name != "README"))
        .collect();
    let linked: BTreeSet<&str> = index
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next())
        .filter(|to| !to.contains('/'))
        .collect();
    let unlinked = pages.difference(&linked).map(|page| format!("{page} is not in the index"));
    let dangling = linked.difference(&pages).map(|page| format!("{page} is linked and not there"));
    unlinked.chain(dangling).map(|what| Finding::new(DECISIONS, 1, rule, what)).collect()
}

/// The variants of an enum in a file.
fn variants(tree: &Tree, path: &str, name: &str) -> Result<Vec<String>, Finding> {
    let missing = || Finding::new(path, 1, "", format!("there is no `enum {name}` in it"));
    let file = tree.text(path).and_then(|text| syn::parse_file(text).ok()).ok_or_else(missing)?;
    let found = file.items.into_iter().find_map(|item| match item {
        syn::Item::Enum(item) if item.ident == name => Some(item),
        _ => None,
    });
    Ok(found.ok_or_else(missing)?.variants.iter().map(|variant| variant.ident.to_string()).collect())
}

fn snake(name: &str) -> String {
    let mut snake = String::new();
    for c in name.chars() {
        if c.is_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.extend(c.to_lowercase());
    }
    snake
}

#[cfg(test)]
mod tests {
    use super::super::found;
    use super::*;

    #[test]
    fn a_crate_without_a_row_is_found() {
        let files = [
            (ARCHITECTURE, "| `schema` | the nouns | nobody |\n"),
            ("crates/schema/Cargo.toml", ""),
            ("crates/sandbox/shim/Cargo.toml", ""),
        ];
        assert_eq!(
            found(architecture, &files),
            [format!("{ARCHITECTURE}:1: architecture: the crate sandbox/shim is not in its table")]
        );
    }

    #[test]
    fn codes_and_pages_belong_together() {
        let files = [
            (CODES, "enum Code { Tf101, Tf102 }"),
            ("docs/errors/TF101.md", ""),
            ("docs/errors/TF999.md", ""),
            (ERRORS, "[TF101](TF101.md) [TF102](TF102.md)"),
        ];
        let findings = found(error_codes, &files);
        assert_eq!(findings.len(), 2, "{findings:?}");
        assert!(findings[0].contains("TF102 has no page") && findings[1].contains("TF999.md:1"));
        let unlisted = [(CODES, "enum Code { Tf101 }"), ("docs/errors/TF101.md", ""), (ERRORS, "")];
        assert_eq!(found(error_codes, &unlisted).len(), 1);
        assert_eq!(found(error_codes, &[(CODES, "enum Other {}")]).len(), 1);
    }

    #[test]
    fn a_failure_without_a_word_is_found() {
        let files =
            [(FAILURES, "enum FailureCode { DiskFull, SandboxLost }"), (ERRORS, "| `disk_full` | ... |")];
        assert_eq!(
            found(failure_codes, &files),
            [format!("{ERRORS}:1: failure-codes: `sandbox_lost` is not explained")]
        );
    }

    #[test]
    fn a_decision_that_nobody_finds_is_found() {
        let files = [
            (DECISIONS, "- [A](a.md): so.\n- [B](b.md): so.\n"),
            ("docs/decisions/a.md", ""),
            ("docs/decisions/c.md", ""),
        ];
        assert_eq!(found(decisions, &files).len(), 2);
        assert_eq!(found(decisions, &[("docs/decisions/a.md", "")]).len(), 1);
    }
}
