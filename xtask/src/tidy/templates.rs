//! A template is whole: what the gate needs to prove it is there.

use super::Finding;
use super::tree::Tree;

/// Traps that a template has at least.
const TRAPS: usize = 3;

/// Every template has an oracle and enough traps.
pub(super) fn complete(tree: &Tree) -> Vec<Finding> {
    let rule = "template";
    let mut findings = Vec::new();
    for path in tree.below("templates/").filter(|path| path.matches('/').count() == 2) {
        let Some(folder) = path.strip_suffix("/template.yaml") else { continue };
        let path = format!("templates/{path}");
        if tree.text(&format!("templates/{folder}/solution/steps.yaml")).is_none() {
            findings.push(Finding::new(&path, 1, rule, "there is no solution/steps.yaml"));
        }
        let traps = format!("templates/{folder}/traps/");
        let traps = tree.below(&traps).filter(|name| name.strip_suffix(".yaml").is_some()).count();
        if traps < TRAPS {
            let what = format!("{traps} traps, at least {TRAPS} are needed");
            findings.push(Finding::new(&path, 1, rule, what));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::found;
    use super::*;

    #[test]
    fn a_template_without_oracle_or_traps_is_found() {
        let files = [
            ("templates/a/whole/template.yaml", ""),
            ("templates/a/whole/solution/steps.yaml", ""),
            ("templates/a/whole/traps/one.yaml", ""),
            ("templates/a/whole/traps/two.yaml", ""),
            ("templates/a/whole/traps/three.yaml", ""),
            ("templates/a/half/template.yaml", ""),
            ("templates/a/half/traps/one.yaml", ""),
        ];
        assert_eq!(
            found(complete, &files),
            [
                "templates/a/half/template.yaml:1: template: there is no solution/steps.yaml",
                "templates/a/half/template.yaml:1: template: 1 traps, at least 3 are needed",
            ]
        );
    }
}
