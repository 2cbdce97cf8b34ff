//! Refuses a plan that does not fit, or lowers the number of items in flight.

use super::decide;
use crate::plan::{Plan, memory, print};
use thiserror::Error;

/// A plan that does not fit, and what would.
#[derive(Debug, Clone, Error)]
#[error("the plan needs {} and the limit is {}", print::bytes(plan.memory.projected), print::bytes(plan.settings.memory))]
pub struct Refusal {
    /// The plan, for drawing.
    pub plan: Plan,
    /// The largest term.
    pub offender: String,
    /// What to change.
    pub help: String,
}

/// Chooses how many items are in flight.
///
/// # Errors
/// When even one does not fit.
pub(super) fn fit(mut plan: Plan) -> Result<Plan, Box<Refusal>> {
    let threads = plan.settings.threads.max(1) as u64;
    for window in (1..=threads).rev() {
        plan.memory = memory::project(&plan, window);
        if plan.memory.projected <= plan.settings.memory {
            let reason = if window == threads { "one for each thread" } else { "what fits the memory limit" };
            plan.decisions.push(decide("memory", "items in flight", plan.memory.window.to_string(), reason));
            return Ok(plan);
        }
    }
    Err(Box::new(refuse(plan)))
}

fn refuse(plan: Plan) -> Refusal {
    let largest = plan.memory.terms.iter().max_by_key(|t| t.count.saturating_mul(t.bytes)).cloned();
    let (what, task) = largest.map_or((String::new(), false), |t| (t.what.clone(), t.what.starts_with("task of")));
    let needed = format!("`--memory {}` would do", print::bytes_up(plan.memory.projected));
    let help = match smaller_block(&plan) {
        Some((block, bytes)) if task => format!("`--block {block}` needs {}; {needed}", print::bytes(bytes)),
        _ if plan.settings.threads > 1 => format!("{needed}; fewer `--threads` need less"),
        _ => needed,
    };
    Refusal { offender: what, help, plan }
}

/// The largest power-of-two block that fits.
fn smaller_block(plan: &Plan) -> Option<(u64, u64)> {
    [256u64, 128, 64, 32].into_iter().find_map(|b| {
        let mut p = plan.clone();
        for s in &mut p.stages {
            s.block.iter_mut().for_each(|e| e.1 = e.1.min(b));
        }
        let m = memory::project(&p, 1);
        (m.projected <= plan.settings.memory).then_some((b, m.projected))
    })
}
