//! YAML text to a [`Node`] tree, in a strict subset: one document, no duplicate or merge keys, no tags, bounded size,
//! depth and alias expansion, and no scalar that YAML versions read differently.
//!
//! Built from the parser's event stream with an explicit stack, so that no depth of nesting can overflow the call
//! stack, and with byte offsets where the parser counts characters.

use super::scalar::{self, Plain};
use super::tree::{Entry, Kind, Node};
use crate::diag::{Diagnostic, Fix, Report, Span};
use saphyr_parser::{Event, Parser, ScalarStyle, ScanError};
use std::collections::BTreeMap;

/// Largest text that is read, in bytes.
pub const MAX_BYTES: usize = 1 << 20;
/// Deepest nesting.
pub const MAX_DEPTH: usize = 64;
/// Most values, aliases expanded.
pub const MAX_NODES: usize = 200_000;

/// Reads one text; `file` is its number in [`Sources`](crate::diag::Sources) and `base` where it starts in it.
///
/// `None` when nothing could be read. What is refused is in the report, and a best guess stands in the tree.
pub fn parse(text: &str, file: u32, base: usize, report: &mut Report) -> Option<Node> {
    let mut b = Builder::new(text, file, base, report);
    if text.len() > MAX_BYTES {
        let message = format!("expected at most 1 MiB of YAML, found {} bytes", text.len());
        b.report.push(
            Diagnostic::new("E0108", b.span(0, 0), message)
                .help("split the workflow and join its parts with `include:`"),
        );
        return None;
    }
    for event in Parser::new_from_str(text) {
        match event {
            Ok((event, span)) => {
                let (start, end) = (b.offset(span.start.index()), b.offset(span.end.index()));
                if !b.event(event, start, end) {
                    return None;
                }
            }
            Err(e) => {
                b.syntax_error(&e);
                return None;
            }
        }
    }
    b.finish()
}

/// A list or mapping whose end has not been seen.
struct Open {
    start: usize,
    anchor: usize,
    refused: bool,
    size: usize,
    parts: Parts,
}

enum Parts {
    List(Vec<Node>),
    Map { entries: Vec<Entry>, seen: BTreeMap<String, Span>, key: Option<(String, Span, bool)> },
}

struct Builder<'a> {
    text: &'a str,
    file: u32,
    base: usize,
    /// Byte offset of each character; empty for ASCII, where they are equal.
    offsets: Vec<u32>,
    report: &'a mut Report,
    stack: Vec<Open>,
    anchors: BTreeMap<usize, (Node, usize)>,
    nodes: usize,
    documents: usize,
    root: Option<Node>,
}

