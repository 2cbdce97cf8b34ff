//! Every diagnostic code: what it means, what it looks like wrong and right. `engine explain CODE` prints it.
//!
//! `E01` YAML, `E02` structure, `E03` names and graph, `E04` parameters of the workflow, `E05` ops, their parameters and
//! inputs, `E06` files, `E07` outputs, `E08` memory, `W09` warnings, of which `W092` come while a run goes on. A code keeps its meaning for ever.

mod data;
mod graph;
mod structure;
mod values;
mod yaml;

/// One code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Code {
    /// The code, such as `E0302`.
    pub code: &'static str,
    /// What is wrong, in a few words.
    pub title: &'static str,
    /// Why it is refused and what to do.
    pub explanation: &'static str,
    /// An example that gets the code.
    pub wrong: &'static str,
    /// The same, mended.
    pub right: &'static str,
}

const fn code(
    code: &'static str,
    title: &'static str,
    explanation: &'static str,
    wrong: &'static str,
    right: &'static str,
) -> Code {
    Code { code, title, explanation, wrong, right }
}

/// The entry of a code.
pub fn find(code: &str) -> Option<&'static Code> {
    all().find(|c| c.code.eq_ignore_ascii_case(code))
}

/// Every code, in order.
pub fn all() -> impl Iterator<Item = &'static Code> {
    [yaml::CODES, structure::CODES, graph::CODES, values::CODES, data::CODES].into_iter().flatten()
}
