//! All subscriptions in one tree of topic levels, so that a publish meets only those that match.

use std::collections::HashMap;
use std::hash::Hash;

/// Filters and who holds them. `S` names a subscriber, `V` is what it asked for.
#[derive(Debug)]
pub(super) struct FilterTree<S, V> {
    root: Node<S, V>,
}

#[derive(Debug)]
struct Node<S, V> {
    levels: HashMap<Box<str>, Self>,
    /// Holders of the filter that ends here.
    exact: HashMap<S, V>,
    /// Holders of the filter that goes on with `#`.
    below: HashMap<S, V>,
}

impl<S, V> Default for FilterTree<S, V> {
    fn default() -> Self {
        Self { root: Node::default() }
    }
}

impl<S, V> Default for Node<S, V> {
    fn default() -> Self {
        Self { levels: HashMap::new(), exact: HashMap::new(), below: HashMap::new() }
    }
}

impl<S: Eq + Hash, V> FilterTree<S, V> {
    /// Adds a subscription, or replaces what its holder asked for.
    pub(super) fn insert(&mut self, filter: &str, subscriber: S, value: V) {
        let (path, below) = split(filter);
        let mut node = &mut self.root;
        for level in path.into_iter().flat_map(|path| path.split('/')) {
            node = node.levels.entry(level.into()).or_default();
        }
        node.holders(below).insert(subscriber, value);
    }

    /// Removes a subscription and the levels nobody needs any more.
    pub(super) fn remove(&mut self, filter: &str, subscriber: &S) {
        let (path, below) = split(filter);
        let levels: Vec<&str> = path.into_iter().flat_map(|path| path.split('/')).collect();
        self.root.remove(&levels, below, subscriber);
    }

    /// Calls `found` for every subscription that takes in `topic`. A subscriber with several
    /// matching filters is found several times.
    pub(super) fn find(&self, topic: &str, found: &mut impl FnMut(&S, &V)) {
        let levels: Vec<&str> = topic.split('/').collect();
        self.root.find(&levels, !topic.starts_with('$'), found);
    }
}

impl<S: Eq + Hash, V> Node<S, V> {
    fn holders(&mut self, below: bool) -> &mut HashMap<S, V> {
        if below { &mut self.below } else { &mut self.exact }
    }

    fn remove(&mut self, levels: &[&str], below: bool, subscriber: &S) {
        let Some((level, rest)) = levels.split_first() else {
            self.holders(below).remove(subscriber);
            return;
        };
        if let Some(node) = self.levels.get_mut(*level) {
            node.remove(rest, below, subscriber);
            if node.levels.is_empty() && node.exact.is_empty() && node.below.is_empty() {
                self.levels.remove(*level);
            }
        }
    }

    /// `wild` says whether wildcards count here: not in the first level of a `$` topic.
    fn find(&self, levels: &[&str], wild: bool, found: &mut impl FnMut(&S, &V)) {
        let Some((level, rest)) = levels.split_first() else {
            self.exact.iter().for_each(|(subscriber, value)| found(subscriber, value));
            return;
        };
        if wild {
            self.below.iter().for_each(|(subscriber, value)| found(subscriber, value));
            if let Some(node) = self.levels.get("+") {
                node.find(rest, true, found);
            }
        }
        if let Some(node) = self.levels.get(*level) {
            node.find(rest, true, found);
        }
    }
}

/// The levels before a closing `#`, and whether there was one.
fn split(filter: &str) -> (Option<&str>, bool) {
    match filter {
        "#" => (None, true),
        _ => match filter.strip_suffix("/#") {
            Some(path) => (Some(path), true),
            None => (Some(filter), false),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::broker::limits::Limits;
    use crate::broker::topic;

    fn found(tree: &FilterTree<usize, ()>, topic: &str) -> BTreeSet<usize> {
        let mut all = BTreeSet::new();
        tree.find(topic, &mut |subscriber, ()| {
            all.insert(*subscriber);
        });
        all
    }

    #[test]
    fn an_emptied_tree_keeps_no_levels() {
        let mut tree = FilterTree::default();
        for filter in ["a/b/c", "a/+/#", "#", "+"] {
            tree.insert(filter, 1, ());
        }
        for filter in ["a/b/c", "a/+/#", "#", "+"] {
            tree.remove(filter, &1);
        }
        assert!(tree.root.levels.is_empty() && tree.root.below.is_empty());
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1024) })]

        #[test]
        fn the_tree_finds_what_each_filter_matches_by_itself(
            filters in prop::collection::vec("(\\$|)([ab+]|)(/[ab+]|/){0,3}(/#|)", 0..12),
            topic in "(\\$|)([ab]|)(/[ab]|/){0,4}",
            removed in prop::collection::vec(any::<bool>(), 12),
        ) {
            let filters: Vec<String> =
                filters.into_iter().filter(|filter| topic::check_filter(filter, &Limits::default()).is_ok()).collect();
            let mut tree = FilterTree::default();
            for (index, filter) in filters.iter().enumerate() {
                tree.insert(filter, index, ());
            }
            for (index, filter) in filters.iter().enumerate().filter(|(index, _)| removed[*index]) {
                tree.remove(filter, &index);
            }
            let expected: BTreeSet<usize> = (0..filters.len())
                .filter(|index| !removed[*index] && topic::matches(&filters[*index], &topic))
                .collect();
            prop_assert_eq!(found(&tree, &topic), expected);
        }
    }
}