impl<'a> Builder<'a> {
    fn new(text: &'a str, file: u32, base: usize, report: &'a mut Report) -> Builder<'a> {
        let offsets =
            if text.is_ascii() { Vec::new() } else { text.char_indices().map(|(i, _)| i as u32).collect::<Vec<_>>() };
        Builder {
            text,
            file,
            base,
            offsets,
            report,
            stack: Vec::new(),
            anchors: BTreeMap::new(),
            nodes: 0,
            documents: 0,
            root: None,
        }
    }

    fn offset(&self, character: usize) -> usize {
        if self.offsets.is_empty() {
            character.min(self.text.len())
        } else {
            self.offsets.get(character).map_or(self.text.len(), |&o| o as usize)
        }
    }

    fn span(&self, start: usize, end: usize) -> Span {
        Span { file: self.file, start: (self.base + start) as u32, end: (self.base + end.max(start)) as u32 }
    }

    /// Takes one event; false when reading can't go on.
    fn event(&mut self, event: Event<'_>, start: usize, end: usize) -> bool {
        let span = self.span(start, end);
        match event {
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > 1 {
                    self.report
                        .push(Diagnostic::new("E0104", span, "expected one document in the file, found a second").help(
                        "keep one workflow in a file: remove this `---` and what follows, or move it to its own file",
                    ));
                    return false;
                }
            }
            Event::Scalar(value, style, anchor, tag) => {
                let tagged = tag.is_some();
                if tagged {
                    self.refuse_tag(span);
                }
                let mut node = self.scalar(&value, style, span);
                node.refused |= tagged;
                self.nodes += 1;
                return self.value(node, anchor, 1, matches!(style, ScalarStyle::Plain));
            }
            Event::SequenceStart(anchor, tag) => return self.open(start, anchor, tag.is_some(), false, span),
            Event::MappingStart(anchor, tag) => return self.open(start, anchor, tag.is_some(), true, span),
            Event::SequenceEnd | Event::MappingEnd => return self.close(end),
            Event::Alias(id) => {
                let Some((node, size)) = self.anchors.get(&id).cloned() else {
                    self.report.push(Diagnostic::new("E0110", span, "an alias stands inside the value it names"));
                    return false;
                };
                self.nodes += size;
                return self.value(node, 0, size, false);
            }
            _ => {}
        }
        true
    }

    fn open(&mut self, start: usize, anchor: usize, tagged: bool, map: bool, span: Span) -> bool {
        if tagged {
            self.refuse_tag(span);
        }
        self.nodes += 1;
        if self.stack.len() >= MAX_DEPTH {
            let message = format!("expected at most {MAX_DEPTH} levels of nesting, found more");
            self.report.push(Diagnostic::new("E0108", span, message));
            return false;
        }
        let parts = if map {
            Parts::Map { entries: Vec::new(), seen: BTreeMap::new(), key: None }
        } else {
            Parts::List(Vec::new())
        };
        self.stack.push(Open { start, anchor, refused: tagged, size: 1, parts });
        true
    }

    fn close(&mut self, end: usize) -> bool {
        let Some(open) = self.stack.pop() else { return false };
        let flow = self.text[open.start..].starts_with(['{', '[']);
        let (last, kind) = match open.parts {
            Parts::List(v) => (v.last().map(|n| n.span), Kind::List(v)),
            Parts::Map { entries, .. } => (
                entries.last().map(|e| if e.value.span.start < e.key_span.end { e.key_span } else { e.value.span }),
                Kind::Map(entries),
            ),
        };
        let mut span = self.span(open.start, end);
        if let (false, Some(last)) = (flow, last) {
            span.end = last.end.max(span.start);
        }
        let mut node = Node::new(kind, span);
        node.refused = open.refused;
        self.value(node, open.anchor, open.size, false)
    }

    /// A value is whole: it becomes a key, a value, an element or the root.
    fn value(&mut self, node: Node, anchor: usize, size: usize, plain: bool) -> bool {
        if self.nodes > MAX_NODES {
            let message = format!("expected at most {MAX_NODES} values with aliases expanded, found more");
            self.report.push(Diagnostic::new("E0108", node.span, message).help("write fewer aliases of aliases"));
            return false;
        }
        if anchor > 0 {
            self.anchors.insert(anchor, (node.clone(), size));
        }
        let Some(open) = self.stack.last_mut() else {
            self.root = Some(node);
            return true;
        };
        open.size += size;
        match &mut open.parts {
            Parts::List(v) => v.push(node),
            Parts::Map { entries, seen, key } => match key.take() {
                None => *key = Some(read_key(&node, plain, seen, self.text, self.base, self.report)),
                Some((_, _, false)) => {}
                Some((name, key_span, true)) => entries.push(Entry { key: name, key_span, value: node }),
            },
        }
        true
    }

    fn scalar(&mut self, value: &str, style: ScalarStyle, span: Span) -> Node {
        if !matches!(style, ScalarStyle::Plain) {
            return Node::new(Kind::Text(value.to_owned()), span);
        }
        // Keys are text whatever they look like; `value` knows which this is.
        let is_key = matches!(self.stack.last(), Some(Open { parts: Parts::Map { key: None, .. }, .. }));
        if is_key {
            return Node::new(Kind::Text(value.to_owned()), span);
        }
        match scalar::resolve(value) {
            Plain::Clear(kind) => Node::new(kind, span),
            Plain::Ambiguous { guess, why, instead } => {
                let quoted = serde_json::Value::from(value).to_string();
                let d = Diagnostic::new("E0106", span, format!("expected a value with one meaning, found {why}"));
                self.report.push(match instead {
                    Some(text) if text == quoted => d.help(format!("write `{text}`")).fix(span, text),
                    Some(text) => d.help(format!("write `{text}`, or `{quoted}` for the text")).fix(span, text),
                    None => d.help(format!("write the number without leading zeros, or `{quoted}` for the text")),
                });
                Node { refused: true, written: Some(value.into()), ..Node::new(guess, span) }
            }
            Plain::OutOfRange(why) => {
                self.report.push(
                    Diagnostic::new("E0107", span, format!("expected a finite number, found {why}"))
                        .help("write a number below 1.8e308 (integers below 1.8e19), or leave the bound out"),
                );
                Node { refused: true, ..Node::new(Kind::Null, span) }
            }
        }
    }

    fn refuse_tag(&mut self, span: Span) {
        self.report.push(
            Diagnostic::new("E0109", span, "expected a plain value, found one with a YAML tag such as `!!str`")
                .help("remove the tag; quote the value to make it text"),
        );
    }

    fn syntax_error(&mut self, e: &ScanError) {
        let at = self.offset(e.marker().index());
        let info = e.info();
        let line_start = self.text[..at].rfind('\n').map_or(0, |i| i + 1);
        let line_end = self.text[at..].find('\n').map_or(self.text.len(), |i| at + i);
        let line = &self.text[line_start..line_end];
        let indent = line.len() - line.trim_start_matches([' ', '\t']).len();
        let tab = line[..indent].find('\t').map(|i| line_start + i);
        let tab = tab.or_else(|| self.text[at..].starts_with('\t').then_some(at));
        if let Some(tab) = tab {
            let run = self.text[tab..].len() - self.text[tab..].trim_start_matches('\t').len();
            let span = self.span(tab, tab + run);
            self.report.push(
                Diagnostic::new("E0105", span, "expected spaces, found a tab in the indentation")
                    .help("indent with spaces only")
                    .fix(span, "  ".repeat(run)),
            );
            return;
        }
        let mut end = (at + 1).min(self.text.len());
        while !self.text.is_char_boundary(end) {
            end += 1;
        }
        let span = self.span(at, end);
        let d = if info.contains("unknown anchor") {
            Diagnostic::new("E0110", span, "an alias names an anchor that is not defined before it")
        } else {
            Diagnostic::new("E0101", span, format!("this is not valid YAML: {info}")).help(hint(info))
        };
        self.report.push(d);
    }

    fn finish(self) -> Option<Node> {
        if self.root.as_ref().is_none_or(|r| matches!(&*r.kind, Kind::Null)) {
            let span = self.span(0, 0);
            self.report.push(
                Diagnostic::new("E0111", span, "expected a mapping, found an empty file")
                    .help("`engine init` writes a workflow to start from"),
            );
            return None;
        }
        self.root
    }
}

