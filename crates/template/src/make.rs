//! Template and seed to task: everything that a rollout needs, from one set of parameters.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use trajforge_schema::{
    Check, Content, Digest, Environment, Milestone, Seed, Task, TaskFile, TaskId, Trap, Verification,
};

use crate::definition::{Definition, Overlay, StepsFile, TrapFile, Tree};
use crate::draw::draw;
use crate::error::{Error, Fault};
use crate::library::Template;
use crate::render::Renderer;
use crate::{steps, yaml};

/// A helper for checks in Python, laid beside every template's own verification files.
const CHECK_HELPER: &str = include_str!("../assets/trajforge_check.py");

impl Template {
    /// The member of the family that a seed picks.
    pub fn make(&self, seed: Seed) -> Result<Task, Error> {
        let definition = &self.definition;
        let mut renderer = Renderer::new(&self.folder, &self.id, definition.version, seed);
        renderer.open(&self.file(), &self.text);
        draw(&mut renderer, &definition.parameters)?;
        let parameters = renderer.values().clone();

        let instruction = instruction(&renderer, definition)?;
        let difficulty = difficulty(&renderer, definition)?;
        let environment = environment(&renderer, definition)?;
        let checks = checks(&renderer, definition)?;
        let milestones = milestones(&renderer, definition)?;
        let mut trees = trees(&renderer, &self.folder, &definition.overlays)?;
        if let Some(name) = unfounded(&checks, &trees.verify) {
            let fault =
                renderer.fault(format!("the check {name} has no `run`, and there is no verify/checks.py"));
            return Err(fault.into());
        }
        let shared = json!({ "template": self.id, "version": definition.version, "seed": seed, "parameters": parameters });
        let shared = serde_json::to_string_pretty(&shared).expect("plain values always serialise") + "\n";
        trees.lay_ours(&shared, !environment.setup.is_empty());
        let solution = self.solution(&mut renderer)?;
        let traps = self.traps(&mut renderer)?;

        let mut task = Task {
            id: "unnamed".parse()?,
            digest: Digest::of(b""),
            template: self.id.clone(),
            version: definition.version,
            seed,
            cluster: cluster(self, &parameters),
            instruction,
            category: self.id.category().to_owned(),
            difficulty,
            languages: definition.languages.clone(),
            skills: definition.skills.clone(),
            expected_steps: definition.expected_steps,
            parameters: parameters.into_iter().collect(),
            environment,
            files: trees.files.into_values().collect(),
            setup_files: trees.setup.into_values().collect(),
            verification: Verification { files: trees.verify.into_values().collect(), checks },
            milestones,
            solution,
            traps,
        };
        task.digest = Digest::of(&serde_json::to_vec(&task).expect("a task always serialises"));
        task.id = task_id(&task)?;
        Ok(task)
    }

    fn solution(&self, renderer: &mut Renderer<'_>) -> Result<Vec<trajforge_schema::OracleStep>, Error> {
        let file = self.folder.join("solution/steps.yaml");
        let (definition, text): (StepsFile, String) = yaml::read(&file)?;
        renderer.open(&file, &text);
        steps::resolve(renderer, &self.folder, &definition.steps)
    }

    fn traps(&self, renderer: &mut Renderer<'_>) -> Result<Vec<Trap>, Error> {
        let mut traps = Vec::new();
        for file in sorted_files(&self.folder.join("traps"), "yaml")? {
            let (definition, text): (TrapFile, String) = yaml::read(&file)?;
            renderer.open(&file, &text);
            if !renderer.holds(definition.when.as_ref())? {
                continue;
            }
            let known = |name: &&String| !self.definition.checks.iter().any(|check| check.name == **name);
            if let Some(unknown) = definition.fails.iter().find(known) {
                return Err(renderer.fault(format!("`fails` names {unknown:?}, which is no check")).into());
            }
            let name = file.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default().to_owned();
            let steps = steps::resolve(renderer, &self.folder, &definition.steps)?;
            traps.push(Trap { name, why: definition.why, fails: definition.fails, steps });
        }
        Ok(traps)
    }
}

