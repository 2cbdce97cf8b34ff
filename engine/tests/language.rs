//! What the language decides while planning, told by the graph it makes.

use engine_model::diag::{Style, text};
use engine_model::graph::{Graph, build};
use engine_model::plan::{Settings, print, rules};
use engine_model::spec::{self, Overrides, TextSource};
use engine_runtime::store::catalog::FileCatalog;
use std::path::Path;

struct NoFiles;

impl TextSource for NoFiles {
    fn read(&self, path: &Path) -> Result<String, String> {
        Err(format!("{} is not there", path.display()))
    }
}

const GREY: &str = "  image: {generate: {shape: [20, 30], dtype: uint8, pattern: noise}}";

/// The graph of a workflow with these steps and the output `Result`, or what is wrong with it.
fn graph(inputs: &str, steps: &str) -> Result<Graph, String> {
    assert!(!ops::registered().is_empty());
    let yaml = format!("version: 1\ninputs:\n{inputs}\nsteps:\n{steps}\noutputs:\n  Result: {{from: result}}\n");
    let (sources, workflow, mut report) = spec::load(Path::new("w.yaml"), yaml, &Overrides::default(), &NoFiles);
    let graph = workflow.and_then(|w| build::build(&w, &FileCatalog, &mut report));
    graph.ok_or_else(|| text(&sources, &report, Style::Plain))
}

/// What is computed, without the names of the steps.
fn computed(g: &Graph) -> Vec<String> {
    let node =
        |n: &engine_model::graph::Node| format!("{} {} {:?} {:?} {:?}", n.op, n.params, n.arrays, n.values, n.metas);
    g.nodes.iter().map(node).collect()
}

#[test]
fn a_step_takes_part_by_what_is_known_of_an_array() {
    let steps = |when: &str| {
        format!(
            "  smooth: {{op: gaussian, input: image, with: {{sigma: 2}}, when: {{input: image, {when}}}}}\n  \
             result: {{op: invert, input: smooth}}"
        )
    };
    let on =
        graph(GREY, "  s: {op: gaussian, input: image, with: {sigma: 2}}\n  result: {op: invert, input: s}").unwrap();
    let off = graph(GREY, "  result: {op: invert, input: image}").unwrap();
    assert_ne!(computed(&on), computed(&off));
    let holds =
        ["rank: 2", "rank: {minimum: 2, maximum: 2}", "dtype: [uint16, uint8]", "axes: yx", "extent: {x: 30, c: 1}"];
    for when in holds {
        let g = graph(GREY, &steps(when)).unwrap();
        assert_eq!((computed(&g), g.decided[0].on), (computed(&on), true), "{when}");
    }
    for when in [
        "rank: {minimum: 3}",
        "dtype: float32",
        "axes: [x, zyx]",
        "extent: {x: 30, y: {maximum: 19}}",
        "rank: 2, extent: {z: 2}",
    ] {
        let g = graph(GREY, &steps(when)).unwrap();
        assert_eq!((computed(&g), g.decided[0].on), (computed(&off), false), "{when}");
    }
    let g = graph(GREY, &steps("rank: 3")).unwrap();
    let plan =
        rules::make(g, Settings { memory: 1 << 30, threads: 1, block: vec![], fuse: true, spill: false, waiting: 0 })
            .unwrap();
    let shown = print::text(&plan);
    assert!(shown.contains("when     smooth: off (`image` is uint8 yx (20, 30))"), "{shown}");
}

#[test]
fn a_condition_may_look_at_a_step_that_stands_later() {
    let steps = "  result: {op: invert, input: image, when: {input: mask, dtype: bool}}\n  \
                 mask: {op: threshold, input: image, with: {value: 3}}";
    let g = graph(GREY, steps).unwrap();
    assert!(g.decided[0].on && g.decided[0].step == "result");
}

