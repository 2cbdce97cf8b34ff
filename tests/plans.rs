//! Plans of the workflows that ship, as golden texts, and that a run does what its plan says.
//!
//! `UPDATE=1 cargo test -p engine --test acceptance plans` writes the texts anew; read the difference before keeping it.

use crate::support::{self, Run, call, stdout, tree};
use serde_json::Value as Json;

/// What decides a plan besides the workflow, fixed.
const WITHIN: [&str; 4] = ["--threads", "2", "--memory", "4GiB"];

fn plan_json(file: &str, more: &[&str]) -> Json {
    let output = call(&[&["plan", file, "--json", "--threads", "2"], more].concat());
    serde_json::from_str(&stdout(&output)).unwrap()
}

#[test]
fn plans_of_what_ships_are_the_golden_ones() {
    for name in ["bcss", "astronaut"] {
        let file = support::workflow(&format!("{name}.yaml"));
        let text = stdout(&call(&[&["plan", file.to_str().unwrap()], &WITHIN[..]].concat()));
        let golden = support::root().join(format!("tests/golden/plans/{name}.txt"));
        if std::env::var_os("UPDATE").is_some() {
            support::write(&golden, &text);
        }
        let expected = std::fs::read_to_string(&golden).unwrap_or_default();
        assert_eq!(text, expected, "{} differs; UPDATE=1 writes it anew", golden.display());
    }
}

#[test]
fn images_are_decoded_once_where_memory_has_room_and_again_where_not() {
    let file = support::workflow("bcss.yaml");
    let once: u64 = tree::files(&support::data("histology"))
        .iter()
        .filter(|f| f.extension().is_some_and(|e| e == "png"))
        .map(|f| support::data("histology").join(f).metadata().unwrap().len())
        .sum();
    let file_text = file.to_str().unwrap();
    let roomy = plan_json(file_text, &["--memory", "4GiB"]);
    assert_eq!(roomy["handed_on"][0]["items"], 10, "{}", roomy["handed_on"]);
    let first = Run::ok(&file, &WITHIN);
    assert_eq!(first.number("bytes_read") as u64, once, "each file is read once");

    // The refused plan says how much the least would be: nothing is left to hand on.
    let least = plan_json(file_text, &["--memory", "1MiB"])["memory"]["projected"].to_string();
    let tight = Run::ok(&file, &["--threads", "2", "--memory", &least]);
    assert_eq!(tight.number("bytes_read") as u64, 2 * once, "each pass reads each file");

    // In between, the first items are handed on and the others read again.
    let some = (least.parse::<u64>().unwrap() + (3 << 20)).to_string();
    let plan = plan_json(file_text, &["--memory", &some]);
    let items = plan["handed_on"][0]["items"].as_u64().unwrap_or(0);
    assert!((1..10).contains(&items), "{}", plan["handed_on"]);
    assert!(plan["memory"]["projected"].as_u64().unwrap() <= some.parse::<u64>().unwrap(), "{}", plan["memory"]);
    let partly = Run::ok(&file, &["--threads", "2", "--memory", &some]);
    let read = partly.number("bytes_read") as u64;
    assert!(once < read && read < 2 * once, "{read} of {once}");

    for other in [&tight, &partly] {
        assert_eq!(tree::digests(&first.dir().join("Results")), tree::digests(&other.dir().join("Results")));
    }
}
