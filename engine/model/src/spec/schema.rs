//! JSON Schemas: the structural one that validation uses, and the published one that editors use.

use super::file::WorkflowFile;
use ops_core::OpEntry;
use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value as Json, json};

/// What a `${params.name}` reference looks like, as a regular expression.
pub const REFERENCE: &str = r"^\$\{params\.[A-Za-z_][A-Za-z0-9_-]*\}$";

/// The schema of a workflow file after substitution, without the parameters of ops.
pub fn structural() -> Json {
    let settings = SchemaSettings::draft2020_12().with(|s| s.inline_subschemas = true);
    let schema = SchemaGenerator::from(settings).into_root_schema_for::<WorkflowFile>();
    without_null(schema.to_value())
}

/// The structural schema without its words, read from a file: making the schema from the types takes ten times as long, and is
/// needed only for what is wrong with a workflow.
pub fn brief_structural() -> Json {
    // Anything but a schema decides nothing.
    serde_json::from_str(include_str!("structure.json")).unwrap_or_default()
}

/// The text of the file that [`brief_structural`] reads, as the types say it.
pub fn structure_file() -> String {
    let mut schema = structural();
    without_words(&mut schema);
    format!("{schema:#}\n")
}

/// Removes what decides nothing.
fn without_words(schema: &mut Json) {
    let Some(o) = schema.as_object_mut() else { return };
    o.retain(|keyword, _| !["$schema", "title", "description", "default", "format"].contains(&keyword.as_str()));
    for (keyword, rule) in o {
        match (keyword.as_str(), rule) {
            ("properties" | "patternProperties" | "$defs", Json::Object(named)) => {
                named.values_mut().for_each(without_words);
            }
            ("anyOf" | "oneOf" | "allOf" | "prefixItems", Json::Array(branches)) => {
                branches.iter_mut().for_each(without_words);
            }
            ("additionalProperties" | "items", rule) => without_words(rule),
            _ => {}
        }
    }
}

/// The schema of one op's `with:`.
pub fn of_op(entry: &OpEntry) -> Json {
    without_null((entry.schema)().to_value())
}

/// The schema editors use: `with:` is checked for the step's op, and references are accepted.
pub fn published(ops: &[&OpEntry]) -> Json {
    let mut root = structural();
    // The first use of a recursive type is inlined; steps of every depth are checked by the one that ops are added to.
    if let Some(step) = root.pointer_mut("/properties/steps/additionalProperties") {
        *step = json!({"$ref": "#/$defs/StepFile"});
    }
    for part in ["inputs", "steps", "outputs", "run"] {
        if let Some(schema) = root.pointer_mut(&format!("/properties/{part}")) {
            inside(schema);
        }
    }
    let Some(defs) = root.as_object_mut() else { return root };
    let defs = defs.entry("$defs").or_insert_with(|| json!({}));
    if let Some(step) = defs.get_mut("StepFile") {
        complete_step(step, ops);
    }
    if let Some(defs) = defs.as_object_mut() {
        for name in ["StepFile", "RepeatFile"] {
            if let Some(schema) = defs.get_mut(name) {
                inside(schema);
            }
        }
        for entry in ops {
            let mut schema = of_op(entry);
            take_meta(&mut schema);
            inside(&mut schema);
            defs.insert(format!("with-{}", entry.name), schema);
        }
    }
    if let Some(input) = root.pointer_mut("/properties/inputs/additionalProperties") {
        input["oneOf"] = json!([{"required": ["foreach"]}, {"required": ["path"]}, {"required": ["generate"]}]);
    }
    root["title"] = json!("engine workflow");
    root
}

/// Op names with their descriptions, the choice of kinds of step, and for each op what `with:` holds.
fn complete_step(step: &mut Json, ops: &[&OpEntry]) {
    let names: Vec<Json> = ops
        .iter()
        .map(|e| {
            let doc = of_op(e).get("description").and_then(Json::as_str).map(first_sentence);
            json!({"const": e.name, "description": doc})
        })
        .collect();
    if let Some(op) = step.pointer_mut("/properties/op") {
        op["oneOf"] = json!(names);
    }
    step["oneOf"] = json!([{"required": ["op"]}, {"required": ["use"]}, {"required": ["repeat"]}]);
    let rules: Vec<Json> = ops
        .iter()
        .map(|e| {
            let mut then = json!({"properties": {"with": {"$ref": format!("#/$defs/with-{}", e.name)}}});
            if of_op(e).get("required").and_then(Json::as_array).is_some_and(|r| !r.is_empty()) {
                then["required"] = json!(["with"]);
            }
            json!({"if": {"properties": {"op": {"const": e.name}}, "required": ["op"]}, "then": then})
        })
        .collect();
    if !rules.is_empty() {
        step["allOf"] = json!(rules);
    }
}

