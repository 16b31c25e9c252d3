//! A recipe: a folder with a Dockerfile, whose content gives its image a name.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use trajforge_schema::Digest;

use super::root::{BOOKWORM, Root, TRIXIE};
use crate::error::{Error, Result};

/// One recipe, whole.
#[derive(Debug)]
pub(super) struct Recipe {
    /// The exact tag of its image.
    pub(super) tag: String,
    /// What it builds upon.
    pub(super) base: Base,
    dockerfile: String,
    files: BTreeMap<String, Piece>,
}

/// What a recipe builds upon.
#[derive(Debug, Clone)]
pub(super) enum Base {
    /// A small Debian.
    Root(&'static Root),
    /// Another recipe.
    Recipe(String),
}

impl Base {
    /// The other recipe's name.
    pub(super) fn parent(&self) -> Option<&str> {
        match self {
            Self::Root(_) => None,
            Self::Recipe(name) => Some(name),
        }
    }
}

#[derive(Debug)]
struct Piece {
    mode: u32,
    content: Vec<u8>,
}

/// What stands for this machine's certificates in a recipe: they are no part of its content.
const HOST_FOLDER: &str = ".host";
/// Where machines keep them.
const CERTIFICATES: [&str; 2] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem"];

/// The recipe of a scaffold's layer.
pub(super) fn of_scaffold(name: &str) -> String {
    format!("scaffold-{name}")
}

/// Whether scaffolds are made of it, and no task runs in it: a layer, or what layers are made upon.
pub(super) fn is_of_scaffolds(name: &str) -> bool {
    name.starts_with("scaffold-") || name.starts_with("layer-")
}

/// Reads all recipes below a folder, and those of the layers of the scaffolds in another.
pub(super) fn read_all(folder: &Path, scaffolds: &[PathBuf]) -> Result<BTreeMap<String, Recipe>> {
    let mut raw = BTreeMap::new();
    for path in entries(folder)? {
        if path.join("Dockerfile").is_file() {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            raw.insert(name, Draft::read(&path)?);
        }
    }
    for scaffold in scaffolds.iter().filter(|folder| folder.is_dir()) {
        for path in entries(scaffold)? {
            let layer = path.join("layer");
            if layer.join("Dockerfile").is_file() {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                raw.insert(of_scaffold(&name), Draft::read(&layer)?);
            }
        }
    }
    let mut recipes = BTreeMap::new();
    for name in raw.keys() {
        finish(name, &raw, &mut recipes, &mut Vec::new())?;
    }
    Ok(recipes)
}

/// Whether a tag has the form that recipes give.
pub(super) fn is_content_tag(tag: &str) -> bool {
    let Some((_, digits)) = tag.strip_prefix("trajforge/").and_then(|rest| rest.split_once(':')) else {
        return false;
    };
    digits.len() == 12 && digits.chars().all(|digit| digit.is_ascii_hexdigit())
}

impl Recipe {
    /// What is sent to the engine: the files, and the Dockerfile upon the exact tag of its parent.
    pub(super) fn context(&self) -> Result<Vec<u8>> {
        let mut archive = tar::Builder::new(Vec::new());
        let dockerfile = Piece { mode: 0o644, content: self.dockerfile.clone().into_bytes() };
        let all = self.files.iter().filter(|(path, _)| *path != "Dockerfile");
        let host = self.of_host();
        for (path, piece) in all.chain([(&"Dockerfile".to_owned(), &dockerfile)]).chain(&host) {
            let mut header = tar::Header::new_gnu();
            header.set_size(piece.content.len() as u64);
            header.set_mode(piece.mode);
            header.set_mtime(0);
            archive
                .append_data(&mut header, path, piece.content.as_slice())
                .map_err(|source| file_error(Path::new(path), "pack a recipe", source))?;
        }
        archive.into_inner().map_err(|source| file_error(Path::new("Dockerfile"), "pack a recipe", source))
    }