fn task_id(task: &Task) -> Result<TaskId, Error> {
    Ok(format!("{}-{}-{}", task.template.name(), task.seed, task.digest.short()).parse()?)
}

fn cluster(template: &Template, parameters: &indexmap::IndexMap<String, Value>) -> String {
    let answer: Vec<_> = template.definition.answer.iter().map(|name| (name, parameters.get(name))).collect();
    let bytes = serde_json::to_vec(&answer).expect("plain values always serialise");
    format!("{}#{}", template.id, &Digest::of(&bytes).as_str()[..8])
}

fn instruction(renderer: &Renderer<'_>, definition: &Definition) -> Result<String, Error> {
    let text = match (&definition.instruction, definition.instructions.as_slice()) {
        (Some(text), []) => text,
        (None, texts @ [_, ..]) => &texts[renderer.stream("instruction").index(texts.len())],
        _ => {
            let fault = renderer.fault("it has no instruction, or both kinds");
            return Err(fault.hint("write either `instruction:` or a list under `instructions:`").into());
        }
    };
    Ok(renderer.text(text)?.trim_end().to_owned())
}

fn difficulty(
    renderer: &Renderer<'_>,
    definition: &Definition,
) -> Result<trajforge_schema::Difficulty, Error> {
    for rule in &definition.difficulty_rules {
        if renderer.holds(Some(&rule.when))? {
            return Ok(rule.is);
        }
    }
    Ok(definition.difficulty)
}

fn environment(renderer: &Renderer<'_>, definition: &Definition) -> Result<Environment, Error> {
    let environment = &definition.environment;
    let setup = environment.setup.iter().map(|command| renderer.text(command)).collect::<Result<_, _>>()?;
    let variable = |(name, text): (&String, &yaml::Text)| Ok((name.clone(), renderer.text(text)?));
    let variables =
        environment.variables.iter().map(variable).collect::<Result<BTreeMap<_, _>, Box<Fault>>>()?;
    Ok(Environment {
        image: environment.image.clone(),
        user: environment.user.clone(),
        workspace: environment.workspace.clone(),
        setup,
        services: environment.services.clone(),
        carry: environment.carry.clone(),
        variables,
        limits: environment.limits.clone(),
    })
}

/// The first check that would be a function of a file that is not there.
fn unfounded<'a>(checks: &'a [Check], verify: &BTreeMap<String, TaskFile>) -> Option<&'a str> {
    let named = checks.iter().find(|check| check.run.is_none())?;
    (!verify.contains_key("checks.py")).then_some(&named.name)
}

fn checks(renderer: &Renderer<'_>, definition: &Definition) -> Result<Vec<Check>, Error> {
    let mut checks = Vec::new();
    for check in &definition.checks {
        if renderer.holds(check.when.as_ref())? {
            let run = check.run.as_ref().map(|run| renderer.text(run)).transpose()?;
            checks.push(Check {
                name: check.name.clone(),
                kind: check.kind,
                weight: check.weight,
                run: run.map(|run| run.trim_end().to_owned()),
                timeout_seconds: check.timeout_seconds,
            });
        }
    }
    Ok(checks)
}

fn milestones(renderer: &Renderer<'_>, definition: &Definition) -> Result<Vec<Milestone>, Error> {
    let one = |milestone: &crate::definition::MilestoneDefinition| {
        let run = renderer.text(&milestone.run)?.trim_end().to_owned();
        Ok(Milestone { name: milestone.name.clone(), weight: milestone.weight, run })
    };
    definition.milestones.iter().map(one).collect()
}

#[derive(Default)]
struct Trees {
    files: BTreeMap<String, TaskFile>,
    setup: BTreeMap<String, TaskFile>,
    verify: BTreeMap<String, TaskFile>,
}

