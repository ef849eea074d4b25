//! What waits for what, as numbers: cycles and order. Linear in nodes and edges, and without recursion, whatever the
//! graph: a folder may hold 100,000 tickets that hang on each other in any way.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

/// More cycles than this are not looked for: each costs a search.
const MOST_CYCLES: usize = 100;

/// For each node the nodes it waits for.
#[derive(Debug, Clone, Default)]
pub struct Graph {
    /// The nodes that each node waits for.
    pub edges: Vec<Vec<usize>>,
}

impl Graph {
    /// Cycles among the nodes that `counts`, such that every node of a cycle is in one of them (up to the limit):
    /// for each, in order, that is in none yet, the shortest through it. Each begins with its smallest node; they
    /// come in order.
    pub fn cycles(&self, counts: impl Fn(usize) -> bool) -> Vec<Vec<usize>> {
        let mut component = vec![0; self.edges.len()];
        let mut is_cyclic = vec![false; self.edges.len()];
        for (number, members) in self.components(&counts).iter().enumerate() {
            for node in members {
                component[*node] = number;
                is_cyclic[*node] = members.len() > 1 || self.edges[*node].contains(node);
            }
        }
        let within = |from: usize, to: usize| is_cyclic[to] && component[to] == component[from];
        let mut covered = vec![false; self.edges.len()];
        let mut cycles = Vec::new();
        for start in (0..self.edges.len()).filter(|node| is_cyclic[*node]) {
            if covered[start] {
                continue;
            }
            if cycles.len() == MOST_CYCLES {
                break;
            }
            let Some(mut cycle) = self.shortest_cycle(start, within) else { continue };
            for node in &cycle {
                covered[*node] = true;
            }
            let smallest = (0..cycle.len()).min_by_key(|at| cycle[*at]).unwrap_or(0);
            cycle.rotate_left(smallest);
            cycles.push(cycle);
        }
        cycles.sort();
        cycles
    }

    /// The strongly connected components of the nodes that `counts`, what is waited for before who waits (Tarjan's
    /// algorithm).
    pub fn components(&self, counts: &impl Fn(usize) -> bool) -> Vec<Vec<usize>> {
        let mut components = Vec::new();
        let mut is_done = vec![false; self.edges.len()];
        // When each was reached, and the earliest that was reached and is open that can be reached from it.
        let mut reached: Vec<Option<usize>> = vec![None; self.edges.len()];
        let mut earliest = vec![0; self.edges.len()];
        let mut count = 0;
        // Those that were reached and are of no component yet, and the way to where we are: each node, and which of its edges comes next.
        let (mut open, mut way) = (Vec::new(), Vec::new());
        for start in (0..self.edges.len()).filter(|node| counts(*node)) {
            if reached[start].is_none() {
                way.push((start, 0));
            }
            while let Some((node, edge)) = way.last_mut() {
                let node = *node;
                let since = *reached[node].get_or_insert_with(|| {
                    open.push(node);
                    earliest[node] = count;
                    count += 1;
                    earliest[node]
                });
                let next = self.edges[node].get(*edge).copied();
                *edge += 1;
                match next.map(|next| (next, reached[next])) {
                    Some((next, None)) if counts(next) => way.push((next, 0)),
                    Some((next, Some(at))) if !is_done[next] => {
                        earliest[node] = earliest[node].min(at);
                    }
                    Some(_) => {}
                    None => {
                        way.pop();
                        if let Some((before, _)) = way.last() {
                            earliest[*before] = earliest[*before].min(earliest[node]);
                        }
                        if earliest[node] == since {
                            let first = open.iter().rposition(|member| *member == node).unwrap_or_default();
                            let members = open.split_off(first);
                            members.iter().for_each(|member: &usize| is_done[*member] = true);
                            components.push(members);
                        }
                    }
                }
            }
        }
        components
    }

    /// The shortest way from `start` to itself over edges that `may` be taken.
    fn shortest_cycle(&self, start: usize, may: impl Fn(usize, usize) -> bool) -> Option<Vec<usize>> {
        let mut before = vec![None; self.edges.len()];
        let mut queue = VecDeque::from([start]);
        while let Some(node) = queue.pop_front() {
            for &next in self.edges[node].iter().filter(|next| may(node, **next)) {
                if next == start {
                    let mut cycle = vec![node];
                    while let Some(previous) = cycle.last().and_then(|last: &usize| before[*last]) {
                        cycle.push(previous);
                    }
                    cycle.reverse();
                    return Some(cycle);
                }
                if before[next].is_none() {
                    before[next] = Some(node);
                    queue.push_back(next);
                }
            }
        }
        None
    }

    /// The nodes that `counts`, each behind those it waits for, of several possible ones the first by `rank` first.
    /// Nodes that are in a cycle or wait for one are left out.
    pub fn order(&self, counts: impl Fn(usize) -> bool, rank: &[usize]) -> Vec<usize> {
        let mut waits_for = vec![0usize; self.edges.len()];
        let dependents = self.dependents();
        let mut free = BinaryHeap::new();
        for node in (0..self.edges.len()).filter(|node| counts(*node)) {
            waits_for[node] = self.edges[node].iter().filter(|to| counts(**to)).count();
            if waits_for[node] == 0 {
                free.push(Reverse((rank[node], node)));
            }
        }
        let mut order = Vec::new();
        while let Some(Reverse((_, node))) = free.pop() {
            order.push(node);
            for &dependent in dependents[node].iter().filter(|node| counts(**node)) {
                waits_for[dependent] -= 1;
                if waits_for[dependent] == 0 {
                    free.push(Reverse((rank[dependent], dependent)));
                }
            }
        }
        order
    }

