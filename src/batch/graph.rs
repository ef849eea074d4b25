//! Which item waits for which. Pure; linear in items and dependencies, and without recursion, however deep the graph.

use std::collections::{BTreeSet, HashMap, VecDeque};

use petgraph::algo::kosaraju_scc;
use petgraph::graph::{DiGraph, NodeIndex};

use super::event::{ItemRecord, Standing};
use crate::id::{RefName, TicketId};

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

    /// The way from the item back to itself, if there is one.
    pub fn cycle(&self, item: usize) -> Option<&[TicketId]> {
        self.cycles.get(&item).map(Vec::as_slice)
    }
}

fn shape(items: &[ItemRecord], needs: &[Vec<Need>]) -> (Vec<u32>, HashMap<usize, Vec<TicketId>>) {
    // From an item to what it needs.
    let mut graph: DiGraph<usize, ()> = DiGraph::new();
    let nodes: Vec<NodeIndex> = (0..items.len()).map(|item| graph.add_node(item)).collect();
    for (item, needs) in needs.iter().enumerate() {
        for need in needs {
            if let (Need::Item(other), Some(from)) = (need, nodes.get(item))
                && let Some(to) = nodes.get(*other)
            {
                graph.add_edge(*from, *to, ());
            }
        }
    }
    let mut chains = vec![0_u32; items.len()];
    let mut cycles = HashMap::new();
    // Components come with what is needed first; so whoever needs is seen before, the other way round.
    for component in kosaraju_scc(&graph).into_iter().rev() {
        let members: BTreeSet<usize> = component.iter().map(|node| graph[*node]).collect();
        let in_circle =
            members.len() > 1 || component.iter().any(|node| graph.find_edge(*node, *node).is_some());
        for item in &members {
            let longest = chains.get(*item).copied().unwrap_or(0);
            for need in needs.get(*item).into_iter().flatten() {
                if let Need::Item(other) = need
                    && !members.contains(other)
                    && let Some(chain) = chains.get_mut(*other)
                {
                    *chain = (*chain).max(longest.saturating_add(1));
                }
            }
            if in_circle {
                cycles.insert(*item, way_back(*item, &members, items, needs));
            }
        }
    }
    (chains, cycles)
}

/// The shortest way from `item` through what is needed back to it, inside its circle.
fn way_back(
    item: usize,
    circle: &BTreeSet<usize>,
    items: &[ItemRecord],
    needs: &[Vec<Need>],
) -> Vec<TicketId> {
    let mut came_from: HashMap<usize, usize> = HashMap::new();
    let mut queue = VecDeque::from([item]);
    let mut last = item;
    'search: while let Some(at) = queue.pop_front() {
        for need in needs.get(at).into_iter().flatten() {
            let Need::Item(next) = need else { continue };
            if *next == item {
                last = at;
                break 'search;
            }
            if circle.contains(next) && !came_from.contains_key(next) {
                came_from.insert(*next, at);
                queue.push_back(*next);
            }
        }
    }
    let mut way = vec![item];
    let mut at = last;
    while at != item {
        way.push(at);
        match came_from.get(&at) {
            Some(before) => at = *before,
            None => break,
        }
    }
    way.push(item);
    way.reverse();
    way.iter().filter_map(|at| items.get(*at)).map(|item| item.ticket_id.clone()).collect()
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
