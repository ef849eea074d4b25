//! `ralph config`: every effective setting and where it came from; `config approve`.

use jiff::Timestamp;
use serde_json::json;

use super::args::{ConfigAction, ConfigArgs, Global};
use super::error::{CliError, CliResult};
use super::exit::Exit;
use super::render::{Cell, Form, Out, Tone, table};
use super::surroundings::{NotInside, Surroundings, refuse_inside_a_session, resolve_outside, variables};
use crate::config::{Approval, Approvals, Asked, Layer, Places, Request};

/// Runs the command.
pub fn run(global: &Global, args: &ConfigArgs, out: &Out) -> CliResult {
    if args.action.is_some() {
        refuse_inside_a_session(&variables(), NotInside::Approve)?;
    }
    let resolution = match Surroundings::read(global) {
        Ok(here) => here.resolve(Layer::default())?,
        // Outside of any repository there still are the user's own settings.
        Err(error) if error.exit == Exit::NotFound && args.action.is_none() && global.repo.is_none() => {
            resolve_outside(&variables())?
        }
        Err(error) => return Err(error),
    };
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
    let said = |status: &str, request: Option<&Request>| {
        let setting = |asked: &Asked| json!({ "key": asked.key.name(), "value": asked.value });
        let settings: Vec<_> = request.iter().flat_map(|r| &r.settings).map(setting).collect();
        let file = request.map(|request| &request.file);
        json!({ "status": status, "file": file, "settings": settings })
    };
    let (status, note, request) = match approval {
        Approval::NotNeeded => {
            let note = "the repository's ralph.toml asks for nothing that needs approval".to_owned();
            ("not_needed", note, None)
        }
        Approval::Given(request) => ("already", "approved already, as it stands".to_owned(), Some(request)),
        Approval::Wanted(request) => {
            if out.form() == Form::Text {
                // Before it is approved: what cannot be shown is not approved.
                for Asked { key, value, .. } in &request.settings {
                    out.line(&format!("{key} = {value}"))?;
                }
            }
            let places = Places::from_variables(&variables());
            let file = places.approvals.ok_or_else(|| {
                let why = "approvals have no place: neither HOME nor XDG_STATE_HOME is set";
                CliError::new(Exit::CannotDo, why)
            })?;
            Approvals::approve(&file, request, Timestamp::now())
                .map_err(|error| CliError::new(Exit::CannotDo, error.to_string()))?;
            let file = request.file.display();
            let note = format!("approved for {}, until {file} changes them", request.repository.display());
            ("approved", note, Some(request))
        }
    };
    out.note(&note);
    match out.form() {
        Form::Json => out.json(&said(status, request)),
        Form::Text => Ok(Exit::Done),
    }
}
