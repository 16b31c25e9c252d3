//! `trajforge template new`: a small template that works, to be changed into another.

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use serde_json::json;
use trajforge_pipeline::{Error, template};
use trajforge_schema::TemplateId;

use crate::cli::Global;
use crate::output;

/// The files of the small template: path below its folder, and text.
const FILES: [(&str, &str); 9] = [
    ("files/docs/hours.md", include_str!("../../../assets/skeleton/files/docs/hours.md")),
    ("files/hours.py.j2", include_str!("../../../assets/skeleton/files/hours.py.j2")),
    ("shared/sheet.py", include_str!("../../../assets/skeleton/shared/sheet.py")),
    ("solution/steps.yaml", include_str!("../../../assets/skeleton/solution/steps.yaml")),
    ("template.yaml", include_str!("../../../assets/skeleton/template.yaml")),
    ("traps/as_it_is.yaml", include_str!("../../../assets/skeleton/traps/as_it_is.yaml")),
    ("traps/by_hand.yaml", include_str!("../../../assets/skeleton/traps/by_hand.yaml")),
    ("traps/sheet_changed.yaml", include_str!("../../../assets/skeleton/traps/sheet_changed.yaml")),
    ("verify/checks.py", include_str!("../../../assets/skeleton/verify/checks.py")),
];

pub(super) fn begin(global: &Global, id: &str, root: &Path) -> anyhow::Result<ExitCode> {
    let id: TemplateId = id.parse().map_err(|error| Error::from(template::Error::Id(error)))?;
    let folder = root.join(id.as_str());
    if folder.exists() {
        return Err(Error::from(template::Error::OutputExists(folder)).into());
    }
    for (path, text) in FILES {
        let path = folder.join(path);
        let parent = path.parent().context("every file of the skeleton lies in a folder")?;
        fs::create_dir_all(parent).with_context(|| format!("make {}", parent.display()))?;
        fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
    }
    if global.json {
        output::json(&json!({ "id": id, "folder": folder }))?;
    } else {
        output::data(folder.display())?;
        output::say(format!("change it, then prove it: trajforge template check {id}"));
    }
    Ok(ExitCode::SUCCESS)
}
