//! Why a task failed, in the words of the plan.

use super::resume::Resume;
use crate::event::{Cause, Failure};
use crate::store::StoreError;
use engine_model::graph::NodeId;
use engine_model::plan::Plan;
use engine_model::spec::workflow::OnError;
use ops_core::OpError;
use std::path::PathBuf;

/// Why a task failed, before it is dressed with names.
pub struct Failed {
    /// The node.
    pub node: NodeId,
    /// The region.
    pub region: String,
    /// The file.
    pub path: Option<PathBuf>,
    /// The kind.
    pub cause: Cause,
    /// The message.
    pub message: String,
}

impl Failed {
    /// The failure with the names a user knows.
    pub fn named(self, plan: &Plan, item: u64, keep_going: bool) -> Failure {
        let n = plan.graph.node(self.node);
        let family = n.family.or_else(|| n.arrays.iter().find_map(|&a| plan.graph.node(a).family));
        let left_out = n.family.is_some_and(|f| keep_going || plan.graph.input(f).decl.on_error == OnError::Skip);
        Failure {
            step: n.label(),
            op: n.op.clone(),
            item: family.map(|f| plan.graph.input(f).items.stem(item)),
            region: self.region,
            path: self.path.or_else(|| family.and_then(|f| plan.graph.input(f).items.path(item))),
            cause: self.cause,
            message: self.message,
            left_out,
        }
    }
}

/// The failure of a store.
pub fn store_failed(node: NodeId, region: String, e: StoreError) -> Failed {
    let (path, cause) = match &e {
        StoreError::Corrupt { path, .. } | StoreError::Unsupported { path, .. } | StoreError::NotOne { path, .. } => {
            (path.clone(), Cause::BadData)
        }
        StoreError::Io { path, kind, .. } => {
            (path.clone(), if *kind == std::io::ErrorKind::StorageFull { Cause::DiskFull } else { Cause::Io })
        }
    };
    Failed { node, region, path: Some(path), cause, message: e.to_string() }
}

/// The failure of an op.
pub fn op_failed(node: NodeId, region: String, e: OpError) -> Failed {
    let cause = if matches!(e, OpError::Internal(_)) { Cause::Bug } else { Cause::BadData };
    Failed { node, region, path: None, cause, message: e.to_string() }
}

/// The failure of the journal.
pub fn journal_failed(resume: &Resume<'_>, node: NodeId, e: &std::io::Error) -> Failed {
    let path = resume.journal().path();
    store_failed(node, String::new(), crate::store::read::io(path, "writing the journal", e))
}
