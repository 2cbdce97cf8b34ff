//! What an op may say is wrong, in parts that a diagnostic is built from.

use thiserror::Error;

/// Why an op refuses its parameters or inputs, or fails on a block.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum OpError {
    /// A parameter holds a value that its type allows and the op does not.
    #[error("parameter `{param}`: expected {expected}, found {found}")]
    Param {
        /// Name of the parameter.
        param: String,
        /// What is accepted.
        expected: String,
        /// What was given.
        found: String,
    },
    /// An input has a dtype, rank, axes or shape that the op can't work on.
    #[error("input {input}: expected {expected}, found {found}")]
    Input {
        /// Number of the input, from 0.
        input: usize,
        /// What is accepted.
        expected: String,
        /// What was given.
        found: String,
        /// What to do about it.
        help: String,
    },
    /// The data of one block can't be processed.
    #[error("{0}")]
    Data(String),
    /// A bug: the runtime or another op broke its word.
    #[error("internal error, please report it: {0}")]
    Internal(String),
}

impl OpError {
    /// A refused parameter.
    pub fn param(param: &str, expected: impl Into<String>, found: impl ToString) -> OpError {
        OpError::Param { param: param.to_owned(), expected: expected.into(), found: found.to_string() }
    }

    /// A refused input.
    pub fn input(input: usize, expected: impl Into<String>, found: impl ToString, help: impl Into<String>) -> OpError {
        OpError::Input { input, expected: expected.into(), found: found.to_string(), help: help.into() }
    }
}