    /// For each node the nodes that wait for it.
    fn dependents(&self) -> Vec<Vec<usize>> {
        let mut dependents = vec![Vec::new(); self.edges.len()];
        for (node, targets) in self.edges.iter().enumerate() {
            for to in targets {
                dependents[*to].push(node);
            }
        }
        dependents
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn graph(edges: &[&[usize]]) -> Graph {
        Graph { edges: edges.iter().map(|targets| targets.to_vec()).collect() }
    }

    fn cycles(edges: &[&[usize]]) -> Vec<Vec<usize>> {
        graph(edges).cycles(|_| true)
    }

    #[test]
    fn every_node_of_a_cycle_is_in_a_cycle_that_is_found_and_each_is_found_once() {
        assert_eq!(cycles(&[]), Vec::<Vec<usize>>::new());
        assert_eq!(cycles(&[&[1], &[2], &[]]), Vec::<Vec<usize>>::new());
        assert_eq!(cycles(&[&[0]]), [[0]]);
        assert_eq!(cycles(&[&[2], &[0], &[1]]), [[0, 2, 1]]);
        assert_eq!(cycles(&[&[1, 2], &[0], &[0]]), [[0, 1], [0, 2]]);
        assert_eq!(cycles(&[&[3], &[2], &[1], &[0, 1]]), [[0, 3], [1, 2]]);
        assert_eq!(graph(&[&[1], &[0], &[0]]).cycles(|node| node != 0), Vec::<Vec<usize>>::new());
    }

    #[test]
    fn order_puts_each_behind_what_it_waits_for_and_leaves_cycles_and_what_hangs_on_them_out() {
        let graph = graph(&[&[1, 2], &[3], &[3], &[], &[5], &[4], &[5]]);
        assert_eq!(graph.order(|_| true, &[0, 2, 1, 3, 4, 5, 6]), [3, 2, 1, 0]);
        assert_eq!(graph.order(|node| node != 3, &[0, 1, 2, 3, 4, 5, 6]), [1, 2, 0]);
    }

    #[test]
    fn a_hostile_graph_of_100_000_nodes_is_walked_without_recursion_and_in_time() {
        let many = 100_000;
        let chain: Vec<Vec<usize>> = (0..many).map(|n| vec![n + 1]).chain([vec![]]).collect();
        let rank: Vec<usize> = (0..=many).collect();
        assert_eq!(Graph { edges: chain }.order(|_| true, &rank).len(), many + 1);
        let ring = Graph { edges: (0..many).map(|n| vec![(n + 1) % many]).collect() };
        assert_eq!(ring.cycles(|_| true).iter().map(Vec::len).collect::<Vec<_>>(), [many]);
        assert!(ring.order(|_| true, &rank).is_empty());
        let mut hub = vec![(1..many).collect::<Vec<usize>>()];
        hub.extend((1..many).map(|_| vec![0]));
        assert_eq!(Graph { edges: hub }.cycles(|_| true).len(), MOST_CYCLES);
    }

    proptest! {
        #[test]
        fn cycles_are_cycles_and_none_is_missed(
            edges in proptest::collection::vec(proptest::collection::vec(0..12usize, 0..3), 12..=12),
            left_out in 0..12usize,
        ) {
            let graph = Graph { edges };
            let counts = |node: usize| node != left_out;
            let cycles = graph.cycles(counts);
            for cycle in &cycles {
                for (at, node) in cycle.iter().enumerate() {
                    let next = cycle[(at + 1) % cycle.len()];
                    prop_assert!(counts(*node) && graph.edges[*node].contains(&next));
                    prop_assert!(cycle[0] <= *node);
                    prop_assert!(!cycle[..at].contains(node));
                }
            }
            prop_assert!(cycles.windows(2).all(|pair| pair[0] < pair[1]));
            // A node is in a cycle if it can be reached from itself.
            for start in (0..12).filter(|node| counts(*node)) {
                let mut reached = vec![];
                let mut stack = vec![start];
                while let Some(node) = stack.pop() {
                    for next in graph.edges[node].iter().filter(|next| counts(**next)) {
                        if !reached.contains(next) {
                            reached.push(*next);
                            stack.push(*next);
                        }
                    }
                }
                let is_in_one = cycles.iter().any(|cycle| cycle.contains(&start));
                prop_assert_eq!(is_in_one, reached.contains(&start));
            }
        }

        #[test]
        fn order_holds_all_that_is_not_behind_a_cycle_each_after_its_deps(
            edges in proptest::collection::vec(proptest::collection::btree_set(0..12usize, 0..3), 12..=12),
        ) {
            let graph = Graph { edges: edges.into_iter().map(|targets| targets.into_iter().collect()).collect() };
            let rank: Vec<usize> = (0..12).rev().collect();
            let order = graph.order(|_| true, &rank);
            for (at, node) in order.iter().enumerate() {
                prop_assert!(graph.edges[*node].iter().all(|to| order[..at].contains(to)));
            }
            for node in (0..12).filter(|node| !order.contains(node)) {
                prop_assert!(graph.edges[node].iter().any(|to| !order.contains(to)));
            }
        }
    }
}
