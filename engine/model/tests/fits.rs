//! `spec::check::fits` says of a value what jsonschema says, wherever it says anything: it decides whether that is asked at all.

use engine_model::diag::Report;
use engine_model::spec::check::fits;
use engine_model::spec::schema;
use engine_model::spec::yaml;
use jsonschema::Validator;
use ops as _;
use ops_core::registry;
use proptest::prelude::*;
use serde_json::{Value as Json, json};
use std::path::Path;
use std::sync::LazyLock;

/// A schema as it is walked, the same compiled, and values to begin with.
struct Case {
    name: String,
    brief: Json,
    validator: Validator,
    values: Vec<Json>,
}

fn parsed(text: &str) -> Option<Json> {
    yaml::parse(text, 0, 0, &mut Report::default()).map(|n| n.to_json())
}

fn folder(path: &str) -> Vec<Json> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path);
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    paths.sort();
    paths.retain(|p| p.extension().is_some_and(|e| e == "yaml"));
    paths.iter().filter_map(|p| parsed(&std::fs::read_to_string(p).unwrap())).collect()
}

static CASES: LazyLock<Vec<Case>> = LazyLock::new(|| {
    let compiled = |json: &Json| jsonschema::validator_for(json).unwrap();
    let structural = schema::structural();
    let mut values = folder("workflows");
    values.extend(folder("tests/golden/diagnostics"));
    let (brief, validator) = (schema::brief_structural(), compiled(&structural));
    let mut cases = vec![Case { name: "the workflow".into(), brief, validator, values }];
    for op in registry::all() {
        let schema = schema::of_op(op);
        let example = parsed(op.example).unwrap();
        let with = example.as_object().unwrap().values().next().unwrap().get("with").cloned();
        let mut values: Vec<Json> = (op.cases)().into_iter().map(|c| c.with).collect();
        values.push(with.unwrap_or_else(|| json!({})));
        cases.push(Case { name: op.name.into(), validator: compiled(&schema), brief: schema, values });
    }
    cases
});

fn agrees(case: &Case, value: &Json) -> bool {
    fits(&case.brief, value).is_none_or(|fits| fits == case.validator.is_valid(value))
}

#[test]
fn what_is_right_is_told_without_a_compiled_schema() {
    for case in CASES.iter() {
        for value in &case.values {
            assert!(agrees(case, value), "{}: {value}", case.name);
            let slow = fits(&case.brief, value).is_none() && case.validator.is_valid(value);
            // A float that is a whole number is left to jsonschema.
            assert!(!slow || value.to_string().contains(".0"), "{}: {value} is right and not understood", case.name);
        }
    }
}

#[test]
fn each_keyword_by_hand() {
    let says = |schema: Json, value: Json| fits(&schema, &value);
    assert_eq!(says(json!({"type": ["string", "integer"], "minimum": 2}), json!(1)), Some(false));
    assert_eq!(says(json!({"type": ["string", "integer"], "minimum": 2}), json!("a")), Some(true));
    assert_eq!(says(json!({"type": "integer"}), json!(2.0)), None);
    assert_eq!(says(json!({"exclusiveMinimum": 0.0}), json!(0)), Some(false));
    assert_eq!(says(json!({"maximum": 9_007_199_254_740_993_u64}), json!(9_007_199_254_740_992.0)), None);
    assert_eq!(says(json!({"enum": [2, 0.4]}), json!(0.4)), Some(true));
    assert_eq!(says(json!({"pattern": "^[0-9a-f]{2}$"}), json!("0g")), Some(false));
    assert_eq!(says(json!({"pattern": "^[tczyx]{1,5}$"}), json!("yx")), Some(true));
    assert_eq!(says(json!({"pattern": "^(a|b)$"}), json!("a")), None);
    assert_eq!(says(json!({"minLength": 2}), json!("é")), Some(false));
    assert_eq!(says(json!({"oneOf": [{"type": "number"}, {"minimum": 1}]}), json!(1)), Some(false));
    let object = json!({
        "properties": {"a": {"type": "null"}},
        "patternProperties": {"^x-": true},
        "additionalProperties": false,
        "required": ["a"],
    });
    assert_eq!(says(object.clone(), json!({"a": null, "x-b": 1})), Some(true));
    assert_eq!(says(object.clone(), json!({"a": null, "b": 1})), Some(false));
    assert_eq!(says(object, json!({})), Some(false));
    assert_eq!(says(json!({"not": true}), json!(1)), None);
}

/// Puts a value somewhere in another, removes one, or adds one under a key.
fn mutate(value: &mut Json, path: &[u16], new: &Json, key: Option<&str>) {
    match (value, path.split_first()) {
        (Json::Object(o), Some((at, rest))) if !o.is_empty() => {
            let name = o.keys().nth(*at as usize % o.len()).unwrap().clone();
            if rest.is_empty() && new.is_null() && key.is_some() {
                o.shift_remove(&name);
            } else {
                mutate(&mut o[&name], rest, new, key);
            }
        }
        (Json::Array(v), Some((at, rest))) if !v.is_empty() => {
            let at = *at as usize % v.len();
            mutate(&mut v[at], rest, new, key);
        }
        (Json::Object(o), _) if key.is_some() => drop(o.insert(key.unwrap().to_owned(), new.clone())),
        (Json::Array(v), _) if key.is_some() => v.push(new.clone()),
        (value, _) => *value = new.clone(),
    }
}

fn anything() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(Json::from),
        (-3i64..40).prop_map(Json::from),
        (-3i64..9).prop_map(|n| json!(n as f64 / 2.0)),
        prop::sample::select(vec![u64::MAX, 1 << 53, (1 << 53) + 1, 4096, 4097]).prop_map(Json::from),
        prop::sample::select(vec!["", "a", "yx", "zyxx", "auto", "reflect", "item", "uint8", "csv", "4GiB"])
            .prop_map(Json::from),
    ];
    leaf.prop_recursive(2, 6, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Json::from),
            prop::collection::vec((prop::sample::select(vec!["x-a", "op", "path", "minimum", "levels"]), inner), 0..3)
                .prop_map(|v| Json::Object(v.into_iter().map(|(k, v)| (k.to_owned(), v)).collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn jsonschema_says_the_same_of_changed_values(
        which in any::<(u16, u16, bool)>(),
        edits in prop::collection::vec(
            (prop::collection::vec(any::<u16>(), 0..7), anything(), prop::option::of(prop::sample::select(vec![
                "x-a", "op", "input", "with", "foreach", "path", "from", "to", "times", "mode", "unknown", "over",
            ]))),
            0..4,
        ),
    ) {
        // Half of all are workflows.
        let case = if which.2 { &CASES[0] } else { &CASES[which.0 as usize % CASES.len()] };
        let mut value = case.values[which.1 as usize % case.values.len()].clone();
        for (path, new, key) in &edits {
            mutate(&mut value, path, new, *key);
        }
        prop_assert!(agrees(case, &value), "{}: {value}", case.name);
    }
}
