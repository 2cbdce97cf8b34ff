//! The workflow language: text to a checked, flat [`workflow::Workflow`].

pub mod workflow;
