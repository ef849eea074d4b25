//! What a dispatch would do, as data: lane, branch, base, worktree. Reads, and changes nothing.

use std::path::Path;

use super::error::DispatchError;
use super::{Context, Place};
use crate::git::Base;
use crate::git::{Located, Site, is_untouched, locate};
use crate::id::{BranchName, Lane, RefName};
use crate::session::choose::{Choice, choose};
use crate::session::lane::LaneRecord;
use crate::words::count;

/// A lane and where it stands.
#[derive(Debug, Clone)]
pub struct LanePlan {
    /// The lane.
    pub lane: Lane,
    /// Its record, where it has one.
    pub record: Option<LaneRecord>,
    /// Its base as it is now.
    pub base: Base,
    /// Its names in git.
    pub site: Site,
    /// Where it stands.
    pub located: Located,
}

impl LanePlan {
    /// Where its worktree is, or will be.
    pub fn path(&self) -> &Path {
        match &self.located {
            Located::Present(worktree) => &worktree.path,
            Located::New | Located::BranchOnly { .. } | Located::Missing(_) => &self.site.path,
        }
    }

    /// The commit that the lane counts its work from: recorded when it was made, else the base's.
    pub fn base_commit(&self) -> String {
        match &self.record {
            Some(record) => record.base_commit.clone(),
            None => self.base.commit.to_string(),
        }
    }

    /// What the next session of the lane counts as.
    pub fn next_attempt(&self) -> u32 {
        self.record.as_ref().map_or(0, |record| record.attempts).saturating_add(1)
    }

    /// What there is to say about the base and the branch before anything starts.
    pub fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        let fresh = matches!(self.located, Located::New);
        if let Some(ahead) = self.base.upstream_ahead.as_ref().filter(|_| fresh) {
            notes.push(format!(
                "{} is {} behind {}: this lane starts from {} as it is here",
                self.base.name,
                count(ahead.by, "commit"),
                ahead.upstream,
                self.base.name
            ));
        }
        if let Located::BranchOnly { .. } = &self.located {
            notes.push(format!("the branch {} is there already and is continued", self.site.branch));
        }
        if let Located::Missing(missing) = &self.located {
            notes.push(format!(
                "the worktree at {} is gone; its branch {} is continued in a new one",
                missing.path.display(),
                self.site.branch
            ));
        }
        notes
    }
}

/// Which lane is meant. Where none exists yet: the one that would be made.
pub fn choose_lane(context: &Context, place: &Place) -> Result<(Lane, Option<LaneRecord>), DispatchError> {
    let lanes = context.store.lanes_of(&place.ticket)?;
    match choose(&place.ticket, place.base.as_ref(), &lanes) {
        Choice::Known(record) => Ok((record.lane.clone(), Some(*record))),
        // One whose record cannot be read is not new.
        Choice::New(lane) => Ok((lane.clone(), context.store.lane(&lane)?)),
        Choice::Several(lanes) => Err(DispatchError::SeveralLanes { ticket: place.ticket.clone(), lanes }),
    }
}

/// Plans the lane.
pub fn plan(context: &Context, place: &Place) -> Result<LanePlan, DispatchError> {
    let (lane, record) = choose_lane(context, place)?;
    let branch = branch(&lane, record.as_ref(), place)?;
    let mut base = base(context, place, record.as_ref())?;
    if let (None, Some(start)) = (&record, &place.start_at) {
        // It is merged into its base all the same; and it is not behind that because of where it starts.
        base = Base { name: base.name, commit: start.clone(), upstream_ahead: None };
    }
    let site = Site {
        slug: lane.slug(),
        branch,
        path: place.worktree_root.join(lane.slug().as_str()),
        recorded_id: record.as_ref().map(|record| record.worktree_id.clone()),
    };
    // All worktrees are looked at when this one is made, under the lock; a plan need not.
    let located = match record {
        None if is_untouched(&context.repo, &site)? => Located::New,
        _ => locate(&context.repo, &site)?,
    };
    Ok(LanePlan { lane, record, base, site, located })
}

fn branch(lane: &Lane, record: Option<&LaneRecord>, place: &Place) -> Result<BranchName, DispatchError> {
    match (record, &place.branch) {
        (None, None) => Ok(lane.default_branch()),
        (None, Some(asked)) => Ok(asked.clone()),
        (Some(record), asked) if asked.as_ref().is_none_or(|asked| *asked == record.branch) => {
            Ok(record.branch.clone())
        }
        (Some(record), asked) => Err(DispatchError::OtherBranch {
            lane: lane.to_string(),
            has: record.branch.to_string(),
            asked: asked.as_ref().map(ToString::to_string).unwrap_or_default(),
        }),
    }
}

/// The base as it is now. A lane keeps its own, and one whose base has gone keeps the commit.
fn base(context: &Context, place: &Place, record: Option<&LaneRecord>) -> Result<Base, DispatchError> {
    if let Some(record) = record {
        let named =
            record.base_ref.parse::<RefName>().ok().and_then(|name| context.repo.resolve_base(&name).ok());
        return match named {
            Some(base) => Ok(base),
            None => {
                let commit = record.base_commit.parse()?;
                Ok(Base { name: record.base_ref.clone(), commit, upstream_ahead: None })
            }
        };
    }
    if let Some(name) = place.base.as_ref().or(place.default_base.as_ref()) {
        return Ok(context.repo.resolve_base(name)?);
    }
    if let Some(record) = lane_one_stands_in(context)? {
        let name = record.base_ref.parse::<RefName>();
        if let Ok(name) = name {
            return Ok(context.repo.resolve_base(&name)?);
        }
    }
    Ok(context.repo.head_base()?)
}

/// The lane whose worktree one stands in.
pub fn lane_one_stands_in(context: &Context) -> Result<Option<LaneRecord>, DispatchError> {
    let Some(id) = context.repo.current_id() else { return Ok(None) };
    let (lanes, _) = context.store.lanes()?;
    Ok(lanes.into_iter().find(|record| record.worktree_id == id))
}
