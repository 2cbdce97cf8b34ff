//! The registry: every op of every linked crate, by name.
//!
//! Entries register themselves at link time with [`register_op!`](crate::register_op). A crate nothing refers to is
//! dropped by the linker, and the order of collection is undefined; so the binary refers to the crate `ops`, and this
//! module sorts.

use crate::Op;
use schemars::Schema;
use serde_json::Value as Json;

/// What may be connected to an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InputKind {
    /// An array of any dtype.
    Array,
    /// All items of a `foreach`, joined into one result.
    Family,
    /// A table or numbers.
    Table,
}

/// One input of an op.
#[derive(Debug, Clone, Copy)]
pub struct InputSpec {
    /// The name, used where an op has several inputs.
    pub name: &'static str,
    /// What may be connected.
    pub kind: InputKind,
    /// One line for the manual.
    pub doc: &'static str,
}

/// A registered op: everything that the manual, the schema, validation and the battery need.
pub struct OpEntry {
    /// The name in workflows.
    pub name: &'static str,
    /// The folder it lives in: `intensity`, `filter`, …
    pub domain: &'static str,
    /// The inputs in order; one named [`ANY_NAME`] stands for any number of them.
    pub inputs: &'static [InputSpec],
    /// True when it makes a table and not an array.
    pub makes_table: bool,
    /// JSON Schema of `with:`; its description is the manual.
    pub schema: fn() -> Schema,
    /// Builds the op from a checked `with:`.
    pub parse: fn(Json) -> Result<Box<dyn Op>, String>,
    /// The effective `with:`: every parameter spelled out, defaults included. It parses to the same op.
    pub canonical: fn(Json) -> Result<Json, String>,
    /// A step as it stands in a workflow, for the manual; it must validate.
    pub example: &'static str,
    /// Inputs and parameters that the contract battery runs.
    pub cases: fn() -> Vec<crate::contract::Case>,
}

/// The name of the one input in [`OpEntry::inputs`] of an op that takes one or more, named by the workflow.
pub const ANY_NAME: &str = "*";

impl OpEntry {
    /// What may be connected to an op whose inputs the workflow names; `None` where the op names them.
    pub fn free_inputs(&self) -> Option<&'static InputSpec> {
        match self.inputs {
            [one] if one.name == ANY_NAME => Some(one),
            _ => None,
        }
    }
}

inventory::collect!(OpEntry);

/// Every op, sorted by name.
pub fn all() -> Vec<&'static OpEntry> {
    let mut v: Vec<&OpEntry> = inventory::iter::<OpEntry>.into_iter().collect();
    v.sort_by_key(|e| e.name);
    v
}

/// The op of that name.
pub fn find(name: &str) -> Option<&'static OpEntry> {
    inventory::iter::<OpEntry>.into_iter().find(|e| e.name == name)
}

/// Reads parameters from a mapping; nothing at all is an empty one.
///
/// # Errors
/// What is wrong with them, in words for the user.
pub fn read<P: serde::de::DeserializeOwned>(json: Json) -> Result<P, String> {
    match json {
        Json::Null => serde_json::from_value(Json::Object(serde_json::Map::new())),
        Json::Object(_) => serde_json::from_value(json),
        _ => return Err(format!("expected a mapping of parameters, found {json}")),
    }
    .map_err(|e| e.to_string())
}

/// Registers an op: `register_op!(Gaussian { name: "gaussian", domain: "filter", … })`.
///
/// The type is the op's parameters: `Deserialize`, `Serialize`, `JsonSchema`, and [`Op`].
#[macro_export]
macro_rules! register_op {
    ($params:ty { name: $name:literal, domain: $domain:literal, inputs: $inputs:expr, makes_table: $table:literal,
        example: $example:expr, cases: $cases:expr $(,)? }) => {
        $crate::inventory::submit! {
            $crate::OpEntry {
                name: $name,
                domain: $domain,
                inputs: $inputs,
                makes_table: $table,
                schema: || ::schemars::SchemaGenerator::from(
                    ::schemars::generate::SchemaSettings::draft2020_12().with(|s| s.inline_subschemas = true),
                ).into_root_schema_for::<$params>(),
                parse: |json| $crate::registry::read::<$params>(json)
                    .map(|op| Box::new(op) as Box<dyn $crate::Op>),
                canonical: |json| $crate::registry::read::<$params>(json)
                    .and_then(|op| ::serde_json::to_value(&op).map_err(|e| e.to_string())),
                example: $example,
                cases: $cases,
            }
        }
    };
}
