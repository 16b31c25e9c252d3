//! Which tasks: templates by id or category, seeds by range.

use trajforge_schema::{Seed, Task};
use trajforge_template::{Library, Template};

use crate::error::Error;

/// Templates by id, or by category; all where nothing is named.
#[derive(Debug, Clone, Default)]
pub struct Selection(pub Vec<String>);

impl Selection {
    /// The templates that are meant, sorted by id.
    pub fn templates(&self, library: &Library) -> Result<Vec<Template>, Error> {
        if self.0.is_empty() {
            return Ok(library.templates()?);
        }
        let mut templates: Vec<Template> = Vec::new();
        for name in &self.0 {
            let in_category: Vec<String> =
                library.ids().filter(|id| id.category() == name).map(ToString::to_string).collect();
            let ids = if in_category.is_empty() { vec![name.clone()] } else { in_category };
            for id in ids {
                templates.push(library.template(&id)?);
            }
        }
        templates.sort_by(|a, b| a.id.cmp(&b.id));
        templates.dedup_by(|a, b| a.id == b.id);
        Ok(templates)
    }
}

/// One task.
pub fn make_task(library: &Library, template: &str, seed: Seed) -> Result<Task, Error> {
    Ok(library.template(template)?.make(seed)?)
}

/// Seeds as people write them: `0..10`, `0..=9`, `7`, `1,4,7`.
pub fn parse_seeds(text: &str) -> Result<Vec<Seed>, Error> {
    let wrong = || Error::Seeds { text: text.to_owned() };
    let number = |part: &str| part.trim().parse::<u64>().map_err(|_| wrong());
    let mut seeds = Vec::new();
    for part in text.split(',') {
        let range = if let Some((first, last)) = part.split_once("..=") {
            number(first)?..number(last)?.checked_add(1).ok_or_else(wrong)?
        } else if let Some((first, end)) = part.split_once("..") {
            number(first)?..number(end)?
        } else {
            let one = number(part)?;
            one..one.checked_add(1).ok_or_else(wrong)?
        };
        if range.is_empty() || range.end - range.start > 1_000_000 {
            return Err(wrong());
        }
        seeds.extend(range.map(Seed));
    }
    seeds.sort_unstable();
    seeds.dedup();
    Ok(seeds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_read_as_people_write_them() {
        let read = |text: &str| parse_seeds(text).unwrap().iter().map(|seed| seed.0).collect::<Vec<_>>();
        assert_eq!(read("0..3"), [0, 1, 2]);
        assert_eq!(read("5..=6"), [5, 6]);
        assert_eq!(read("9,1, 1,4..6"), [1, 4, 5, 9]);
        for bad in ["", "a", "3..1", "1-4", "0..99999999999"] {
            assert!(parse_seeds(bad).is_err(), "{bad:?} was taken");
        }
    }
}
