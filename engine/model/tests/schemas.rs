//! The files in `schemas/` are what the code says; `UPDATE=1` rewrites them.

use engine_model::spec::schema;
use ops as _;
use ops_core::registry;
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use std::path::Path;

fn published() -> Json {
    schema::published(&registry::all())
}

#[test]
fn schemas_are_up_to_date() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schemas");
    let wanted: BTreeMap<String, String> = schema::files(&registry::all()).into_iter().collect();
    if std::env::var_os("UPDATE").is_some() {
        for (name, text) in &wanted {
            let path = root.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
    }
    for (name, text) in &wanted {
        let found = std::fs::read_to_string(root.join(name)).unwrap_or_default();
        assert!(found == *text, "schemas/{name} is stale: `engine schema --write schemas` rewrites it");
    }
    for e in std::fs::read_dir(root.join("ops")).unwrap() {
        let name = format!("ops/{}", e.unwrap().file_name().to_str().unwrap());
        assert!(wanted.contains_key(&name), "schemas/{name} belongs to no op");
    }
}

#[test]
fn the_structure_that_is_read_is_that_of_the_types() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/spec/structure.json");
    let wanted = schema::structure_file();
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &wanted).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap();
    assert!(found == wanted, "structure.json is stale: run this test with UPDATE=1");
}

#[test]
fn the_published_schema_checks_what_an_editor_shows() {
    let validator = jsonschema::validator_for(&published()).unwrap();
    let workflow = |step: Json| json!({"version": 1, "inputs": {"image": {"path": "a.tif"}}, "steps": {"x": step}, "outputs": {"X": {"from": "x"}}});
    let valid = |step: Json| validator.is_valid(&workflow(step));
    assert!(valid(json!({"op": "gaussian", "input": "image", "with": {"sigma": 1}})));
    assert!(valid(json!({"op": "gaussian", "input": "image", "with": {"sigma": "${params.sigma}"}})));
    assert!(valid(json!({"op": "gaussian", "input": "image", "with": {"sigma": [1, "${params.s}"]}})));
    assert!(valid(json!({"op": "gaussian", "input": "image", "with": {"sigma": 1, "boundary": "${params.b}"}})));
    assert!(valid(json!({"op": "invert", "input": "image", "when": "${params.on}", "x-note": 1})));
    assert!(valid(json!({"use": "other.yaml", "input": "image", "with": {"anything": 1}})));
    assert!(!valid(json!({"op": "gaussian", "input": "image"})), "sigma is missing");
    assert!(!valid(json!({"op": "gaussian", "input": "image", "with": {"sgima": 1}})));
    assert!(!valid(json!({"op": "gaussian", "input": "image", "with": {"sigma": "wide"}})));
    assert!(!valid(json!({"op": "gaussian", "input": "image", "with": {"sigma": -1}})));
    assert!(!valid(json!({"op": "gausian", "input": "image"})));
    assert!(!valid(json!({"op": "invert", "use": "a.yaml", "input": "image"})));
    assert!(!valid(json!({"input": "image"})));
    let body = json!({"y": {"op": "gaussian", "input": "x", "with": {"sgima": 1}}});
    assert!(!valid(json!({"input": "image", "repeat": {"times": 2, "carry": {"x": "y"}, "steps": body}})));
}

#[test]
fn every_parameter_of_every_op_has_a_description() {
    for op in registry::all() {
        let schema = schema::of_op(op);
        assert!(schema["description"].is_string(), "{}", op.name);
        for (name, p) in schema["properties"].as_object().into_iter().flatten() {
            assert!(p["description"].is_string(), "{}: {name} is not described", op.name);
        }
    }
}

#[test]
fn shipped_and_golden_workflows_fit_the_published_schema() {
    let validator = jsonschema::validator_for(&published()).unwrap();
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/diagnostics");
    for name in ["valid.yaml", "valid_use.yaml", "valid_include.yaml", "_blur.yaml"] {
        let text = std::fs::read_to_string(golden.join(name)).unwrap();
        // Read by an independent YAML library, as an editor would.
        let value: Json = serde_yaml::from_str(&text).unwrap();
        let errors: Vec<String> =
            validator.iter_errors(&value).map(|e| format!("{}: {e}", e.instance_path())).collect();
        assert!(errors.is_empty(), "{name}: {errors:?}");
    }
}
