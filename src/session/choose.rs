//! Which lane a name means. Pure.
//!
//! `TICKET` names the ticket's only lane; where there are several, none. `TICKET@BASE` names the lane made for that
//! base, or the plain lane where that is what it started from.

use super::lane::LaneRecord;
use crate::id::{Lane, RefName, TicketId};

/// What a name means among the lanes of its ticket.
#[derive(Debug, Clone, PartialEq)]
pub enum Choice {
    /// A lane that exists.
    Known(Box<LaneRecord>),
    /// A lane that would have to be made.
    New(Lane),
    /// One of several: the name does not say which.
    Several(Vec<LaneRecord>),
}

/// Chooses among `lanes`, which are all of `ticket`'s.
pub fn choose(ticket: &TicketId, base: Option<&RefName>, lanes: &[LaneRecord]) -> Choice {
    let known = |record: &LaneRecord| Choice::Known(Box::new(record.clone()));
    match (base, lanes) {
        (None, []) => Choice::New(Lane::new(ticket.clone(), None)),
        (None, [only]) => known(only),
        (None, several) => Choice::Several(several.to_vec()),
        (Some(base), lanes) => {
            let made_for = lanes.iter().find(|record| record.lane.base() == Some(base));
            let started_from = || {
                lanes.iter().find(|record| record.lane.base().is_none() && record.base_ref == base.as_str())
            };
            match made_for.or_else(started_from) {
                Some(record) => known(record),
                None => Choice::New(Lane::new(ticket.clone(), Some(base.clone()))),
            }
        }
    }
}

/// How to name a lane so that it is chosen, whatever other lanes its ticket has.
pub fn unambiguous_name(record: &LaneRecord) -> String {
    match record.lane.base() {
        Some(_) => record.lane.to_string(),
        None => format!("{}@{}", record.lane, record.base_ref),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::lane::LANE_VERSION;

    fn lane(name: &str, base_ref: &str) -> LaneRecord {
        let lane: Lane = name.parse().unwrap();
        LaneRecord {
            schema_version: LANE_VERSION,
            branch: lane.default_branch(),
            worktree_id: lane.slug().to_string(),
            lane,
            base_ref: base_ref.into(),
            base_commit: "0".repeat(40),
            worktree: "/w".into(),
            current_session: None,
            guarded_by: None,
            attempts: 0,
            created_at: jiff::Timestamp::UNIX_EPOCH,
            extra: serde_json::Map::new(),
        }
    }

    fn chosen(name: &str, lanes: &[LaneRecord]) -> String {
        let typed: Lane = name.parse().unwrap();
        match choose(typed.ticket(), typed.base(), lanes) {
            Choice::Known(record) => format!("known {}", record.lane),
            Choice::New(lane) => format!("new {lane}"),
            Choice::Several(lanes) => {
                format!("several {}", lanes.iter().map(unambiguous_name).collect::<Vec<_>>().join(" "))
            }
        }
    }

    #[test]
    fn a_ticket_names_its_only_lane_and_none_of_several() {
        let (plain, release) = (lane("T-1", "main"), lane("T-1@rel/1", "rel/1"));
        assert_eq!(chosen("T-1", &[]), "new T-1");
        assert_eq!(chosen("T-1", std::slice::from_ref(&plain)), "known T-1");
        assert_eq!(chosen("T-1", std::slice::from_ref(&release)), "known T-1@rel/1");
        assert_eq!(chosen("T-1", &[plain, release]), "several T-1@main T-1@rel/1");
    }

    #[test]
    fn a_base_names_the_lane_made_for_it_or_the_plain_one_that_started_there() {
        let lanes = [lane("T-1", "main"), lane("T-1@rel/1", "rel/1")];
        assert_eq!(chosen("T-1@main", &lanes), "known T-1");
        assert_eq!(chosen("T-1@rel/1", &lanes), "known T-1@rel/1");
        assert_eq!(chosen("T-1@dev", &lanes), "new T-1@dev");
    }
}
