//! The tree that YAML text becomes: JSON's kinds of values, each with the stretch of text it was read from.

use super::workflow::SpannedJson;
use crate::diag::Span;
use serde_json::{Map, Number, Value as Json};
use std::rc::Rc;

/// A scalar, list or mapping.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// `null`, or nothing at all.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A finite number.
    Number(Number),
    /// Text.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// A mapping, in the order of the file; no key twice.
    Map(Vec<Entry>),
}

/// One `key: value` of a mapping.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// Where the key stands.
    pub key_span: Span,
    /// The value.
    pub value: Node,
}

/// A value and where it stands. Cloning is cheap: an alias shares what its anchor holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// The value.
    pub kind: Rc<Kind>,
    /// Where it stands: for a substituted value the reference, for an alias the anchored value.
    pub span: Span,
    /// Where it was written: differs from `span` for a substituted value.
    pub origin: Span,
    /// True for a value already refused, so that no other check repeats it.
    pub refused: bool,
    /// The text of a scalar that was refused because its meaning is not clear.
    pub written: Option<Rc<str>>,
    /// Where in the text, in bytes, the value of each reference inside it starts; `None` where nothing was replaced.
    pub pasted: Option<Rc<[usize]>>,
}

impl Node {
    /// A node that stands where it was written.
    pub fn new(kind: Kind, span: Span) -> Node {
        Node { kind: Rc::new(kind), span, origin: span, refused: false, written: None, pasted: None }
    }

    /// True when the value stands in the text as it is, so that a fix may replace it there.
    pub fn is_verbatim(&self) -> bool {
        self.span == self.origin && self.pasted.is_none()
    }

    /// The entries of a mapping; none for anything else.
    pub fn entries(&self) -> &[Entry] {
        match &*self.kind {
            Kind::Map(entries) => entries,
            _ => &[],
        }
    }

    /// The elements of a list; none for anything else.
    pub fn elements(&self) -> &[Node] {
        match &*self.kind {
            Kind::List(v) => v,
            _ => &[],
        }
    }

    /// The entry of a mapping under a key.
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries().iter().find(|e| e.key == key)
    }

    /// The value of a mapping under a key.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|e| &e.value)
    }

    /// The text, when it is text.
    pub fn text(&self) -> Option<&str> {
        match &*self.kind {
            Kind::Text(s) => Some(s),
            _ => None,
        }
    }

    /// True for a mapping.
    pub fn is_map(&self) -> bool {
        matches!(&*self.kind, Kind::Map(_))
    }

    /// A copy in which the entries of a mapping are replaced.
    pub fn with_entries(&self, entries: Vec<Entry>) -> Node {
        Node { kind: Rc::new(Kind::Map(entries)), ..self.clone() }
    }

    /// The value alone.
    pub fn to_json(&self) -> Json {
        match &*self.kind {
            Kind::Null => Json::Null,
            Kind::Bool(b) => Json::Bool(*b),
            Kind::Number(n) => Json::Number(n.clone()),
            Kind::Text(s) => Json::String(s.clone()),
            Kind::List(v) => Json::Array(v.iter().map(Node::to_json).collect()),
            Kind::Map(entries) => {
                Json::Object(entries.iter().map(|e| (e.key.clone(), e.value.to_json())).collect::<Map<_, _>>())
            }
        }
    }

    /// The value with the position of every part.
    pub fn to_spanned(&self) -> SpannedJson {
        let mut out = SpannedJson { value: self.to_json(), ..SpannedJson::default() };
        self.collect_spans(String::new(), &mut out);
        out
    }

    fn collect_spans(&self, pointer: String, out: &mut SpannedJson) {
        for e in self.entries() {
            let p = format!("{pointer}/{}", escape(&e.key));
            out.keys.insert(p.clone(), e.key_span);
            e.value.collect_spans(p, out);
        }
        for (i, v) in self.elements().iter().enumerate() {
            v.collect_spans(format!("{pointer}/{i}"), out);
        }
        out.spans.insert(pointer, self.span);
    }

    /// Calls `f` with the pointer of every value that was refused while reading.
    pub fn each_refused(&self, pointer: &str, f: &mut impl FnMut(&str)) {
        if self.refused {
            f(pointer);
        }
        for e in self.entries() {
            e.value.each_refused(&format!("{pointer}/{}", escape(&e.key)), f);
        }
        for (i, v) in self.elements().iter().enumerate() {
            v.each_refused(&format!("{pointer}/{i}"), f);
        }
    }

    /// What it is, for messages: `a number`, `the text "x"`.
    pub fn describe(&self) -> String {
        describe(&self.to_json())
    }
}

/// A value in words, with its content where that is short.
pub fn describe(value: &Json) -> String {
    match value {
        Json::Null => "nothing".into(),
        Json::Bool(b) => format!("`{b}`"),
        Json::Number(n) => format!("`{n}`"),
        Json::String(s) if s.chars().count() <= 40 => format!("{s:?}"),
        Json::String(_) => "a long text".into(),
        Json::Array(v) if v.is_empty() => "an empty list".into(),
        Json::Array(v) => format!("a list of {}", v.len()),
        Json::Object(m) if m.is_empty() => "an empty mapping".into(),
        Json::Object(_) => "a mapping".into(),
    }
}

/// A key as one part of a JSON pointer.
pub fn escape(key: &str) -> String {
    if key.contains(['~', '/']) { key.replace('~', "~0").replace('/', "~1") } else { key.to_owned() }
}