    /// This machine's certificates, for a recipe that asks for them: behind a network that reads along, package registries
    /// are not trusted without. Empty where the machine keeps them elsewhere.
    fn of_host(&self) -> BTreeMap<String, Piece> {
        if !self.dockerfile.contains(&format!("COPY {HOST_FOLDER} ")) {
            return BTreeMap::new();
        }
        let content = CERTIFICATES.iter().find_map(|path| fs::read(path).ok()).unwrap_or_default();
        let path = format!("{HOST_FOLDER}/ca-certificates.crt");
        BTreeMap::from([(path, Piece { mode: 0o644, content })])
    }
}

/// A recipe whose parent's tag is not known yet.
struct Draft {
    folder: PathBuf,
    base: Base,
    from: String,
    files: BTreeMap<String, Piece>,
}

impl Draft {
    fn read(folder: &Path) -> Result<Self> {
        let mut files = BTreeMap::new();
        read_into(folder, "", &mut files)?;
        let wrong = |reason: &str| Error::RecipeInvalid {
            recipe: folder.display().to_string(),
            reason: reason.to_owned(),
        };
        let dockerfile = files
            .get("Dockerfile")
            .and_then(|piece| std::str::from_utf8(&piece.content).ok())
            .ok_or_else(|| wrong("its Dockerfile is not UTF-8 text"))?;
        let mut starts = dockerfile.lines().filter(|line| {
            line.split_whitespace().next().is_some_and(|word| word.eq_ignore_ascii_case("from"))
        });
        let (Some(from), None) = (starts.next(), starts.next()) else {
            return Err(wrong("it must have exactly one FROM"));
        };
        let from = from.to_owned();
        let start = from.split_whitespace().nth(1).unwrap_or_default();
        let base = if let Some(root) = Root::of(start) {
            Base::Root(root)
        } else {
            let name = start.strip_prefix("trajforge/").filter(|name| !name.contains(':'));
            let name = name.ok_or_else(|| {
                let (task, scaffold) = (BOOKWORM.image, TRIXIE.image);
                wrong(&format!(
                    "it starts from {start:?}; write FROM {task}, for a scaffold's layer FROM {scaffold}, or FROM \
                     trajforge/NAME with the name of another recipe"
                ))
            })?;
            Base::Recipe(name.to_owned())
        };
        Ok(Self { folder: folder.to_owned(), base, from, files })
    }

