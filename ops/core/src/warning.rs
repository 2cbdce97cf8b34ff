//! What an op tells the user of a result that is right but may surprise.

use std::cell::Cell;

/// Nothing to tell values apart by: all that is measured is equal.
pub const NO_CONTRAST: &str = "W0921";
/// No element is finite, so there is nothing to measure.
pub const NOTHING_FINITE: &str = "W0922";

/// A warning of an op about one result.
///
/// Code and text are fixed in the op's source and name no element, so that a result has the same warnings in whatever
/// blocks it is computed. The numbers behind them are in the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Warning {
    /// One of the codes of this module; `engine explain` has a page on each.
    pub code: &'static str,
    /// What is so, and what became of the result.
    pub text: &'static str,
}

/// Takes the warnings of a call. An empty one allocates nothing.
#[derive(Default)]
pub struct Warnings(Cell<Vec<Warning>>);

impl Warnings {
    /// Attaches a warning to the result: once, however often it is told.
    pub fn add(&self, code: &'static str, text: &'static str) {
        let warning = Warning { code, text };
        let mut all = self.0.take();
        if !all.contains(&warning) {
            all.push(warning);
        }
        self.0.set(all);
    }

    /// What was attached, in order.
    pub fn take(&self) -> Vec<Warning> {
        self.0.take()
    }
}
