//! Every diagnostic code: what it means, what it looks like wrong and right. `engine explain CODE` prints it.

/// One code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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

/// The entry of a code.
pub fn find(code: &str) -> Option<&'static Code> {
    ALL.iter().find(|c| c.code.eq_ignore_ascii_case(code))
}

/// Every code, in order.
pub const ALL: &[Code] = &[];