impl Trees {
    /// Adds what every task has beside its template's own files.
    fn lay_ours(&mut self, shared: &str, has_setup: bool) {
        let ours = [("params.json", shared), ("trajforge_check.py", CHECK_HELPER)];
        self.verify.extend(ours.map(|(path, text)| (path.to_owned(), plain(path, text))));
        if has_setup {
            self.setup.insert(ours[0].0.to_owned(), plain(ours[0].0, ours[0].1));
        }
    }
}

fn trees(renderer: &Renderer<'_>, folder: &Path, overlays: &[Overlay]) -> Result<Trees, Error> {
    let mut trees = Trees::default();
    lay(renderer, &folder.join("files"), &mut trees.files)?;
    lay(renderer, &folder.join("shared"), &mut trees.setup)?;
    lay(renderer, &folder.join("shared"), &mut trees.verify)?;
    lay(renderer, &folder.join("setup"), &mut trees.setup)?;
    lay(renderer, &folder.join("verify"), &mut trees.verify)?;
    for overlay in overlays {
        if !renderer.holds(overlay.when.as_ref())? {
            continue;
        }
        let from = folder.join(renderer.text(&overlay.from)?);
        if !from.is_dir() {
            let wrong = format!("there is no folder {}", from.display());
            return Err(renderer.fault_at(&overlay.from, wrong).into());
        }
        let tree = match overlay.onto {
            Tree::Files => &mut trees.files,
            Tree::Setup => &mut trees.setup,
            Tree::Verify => &mut trees.verify,
        };
        lay(renderer, &from, tree)?;
    }
    Ok(trees)
}

/// Adds a folder's files to a tree; those that end in `.j2` are rendered, and so is every path.
fn lay(renderer: &Renderer<'_>, root: &Path, tree: &mut BTreeMap<String, TaskFile>) -> Result<(), Error> {
    for file in files_below(root)? {
        let relative = file.strip_prefix(root).unwrap_or(&file).to_string_lossy().into_owned();
        let path = renderer.whole(&file, &relative)?;
        let bytes = std::fs::read(&file).map_err(Error::io("read", &file))?;
        let (path, content) = match path.strip_suffix(".j2") {
            Some(stem) => {
                let text = String::from_utf8(bytes)
                    .map_err(|_| Fault::new(&file, "a rendered file must be UTF-8").hint("drop the .j2"))?;
                (stem.to_owned(), Content(renderer.whole(&file, &text)?.into_bytes()))
            }
            None => (path, Content(bytes)),
        };
        if path.split('/').any(|part| matches!(part, "" | "." | "..")) {
            return Err(Fault::new(&file, format!("its path renders to {path:?}")).into());
        }
        let mode = if is_executable(&file)? { 0o755 } else { 0o644 };
        tree.insert(path.clone(), TaskFile { path, mode, content });
    }
    Ok(())
}

fn plain(path: &str, text: &str) -> TaskFile {
    TaskFile { path: path.to_owned(), mode: 0o644, content: Content::from(text) }
}

fn is_executable(file: &Path) -> Result<bool, Error> {
    use std::os::unix::fs::PermissionsExt as _;
    let metadata = std::fs::metadata(file).map_err(Error::io("read", file))?;
    Ok(metadata.permissions().mode() & 0o111 != 0)
}

/// Every file below a folder, sorted by path; none if the folder is not there.
fn files_below(root: &Path) -> Result<Vec<PathBuf>, Error> {
    let mut found = Vec::new();
    let mut waiting = vec![root.to_owned()];
    while let Some(folder) = waiting.pop() {
        if !folder.is_dir() {
            continue;
        }
        for entry in std::fs::read_dir(&folder).map_err(Error::io("read", &folder))? {
            let path = entry.map_err(Error::io("read", &folder))?.path();
            let is_cache = path.file_name().is_some_and(|name| name == "__pycache__");
            if path.is_dir() {
                waiting.extend((!is_cache).then_some(path));
            } else {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

pub(crate) fn sorted_files(folder: &Path, extension: &str) -> Result<Vec<PathBuf>, Error> {
    let mut files = files_below(folder)?;
    files.retain(|file| {
        file.extension().is_some_and(|found| found == extension) && file.parent() == Some(folder)
    });
    Ok(files)
}
