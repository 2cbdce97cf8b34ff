//! Which regions a task computes: pieces widened to spare a copy, and only where that is little more.

use engine_model::diag::Report;
use engine_model::graph::{Kind, build};
use engine_model::plan::eval::{self, Piece, TaskPlan};
use engine_model::plan::{Plan, Settings, memory, rules};
use engine_model::spec::{self, Overrides, TextSource};
use engine_runtime::store::catalog::FileCatalog;
use std::path::Path;

/// A filter that makes a task read four elements more on each side, and an elementwise step beside it.
const TEXT: &str = "
version: 1
inputs:
  image: {generate: {shape: [600, 600], dtype: uint8, pattern: noise}}
steps:
  smooth: {op: gaussian, input: image, with: {sigma: 1.0}}
  negative: {op: invert, input: image}
outputs:
  Smooth: {from: smooth, format: tiff}
  Negative: {from: negative, format: tiff}
";

struct NoFiles;

impl TextSource for NoFiles {
    fn read(&self, path: &Path) -> Result<String, String> {
        Err(format!("{} is not there", path.display()))
    }
}

fn plan(block: u64) -> Plan {
    assert!(!ops::registered().is_empty());
    let (_, workflow, _) = spec::load(Path::new("w.yaml"), TEXT.into(), &Overrides::default(), &NoFiles);
    let graph = build::build(&workflow.unwrap(), &FileCatalog, &mut Report::default()).unwrap();
    let settings = Settings { memory: 1 << 30, threads: 1, block: vec![block], fuse: true, spill: false, waiting: 0 };
    rules::make(graph, settings).unwrap()
}

/// The task of a block that touches no edge of the array.
fn inner(plan: &Plan) -> TaskPlan {
    assert_eq!(plan.stages.len(), 1, "both outputs share their tasks");
    let stage = &plan.stages[0];
    let grid = plan.grid(stage, 0);
    let block = grid.region(grid.counts()[1] + 1);
    eval::task(plan, stage, 0, 0, &block)
}

fn piece<'a>(plan: &Plan, task: &'a TaskPlan, step: &str) -> &'a Piece {
    task.pieces.iter().find(|p| plan.graph.node(p.node).step == step).unwrap()
}

#[test]
fn an_elementwise_piece_covers_what_its_input_was_read_for_where_that_is_little_more() {
    let plan = plan(128);
    let task = inner(&plan);
    let (read, negative) = (piece(&plan, &task, "image"), piece(&plan, &task, "negative"));
    assert_eq!(read.region.volume(), 136 * 136, "four elements on each side for the filter");
    assert_eq!(negative.region, read.region, "{} against {}", negative.region, read.region);
    assert!(negative.needs.iter().all(|n| n.region == read.region));
    // What is written is the block; what the filter computes is no wider than it has to be.
    assert!(task.roots.iter().all(|r| r.region.volume() == 128 * 128));
    assert_eq!(piece(&plan, &task, "smooth").region.volume(), 128 * 128);
    // The bytes that the planner counts are those of the wider piece.
    assert!(memory::task_bytes(&plan, &plan.stages[0], &task, 0) >= 2 * 136 * 136);
}

#[test]
fn a_piece_that_would_grow_by_more_than_a_quarter_is_not_widened() {
    let plan = plan(32);
    let task = inner(&plan);
    assert_eq!(piece(&plan, &task, "image").region.volume(), 40 * 40);
    let negative = piece(&plan, &task, "negative");
    assert_eq!(negative.region.volume(), 32 * 32);
    assert!(matches!(plan.graph.node(negative.node).kind, Kind::Map(_)));
}
