//! Refuses a plan that does not fit, or lowers the number of items in flight.

use super::{Effort, decide, draft};
use crate::graph::Graph;
use crate::plan::memory::{self, Share};
use crate::plan::{Plan, Settings, print};
use thiserror::Error;

/// Block extents that are tried in place of one that needs too much.
const BLOCKS: [u64; 7] = [2048, 1024, 512, 256, 128, 64, 32];

/// A plan that does not fit, and what would.
#[derive(Debug, Clone, Error)]
#[error("the plan needs {} and the limit is {}", print::bytes(plan.memory.projected), print::bytes(plan.settings.memory))]
pub struct Refusal {
    /// The plan, for drawing.
    pub plan: Plan,
    /// What most of it is for.
    pub largest: String,
    /// What to change, each change with what it would need.
    pub help: String,
}

/// Chooses how many items are in flight.
///
/// # Errors
/// When even one does not fit; the plan is given back.
pub(super) fn fit(mut plan: Plan) -> Result<Plan, Box<Plan>> {
    let threads = plan.settings.threads.max(1) as u64;
    for window in (1..=threads).rev() {
        plan.memory = memory::project(&plan, window);
        if plan.memory.projected <= plan.settings.memory {
            let reason = if window == threads { "one for each thread" } else { "what fits the memory limit" };
            plan.decisions.push(decide("memory", "items in flight", plan.memory.window.to_string(), reason));
            return Ok(plan);
        }
    }
    Err(Box::new(plan))
}

/// Says what takes the memory and what would take less; every change that is named was planned and fits.
pub(super) fn refuse(graph: &Graph, plan: Plan) -> Refusal {
    let needed = format!("`--memory {}`", print::bytes_up(plan.memory.projected));
    let mut ways: Vec<String> = ways(graph, &plan.settings);
    let help = if ways.is_empty() {
        format!("no smaller block and no fewer threads fit; {needed} does")
    } else {
        ways.push(needed);
        format!("{} fits", ways.join(" or "))
    };
    Refusal { largest: largest(&plan), help, plan }
}

/// What can be changed takes the most, if anything that can be changed matters.
fn largest(plan: &Plan) -> String {
    let program = plan.memory.share(Share::Program);
    if program >= plan.settings.memory {
        return format!("{} are for the program itself, whatever the workflow", print::bytes(program));
    }
    let tasks = plan.memory.terms.iter().find_map(|t| t.what.strip_prefix("task of ").map(|step| (step, t.count)));
    let (step, count) = tasks.unwrap_or_default();
    [
        (Share::Tasks, format!("the blocks that {count} tasks hold at once, most of them of `{step}`")),
        (Share::Items, "what items in flight hold: kept arrays, decoders, open outputs".to_owned()),
        (Share::Passes, "arrays that are kept for later passes".to_owned()),
        (Share::Threads, "worker threads".to_owned()),
    ]
    .into_iter()
    .map(|(share, words)| (plan.memory.share(share), words))
    .rev()
    .max_by_key(|(bytes, _)| *bytes)
    .map(|(bytes, words)| format!("{} are for {words}", print::bytes(bytes)))
    .unwrap_or_default()
}

/// Flags that make it fit, the least change of each kind; both kinds together where neither is enough.
fn ways(graph: &Graph, settings: &Settings) -> Vec<String> {
    let try_with = |threads: usize, block: Option<u64>| {
        let block = block.map_or_else(|| settings.block.clone(), |b| vec![b]);
        let plan = draft(graph.clone(), &Settings { threads, block, ..settings.clone() }, &Effort::LEAST);
        fit(plan).map(|p| print::bytes(p.memory.projected)).ok()
    };
    let given = settings.block.iter().max().copied().unwrap_or(u64::MAX);
    let blocks = || BLOCKS.into_iter().filter(|b| *b < given);
    let fewer = || std::iter::successors(Some(settings.threads / 2), |n| Some(n / 2)).take_while(|n| *n > 0);
    let smaller = blocks().find_map(|b| Some(format!("`--block {b}` ({})", try_with(settings.threads, Some(b))?)));
    let threads = fewer().find_map(|n| Some(format!("`--threads {n}` ({})", try_with(n, None)?)));
    let mut ways: Vec<String> = smaller.into_iter().chain(threads).collect();
    if ways.is_empty() && settings.threads > 1 {
        ways.extend(blocks().find_map(|b| Some(format!("`--threads 1 --block {b}` ({})", try_with(1, Some(b))?))));
    }
    ways
}