/// The first sentence of a description.
pub fn first_sentence(text: &str) -> String {
    let line = text.split("\n\n").next().unwrap_or(text).replace('\n', " ");
    match line.find(". ") {
        Some(i) => line[..=i].to_owned(),
        None => line,
    }
}

fn take_meta(schema: &mut Json) {
    if let Some(o) = schema.as_object_mut() {
        o.shift_remove("$schema");
        o.shift_remove("title");
    }
}

/// Lets every value below a mapping or list schema also be a reference.
fn inside(schema: &mut Json) {
    let Some(o) = schema.as_object_mut() else { return };
    if let Some(Json::Object(properties)) = o.get_mut("properties") {
        properties.values_mut().for_each(or_reference);
    }
    for key in ["additionalProperties", "items"] {
        if let Some(s @ Json::Object(_)) = o.get_mut(key) {
            or_reference(s);
        }
    }
    for key in ["oneOf", "anyOf", "allOf", "prefixItems"] {
        if let Some(Json::Array(branches)) = o.get_mut(key) {
            branches.iter_mut().for_each(inside);
        }
    }
}

/// Lets a value also be a reference; its description stays where an editor finds it.
fn or_reference(schema: &mut Json) {
    inside(schema);
    let Some(o) = schema.as_object_mut() else { return };
    let is = |t: &str| o.get("type").is_some_and(|v| v == t || v.as_array().is_some_and(|a| a.iter().any(|x| x == t)));
    let free_text = is("string") && !o.contains_key("pattern") && !o.contains_key("enum");
    let mapping = is("object") && !is("boolean");
    if free_text || mapping || o.contains_key("$ref") || o.is_empty() {
        return;
    }
    let mut outer = Map::new();
    for key in ["description", "default", "title"] {
        if let Some(v) = o.shift_remove(key) {
            outer.insert(key.into(), v);
        }
    }
    let inner = std::mem::take(o);
    outer.insert("anyOf".into(), json!([inner, {"type": "string", "pattern": REFERENCE}]));
    *o = outer;
}

/// Removes `null` everywhere: an optional key is left out, never written without a value.
fn without_null(mut schema: Json) -> Json {
    strip_null(&mut schema);
    schema
}

fn strip_null(schema: &mut Json) {
    match schema {
        Json::Array(v) => v.iter_mut().for_each(strip_null),
        Json::Object(o) => {
            if let Some(Json::Array(types)) = o.get_mut("type") {
                types.retain(|t| t != "null");
                if let [one] = types.as_slice() {
                    let one = one.clone();
                    o.insert("type".into(), one);
                }
            }
            if let Some(Json::Array(values)) = o.get_mut("enum") {
                values.retain(|v| !v.is_null());
            }
            if o.get("default").is_some_and(Json::is_null) {
                o.shift_remove("default");
            }
            if let Some(Json::Array(branches)) = o.get_mut("anyOf") {
                branches.retain(|b| b.get("type").is_none_or(|t| t != "null"));
                if let [Json::Object(one)] = branches.as_mut_slice() {
                    let one = std::mem::take(one);
                    o.shift_remove("anyOf");
                    for (k, v) in one {
                        o.entry(k).or_insert(v);
                    }
                }
            }
            o.values_mut().for_each(strip_null);
        }
        _ => {}
    }
}

/// Every published schema: its path below `schemas/` and its text.
pub fn files(ops: &[&OpEntry]) -> Vec<(String, String)> {
    let text = |json: &Json| format!("{json:#}\n");
    let mut out = vec![("workflow.schema.json".to_owned(), text(&published(ops)))];
    out.extend(ops.iter().map(|e| (format!("ops/{}.json", e.name), text(&of_op(e)))));
    out
}
