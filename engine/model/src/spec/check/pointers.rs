//! What stands at a JSON pointer: in a schema, through `$ref`, and in a tree.

use super::super::tree::{Kind, Node};
use serde_json::Value as Json;

pub(super) fn parent(pointer: &str) -> Option<&str> {
    pointer.rfind('/').map(|i| &pointer[..i])
}

/// What stands at a path of keywords, through `$ref`.
pub(super) fn lookup<'a>(root: &'a Json, path: &str) -> Option<&'a Json> {
    let mut at = root;
    for part in path.split('/').skip(1).map(unescape) {
        if part != "$ref" && at.get(&part).is_none() && at.get(part.parse::<usize>().unwrap_or(usize::MAX)).is_none() {
            at = follow(root, at)?;
        }
        at = if part == "$ref" {
            follow(root, at)?
        } else if let Json::Array(v) = at {
            v.get(part.parse::<usize>().ok()?)?
        } else {
            at.get(&part)?
        };
    }
    Some(if at.get("type").is_none() { follow(root, at).unwrap_or(at) } else { at })
}

pub(super) fn follow<'a>(root: &'a Json, at: &Json) -> Option<&'a Json> {
    root.pointer(at.get("$ref")?.as_str()?.strip_prefix('#')?)
}

pub(super) fn unescape(part: &str) -> String {
    part.replace("~1", "/").replace("~0", "~")
}

/// The node at a pointer.
pub fn node_at<'a>(root: &'a Node, pointer: &str) -> Option<&'a Node> {
    let mut at = root;
    for part in pointer.split('/').skip(1).map(unescape) {
        at = match &*at.kind {
            Kind::Map(_) => at.get(&part)?,
            Kind::List(v) => v.get(part.parse::<usize>().ok()?)?,
            _ => return None,
        };
    }
    Some(at)
}