/// Makes the advice for an ambiguous scalar the quoted text, where text is what is expected.
pub(crate) fn quote_instead(text: &str, span: Span, report: &mut Report) {
    let quoted = serde_json::Value::from(text).to_string();
    report.amend("E0106", span, |d| {
        d.help = Some(format!("quote the text: `{quoted}`"));
        d.fix = Some(Fix { span, text: quoted.clone() });
    });
}

/// The key that a node is: its text, its position, and whether its value counts.
fn read_key(
    node: &Node,
    plain: bool,
    seen: &mut BTreeMap<String, Span>,
    text: &str,
    base: usize,
    report: &mut Report,
) -> (String, Span, bool) {
    let name = match &*node.kind {
        Kind::Text(s) if !s.is_empty() => s.clone(),
        _ => {
            let d = Diagnostic::new("E0112", node.span, format!("expected text as a key, found {}", node.describe()));
            report.push(d.help("write a name before the colon"));
            return (String::new(), node.span, false);
        }
    };
    if plain && name == "<<" {
        report.push(
            Diagnostic::new("E0103", node.span, "merge keys are not part of the workflow language")
                .help("write the keys out, or share whole steps with `use:` or `include:`"),
        );
        return (name, node.span, false);
    }
    if let Some(first) = seen.get(&name) {
        let line = text[..(first.start as usize).saturating_sub(base)].matches('\n').count() + 1;
        report.push(
            Diagnostic::new("E0102", node.span, format!("expected each key once, found `{name}` again"))
                .label("second")
                .note(format!("`{name}` is first written on line {line}"))
                .help("remove one of the two, or rename it"),
        );
        return (name, node.span, false);
    }
    seen.insert(name.clone(), node.span);
    (name, node.span, true)
}

/// What the parser's words most often mean.
fn hint(info: &str) -> &'static str {
    if info.contains("mapping values are not allowed") {
        "quote text that contains `: `, and check the indentation"
    } else if info.contains("did not find expected key") || info.contains("simple key") {
        "check that every key of the mapping starts in the same column and ends with `: `"
    } else if info.contains("quot") || info.contains("end of stream") {
        "close the quotes and brackets that are open here"
    } else {
        "check the indentation, quotes and brackets around here"
    }
}
