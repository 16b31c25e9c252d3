//! The same template version and seed give the same bytes: as it was promised, on one thread and on many.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the message")]

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use trajforge_schema::{Digest, Seed};
use trajforge_template::{Library, Template};

/// Threads that render every member at the same time.
const THREADS: usize = 4;

#[derive(Debug, PartialEq, Deserialize)]
struct Members {
    version: u32,
    digests: Vec<Digest>,
}

type Golden = BTreeMap<String, Members>;

fn workspace() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

fn promised() -> Golden {
    let text = std::fs::read_to_string(workspace().join("testdata/golden/tasks.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn templates() -> Vec<Template> {
    Library::open(&[workspace().join("templates")]).unwrap().templates().unwrap()
}

fn rendered(templates: &[Template]) -> Golden {
    let members = |template: &Template| {
        let digests = (0..5).map(|seed| template.make(Seed(seed)).unwrap().digest).collect();
        (template.id.to_string(), Members { version: template.definition.version, digests })
    };
    templates.iter().map(members).collect()
}

#[test]
fn every_member_is_as_it_was_promised() {
    let hint = "raise the template's version, then write the digests again with `cargo xtask golden`";
    assert_eq!(rendered(&templates()), promised(), "{hint}");
}

#[test]
fn threads_that_render_at_the_same_time_agree() {
    let templates = templates();
    let alone = rendered(&templates);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(|| rendered(&templates))).collect();
        for thread in threads {
            assert_eq!(thread.join().unwrap(), alone);
        }
    });
}