    fn digest(&self, parent: &str) -> Digest {
        let mut bytes = Vec::new();
        let mut field = |part: &[u8]| {
            bytes.extend_from_slice(&(part.len() as u64).to_le_bytes());
            bytes.extend_from_slice(part);
        };
        field(parent.as_bytes());
        for (path, piece) in &self.files {
            field(path.as_bytes());
            field(&piece.mode.to_le_bytes());
            field(&piece.content);
        }
        Digest::of(&bytes)
    }
}

fn finish(
    name: &str,
    drafts: &BTreeMap<String, Draft>,
    recipes: &mut BTreeMap<String, Recipe>,
    above: &mut Vec<String>,
) -> Result<String> {
    if let Some(recipe) = recipes.get(name) {
        return Ok(recipe.tag.clone());
    }
    let Some(draft) = drafts.get(name) else {
        return Err(Error::RecipeInvalid {
            recipe: above.last().cloned().unwrap_or_default(),
            reason: format!("it builds upon trajforge/{name}, which is no recipe"),
        });
    };
    if above.iter().any(|other| other == name) {
        return Err(Error::RecipeInvalid {
            recipe: draft.folder.display().to_string(),
            reason: format!("it builds upon itself: {}", above.join(" upon ")),
        });
    }
    let parent_tag = match &draft.base {
        Base::Root(root) => root.image.to_owned(),
        Base::Recipe(parent) => {
            above.push(name.to_owned());
            let tag = finish(parent, drafts, recipes, above)?;
            above.pop();
            tag
        }
    };
    let identity = match &draft.base {
        Base::Root(root) => root.identity(),
        Base::Recipe(_) => parent_tag.clone(),
    };
    let tag = format!("trajforge/{name}:{}", draft.digest(&identity).short());
    let text = String::from_utf8_lossy(&draft.files["Dockerfile"].content).into_owned();
    let recipe = Recipe {
        tag: tag.clone(),
        base: draft.base.clone(),
        dockerfile: text.replacen(&draft.from, &format!("FROM {parent_tag}"), 1),
        files: draft
            .files
            .iter()
            .map(|(path, piece)| {
                let piece = Piece { mode: piece.mode, content: piece.content.clone() };
                (path.clone(), piece)
            })
            .collect(),
    };
    recipes.insert(name.to_owned(), recipe);
    Ok(tag)
}

fn read_into(folder: &Path, prefix: &str, files: &mut BTreeMap<String, Piece>) -> Result<()> {
    for path in entries(folder)? {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let relative = format!("{prefix}{name}");
        if path.is_dir() {
            read_into(&path, &format!("{relative}/"), files)?;
            continue;
        }
        let read = fs::metadata(&path).and_then(|metadata| Ok((metadata, fs::read(&path)?)));
        let (metadata, content) = read.map_err(|source| file_error(&path, "read a recipe", source))?;
        // Of the mode only what git keeps, so that every checkout gives the same tag.
        let mode = if metadata.permissions().mode() & 0o100 == 0 { 0o644 } else { 0o755 };
        files.insert(relative, Piece { mode, content });
    }
    Ok(())
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let list = || -> std::io::Result<Vec<PathBuf>> {
        let mut paths = Vec::new();
        for entry in fs::read_dir(folder)? {
            paths.push(entry?.path());
        }
        paths.sort();
        Ok(paths)
    };
    list().map_err(|source| file_error(folder, "read the image recipes", source))
}

fn file_error(path: &Path, doing: &str, source: std::io::Error) -> Error {
    Error::File { path: path.display().to_string(), doing: doing.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recipes(files: &[(&str, &str)]) -> Result<BTreeMap<String, Recipe>> {
        let folder = tempfile::tempdir().unwrap();
        for (path, content) in files {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        read_all(folder.path(), &[])
    }

    const BASE: (&str, &str) = ("base/Dockerfile", "FROM trajforge/debian:bookworm-slim\nRUN true\n");
    const CHILD: (&str, &str) = ("child/Dockerfile", "# a child\nFROM trajforge/base\nCOPY tool /\n");

    #[test]
    fn a_tag_changes_with_everything_that_is_in_the_image() {
        let first = recipes(&[BASE, CHILD, ("child/tool", "1")]).unwrap();
        let same = recipes(&[BASE, CHILD, ("child/tool", "1")]).unwrap();
        assert_eq!(first["child"].tag, same["child"].tag);
        assert!(is_content_tag(&first["child"].tag), "{}", first["child"].tag);

        let file = recipes(&[BASE, CHILD, ("child/tool", "2")]).unwrap();
        assert_eq!(first["base"].tag, file["base"].tag);
        assert_ne!(first["child"].tag, file["child"].tag);

        let parent = recipes(&[
            ("base/Dockerfile", "FROM trajforge/debian:bookworm-slim\nRUN false\n"),
            CHILD,
            ("child/tool", "1"),
        ]);
        assert_ne!(first["child"].tag, parent.unwrap()["child"].tag, "the parent does not count");
    }

    #[test]
    fn a_child_is_built_upon_its_parents_exact_tag() {
        let recipes = recipes(&[BASE, CHILD]).unwrap();
        assert_eq!(recipes["child"].base.parent(), Some("base"));
        assert!(recipes["child"].dockerfile.contains(&format!("FROM {}\nCOPY", recipes["base"].tag)));
        assert!(recipes["base"].dockerfile.starts_with("FROM trajforge/debian:bookworm-slim\n"));
    }

    #[test]
    fn a_wrong_recipe_is_named() {
        for (files, expected) in [
            (vec![("a/Dockerfile", "FROM ubuntu\n")], "ubuntu"),
            (vec![("a/Dockerfile", "RUN true\n")], "exactly one FROM"),
            (vec![("a/Dockerfile", "FROM trajforge/b\n")], "no recipe"),
            (
                vec![("a/Dockerfile", "FROM trajforge/b\n"), ("b/Dockerfile", "FROM trajforge/a\n")],
                "upon itself",
            ),
        ] {
            let error = recipes(&files).unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
        }
    }
}
