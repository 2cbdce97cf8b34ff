//! Random small graphs of ops on random arrays: the same bytes for any block, chunk and number of threads, fused or not,
//! straight through or stopped, torn and resumed.
//!
//! Sixty cases, or as many as `ENGINE_CASES` says; `ENGINE_TEST_SEED` repeats one run of them.

use crate::faults::Random;
use crate::support;
use engine_model::graph::build;
use engine_model::plan::{Plan, Settings, rules};
use engine_model::spec::{self, Overrides, TextSource};
use engine_runtime::bus::Bus;
use engine_runtime::event::RunStatus;
use engine_runtime::exec::clock::Clock;
use engine_runtime::exec::run::{Durability, Options, Outcome, run};
use engine_runtime::journal::Journal;
use engine_runtime::store::catalog::FileCatalog;
use engine_runtime::store::read::{self, InputOptions};
use ops_core::Pool;
use std::fmt::Write;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

struct NoFiles;

impl TextSource for NoFiles {
    fn read(&self, path: &Path) -> Result<String, String> {
        Err(format!("{} is not there", path.display()))
    }
}

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    fn one<'a, T: ?Sized>(&mut self, of: &[&'a T]) -> &'a T {
        of[self.below(of.len() as u64) as usize]
    }
}

/// A workflow of a few steps, each on one of those before it, and outputs in chunks of their own.
fn workflow(random: &mut Random) -> String {
    let rank = 1 + random.below(3) as usize;
    let largest = [400, 60, 24][rank - 1];
    let shape: Vec<u64> = (0..rank).map(|_| 1 + random.below(largest)).collect();
    let dtype = random.one(&["uint8", "int16", "uint16", "float32", "float64"]);
    let seed = random.below(1000);
    let mut text = format!(
        "version: 1\ninputs:\n  a: {{generate: {{shape: {shape:?}, dtype: {dtype}, pattern: noise, seed: {seed}}}}}\nsteps:\n"
    );
    // Names of arrays, and whether they are masks.
    let mut arrays: Vec<(String, bool)> = vec![("a".into(), false)];
    for i in 0..1 + random.below(4) {
        let (input, mask) = arrays[random.below(arrays.len() as u64) as usize].clone();
        let boundary = random.one(&["reflect", "mirror", "nearest", "wrap", "constant"]);
        let sigma = 0.3 + random.below(20) as f64 / 10.0;
        let size = 1 + random.below(5);
        let kinds = if mask { [0, 1, 2, 9, 10, 11, 12, 13, 14] } else { [0, 1, 2, 3, 4, 5, 6, 7, 8] };
        let (op, with, is_mask) = match kinds[random.below(9) as usize] + 9 * u64::from(random.below(4) == 0) {
            0 => {
                let cell: Vec<u64> = (0..rank).map(|_| 1 + random.below(20)).collect();
                let cell = if random.below(2) == 0 { format!(", cell: {cell:?}") } else { String::new() };
                ("label", format!("{{connectivity: {}{cell}}}", 1 + random.below(rank as u64)), false)
            }
            1 => ("gaussian", format!("{{sigma: {sigma}, boundary: {boundary}}}"), false),
            2 => ("cast", "{dtype: uint8}".into(), false),
            3 => ("threshold", "{relative_to: max, factor: 0.6}".into(), true),
            4 => ("median", format!("{{size: {size}, boundary: {boundary}}}"), false),
            5 => ("uniform", format!("{{size: {size}, boundary: {boundary}}}"), false),
            6 => ("normalize", "{}".into(), false),
            7 => ("maximum", format!("{{size: {size}, boundary: {boundary}}}"), false),
            8 => ("gaussian", format!("{{sigma: {sigma}, dtype: input}}"), false),
            9 => ("erode", format!("{{boundary: {boundary}, footprint: {{ball: {sigma}}}}}"), mask),
            10 => ("fill_holes", "{}".into(), true),
            11 => ("distance_transform", "{}".into(), false),
            12 if mask => ("remove_small", format!("{{min_size: {}}}", 3 * size), true),
            12 | 13 => ("flip", "{axes: x}".into(), mask),
            _ => ("downsample", "{factor: {x: 2}}".into(), mask),
        };
        writeln!(text, "  s{i}: {{op: {op}, input: {input}, with: {with}}}").unwrap();
        arrays.push((format!("s{i}"), is_mask));
    }
    text.push_str("outputs:\n");
    for (name, _) in &arrays[1..] {
        let chunks: Vec<u64> = shape.iter().map(|n| 1 + random.below(n + 3)).collect();
        let shards: Vec<u64> = chunks.iter().map(|n| n * (1 + random.below(3))).collect();
        let shards = if random.below(3) == 0 { format!(", shards: {shards:?}") } else { String::new() };
        writeln!(text, "  O{name}: {{from: {name}, format: zarr, chunks: {chunks:?}{shards}}}").unwrap();
    }
    text
}

