//! What a ticket waits for, drawn as `tk dep tree` draws it.
//!
//! Drawn once, a ticket stands at the end of the longest chain of deps that leads to it. In a graph with cycles that
//! is looked for without the deps that close one, where `tk` tries every way there is, so there the two may differ.
//! What is drawn is bounded: the ways through a graph of diamonds are more than anyone reads.

use super::backlog::Backlog;
use super::model::Status;
use super::order;
use crate::id::TicketId;

/// A longer drawing is cut, in bytes.
const LONGEST: usize = 1 << 20;
/// So many deps are looked at while drawing.
const MOST_STEPS: usize = 1 << 20;

/// How often a ticket that several others wait for is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Draw {
    /// Once, as deep as it stands anywhere.
    Once,
    /// Below each of them, as `tk dep tree --full` does.
    Everywhere,
}

/// Draws what `root` waits for, one ticket a line. `None`: the backlog has no such ticket.
pub fn tree(backlog: &Backlog, root: &TicketId, draw: Draw) -> Option<String> {
    let root = backlog.at(root).filter(|at| backlog.listed(*at).is_some())?;
    Some(Drawing::new(backlog, root, draw).finish(root))
}

struct Drawing<'a> {
    backlog: &'a Backlog,
    draw: Draw,
    /// Where a ticket stands at its deepest; none where it is not below the root.
    depth: Vec<Option<usize>>,
    /// Where the deepest ticket below it stands.
    below: Vec<usize>,
    is_drawn: Vec<bool>,
    is_above: Vec<bool>,
    steps: usize,
    text: String,
}

/// A line to draw.
struct Branch {
    at: usize,
    depth: usize,
    is_last: bool,
}

impl<'a> Drawing<'a> {
    fn new(backlog: &'a Backlog, root: usize, draw: Draw) -> Self {
        let many = backlog.tickets().len();
        let mut drawing = Self {
            backlog,
            draw,
            depth: vec![None; many],
            below: vec![0; many],
            is_drawn: vec![false; many],
            is_above: vec![false; many],
            steps: 0,
            text: String::new(),
        };
        drawing.measure(root);
        drawing
    }

    fn deps(&self, at: usize) -> impl Iterator<Item = usize> + use<'a> {
        let backlog = self.backlog;
        backlog.deps_at(at).iter().copied().filter(|dep| backlog.listed(*dep).is_some())
    }

    /// Finds the depths, by one walk over everything below the root.
    fn measure(&mut self, root: usize) {
        let mut deps = vec![Vec::new(); self.depth.len()];
        let mut finished = Vec::new();
        let mut is_finished = vec![false; self.depth.len()];
        let mut is_open = vec![false; self.depth.len()];
        let mut stack = vec![(root, self.deps(root))];
        is_open[root] = true;
        while let Some((at, rest)) = stack.last_mut() {
            let at = *at;
            match rest.next() {
                // This dep closes a cycle.
                Some(dep) if is_open[dep] => {}
                Some(dep) => {
                    deps[at].push(dep);
                    if !is_finished[dep] {
                        is_open[dep] = true;
                        stack.push((dep, self.deps(dep)));
                    }
                }
                None => {
                    is_open[at] = false;
                    is_finished[at] = true;
                    finished.push(at);
                    stack.pop();
                }
            }
        }
        self.depth[root] = Some(0);
        for at in finished.iter().rev() {
            let next = self.depth[*at].map(|depth| depth + 1);
            for dep in &deps[*at] {
                self.depth[*dep] = self.depth[*dep].max(next);
            }
        }
        for at in finished {
            let deepest = deps[at].iter().map(|dep| self.below[*dep]).max();
            self.below[at] = self.depth[at].max(deepest).unwrap_or(0);
        }
    }

    fn finish(mut self, root: usize) -> String {
        self.line("", root);
        self.is_drawn[root] = true;
        let mut above = vec![root];
        self.is_above[root] = true;
        // The prefix of every depth is the start of the next one's; this is where each ends.
        let mut prefix = String::new();
        let mut ends = vec![0];
        let mut stack = Vec::new();
        self.branch(root, 1, &mut stack);
        while let Some(Branch { at, depth, is_last }) = stack.pop() {
            for left in above.drain(depth..) {
                self.is_above[left] = false;
            }
            if self.draw == Draw::Once && self.is_drawn[at] {
                continue;
            }
            if self.text.len() + prefix.len() > LONGEST || self.steps > MOST_STEPS {
                self.text.push_str("…\n");
                break;
            }
            ends.truncate(depth);
            prefix.truncate(ends.last().copied().unwrap_or(0));
            self.line(&format!("{prefix}{}", if is_last { "└── " } else { "├── " }), at);
            self.is_drawn[at] = true;
            prefix.push_str(if is_last { "    " } else { "│   " });
            ends.push(prefix.len());
            above.push(at);
            self.is_above[at] = true;
            self.branch(at, depth + 1, &mut stack);
        }
        self.text
    }

    /// Puts the deps that are to be drawn below a ticket on the stack, the first on top: the shallower first, then
    /// by id.
    fn branch(&mut self, at: usize, depth: usize, stack: &mut Vec<Branch>) {
        let is_here = |dep: &usize| match self.draw {
            Draw::Once => !self.is_drawn[*dep] && self.depth[*dep] == Some(depth),
            Draw::Everywhere => self.depth[*dep].is_some(),
        };
        let mut deps: Vec<usize> = self.deps(at).filter(|dep| is_here(dep) && !self.is_above[*dep]).collect();
        self.steps += self.backlog.deps_at(at).len();
        let id = |at: usize| self.backlog.listed(at).map(|(ticket, _)| ticket.id());
        let by_id = |a: usize, b: usize| match (id(a), id(b)) {
            (Some(a), Some(b)) => order::as_awk_compares(a, b),
            _ => a.cmp(&b),
        };
        deps.sort_by(|a, b| self.below[*b].cmp(&self.below[*a]).then_with(|| by_id(*b, *a)));
        stack.extend(deps.iter().enumerate().map(|(number, dep)| Branch {
            at: *dep,
            depth,
            is_last: number == 0,
        }));
    }

    fn line(&mut self, prefix: &str, at: usize) {
        let Some((ticket, status)) = self.backlog.listed(at) else { return };
        let (id, title) = (ticket.id().as_str(), ticket.title().unwrap_or(""));
        let line = format!("{prefix}{id} [{}] {title}\n", status.map_or("", Status::word));
        self.text.push_str(&line);
    }
}
