//! `trajforge model`: the models there are.

use std::process::ExitCode;

use trajforge_pipeline::{Catalog, Error};
use trajforge_schema::TokenPrice;

use crate::cli::{Global, ModelCommand};
use crate::{output, system};

pub(crate) fn model(global: &Global, command: &ModelCommand) -> anyhow::Result<ExitCode> {
    let ModelCommand::List = command;
    let catalog = Catalog::read(&system::home(global)?.models).map_err(Error::from)?;
    if global.json {
        output::json(&catalog.entries().collect::<Vec<_>>())?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut table = output::table(&["name", "model", "endpoint", "key", "$/M input", "$/M output"]);
    for entry in catalog.entries() {
        let price = |price: Option<TokenPrice>| {
            price.map_or("-".to_owned(), |price| format!("{:.2}", f64::from(price)))
        };
        table.add_row([
            entry.name.clone(),
            entry.model.clone(),
            entry.base_url.clone(),
            entry.key_variable.clone().unwrap_or_else(|| "-".to_owned()),
            price(entry.price.map(|price| price.input)),
            price(entry.price.map(|price| price.output)),
        ]);
    }
    output::data(table)?;
    Ok(ExitCode::SUCCESS)
}
