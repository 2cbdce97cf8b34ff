//! Which task comes next: a pure state machine, without threads, files or a clock.
//!
//! Tasks are enumerated lazily: what is held is one small record for each item in flight, however many items and
//! blocks there are. Order is depth first: the oldest item's furthest stage comes first, so that what was made is soon
//! consumed and freed. The driver in [`crate::exec`] calls it under one lock.

use engine_model::plan::{Plan, StageId, memory};
use smallvec::SmallVec;
use std::collections::VecDeque;

/// One task: a block of a stage, for an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Task {
    /// Number of the group.
    pub group: usize,
    /// Number of the item.
    pub item: u64,
    /// The item's class.
    pub class: usize,
    /// The stage.
    pub stage: StageId,
    /// Number of the block in the stage's grid.
    pub block: u64,
}

/// What a worker does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Run this task, then call [`Schedule::done`] or [`Schedule::fail`].
    Task(Task),
    /// Complete this stage of an item (its last task is done), then call [`Schedule::stage_finished`].
    FinishStage(Task),
    /// Complete an item, then call [`Schedule::item_finished`].
    FinishItem {
        /// Number of the group.
        group: usize,
        /// Number of the item.
        item: u64,
        /// True when a task of it failed or it was dropped by a stop.
        failed: bool,
    },
    /// Complete a group, then call [`Schedule::group_finished`].
    FinishGroup(usize),
    /// Nothing now; something will come when another worker reports.
    Wait,
    /// Nothing any more.
    End,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// It waits for other stages.
    Locked,
    /// Its tasks are handed out.
    Running,
    /// Its last task is done; a worker completes it.
    Finishing,
    /// What it leaves is there.
    Finished,
}

#[derive(Debug)]
struct StageRun {
    id: StageId,
    total: u64,
    /// The next block to hand out.
    next: u64,
    /// Blocks handed out and not done, ascending.
    running: SmallVec<[u64; 8]>,
    /// How far a block may run ahead of the oldest one not done: bounds what ordered writers hold.
    ahead: u64,
    state: State,
}

impl StageRun {
    fn can_issue(&self) -> bool {
        self.state == State::Running
            && self.next < self.total
            && self.running.first().is_none_or(|&oldest| self.next - oldest < self.ahead)
    }

    fn exhausted(&self) -> bool {
        self.state == State::Running && self.next == self.total && self.running.is_empty()
    }
}

#[derive(Debug)]
struct ItemRun {
    item: u64,
    class: usize,
    bytes: u64,
    stages: SmallVec<[StageRun; 4]>,
    /// Tasks and completions handed out and not reported.
    outstanding: u32,
    failed: bool,
    finishing: bool,
}

/// How an item is enumerated: its class, and whether an earlier failure rules it out.
pub trait ItemSource {
    /// The class of item `item` of group `group`; `None` when it is not to run.
    fn class(&self, group: usize, item: u64) -> Option<usize>;
}

/// The state machine.
#[derive(Debug)]
pub struct Schedule {
    group: usize,
    next_item: u64,
    items: VecDeque<ItemRun>,
    in_flight_bytes: u64,
    budget: u64,
    window: usize,
    threads: usize,
    /// Bytes an item of each class takes in this group, once asked for.
    footprints: Vec<Option<u64>>,
    finishing_group: bool,
    stopped: bool,
}

impl Schedule {
    /// Starts at the first group. `budget` is what items in flight may take together.
    pub fn new(plan: &Plan, budget: u64) -> Schedule {
        Schedule {
            group: 0,
            next_item: 0,
            items: VecDeque::new(),
            in_flight_bytes: 0,
            budget,
            window: plan.memory.window.max(1) as usize,
            threads: plan.settings.threads.max(1),
            footprints: Vec::new(),
            finishing_group: false,
            stopped: false,
        }
    }

    /// Hands out no more tasks; what runs is still waited for.
    pub fn stop(&mut self) {
        self.stopped = true;
        self.items.iter_mut().for_each(|i| i.failed = true);
    }

    /// True after [`Schedule::stop`].
    pub fn is_stopped(&self) -> bool {
        self.stopped
    }

    /// What the calling worker does next.
    pub fn next(&mut self, plan: &Plan, source: &dyn ItemSource) -> Next {
        loop {
            if self.group >= plan.groups.len() {
                return Next::End;
            }
            if self.finishing_group {
                return Next::Wait;
            }
            if let Some(next) = self.next_of_items() {
                return next;
            }
            if self.admit(plan, source) {
                continue;
            }
            let items = plan.graph.items(plan.groups[self.group].family);
            if self.items.is_empty() && (self.stopped || self.next_item >= items) {
                self.finishing_group = true;
                return Next::FinishGroup(self.group);
            }
            return Next::Wait;
        }
    }

