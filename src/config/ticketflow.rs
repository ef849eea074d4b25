//! The settings of a pi-ticketflow project, `.tf/ralph/config.json`, as far as they mean something here.

use std::path::Path;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::durable::{self, FileError};

/// Where it is, below the main checkout.
pub const FILE: &str = ".tf/ralph/config.json";

const MAX_BYTES: u64 = 1 << 20;
const LONGEST: Duration = super::duration::LONGEST;

/// What the file says.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Ticketflow {
    /// `attemptTimeoutMs`: how long a session may take.
    pub timeout: Option<Duration>,
    /// `maxRestarts`: how often a ticket is tried again.
    pub retries: Option<u32>,
    /// `parallelWorkers`: how many run at the same time.
    pub jobs: Option<u16>,
    /// `workflow`: the prompt template.
    pub workflow: Option<String>,
    /// `workflowFlags`: what follows the ticket in the prompt, as one text.
    pub flags: Option<String>,
    /// `maxIterations`: how many tickets are worked on at most.
    pub tickets: Option<usize>,
    /// Keys that mean nothing here, in the file's order.
    pub unknown: Vec<String>,
    /// Keys whose value cannot be used, with why.
    pub unusable: Vec<String>,
}

/// A file that is there and cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum TicketflowError {
    /// It could not be opened or read.
    #[error(transparent)]
    File(#[from] FileError),
    /// It is no JSON object.
    #[error("{path} cannot be read: {why}")]
    Form {
        /// The file.
        path: String,
        /// What is wrong with it.
        why: String,
    },
}

/// Reads the file of a main checkout; `None` where there is none.
pub fn read(main: &Path) -> Result<Option<Ticketflow>, TicketflowError> {
    let path = main.join(FILE);
    let Some(bytes) = durable::read(&path, MAX_BYTES)? else { return Ok(None) };
    let form = |why: String| TicketflowError::Form { path: path.display().to_string(), why };
    match serde_json::from_slice(&bytes) {
        Ok(Value::Object(settings)) => Ok(Some(parse(&settings))),
        Ok(_) => Err(form("it is no JSON object".to_owned())),
        Err(error) => Err(form(error.to_string())),
    }
}

pub(super) fn parse(settings: &Map<String, Value>) -> Ticketflow {
    let mut found = Ticketflow::default();
    for (key, value) in settings {
        // What the old tool writes for "not set".
        if !value.is_null() && take(&mut found, key, value).is_none() {
            found.unusable.push(format!("{key} cannot be {value}"));
        }
    }
    found
}

/// Takes a key's value; `None` where it cannot be used.
fn take(found: &mut Ticketflow, key: &str, value: &Value) -> Option<()> {
    match key {
        "attemptTimeoutMs" => {
            let timeout = value.as_u64().map(Duration::from_millis).filter(|time| *time <= LONGEST)?;
            // Nothing, for the old tool, is no bound at all; this one's own default is better than none.
            found.timeout = Some(timeout).filter(|time| !time.is_zero());
        }
        "maxRestarts" => found.retries = Some(bounded(value, 100)?),
        "parallelWorkers" => found.jobs = u16::try_from(bounded(value, 1000)?.max(1)).ok(),
        "maxIterations" => {
            found.tickets = Some(usize::try_from(value.as_u64()?).ok()?).filter(|most| *most > 0);
        }
        "workflow" => found.workflow = Some(value.as_str()?.to_owned()),
        "workflowFlags" => found.flags = Some(value.as_str()?.to_owned()),
        unknown => found.unknown.push(unknown.to_owned()),
    }
    Some(())
}

fn bounded(value: &Value, most: u32) -> Option<u32> {
    value.as_u64().and_then(|number| u32::try_from(number).ok()).filter(|number| *number <= most)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str) -> Result<Option<Ticketflow>, TicketflowError> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join(".tf/ralph")).unwrap();
        std::fs::write(folder.path().join(".tf/ralph/config.json"), text).unwrap();
        read(folder.path())
    }

    #[test]
    fn what_means_something_here_counts_and_the_rest_is_listed() {
        let text = r#"{"attemptTimeoutMs": 600000, "maxRestarts": 2, "parallelWorkers": 3, "workflow": "/tf",
            "workflowFlags": "--auto --fast", "maxIterations": 50, "sessionDir": "x", "model": null, "sleep": 1}"#;
        let expected = Ticketflow {
            timeout: Some(Duration::from_secs(600)),
            retries: Some(2),
            jobs: Some(3),
            workflow: Some("/tf".into()),
            flags: Some("--auto --fast".into()),
            tickets: Some(50),
            unknown: vec!["sessionDir".into(), "sleep".into()],
            unusable: Vec::new(),
        };
        assert_eq!(read_text(text).unwrap(), Some(expected));
    }

    #[test]
    fn what_cannot_be_used_is_told_and_hides_nothing_else() {
        let text = r#"{"attemptTimeoutMs": -1, "maxRestarts": "two", "parallelWorkers": 0, "workflow": 3}"#;
        let found = read_text(text).unwrap().unwrap();
        assert_eq!(found.jobs, Some(1));
        assert_eq!(found.unusable.len(), 3, "{:?}", found.unusable);
        assert!(read_text("[]").is_err());
        assert!(read_text("{").is_err());
        assert_eq!(read(tempfile::tempdir().unwrap().path()).unwrap(), None);
    }
}
