//! Every registered op passes the contract battery, and the registry holds what the golden list names.

use ops_core::contract::{Check, run};
use std::collections::BTreeSet;

/// Ops whose declared reach is a bound and not exact: adaptive ones.
const HALO_BOUNDS: &str = include_str!("golden/halo_bounds.txt");
const GOLDEN: &str = include_str!("golden/ops.txt");

fn names(text: &str) -> BTreeSet<&str> {
    text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#')).collect()
}

#[test]
fn every_registered_op_keeps_the_contract() {
    let bounds = names(HALO_BOUNDS);
    // To look closer: `BATTERY_OP=gaussian BATTERY_SEED=7 cargo test -p ops --test battery -- --nocapture`.
    let only = std::env::var("BATTERY_OP").ok();
    let seed = std::env::var("BATTERY_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(20260117);
    let mut battered = BTreeSet::new();
    let mut broken = Vec::new();
    for entry in ops::registered() {
        if only.as_ref().is_some_and(|o| o != entry.name) {
            continue;
        }
        let start = std::time::Instant::now();
        let report = run(entry, seed);
        println!("{:<14} {:>6.2} s  {} checks", entry.name, start.elapsed().as_secs_f64(), report.total());
        for check in [
            Check::Runs,
            Check::Expected,
            Check::ChunkedEqualsWhole,
            Check::SimdPaths,
            Check::Threads,
            Check::RoundTrip,
        ] {
            assert!(report.ran(check) > 0, "{}: {} never ran", entry.name, check.name());
        }
        let exempt = |c: Check| c == Check::HaloMinimal && bounds.contains(entry.name);
        broken.extend(report.violations.iter().filter(|v| !exempt(v.check)).map(|v| format!("{} {v}", entry.name)));
        battered.insert(entry.name);
    }
    assert!(broken.is_empty(), "{} violations\n{}", broken.len(), broken.join("\n"));
    if only.is_none() {
        assert_eq!(battered, names(GOLDEN), "battered ops against ops/tests/golden/ops.txt");
    }
}

#[test]
fn the_registry_is_the_golden_list_without_repeats() {
    let registered: Vec<&str> = ops::registered().iter().map(|e| e.name).collect();
    assert_eq!(registered, names(GOLDEN).into_iter().collect::<Vec<_>>(), "registered ops against golden/ops.txt");
}

#[test]
fn halo_bounds_name_only_ops_that_exist() {
    assert!(names(HALO_BOUNDS).is_subset(&names(GOLDEN)));
}

#[test]
fn an_op_lives_in_the_domain_it_names() {
    for entry in ops::registered() {
        let file = format!("{}/src/{}/{}.rs", env!("CARGO_MANIFEST_DIR"), entry.domain, entry.name);
        assert!(
            std::path::Path::new(&file).is_file(),
            "{} is not in src/{}/{}.rs",
            entry.name,
            entry.domain,
            entry.name
        );
    }
}
