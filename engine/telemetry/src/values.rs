//! `Reports/values.yaml`: every number that a reduction found.
//!
//! A YAML sequence in the order in which the numbers were found, such as the threshold of each image or the smallest
//! and largest value of a collection:
//!
//! ```yaml
//! - {node: mask.extrema, item: tissue-2, numbers: [0.0, 254.0733468457843, 190.55501013433823]}
//! - {node: normalized.min_max, item: null, numbers: [0.0, 255.0]}
//! ```
//!
//! `node` is the node of the plan, `item` the item's name, and null for what was found over a collection or over
//! something that is not one of many. Numbers are the shortest decimals that read back as the same bits.
//!
//! The file appears with the first number: a run without reductions to numbers has none and pays nothing.

use crate::stream::{Records, Stream};
use crate::text::{push_f64, push_label, push_name};
use engine_runtime::event::{Event, RunHeader};
use std::sync::Arc;

/// Writes the values.
pub type Values = Stream<Numbers>;

/// The records of numbers.
#[derive(Default)]
pub struct Numbers {
    header: Option<Arc<RunHeader>>,
}

impl Default for Values {
    fn default() -> Self {
        Self::new()
    }
}

impl Values {
    /// A subscriber that has not met a number yet.
    #[must_use]
    pub fn new() -> Self {
        Stream::of(Numbers::default())
    }
}

impl Records for Numbers {
    const NAME: &'static str = "values";
    const FILE: &'static str = "values.yaml";
    const TITLE: &'static str = "values 1";
    const ALWAYS: bool = false;

    fn start(&mut self, header: &Arc<RunHeader>) {
        self.header = Some(Arc::clone(header));
    }

    fn has(&self, event: &Event) -> bool {
        matches!(event, Event::Value { .. })
    }

    fn write(&self, event: &Event, out: &mut Vec<u8>) {
        let Event::Value { node, name, numbers, .. } = event else { return };
        out.extend_from_slice(b"- {node: ");
        push_label(out, self.header.as_deref(), *node);
        out.extend_from_slice(b", item: ");
        push_name(out, name);
        out.extend_from_slice(b", numbers: [");
        for (i, number) in numbers.iter().enumerate() {
            if i > 0 {
                out.extend_from_slice(b", ");
            }
            push_f64(out, *number);
        }
        out.extend_from_slice(b"]}\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine_runtime::event::Subscriber;
    use serde_yaml::Value;

    fn value(node: u32, name: &str, numbers: &[f64]) -> Event {
        Event::Value { node, item: 0, name: name.into(), numbers: numbers.into() }
    }

    fn written(events: &[Event]) -> Option<String> {
        let dir = tempfile::tempdir().unwrap();
        let mut values = Values::new();
        values.on_event(&Event::RunStarted(Arc::new(crate::fake::header(dir.path(), 1))));
        events.iter().for_each(|e| values.on_event(e));
        assert!(values.finish(0).is_empty());
        std::fs::read_to_string(dir.path().join("Reports/values.yaml")).ok()
    }

    #[test]
    fn a_record_is_one_line_that_says_what_was_found_where() {
        let text = written(&[value(1, "a b: #1", &[190.555_061_481_993_4, 0.0]), value(2, "", &[])]).unwrap();
        let lines: Vec<&str> = text.lines().filter(|l| !l.starts_with('#')).collect();
        assert_eq!(lines[0], "- {node: mask.compare, item: \"a b: #1\", numbers: [190.5550614819934, 0.0]}");
        assert_eq!(lines[1], "- {node: labels.number, item: null, numbers: []}");
    }

    #[test]
    fn every_float_reads_back_as_the_same_bits() {
        let all = [
            0.0,
            -0.0,
            1.0,
            -1e300,
            1e16,
            1e-7,
            5e-324,
            f64::MAX,
            f64::MIN_POSITIVE,
            f64::INFINITY,
            f64::NEG_INFINITY,
            f64::NAN,
            0.1 + 0.2,
        ];
        let read: Vec<Value> = serde_yaml::from_str(&written(&[value(0, "x", &all)]).unwrap()).unwrap();
        for (i, want) in all.iter().enumerate() {
            let got = &read[0]["numbers"][i];
            assert!(got.is_f64(), "{want} became {got:?}");
            let got = got.as_f64().unwrap();
            assert!(got.to_bits() == want.to_bits() || (got.is_nan() && want.is_nan()), "{want} became {got}");
        }
    }

    #[test]
    fn a_run_without_numbers_has_no_file() {
        assert_eq!(written(&[]), None);
    }

    #[test]
    fn what_can_not_be_written_is_told_once() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("Reports"), "a file").unwrap();
        let mut values = Values::new();
        values.on_event(&Event::RunStarted(Arc::new(crate::fake::header(dir.path(), 1))));
        values.on_event(&value(0, "", &[1.0]));
        values.on_event(&value(0, "", &[1.0]));
        let told = values.finish(0);
        assert_eq!(told.len(), 1);
        assert!(told[0].contains("values.yaml"), "{told:?}");
    }
}
