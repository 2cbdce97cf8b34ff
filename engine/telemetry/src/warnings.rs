//! `Reports/warnings.yaml`: what ops warned of.
//!
//! A YAML sequence with one entry for each warning, step and item, in the order in which they came:
//!
//! ```yaml
//! - {code: W0921, step: normalized, item: tissue-2, message: "the standard deviation is 0: everything became 0"}
//! ```
//!
//! `item` is the item's name, and null for what holds for a collection or for something that is not one of many.
//!
//! The file appears with the first warning: a run without one has none and pays nothing.

use crate::stream::{Records, Stream};
use crate::text::{push_name, push_quoted, push_scalar};
use engine_runtime::event::{Event, RunHeader};
use std::sync::Arc;

/// Writes the warnings.
pub type Warnings = Stream<Warned>;

/// The records of warnings.
#[derive(Default)]
pub struct Warned {
    header: Option<Arc<RunHeader>>,
}

impl Default for Warnings {
    fn default() -> Self {
        Self::new()
    }
}

impl Warnings {
    /// A subscriber that has not met a warning yet.
    #[must_use]
    pub fn new() -> Self {
        Stream::of(Warned::default())
    }
}

impl Records for Warned {
    const NAME: &'static str = "warnings";
    const FILE: &'static str = "warnings.yaml";
    const TITLE: &'static str = "warnings 1";
    const ALWAYS: bool = false;

    fn start(&mut self, header: &Arc<RunHeader>) {
        self.header = Some(Arc::clone(header));
    }

    fn has(&self, event: &Event) -> bool {
        matches!(event, Event::Warned(_))
    }

    fn write(&self, event: &Event, out: &mut Vec<u8>) {
        let Event::Warned(warned) = event else { return };
        let header = self.header.as_deref();
        let node = usize::try_from(warned.node).ok().and_then(|node| header?.nodes.get(node));
        out.extend_from_slice(b"- {code: ");
        push_scalar(out, warned.warning.code);
        out.extend_from_slice(b", step: ");
        push_name(out, node.map_or("", |node| &node.step));
        out.extend_from_slice(b", item: ");
        push_name(out, &warned.name);
        out.extend_from_slice(b", message: ");
        push_quoted(out, warned.warning.text);
        out.extend_from_slice(b"}\n");
    }
}

/// A warning that the end of a reduction gave, for the tests of those who tell of it.
#[cfg(test)]
pub(crate) fn warned(node: u32, name: &str) -> Event {
    use engine_runtime::event::{Warning, WarningRecord};
    let warning = Warning { code: "W0921", text: "flat: nothing" };
    let (stage, at) = (u32::from(node > 1), crate::fake::START + 5);
    Event::Warned(Arc::new(WarningRecord { node, stage, item: 3, name: name.into(), warning, at, in_task: false }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine_runtime::event::Subscriber;
    use serde_yaml::Value;

    #[test]
    fn a_record_says_which_step_warned_of_what_for_which_item() {
        let dir = tempfile::tempdir().unwrap();
        let mut warnings = Warnings::new();
        warnings.on_event(&Event::RunStarted(Arc::new(crate::fake::header(dir.path(), 1))));
        let file = dir.path().join("Reports/warnings.yaml");
        assert!(!file.exists());
        warnings.on_event(&warned(1, "a: #b"));
        warnings.on_event(&warned(0, ""));
        assert!(warnings.finish(0).is_empty());
        let read: Vec<Value> = serde_yaml::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
        let texts: Vec<[Option<&str>; 4]> =
            read.iter().map(|r| ["code", "step", "item", "message"].map(|key| r[key].as_str())).collect();
        let message = Some("flat: nothing");
        assert_eq!(
            texts,
            [[Some("W0921"), Some("mask"), Some("a: #b"), message], [Some("W0921"), Some("smooth"), None, message]]
        );
    }
}