fn plan(text: &str, settings: Settings) -> Plan {
    let (_, workflow, mut report) = spec::load(Path::new("random.yaml"), text.into(), &Overrides::default(), &NoFiles);
    let workflow = workflow.unwrap_or_else(|| panic!("{report:?}\n{text}"));
    let graph = build::build(&workflow, &FileCatalog, &mut report).unwrap_or_else(|| panic!("{report:?}\n{text}"));
    rules::make(graph, settings).unwrap_or_else(|r| panic!("{r}\n{text}"))
}

fn settings(random: &mut Random) -> Settings {
    let block = (0..random.below(2)).map(|_| 1 + random.below(40)).collect();
    let (threads, fuse) = (1 + random.below(4) as usize, random.below(3) > 0);
    Settings { memory: 1 << 30, threads, block, fuse, spill: fuse && random.below(2) == 0, waiting: 0 }
}

fn execute(plan: &Plan, dir: &Path, journal: Option<&Journal>, stop_after: Option<Duration>) -> Outcome {
    let (bus, stop, ended) = (Bus::start(Vec::new()), AtomicBool::new(false), AtomicBool::new(false));
    let results = dir.join("Results");
    let options = Options {
        results: &results,
        keep_going: false,
        cpu_profile: false,
        stop: &stop,
        bus: &bus,
        clock: Clock::default(),
        journal,
        durability: Durability::Process,
    };
    let outcome = std::thread::scope(|scope| {
        if let Some(after) = stop_after {
            let (stop, ended) = (&stop, &ended);
            scope.spawn(move || {
                std::thread::sleep(after);
                stop.store(!ended.load(Ordering::Relaxed), Ordering::Relaxed);
            });
        }
        let outcome = run(plan, &options).unwrap();
        ended.store(true, Ordering::Relaxed);
        outcome
    });
    bus.finish();
    outcome
}

/// The elements of every output.
fn decoded(plan: &Plan, dir: &Path) -> Vec<Vec<u8>> {
    let pool = Pool::default();
    let of = |o: &engine_model::graph::Output| {
        let meta = plan.graph.node(o.node).meta(0);
        let path = dir.join("Results").join(format!("{}.zarr", o.decl.name.value));
        let options = InputOptions { axes: Some(meta.axes.clone()), ..InputOptions::default() };
        read::open_keeping(&path, &options, 0).unwrap().read(&meta.region(), &pool).unwrap().0.bytes().to_vec()
    };
    plan.graph.outputs.iter().filter(|o| !o.scratch).map(of).collect()
}

#[test]
fn random_graphs_give_the_same_bytes_however_they_are_run() {
    let cases = std::env::var("ENGINE_CASES").ok().map_or(60, |n| n.parse().unwrap());
    let seed = std::env::var("ENGINE_TEST_SEED").ok().map_or_else(
        || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64,
        |seed| seed.parse().unwrap(),
    );
    println!("ENGINE_TEST_SEED={seed}");
    assert!(!ops::registered().is_empty());
    let mut random = Random(seed);
    let (mut stopped, mut torn, mut spilled) = (0, 0, 0);
    for case in 0..cases {
        let text = workflow(&mut random);
        let what = || format!("case {case} of seed {seed}:\n{text}");
        let (whole, dir) = (support::temp(), support::temp());
        let plain = Settings { memory: 1 << 30, threads: 1, block: vec![500], fuse: false, spill: false, waiting: 0 };
        let reference = plan(&text, plain);
        let ran = execute(&reference, whole.path(), None, None);
        assert_eq!(ran.status, RunStatus::Ok, "{:?} {}", ran.failures, what());
        let want = decoded(&reference, whole.path());
        let chosen = settings(&mut random);
        let other = plan(&text, chosen.clone());
        spilled += u64::from(other.graph.outputs.iter().any(|o| o.scratch));
        std::fs::create_dir_all(dir.path().join("Reports")).unwrap();
        let path = dir.path().join("Reports/journal");
        let mut journal = Journal::create(&path, false).unwrap();
        for _ in 0..1 + random.below(3) {
            let after = Duration::from_micros(random.below(4000));
            let ran = execute(&other, dir.path(), Some(&journal), Some(after));
            assert!(ran.failures.is_empty(), "{:?} {}", ran.failures, what());
            stopped += u64::from(ran.status == RunStatus::Interrupted);
            drop(journal);
            if random.below(2) == 0 {
                // A kill: what was done last is not told.
                let bytes = std::fs::read(&path).unwrap();
                let kept = bytes.len() as u64 - random.below(bytes.len() as u64 - 16);
                std::fs::write(&path, &bytes[..kept as usize]).unwrap();
                torn += 1;
            }
            journal = Journal::open(&path, false).unwrap();
        }
        let ran = execute(&other, dir.path(), Some(&journal), None);
        assert_eq!(ran.status, RunStatus::Ok, "{:?} {}", ran.failures, what());
        assert_eq!(decoded(&other, dir.path()), want, "{chosen:?} {}", what());
    }
    let seen = format!("stopped {stopped} times, torn {torn} times, {spilled} went through scratch");
    println!("{cases} cases, {seen}");
    assert!(cases < 50 || (stopped > 5 && torn > 5 && spilled > 5), "{seen}");
}
