//! Which item waits for which. Pure; linear in items and dependencies, and without recursion, however deep the graph.

use std::collections::{BTreeSet, HashMap};

use super::event::{ItemRecord, Standing};
use crate::id::{RefName, TicketId};
use crate::ticket;

/// Something that an item waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Need {
    /// Another item of the batch, by its position.
    Item(usize),
    /// A ticket that is no part of the batch.
    Outside {
        /// The ticket.
        ticket: TicketId,
        /// How it stands.
        standing: Standing,
    },
}

/// The items' needs.
#[derive(Debug, Default)]
pub struct Graph {
    needs: Vec<Vec<Need>>,
    chains: Vec<u32>,
    cycles: HashMap<usize, Vec<TicketId>>,
}

impl Graph {
    /// The graph of these items. What an item needs is looked for on its own base.
    pub fn of(items: &[ItemRecord]) -> Self {
        let by_name: HashMap<(&TicketId, Option<&RefName>), usize> =
            items.iter().enumerate().map(|(at, item)| ((&item.ticket_id, item.base.as_ref()), at)).collect();
        let need = |item: &ItemRecord, dep: &super::event::Dep| match by_name
            .get(&(&dep.ticket_id, item.base.as_ref()))
        {
            Some(_) if dep.standing == Standing::Closed => None,
            Some(at) => Some(Need::Item(*at)),
            None => Some(Need::Outside { ticket: dep.ticket_id.clone(), standing: dep.standing }),
        };
        let needs: Vec<Vec<Need>> =
            items.iter().map(|item| item.deps.iter().filter_map(|dep| need(item, dep)).collect()).collect();
        let (chains, cycles) = shape(items, &needs);
        Self { needs, chains, cycles }
    }

    /// What the item waits for.
    pub fn needs(&self, item: usize) -> &[Need] {
        self.needs.get(item).map_or(&[], Vec::as_slice)
    }

    /// How many items, one after the other, wait for this one at most: what makes the whole batch long.
    pub fn chain(&self, item: usize) -> u32 {
        self.chains.get(item).copied().unwrap_or(0)
    }

    /// The way from the item back to itself, if there is one; empty where there are too many for each to be looked for.
    pub fn cycle(&self, item: usize) -> Option<&[TicketId]> {
        self.cycles.get(&item).map(Vec::as_slice)
    }
}

/// The longest chain behind each item, and the way back of those that need themselves.
fn shape(items: &[ItemRecord], needs: &[Vec<Need>]) -> (Vec<u32>, HashMap<usize, Vec<TicketId>>) {
    let inside = |need: &Need| match need {
        Need::Item(at) => Some(*at),
        Need::Outside { .. } => None,
    };
    let edges = needs.iter().map(|needs| needs.iter().filter_map(inside).collect()).collect();
    let graph = ticket::Graph { edges };
    let mut chains = vec![0_u32; items.len()];
    let mut cycles = HashMap::new();
    // What is needed comes first, so that whoever needs it is seen before, the other way round.
    for component in graph.components(&|_| true).into_iter().rev() {
        let members: BTreeSet<usize> = component.into_iter().collect();
        for item in &members {
            let behind = chains.get(*item).copied().unwrap_or(0).saturating_add(1);
            let needed = graph.edges.get(*item).into_iter().flatten();
            for other in needed.filter(|other| !members.contains(other)) {
                if let Some(chain) = chains.get_mut(*other) {
                    *chain = (*chain).max(behind);
                }
            }
            if members.len() > 1 || graph.edges.get(*item).is_some_and(|needed| needed.contains(item)) {
                // Told below, where the way is short enough to be looked for.
                cycles.insert(*item, Vec::new());
            }
        }
    }
    let name = |at: &usize| items.get(*at).map(|item| item.ticket_id.clone());
    for cycle in graph.cycles(|_| true) {
        for (number, item) in cycle.iter().enumerate() {
            let way = cycle.iter().cycle().skip(number).take(cycle.len() + 1);
            cycles.insert(*item, way.filter_map(name).collect());
        }
    }
    (chains, cycles)
}

#[cfg(test)]
mod tests {
    use super::super::board::tests::items;
    use super::*;

    fn way(graph: &Graph, item: usize) -> Option<Vec<&str>> {
        graph.cycle(item).map(|way| way.iter().map(TicketId::as_str).collect())
    }

    #[test]
    fn an_item_needs_what_is_in_the_batch_and_what_stands_outside() {
        let items = items(&[("a", &[]), ("b", &["a", "gone"])]);
        let graph = Graph::of(&items);
        assert_eq!(graph.needs(0), []);
        let outside = Need::Outside { ticket: "gone".parse().unwrap(), standing: Standing::Open };
        assert_eq!(graph.needs(1), [Need::Item(0), outside]);
    }

    #[test]
    fn who_holds_up_the_longest_chain_is_known() {
        let graph = Graph::of(&items(&[("a", &[]), ("b", &["a"]), ("c", &["b"]), ("d", &["a"]), ("e", &[])]));
        assert_eq!([0, 1, 2, 3, 4].map(|item| graph.chain(item)), [2, 1, 0, 0, 0]);
    }

    #[test]
    fn each_item_of_a_circle_is_told_its_own_way_back() {
        let graph = Graph::of(&items(&[
            ("a", &["b"]),
            ("b", &["c"]),
            ("c", &["a"]),
            ("d", &["a"]),
            ("self", &["self"]),
        ]));
        assert_eq!(way(&graph, 0), Some(vec!["a", "b", "c", "a"]));
        assert_eq!(way(&graph, 1), Some(vec!["b", "c", "a", "b"]));
        assert_eq!(way(&graph, 3), None, "it needs the circle, and is no part of it");
        assert_eq!(way(&graph, 4), Some(vec!["self", "self"]));
    }

    #[test]
    fn bases_are_worlds_of_their_own() {
        let mut items = items(&[("a", &[]), ("b", &["a"])]);
        items[1].base = Some("release".parse().unwrap());
        let graph = Graph::of(&items);
        assert!(matches!(graph.needs(1), [Need::Outside { .. }]));
    }

    #[test]
    fn a_chain_of_a_hundred_thousand_is_no_matter() {
        let names: Vec<String> = (0..100_000).map(|n| format!("t{n}")).collect();
        let deps: Vec<[&str; 1]> =
            (0..100_000_usize).map(|n| [names[n.saturating_sub(1)].as_str()]).collect();
        let all: Vec<(&str, &[&str])> =
            names.iter().zip(&deps).map(|(name, deps)| (name.as_str(), deps.as_slice())).collect();
        let graph = Graph::of(&items(&all));
        assert_eq!(graph.chain(1), 99_998);
        assert!(graph.cycle(0).is_some(), "the first one needs itself");
        assert!(graph.cycle(1).is_none());
    }
}
