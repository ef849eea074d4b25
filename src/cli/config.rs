//! `ralph config`: every effective setting and where it came from; `config approve`.

use jiff::Timestamp;
use serde_json::json;

use super::args::{ConfigAction, ConfigArgs, Global};
use super::error::{CliError, CliResult};
use super::exit::Exit;
use super::render::{Cell, Form, Out, Tone, table};
use super::surroundings::{Surroundings, variables};
use crate::config::{Approval, Approvals, Layer, Places};

/// Runs the command.
pub fn run(global: &Global, args: &ConfigArgs, out: &Out) -> CliResult {
    let here = Surroundings::read(global)?;
    let resolution = here.resolve(Layer::default())?;
    if let Some(ConfigAction::Approve) = args.action {
        return approve(&resolution.approval, out);
    }
    for notice in &resolution.notices {
        out.note(&notice.to_string());
    }
    let rows = resolution.settings.rows();
    if out.form() == Form::Json {
        let rows: Vec<_> = rows
            .iter()
            .map(|row| json!({ "key": row.key.name(), "value": row.value, "origin": row.origin.to_string() }))
            .collect();
        return out.json(&rows);
    }
    let cells: Vec<Vec<Cell>> = rows
        .iter()
        .map(|row| {
            let origin = Cell::toned(row.origin.to_string(), Tone::Faint);
            vec![Cell::toned(row.key.name(), Tone::Strong), Cell::plain(row.value.clone()), origin]
        })
        .collect();
    for line in table(&["SETTING", "VALUE", "FROM"], &cells) {
        out.line(&line)?;
    }
    Ok(Exit::Done)
}

fn approve(approval: &Approval, out: &Out) -> CliResult {
    let request = match approval {
        Approval::NotNeeded => {
            out.note("the repository's ralph.toml asks for nothing that needs approval");
            return Ok(Exit::Done);
        }
        Approval::Given(_) => {
            out.note("approved already, as it stands");
            return Ok(Exit::Done);
        }
        Approval::Wanted(request) => request,
    };
    let places = Places::from_variables(&variables());
    let file = places.approvals.ok_or_else(|| {
        CliError::new(Exit::CannotDo, "approvals have no place: neither HOME nor XDG_STATE_HOME is set")
    })?;
    for (key, value) in &request.settings {
        out.line(&format!("{key} = {value}"))?;
    }
    Approvals::approve(&file, request, Timestamp::now())
        .map_err(|error| CliError::new(Exit::CannotDo, error.to_string()))?;
    out.note(&format!(
        "approved for {}, until {} changes",
        request.repository.display(),
        request.file.display()
    ));
    Ok(Exit::Done)
}
