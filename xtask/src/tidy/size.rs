//! How long files and functions are, and how long they may be.

use syn::visit::Visit;

use super::Finding;
use super::tree::Tree;

/// No file is longer.
const FILE_LINES: usize = 600;
/// No function is longer.
const FUNCTION_LINES: usize = 100;

/// A function and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Function {
    /// Its name, with the type or the module that it belongs to.
    pub(super) name: String,
    /// The line it begins at, from 1.
    pub(super) line: usize,
    /// From `fn` to its last brace.
    pub(super) lines: usize,
}

/// No file and no function is too long, and every file can be read.
pub(super) fn limits(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.ending(&[".rs"]) {
        let lines = text.lines().count();
        if lines > FILE_LINES {
            let what = format!("{lines} lines, {FILE_LINES} are allowed");
            findings.push(Finding::new(path, 1, "file-length", what));
        }
        match functions(text) {
            Ok(functions) => {
                for function in functions.iter().filter(|function| function.lines > FUNCTION_LINES) {
                    let Function { name, line, lines } = function;
                    let what = format!("{name} has {lines} lines, {FUNCTION_LINES} are allowed");
                    findings.push(Finding::new(path, *line, "function-length", what));
                }
            }
            Err(error) => {
                let line = error.span().start().line;
                findings.push(Finding::new(path, line, "syntax", error.to_string()));
            }
        }
    }
    findings
}

/// Every function with a body, in the order of the text.
pub(super) fn functions(text: &str) -> syn::Result<Vec<Function>> {
    let mut finder = Finder { within: Vec::new(), functions: Vec::new() };
    finder.visit_file(&syn::parse_file(text)?);
    Ok(finder.functions)
}

struct Finder {
    within: Vec<String>,
    functions: Vec<Function>,
}

impl Finder {
    fn found(&mut self, signature: &syn::Signature, body: &syn::Block) {
        let (start, end) = (signature.fn_token.span.start().line, body.brace_token.span.close().end().line);
        let mut name = self.within.clone();
        name.push(signature.ident.to_string());
        self.functions.push(Function { name: name.join("::"), line: start, lines: end - start + 1 });
    }

    fn inside(&mut self, name: String, visit: impl FnOnce(&mut Self)) {
        self.within.push(name);
        visit(self);
        self.within.pop();
    }
}

impl<'ast> Visit<'ast> for Finder {
    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.found(&item.sig, &item.block);
        self.inside(item.sig.ident.to_string(), |finder| syn::visit::visit_item_fn(finder, item));
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.found(&item.sig, &item.block);
        self.inside(item.sig.ident.to_string(), |finder| syn::visit::visit_impl_item_fn(finder, item));
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        if let Some(body) = &item.default {
            self.found(&item.sig, body);
        }
        self.inside(item.sig.ident.to_string(), |finder| syn::visit::visit_trait_item_fn(finder, item));
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        let of = match &*item.self_ty {
            syn::Type::Path(path) => path.path.segments.last().map(|segment| segment.ident.to_string()),
            _ => None,
        };
        self.inside(of.unwrap_or_else(|| "impl".to_owned()), |finder| {
            syn::visit::visit_item_impl(finder, item);
        });
    }

    fn visit_item_trait(&mut self, item: &'ast syn::ItemTrait) {
        self.inside(item.ident.to_string(), |finder| syn::visit::visit_item_trait(finder, item));
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        self.inside(item.ident.to_string(), |finder| syn::visit::visit_item_mod(finder, item));
    }
}

#[cfg(test)]
mod tests {
    use super::super::found;
    use super::*;

    #[test]
    fn functions_are_measured_from_fn_to_the_last_brace() {
        let text = "//! A.\n/// Doc.\nfn a() {\n    let b = '{';\n}\n\nimpl X<u8> {\n    fn c(\n        &self,\n    ) {\n    }\n}\n";
        let measured = functions(text).unwrap();
        let short: Vec<_> = measured.iter().map(|f| (f.name.as_str(), f.line, f.lines)).collect();
        assert_eq!(short, [("a", 3, 3), ("X::c", 8, 4)]);
    }

    #[test]
    fn what_is_too_long_is_found() {
        let long = format!("//! A.\nfn a() {{\n{}}}\n", "    f();\n".repeat(99));
        let fits = format!("//! A.\nfn a() {{\n{}}}\n", "    f();\n".repeat(98));
        assert_eq!(
            found(limits, &[("a.rs", &long), ("b.rs", &fits)]),
            ["a.rs:2: function-length: a has 101 lines, 100 are allowed"]
        );
        let file = "// x\n".repeat(601);
        assert_eq!(found(limits, &[("a.rs", &file)]), ["a.rs:1: file-length: 601 lines, 600 are allowed"]);
    }

    #[test]
    fn a_file_that_can_not_be_read_is_found() {
        assert_eq!(found(limits, &[("a.rs", "//! A.\nfn a( {}\n")]).len(), 1);
    }
}
