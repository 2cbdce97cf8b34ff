//! What ops warned of: each warning once for each item, however many blocks, passes or nodes of a step tell of it.

use super::item::lock;
use engine_model::graph::NodeId;
use engine_model::plan::Plan;
use ops_core::Warning;
use std::collections::BTreeMap;
use std::sync::Mutex;

/// A warning of one step, with the items it holds for.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Warned {
    /// The step.
    pub step: String,
    /// Code of the warning; `engine explain` tells more.
    pub code: &'static str,
    /// What is so.
    pub message: &'static str,
    /// Items it holds for; 0 where it holds for what is single, or for a collection as a whole.
    pub items: u64,
    /// Name of the first of them, in the order of the input.
    pub first: Option<String>,
}

/// The items that a warning holds for: a bit each.
#[derive(Debug, Default)]
struct Items {
    bits: Vec<u64>,
    /// It holds for what is no item, too.
    whole: bool,
}

impl Items {
    /// True when it was not known yet.
    fn add(&mut self, item: Option<u64>) -> bool {
        let Some(item) = item else { return !std::mem::replace(&mut self.whole, true) };
        let (word, bit) = ((item / 64) as usize, 1u64 << (item % 64));
        if self.bits.len() <= word {
            self.bits.resize(word + 1, 0);
        }
        let word = &mut self.bits[word];
        let new = *word & bit == 0;
        *word |= bit;
        new
    }

    fn count(&self) -> u64 {
        self.bits.iter().map(|w| u64::from(w.count_ones())).sum()
    }

    fn first(&self) -> Option<u64> {
        let word = self.bits.iter().position(|w| *w != 0)?;
        Some(64 * word as u64 + u64::from(self.bits[word].trailing_zeros()))
    }
}

/// All warnings of a run so far. Takes memory for those that there are: a bit for each item up to the last warned of.
#[derive(Debug, Default)]
pub(super) struct Warnings(Mutex<BTreeMap<(NodeId, Warning), Items>>);

impl Warnings {
    /// Notes a warning of a node; `None` for what is single and for a collection. True when it is new for its step and
    /// item.
    pub(super) fn note(&self, plan: &Plan, node: NodeId, item: Option<u64>, warning: Warning) -> bool {
        let step = &plan.graph.node(node).step;
        let first = plan.graph.ids().find(|&n| plan.graph.node(n).step == *step).unwrap_or(node);
        lock(&self.0).entry((first, warning)).or_default().add(item)
    }

    /// The warnings in the order of the plan.
    pub(super) fn all(&self, plan: &Plan) -> Vec<Warned> {
        let graph = &plan.graph;
        let family = |step: &str| graph.nodes.iter().filter(|n| n.step == step).find_map(|n| n.family);
        let warned = |(&(node, warning), items): (&(NodeId, Warning), &Items)| {
            let step = graph.node(node).step.clone();
            let first = family(&step).zip(items.first()).map(|(f, item)| graph.input(f).items.stem(item));
            Warned { step, code: warning.code, message: warning.text, items: items.count(), first }
        };
        lock(&self.0).iter().map(warned).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::Items;

    #[test]
    fn an_item_counts_once_and_the_first_is_found() {
        let mut items = Items::default();
        assert!(items.add(Some(200)) && items.add(Some(64)) && !items.add(Some(200)));
        assert_eq!((items.count(), items.first()), (2, Some(64)));
        assert!(items.add(None) && !items.add(None));
        assert_eq!(items.count(), 2);
    }
}
