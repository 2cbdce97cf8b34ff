//! The schedule driven by a fake executor: any number of workers, tasks that end in any order, some that fail.

use engine_model::diag::Report;
use engine_model::graph::build;
use engine_model::plan::{Plan, Settings, StageId, rules};
use engine_model::spec::{self, Overrides, TextSource};
use engine_runtime::schedule::{ItemSource, Next, Schedule, Task};
use engine_runtime::store::catalog::FileCatalog;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Two passes, several stages, blocks numbered by component: everything a plan can ask of a schedule.
const TEXT: &str = "
version: 1
inputs:
  image: {generate: {items: 5, shape: [20, 30], dtype: uint8, pattern: noise}}
steps:
  even: {op: normalize, input: image, with: {over: collection}}
  mask: {op: threshold, input: even, with: {relative_to: max, factor: 0.5}}
  labels: {op: label, input: mask}
outputs:
  Labels: {from: labels, format: tiff}
";

struct NoFiles;

impl TextSource for NoFiles {
    fn read(&self, path: &Path) -> Result<String, String> {
        Err(format!("{} is not there", path.display()))
    }
}

fn plan(threads: usize, block: u64) -> Plan {
    assert!(!ops::registered().is_empty());
    let (_, workflow, _) = spec::load(Path::new("w.yaml"), TEXT.into(), &Overrides::default(), &NoFiles);
    let mut report = Report::default();
    let graph = build::build(&workflow.unwrap(), &FileCatalog, &mut report).unwrap();
    rules::make(graph, Settings { memory: 1 << 30, threads, block: vec![block], fuse: true, spill: false, waiting: 0 })
        .unwrap()
}

/// Items that an earlier pass failed on take no part in later ones.
struct Failed<'a>(&'a BTreeSet<u64>);

impl ItemSource for Failed<'_> {
    fn class(&self, _group: usize, item: u64) -> Option<usize> {
        (!self.0.contains(&item)).then_some(0)
    }
}

/// What a run of the fake executor did.
#[derive(Default)]
struct Done {
    tasks: BTreeMap<(usize, u64, u32), BTreeSet<u64>>,
    finished: BTreeSet<(usize, u64, u32)>,
    failed: BTreeSet<u64>,
    groups: usize,
}

/// Runs to the end; `choose` picks which of the running tasks ends next, `fails` which tasks fail.
fn drive(plan: &Plan, mut choose: impl FnMut(usize) -> usize, fails: impl Fn(&Task) -> bool) -> Done {
    let mut schedule = Schedule::new(plan, plan.memory.item_budget);
    let mut did = Done::default();
    let mut running: Vec<Task> = Vec::new();
    loop {
        let next = match running.len() < plan.settings.threads {
            true => schedule.next(plan, &Failed(&did.failed)),
            false => Next::Wait,
        };
        match next {
            Next::Task(task) => {
                for StageId(needed) in &plan.stage(task.stage).after {
                    assert!(did.finished.contains(&(task.group, task.item, *needed)), "{task:?} came too early");
                }
                assert!(!running.contains(&task));
                running.push(task);
            }
            Next::FinishStage(task) => {
                assert!(running.iter().all(|r| (r.item, r.stage) != (task.item, task.stage)));
                assert!(did.finished.insert((task.group, task.item, task.stage.0)), "{task:?} finished twice");
                schedule.stage_finished(plan, &task);
            }
            Next::FinishItem { item, failed, .. } => {
                assert!(running.iter().all(|r| r.item != item), "item {item} ended while it ran");
                if failed {
                    did.failed.insert(item);
                }
                schedule.item_finished(item);
            }
            Next::FinishGroup(group) => {
                assert_eq!(group, did.groups);
                assert!(running.is_empty());
                did.groups += 1;
                schedule.group_finished();
            }
            Next::Wait => {
                assert!(!running.is_empty(), "waits for nothing");
                let task = running.swap_remove(choose(running.len()));
                if fails(&task) {
                    schedule.fail(&task);
                } else {
                    schedule.done(&task);
                    let blocks = did.tasks.entry((task.group, task.item, task.stage.0)).or_default();
                    assert!(blocks.insert(task.block), "{task:?} came twice");
                }
            }
            Next::End => return did,
        }
        let items: BTreeSet<u64> = running.iter().map(|t| t.item).collect();
        assert!(items.len() as u64 <= plan.memory.window);
    }
}

/// Stage numbers are unique in a plan, so every (group, stage) that a group lists has each block of each item once.
fn whole(plan: &Plan, did: &Done) {
    for (g, group) in plan.groups.iter().enumerate() {
        for item in (0..plan.graph.items(group.family)).filter(|i| !did.failed.contains(i)) {
            for &id in &group.stages {
                let blocks = did.tasks.get(&(g, item, id.0)).map_or(0, BTreeSet::len) as u64;
                assert_eq!(blocks, plan.grid(plan.stage(id), 0).count(), "group {g} item {item} stage {id:?}");
            }
        }
    }
    assert_eq!(did.groups, plan.groups.len());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_task_comes_once_and_after_what_it_needs(
        threads in 1usize..9,
        block in 3u64..40,
        order in prop::collection::vec(any::<prop::sample::Index>(), 1..64),
    ) {
        let plan = plan(threads, block);
        let mut turn = order.iter().cycle();
        let did = drive(&plan, |n| turn.next().unwrap().index(n), |_| false);
        prop_assert!(did.failed.is_empty());
        let total: usize = did.tasks.values().map(BTreeSet::len).sum();
        prop_assert_eq!(total as u64, plan.tasks());
        whole(&plan, &did);
    }

    #[test]
    fn an_item_that_fails_takes_no_other_with_it(
        threads in 1usize..9,
        block in 3u64..40,
        bad in 0u64..5,
        at in any::<prop::sample::Index>(),
        order in prop::collection::vec(any::<prop::sample::Index>(), 1..64),
    ) {
        let plan = plan(threads, block);
        let stage = StageId(at.index(plan.stages.len()) as u32);
        let mut turn = order.iter().cycle();
        let did = drive(&plan, |n| turn.next().unwrap().index(n), |t| t.item == bad && t.stage == stage);
        prop_assert_eq!(&did.failed, &BTreeSet::from([bad]));
        whole(&plan, &did);
    }
}

#[test]
fn a_stop_lets_what_runs_end_and_starts_nothing() {
    let plan = plan(2, 8);
    let none = BTreeSet::new();
    let mut schedule = Schedule::new(&plan, plan.memory.item_budget);
    let Next::Task(first) = schedule.next(&plan, &Failed(&none)) else { panic!("no task") };
    schedule.stop();
    assert!(schedule.is_stopped());
    assert_eq!(schedule.next(&plan, &Failed(&none)), Next::Wait);
    schedule.done(&first);
    assert_eq!(schedule.next(&plan, &Failed(&none)), Next::FinishItem { group: 0, item: first.item, failed: true });
    schedule.item_finished(first.item);
    assert_eq!(schedule.next(&plan, &Failed(&none)), Next::FinishGroup(0));
    schedule.group_finished();
    assert_eq!(schedule.next(&plan, &Failed(&none)), Next::End);
}
