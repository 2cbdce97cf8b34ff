//! References to parameters: `${params.name}` as a whole value keeps its type; inside text it becomes text.

use super::names::{list, nearest};
use super::params::Params;
use super::tree::{Entry, Kind, Node};
use crate::diag::{Diagnostic, Report, Sources, Span};
use serde_json::Number;
use std::rc::Rc;

/// Most bytes of text that a workflow file may become by references inside text: a short file stays a small one.
const MAX_TEXT: usize = 4 << 20;

/// A piece of a text.
#[derive(Debug, PartialEq)]
enum Piece<'a> {
    /// Text that stands for itself, escapes replaced.
    Plain(&'a str),
    /// What is inside `${` and `}`, and the number of the `${` in the text, escaped ones counted too.
    Reference(&'a str, usize),
    /// A `${` without `}`, by its number.
    Open(usize),
}

/// The pieces of a text: `$${` is an escaped `${`, any other `$` stands for itself.
fn pieces(text: &str) -> Vec<Piece<'_>> {
    let (mut out, mut rest, mut number) = (Vec::new(), text, 0);
    while let Some(at) = rest.find("${") {
        let escaped = rest[..at].ends_with('$');
        let plain = &rest[..if escaped { at - 1 } else { at }];
        if !plain.is_empty() {
            out.push(Piece::Plain(plain));
        }
        let after = &rest[at + 2..];
        rest = match (escaped, after.find('}')) {
            (true, _) => {
                out.push(Piece::Plain("${"));
                after
            }
            (false, Some(end)) => {
                out.push(Piece::Reference(&after[..end], number));
                &after[end + 1..]
            }
            (false, None) => {
                out.push(Piece::Open(number));
                ""
            }
        };
        // What a reference holds may hold a malformed `${` too.
        number += 1 + match out.last() {
            Some(Piece::Reference(inner, _)) => inner.matches("${").count(),
            _ => 0,
        };
    }
    if !rest.is_empty() {
        out.push(Piece::Plain(rest));
    }
    out
}

/// A number as text: equal numbers give equal text, `2` for `2.0`, and the shortest decimals that read back as it.
fn number_text(n: &Number) -> String {
    match (n.as_i64(), n.as_u64(), n.as_f64()) {
        (Some(i), _, _) => i.to_string(),
        (_, Some(u), _) => u.to_string(),
        (_, _, Some(0.0)) => "0".to_owned(),
        (_, _, Some(x)) if (1e-5..1e17).contains(&x.abs()) => x.to_string(),
        (_, _, Some(x)) => format!("{x:e}"),
        _ => n.to_string(),
    }
}

/// Where the reference of that number stands, when the text is written without escapes that hide it.
fn span_of(node: &Node, text: &str, number: usize, sources: &Sources) -> Span {
    let whole = node.span;
    let written = sources
        .get(whole.file)
        .and_then(|f| f.text.get(whole.start as usize..whole.end as usize))
        .filter(|w| w.matches("${").count() == text.matches("${").count());
    let found = written.and_then(|w| {
        let start = w.match_indices("${").nth(number)?.0;
        let end = w[start..].find('}').map_or(start + 2, |e| start + e + 1);
        Some(Span { start: whole.start + start as u32, end: whole.start + end as u32, ..whole })
    });
    found.unwrap_or(whole)
}

impl Params {
    /// The tree with every `${params.name}` replaced by its value; `$${` becomes `${`.
    pub fn substitute(&mut self, node: &Node, sources: &Sources, report: &mut Report) -> Node {
        match &*node.kind {
            Kind::Text(s) if s.contains("${") => self.text(node, s, sources, report),
            Kind::List(v) => {
                let v = v.iter().map(|n| self.substitute(n, sources, report)).collect();
                Node { kind: Rc::new(Kind::List(v)), ..node.clone() }
            }
            Kind::Map(entries) => {
                let entries = entries
                    .iter()
                    .map(|e| match e.key.starts_with("x-") {
                        true => e.clone(),
                        false => Entry { value: self.substitute(&e.value, sources, report), ..e.clone() },
                    })
                    .collect();
                node.with_entries(entries)
            }
            _ => node.clone(),
        }
    }

