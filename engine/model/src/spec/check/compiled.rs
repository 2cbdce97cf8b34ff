//! A schema, and when it is compiled: not before something does not fit it.

use jsonschema::Validator;
use serde_json::Value as Json;
use std::sync::OnceLock;

/// A schema to be checked against. It is compiled when something first does not fit it, as only then it is known what to say.
#[derive(Debug)]
pub struct Schema {
    /// What is asked first: the same, perhaps without its words.
    pub(super) brief: Json,
    /// Makes the schema, where the brief one is not all of it.
    whole: Option<fn() -> Json>,
    compiled: OnceLock<Result<Compiled, String>>,
}

/// A schema as jsonschema takes it.
#[derive(Debug)]
pub(super) struct Compiled {
    pub(super) validator: Validator,
    pub(super) json: Json,
}

impl Schema {
    /// A schema that is at hand.
    pub fn new(json: Json) -> Schema {
        Schema { brief: json, whole: None, compiled: OnceLock::new() }
    }

    /// A schema that takes long to make, and what decides in short whether a value fits it.
    pub fn with_brief(brief: Json, whole: fn() -> Json) -> Schema {
        Schema { brief, whole: Some(whole), compiled: OnceLock::new() }
    }

    /// Compiles it, if that has not been done.
    ///
    /// # Errors
    /// When it is not a valid JSON Schema.
    pub fn compile(&self) -> Result<(), String> {
        self.compiled().map(|_| ())
    }

    pub(super) fn compiled(&self) -> Result<&Compiled, String> {
        let compile = || {
            let json = self.whole.map_or_else(|| self.brief.clone(), |whole| whole());
            let validator = jsonschema::validator_for(&json).map_err(|e| e.to_string())?;
            Ok(Compiled { validator, json })
        };
        self.compiled.get_or_init(compile).as_ref().map_err(Clone::clone)
    }
}
