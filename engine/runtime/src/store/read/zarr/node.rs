//! The metadata documents of an array or a group.

use crate::store::StoreError;
use crate::store::keys::Keys;
use crate::store::read::{corrupt, lower, unsupported};
use serde_json::{Map, Value as Json};

/// Metadata may hold that of a whole hierarchy, but not more than this many bytes.
const LARGEST: u64 = 256 << 20;

/// What stands at a path of a store.
pub(super) enum Node {
    /// An array.
    Array(Document),
    /// A group and its attributes.
    Group(Map<String, Json>),
}

/// The metadata of an array.
pub(super) struct Document {
    /// The key it was read from.
    pub(super) key: &'static str,
    /// 2 or 3.
    pub(super) version: u8,
    /// What it says.
    pub(super) json: Map<String, Json>,
    /// Names of the dimensions; one that has none is `None`.
    pub(super) names: Option<Vec<Option<String>>>,
}

/// Reads what stands at the root of a store.
pub(super) fn read(store: &dyn Keys) -> Result<Node, StoreError> {
    if let Some(json) = document(store, "zarr.json")? {
        return match (json.get("zarr_format").and_then(Json::as_u64), json.get("node_type").and_then(Json::as_str)) {
            (Some(3), Some("array")) => {
                let names = names(json.get("dimension_names"));
                Ok(Node::Array(Document { key: "zarr.json", version: 3, json, names }))
            }
            (Some(3), Some("group")) => Ok(Node::Group(attributes(json.get("attributes")))),
            (Some(3), found) => {
                let found = found.map_or("none".into(), |f| format!("\"{f}\""));
                let text = format!("`zarr.json`: expected a `node_type` of \"array\" or \"group\", found {found}");
                Err(corrupt(store.root(), text))
            }
            (found, _) => {
                let found = found.map_or("none".into(), |f| f.to_string());
                Err(unsupported(store.root(), format!("`zarr.json`: expected `zarr_format` 3, found {found}")))
            }
        };
    }
    if let Some(json) = document(store, ".zarray")? {
        if json.get("zarr_format").and_then(Json::as_u64) != Some(2) {
            let found = json.get("zarr_format").map_or("none".into(), Json::to_string);
            return Err(unsupported(store.root(), format!("`.zarray`: expected `zarr_format` 2, found {found}")));
        }
        let attributes = document(store, ".zattrs")?.unwrap_or_default();
        let names = names(attributes.get("_ARRAY_DIMENSIONS"));
        return Ok(Node::Array(Document { key: ".zarray", version: 2, json, names }));
    }
    if document(store, ".zgroup")?.is_some() {
        return Ok(Node::Group(document(store, ".zattrs")?.unwrap_or_default()));
    }
    let text = match engine_model::place::is_remote(store.root()) {
        true => "there is no Zarr metadata (zarr.json, .zarray or .zgroup); behind a URL only Zarr is read",
        false => {
            "a directory without Zarr metadata (zarr.json, .zarray or .zgroup); expected a PNG, JPEG or TIFF file, or a \
             Zarr array"
        }
    };
    Err(unsupported(store.root(), text.into()))
}

fn document(store: &dyn Keys, key: &str) -> Result<Option<Map<String, Json>>, StoreError> {
    let Some(bytes) = store.get(key, LARGEST)? else { return Ok(None) };
    match serde_json::from_slice(&bytes) {
        Ok(Json::Object(map)) => Ok(Some(map)),
        Ok(_) => Err(corrupt(store.root(), format!("`{key}` is no JSON object"))),
        Err(_) if bytes.is_empty() => Err(corrupt(store.root(), format!("`{key}` is empty: it was never completed"))),
        Err(e) if e.is_eof() => {
            Err(corrupt(store.root(), format!("`{key}` ends in the middle (after {} bytes): truncated", bytes.len())))
        }
        Err(e) => Err(corrupt(store.root(), format!("`{key}` is no JSON: {}", lower(&e.to_string())))),
    }
}

fn attributes(json: Option<&Json>) -> Map<String, Json> {
    json.and_then(Json::as_object).cloned().unwrap_or_default()
}

/// Names of dimensions, where they are a list.
fn names(json: Option<&Json>) -> Option<Vec<Option<String>>> {
    let list = json?.as_array()?;
    Some(list.iter().map(|n| n.as_str().filter(|n| !n.is_empty()).map(str::to_owned)).collect())
}