    fn text(&mut self, node: &Node, text: &str, sources: &Sources, report: &mut Report) -> Node {
        let refused = Node { refused: true, ..Node::new(Kind::Null, node.span) };
        let pieces = pieces(text);
        if let [Piece::Reference(inner, _)] = pieces[..] {
            let value = self.reference(inner, node.span, true, report);
            return value.map_or(refused, |v| at(&v, node.span));
        }
        let mut out = String::new();
        let mut good = true;
        let mut starts = Vec::new();
        // A path starts where its first characters were given, as one that is a reference as a whole does.
        let mut origin = node.span;
        for (i, piece) in pieces.iter().enumerate() {
            let (inner, number) = match piece {
                Piece::Plain(s) => {
                    out.push_str(s);
                    continue;
                }
                Piece::Reference(inner, number) => (Some(*inner), *number),
                Piece::Open(number) => (None, *number),
            };
            let span = span_of(node, text, number, sources);
            let Some(inner) = inner else {
                let d = Diagnostic::new("E0410", span, "expected `}` after `${`, found the end of the text");
                report.push(d.help("write `${params.name}`, or `$${` for a `${` that is no reference"));
                return refused;
            };
            let Some(value) = self.reference(inner, span, false, report) else {
                good = false;
                continue;
            };
            if i == 0 {
                origin = value.origin;
            }
            starts.push(out.len());
            match &*value.kind {
                Kind::Text(s) => out.push_str(s),
                Kind::Number(n) => out.push_str(&number_text(n)),
                Kind::Bool(b) => out.push_str(if *b { "true" } else { "false" }),
                _ => {
                    good = false;
                    let message = format!("expected a value that can stand in text, found {}", value.describe());
                    let d = Diagnostic::new("E0403", span, message);
                    report.push(d.help("a list can be the whole value only; text, numbers and booleans become text"));
                }
            }
            if self.pasted + out.len() > MAX_TEXT {
                let d = Diagnostic::new("E0403", span, "expected at most 4 MiB of text with references, found more");
                report.push(d.help("use shorter values, or fewer references inside text"));
                return refused;
            }
        }
        if !good {
            return refused;
        }
        self.pasted += out.len();
        Node { kind: Rc::new(Kind::Text(out)), origin, pasted: Some(starts.into()), ..node.clone() }
    }

    /// The value behind what is inside `${` and `}`; what is wrong goes to the report.
    fn reference(&mut self, inner: &str, span: Span, whole: bool, report: &mut Report) -> Option<Node> {
        let right = |name: &str| if whole { format!("\"${{params.{name}}}\"") } else { format!("${{params.{name}}}") };
        let name = inner.strip_prefix("params.").filter(|n| !n.contains(['$', '{', ' ']));
        let Some(name) = name else {
            let d = Diagnostic::new("E0410", span, format!("expected `${{params.name}}`, found `${{{inner}}}`"));
            report.push(if self.declared.contains_key(inner) {
                d.help(format!("write `{}`", right(inner))).fix(span, right(inner))
            } else if whole {
                d.help("only parameters can be referred to; environment variables go through `--set`")
            } else {
                d.help("only parameters can be referred to; write `$${` for a `${` that is no reference")
            });
            return None;
        };
        let Some(declared) = self.declared.get(name) else {
            let known = self.declared.keys().map(String::as_str);
            let d = Diagnostic::new("E0404", span, format!("the workflow has no parameter `{name}`"));
            report.push(match nearest(name, known.clone()) {
                Some(near) => d.help(format!("did you mean `{near}`?")).fix(span, right(near)),
                None => d.help(format!("declare it under `params:`; declared are {}", list(known))),
            });
            return None;
        };
        let value = declared.value.as_ref().map(|(v, _)| v.clone());
        self.used.insert(name.to_owned());
        value
    }
}

/// A value moved to the position of the reference to it; its origin stays.
fn at(node: &Node, span: Span) -> Node {
    let kind = match &*node.kind {
        Kind::List(v) => Rc::new(Kind::List(v.iter().map(|n| at(n, span)).collect())),
        _ => node.kind.clone(),
    };
    Node { kind, span, refused: false, written: None, ..node.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cut_at_references_and_escapes() {
        use Piece::{Open, Plain, Reference};
        assert_eq!(pieces("a${b}c${d}"), [Plain("a"), Reference("b", 0), Plain("c"), Reference("d", 1)]);
        assert_eq!(pieces("$${b}${c}$"), [Plain("${"), Plain("b}"), Reference("c", 1), Plain("$")]);
        assert_eq!(pieces("$$${b}"), [Plain("$"), Plain("${"), Plain("b}")]);
        assert_eq!(pieces("a${b"), [Plain("a"), Open(0)]);
        assert_eq!(pieces("${a${b}}${c}"), [Reference("a${b", 0), Plain("}"), Reference("c", 2)]);
    }

    #[test]
    fn equal_numbers_give_equal_text() {
        let text = |json: &str| number_text(&serde_json::from_str(json).unwrap());
        assert_eq!((text("2"), text("2.0"), text("2e0")), ("2".into(), "2".into(), "2".into()));
        assert_eq!((text("-0.0"), text("0.25"), text("-1.5")), ("0".into(), "0.25".into(), "-1.5".into()));
        assert_eq!(
            (text("1e300"), text("1e-9"), text("18446744073709551615")),
            ("1e300".into(), "1e-9".into(), u64::MAX.to_string())
        );
    }
}
