//! The templates there are: every folder `CATEGORY/NAME` with a `template.yaml` under the given roots.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use trajforge_schema::TemplateId;

use crate::definition::Definition;
use crate::error::{Error, Fault, nearest};
use crate::yaml;

/// A template, read and checked for what can be seen without a seed.
#[derive(Debug, Clone)]
pub struct Template {
    /// Its id, which is its folder under the root.
    pub id: TemplateId,
    /// What it says.
    pub definition: Definition,
    /// Its folder.
    pub folder: PathBuf,
    /// The text of `template.yaml`, for excerpts.
    pub(crate) text: String,
}

/// Every template under some roots.
#[derive(Debug, Default)]
pub struct Library {
    folders: BTreeMap<TemplateId, PathBuf>,
}

impl Library {
    /// Finds the templates under each root; a later root's template replaces an earlier one's of the same id.
    pub fn open(roots: &[PathBuf]) -> Result<Self, Error> {
        let mut folders = BTreeMap::new();
        for root in roots {
            for category in folders_in(root)? {
                for folder in folders_in(&category)? {
                    if folder.join("template.yaml").is_file() {
                        folders.insert(id_of(&category, &folder)?, folder);
                    }
                }
            }
        }
        Ok(Self { folders })
    }

    /// The ids, sorted.
    pub fn ids(&self) -> impl Iterator<Item = &TemplateId> {
        self.folders.keys()
    }

    /// Reads one template.
    pub fn template(&self, id: &str) -> Result<Template, Error> {
        let found = self.folders.iter().find(|(known, _)| known.as_str() == id);
        let (id, folder) = found.ok_or_else(|| Error::UnknownTemplate {
            id: id.to_owned(),
            nearest: nearest(id, self.folders.keys().map(TemplateId::as_str)),
        })?;
        Template::read(id.clone(), folder)
    }

    /// Reads all of them, sorted by id.
    pub fn templates(&self) -> Result<Vec<Template>, Error> {
        self.folders.iter().map(|(id, folder)| Template::read(id.clone(), folder)).collect()
    }
}

impl Template {
    /// Reads the template in a folder.
    pub fn read(id: TemplateId, folder: &Path) -> Result<Self, Error> {
        let (definition, text) = yaml::read(&folder.join("template.yaml"))?;
        let template = Self { id, definition, folder: folder.to_owned(), text };
        template.check_names()?;
        Ok(template)
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.folder.join("template.yaml")
    }

    fn check_names(&self) -> Result<(), Error> {
        let fault = |message: String, hint: &str| Error::from(Fault::new(&self.file(), message).hint(hint));
        let definition = &self.definition;
        if let Some(name) = definition.answer.iter().find(|name| !definition.parameters.contains_key(*name)) {
            let hint = nearest(name, definition.parameters.keys().map(String::as_str))
                .map_or("`answer` lists parameters".to_owned(), |name| format!("did you mean `{name}`?"));
            return Err(fault(format!("`answer` names {name:?}, which is no parameter"), &hint));
        }
        let mut seen = BTreeSet::new();
        let names = definition.checks.iter().map(|check| &check.name);
        if let Some(twice) =
            names.chain(definition.milestones.iter().map(|m| &m.name)).find(|name| !seen.insert(*name))
        {
            return Err(fault(
                format!("{twice:?} names two checks or milestones"),
                "give each a name of its own",
            ));
        }
        for weight in
            definition.checks.iter().map(|c| c.weight).chain(definition.milestones.iter().map(|m| m.weight))
        {
            if !(weight > 0.0 && weight.is_finite()) {
                return Err(fault(format!("{weight} is no weight"), "weights are positive numbers"));
            }
        }
        let environment = &definition.environment;
        if !matches!(environment.user.as_str(), "agent" | "root") {
            return Err(fault(format!("{:?} is no user", environment.user), "write `agent` or `root`"));
        }
        let paths = std::iter::once(&environment.workspace).chain(&environment.carry);
        for path in paths {
            let forbidden =
                ["/", "/etc", "/usr", "/bin", "/proc", "/sys", "/dev", "/run", "/verify", "/setup"];
            if !path.starts_with('/') || path.contains("..") || forbidden.contains(&path.as_str()) {
                return Err(fault(
                    format!("{path:?} can't be a workspace or carried"),
                    "use a folder such as /workspace",
                ));
            }
        }
        Ok(())
    }
}

fn id_of(category: &Path, folder: &Path) -> Result<TemplateId, Error> {
    let name =
        |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    Ok(format!("{}/{}", name(category), name(folder)).parse()?)
}

fn folders_in(root: &Path) -> Result<Vec<PathBuf>, Error> {
    let mut folders = Vec::new();
    for entry in std::fs::read_dir(root).map_err(Error::io("read", root))? {
        let path = entry.map_err(Error::io("read", root))?.path();
        let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if path.is_dir() && !hidden {
            folders.push(path);
        }
    }
    folders.sort();
    Ok(folders)
}