    /// The oldest item's furthest stage that has something to do.
    fn next_of_items(&mut self) -> Option<Next> {
        let group = self.group;
        for run in &mut self.items {
            if run.finishing {
                continue;
            }
            let (item, class) = (run.item, run.class);
            if run.failed || run.stages.iter().all(|s| s.state == State::Finished) {
                if run.outstanding > 0 {
                    continue;
                }
                run.finishing = true;
                return Some(Next::FinishItem { group, item, failed: run.failed });
            }
            for at in (0..run.stages.len()).rev() {
                let task = |block| Task { group, item, class, stage: run.stages[at].id, block };
                if run.stages[at].exhausted() {
                    let next = Next::FinishStage(task(0));
                    run.stages[at].state = State::Finishing;
                    run.outstanding += 1;
                    return Some(next);
                }
                if run.stages[at].can_issue() {
                    let block = run.stages[at].next;
                    let next = Next::Task(task(block));
                    run.stages[at].next += 1;
                    run.stages[at].running.push(block);
                    run.outstanding += 1;
                    return Some(next);
                }
            }
        }
        None
    }

    fn admit(&mut self, plan: &Plan, source: &dyn ItemSource) -> bool {
        let group = &plan.groups[self.group];
        let count = plan.graph.items(group.family);
        let batch = group.family.and_then(|f| plan.graph.input(f).decl.batch).unwrap_or(u64::MAX);
        let window = self.window.min(usize::try_from(batch.max(1)).unwrap_or(usize::MAX));
        while !self.stopped && self.next_item < count && self.items.len() < window {
            let item = self.next_item;
            if !group.runs(item) {
                self.next_item += 1;
                continue;
            }
            let Some(class) = source.class(self.group, item) else {
                self.next_item += 1;
                continue;
            };
            if self.footprints.len() <= class {
                self.footprints.resize(class + 1, None);
            }
            let bytes = *self.footprints[class].get_or_insert_with(|| memory::item_bytes(plan, group, class));
            if !self.items.is_empty() && self.in_flight_bytes.saturating_add(bytes) > self.budget {
                return false;
            }
            self.next_item += 1;
            self.in_flight_bytes += bytes;
            let stages = group.stages_of(class).iter().map(|&id| self.stage_run(plan, id, class)).collect();
            let mut run = ItemRun { item, class, bytes, stages, outstanding: 0, failed: false, finishing: false };
            unlock(plan, &mut run);
            self.items.push_back(run);
            return true;
        }
        false
    }

    fn stage_run(&self, plan: &Plan, id: StageId, class: usize) -> StageRun {
        let grid = plan.grid(plan.stage(id), class);
        let row = grid.counts().last().copied().unwrap_or(1);
        StageRun {
            id,
            total: grid.count(),
            next: 0,
            running: SmallVec::new(),
            ahead: row + 2 * self.threads as u64,
            state: State::Locked,
        }
    }

    fn find(&mut self, item: u64) -> Option<&mut ItemRun> {
        self.items.iter_mut().find(|r| r.item == item)
    }

    /// A task did its work.
    pub fn done(&mut self, task: &Task) {
        if let Some(run) = self.find(task.item) {
            run.outstanding -= 1;
            if let Some(s) = run.stages.iter_mut().find(|s| s.id == task.stage) {
                s.running.retain(|b| *b != task.block);
            }
        }
    }

    /// A task failed: nothing more of its item is handed out.
    pub fn fail(&mut self, task: &Task) {
        self.done(task);
        self.fail_item(task.item);
    }

    /// Nothing more of this item is handed out.
    pub fn fail_item(&mut self, item: u64) {
        if let Some(run) = self.find(item) {
            run.failed = true;
        }
    }

    /// A stage of an item is complete; what waited for it may start.
    pub fn stage_finished(&mut self, plan: &Plan, task: &Task) {
        if let Some(run) = self.find(task.item) {
            run.outstanding -= 1;
            if let Some(s) = run.stages.iter_mut().find(|s| s.id == task.stage) {
                s.state = State::Finished;
            }
            unlock(plan, run);
        }
    }

    /// An item is complete, or was dropped.
    pub fn item_finished(&mut self, item: u64) {
        if let Some(at) = self.items.iter().position(|r| r.item == item)
            && let Some(run) = self.items.remove(at)
        {
            self.in_flight_bytes -= run.bytes;
        }
    }

    /// A group is complete; the next one starts.
    pub fn group_finished(&mut self) {
        self.group += 1;
        self.next_item = 0;
        self.footprints.clear();
        self.finishing_group = false;
        if self.stopped {
            self.group = usize::MAX;
        }
    }
}

/// Lets stages start whose predecessors are finished.
fn unlock(plan: &Plan, run: &mut ItemRun) {
    for at in 0..run.stages.len() {
        let ready = |a: &StageId| run.stages.iter().any(|s| s.id == *a && s.state == State::Finished);
        if run.stages[at].state == State::Locked && plan.stage(run.stages[at].id).after.iter().all(ready) {
            run.stages[at].state = State::Running;
        }
    }
}