#[test]
fn conditions_without_an_answer_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    for (name, width) in [("a", 4), ("b", 8)] {
        image::GrayImage::new(width, 4).save(dir.path().join(format!("{name}.png"))).unwrap();
    }
    let two = format!("  image: {{foreach: \"{}/*.png\"}}", dir.path().display());
    let said = graph(&two, "  result: {op: invert, input: image, when: {input: image, extent: {x: 4}}}").unwrap_err();
    assert!(
        said.contains("error[E0515]") && said.contains("`a` (uint8 yx (4, 4)) says on, `b` (uint8 yx (4, 8)) says off"),
        "{said}"
    );
    assert!(graph(&two, "  result: {op: invert, input: image, when: {input: image, extent: {y: 4}}}").is_ok());

    let table = "  labels: {op: label, input: mask}\n  mask: {op: threshold, input: image, with: {value: 3}}\n  \
                 t: {op: measure, inputs: {labels: labels, image: image}}\n  result: {op: invert, input: image, when: {input: t, rank: 2}}";
    let said = graph(GREY, table).unwrap_err();
    assert!(said.contains("error[E0414]") && said.contains("found a table: `t`"), "{said}");

    let several = "  sum: {op: arithmetic, inputs: {a: image, b: image}, with: {operation: add}, when: {input: image, rank: 3}}\n  \
                   result: {op: invert, input: sum}";
    let said = graph(GREY, several).unwrap_err();
    assert!(said.contains("error[E0313]") && said.contains("`sum` is off"), "{said}");
}

#[test]
fn a_repeat_is_what_it_is_unrolled_by_hand() {
    let repeated = graph(
        GREY,
        "  result:\n    input: image\n    repeat: {times: 3, carry: {x: n}, steps: {s: {op: gaussian, input: x, with: {sigma: 1}}, n: {op: invert, input: s}}}",
    );
    let by_hand: String = ["image", "n0", "n1"]
        .iter()
        .enumerate()
        .map(|(i, from)| {
            let to = if i == 2 { "result".to_owned() } else { format!("n{i}") };
            format!(
                "  s{i}: {{op: gaussian, input: {from}, with: {{sigma: 1}}}}\n  {to}: {{op: invert, input: s{i}}}\n"
            )
        })
        .collect();
    assert_eq!(computed(&repeated.unwrap()), computed(&graph(GREY, &by_hand).unwrap()));
}

#[test]
fn inputs_that_the_workflow_names() {
    let two = |expression: &str| {
        format!(
            "  dim: {{op: invert, input: image}}\n  \
             result: {{op: expression, inputs: {{bright: image, dark: dim}}, with: {{expression: \"{expression}\"}}}}"
        )
    };
    let g = graph(GREY, &two("bright * 2 - dark")).unwrap();
    assert_eq!(g.nodes.last().unwrap().metas[0].to_string(), "float64 yx (20, 30)");
    // What is computed does not depend on what the inputs are called.
    let other = two("b * 2 - d").replace("bright:", "b:").replace("dark:", "d:");
    assert_eq!(computed(&g), computed(&graph(GREY, &other).unwrap()));
    let wrong = graph(GREY, &two("bright + drak")).unwrap_err();
    assert!(wrong.contains("E0511") && wrong.contains("found `drak`"), "{wrong}");
    assert!(wrong.contains("`bright`, `dark`") && wrong.contains("w.yaml:6:"), "{wrong}");
    let unused = graph(GREY, &two("bright + 1")).unwrap_err();
    assert!(unused.contains("no `dark` in it"), "{unused}");
    let one = "  result: {op: expression, input: image, with: {expression: sqrt(input), dtype: float32}}";
    assert_eq!(graph(GREY, one).unwrap().nodes.last().unwrap().metas[0].to_string(), "float32 yx (20, 30)");
    let both = "  dim: {op: invert, input: image}\n  \
                result: {op: concatenate, inputs: {left: image, right: dim}, with: {axis: x}}";
    assert_eq!(graph(GREY, both).unwrap().nodes.last().unwrap().metas[0].to_string(), "uint8 yx (20, 60)");
    let items = "  image: {generate: {items: 3, shape: [20, 30], dtype: uint8, pattern: noise}}";
    let joined = "  result: {op: concatenate, input: image, with: {axis: y}}";
    assert_eq!(graph(items, joined).unwrap().nodes.last().unwrap().metas[0].to_string(), "uint8 yx (60, 30)");
}
