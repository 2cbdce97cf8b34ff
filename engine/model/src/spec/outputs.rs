//! Outputs and tests: names that stay inside `Results/` and do not collide, formats, expectations.

use super::Loader;
use super::codec::ZarrCodec;
use super::expand::Expansion;
use super::file::{FormatVersion, OutputFile, PyramidFile, TestFile};
use super::names::{self, list, nearest};
use super::resolve::Ref;
use super::tree::{Entry, Node, escape};
use super::unit::Unit;
use super::workflow::{Format, OutputDecl, Pyramid, Spanned, StepDecl, TestDecl, ZarrVersion};
use crate::diag::{Diagnostic, Span};
use crate::place::{self, is_url};
use ops_core::registry;
use std::collections::BTreeMap;

/// Names that some file systems keep for devices.
const DEVICES: [&str; 8] = ["con", "prn", "aux", "nul", "com1", "com2", "lpt1", "lpt2"];

/// The `outputs:` of the outermost workflow.
pub(super) fn outputs(e: &mut Expansion<'_, '_>, unit: &Unit, scope: usize) -> Vec<OutputDecl> {
    let entries = unit.entries("outputs");
    let here = unit.root.entry("outputs");
    if entries.iter().all(|o| o.key.starts_with("x-")) && here.is_none_or(|o| o.value.is_map()) {
        let span = here.map_or(Span { end: unit.root.span.start, ..unit.root.span }, |o| o.key_span);
        let d = Diagnostic::new("E0704", span, "the workflow writes nothing: expected at least one output");
        e.l.report.push(d.help("write `outputs: {Name: {from: STEP}}`"));
    }
    let mut taken: BTreeMap<String, (String, Span)> = BTreeMap::new();
    let mut targets: BTreeMap<String, Span> = BTreeMap::new();
    let mut out = Vec::new();
    for o in entries {
        name(e.l, &o.key, o.key_span, &mut taken);
        let pointer = format!("/outputs/{}", escape(&o.key));
        if let Some(from) = o.value.get("from").and_then(Node::text) {
            e.mention(from);
        }
        let Some(file) = unit.read::<OutputFile>(&pointer, &mut e.l.report) else { continue };
        let spanned = |key: &str| o.value.get(key).map_or(o.value.span, |n| n.span);
        stored(e.l, &file, &o.value);
        let base = o.value.get("to").map(|n| e.l.base_of(n.origin)).unwrap_or_default();
        if let Some(to) = o.value.get("to") {
            stays(e.l, to);
        }
        if let Some(to) = &file.to {
            if !target_url(e.l, to, spanned("to")) {
                continue;
            }
            let full = match is_url(to) {
                true => place::join(&base, to),
                false => super::unit::normal(&base.join(to)),
            };
            let full = full.display().to_string();
            if let Some(first) = targets.insert(full, spanned("to")) {
                let at = names::place(&e.l.sources, first);
                let d = Diagnostic::new("E0702", spanned("to"), format!("two outputs are written to `{to}`"));
                e.l.report.push(d.note(format!("the other is at {at}")).help("choose another path for one of them"));
            }
        }
        let from = Spanned::new(file.from, spanned("from"));
        let Some(flat) = e.scopes.resolve(&Ref { scope, name: from.clone() }, &mut e.l.report) else { continue };
        out.push(OutputDecl {
            name: Spanned::new(o.key.clone(), o.key_span),
            from: Spanned::new(flat, from.span),
            format: file.format.map(|f| Spanned::new(f, spanned("format"))),
            to: file.to.map(|t| Spanned::new(t, spanned("to"))),
            base,
            version: file.version.as_ref().map(|v| Spanned::new(version(v), spanned("version"))),
            chunks: file.chunks.map(|c| Spanned::new(c, spanned("chunks"))),
            shards: file.shards.map(|s| Spanned::new(s, spanned("shards"))),
            codec: file.codec.map(|c| Spanned::new(c.into(), spanned("codec"))),
            pyramid: file.pyramid.map(|p| Spanned::new(pyramid(p), spanned("pyramid"))),
            labels: file.labels.unwrap_or(false),
            naming: file.naming,
        });
    }
    out
}

/// Checks how an output is to be stored: keys of its format only, shards that are whole multiples of chunks.
fn stored(l: &mut Loader<'_>, file: &OutputFile, node: &Node) {
    let span = |key: &str| node.get(key).map_or(node.span, |n| n.span);
    let (given, format) = (|key: &str| node.get(key).is_some(), file.format.unwrap_or(Format::Zarr));
    let keys = [
        ("Zarr", "zarr", &["chunks", "shards", "codec", "version"][..], format.is_zarr()),
        ("OME-Zarr", "ome-zarr", &["pyramid", "labels"][..], format == Format::OmeZarr),
    ];
    for (of, name, keys, fits) in keys {
        for key in keys.iter().copied().filter(|k| !fits && given(k)) {
            let message = format!("`{key}` belongs to {of} outputs, found format `{}`", format.name());
            let d = Diagnostic::new("E0705", span(key), message);
            l.report.push(d.help(format!("remove it, or write `format: {name}`")));
        }
    }
    if let Some(version) = file.version.as_ref().and_then(|v| v.0.as_f64()).filter(|_| format.is_zarr()) {
        let known = if format == Format::Zarr { [2.0, 3.0] } else { [0.4, 0.5] };
        if !known.contains(&version) {
            let (name, [old, new]) = (format.name(), known);
            let message = format!("expected version {old} or {new} of `{name}`, found {version}");
            l.report.push(Diagnostic::new("E0705", span("version"), message).help(format!("write `version: {new}`")));
        }
    }
    if let (Some(codec), true) = (file.codec, format.is_zarr()) {
        encoded(l, codec.into(), file, node);
    }
    let Some(shards) = &file.shards else { return };
    if file.version.as_ref().is_some_and(|v| version(v) == ZarrVersion::V2) {
        let d = Diagnostic::new(
            "E0708",
            span("shards"),
            "shards belong to Zarr v3 and OME-Zarr 0.5, found an older version",
        );
        l.report.push(d.help("remove `shards`, or leave `version` out"));
    }
    let Some(chunks) = &file.chunks else {
        let message = format!("expected `chunks` beside `shards`: a shard of {shards:?} holds whole chunks");
        let d = Diagnostic::new("E0708", span("shards"), message);
        l.report.push(d.help("write `chunks` that divide the shards along every axis"));
        return;
    };
    if shards.len() != chunks.len() {
        let (n, m) = (shards.len(), chunks.len());
        let message = format!("expected as many extents in `shards` as in `chunks`, found {n} and {m}");
        l.report.push(Diagnostic::new("E0708", span("shards"), message).help("write one extent for each axis in both"));
    } else if shards.iter().zip(chunks).any(|(s, c)| s % c != 0) {
        let message = format!("expected whole multiples of the chunks {chunks:?}, found shards of {shards:?}");
        let near: Vec<u64> = shards.iter().zip(chunks).map(|(s, c)| s.div_ceil(*c).saturating_mul(*c)).collect();
        let d = Diagnostic::new("E0708", span("shards"), message).help(format!("write `shards: {near:?}`"));
        l.report.push(d.fix(span("shards"), format!("{near:?}")));
    }
}

/// Checks what is asked of a codec.
fn encoded(l: &mut Loader<'_>, codec: ZarrCodec, file: &OutputFile, node: &Node) {
    let whole = node.get("codec").unwrap_or(node);
    let span = |key: &str| whole.get(key).map_or(whole.span, |n| n.span);
    let name = codec.name.name();
    let mut refuse = |key: &str, message: String, help: String, fix: Option<u8>| {
        let d = Diagnostic::new("E0713", span(key), message).help(help);
        l.report.push(match fix {
            Some(level) => d.fix(span(key), level.to_string()),
            None => d,
        });
    };
    match (codec.level, codec.name.levels()) {
        (Some(level), None) => {
            refuse("level", format!("`{name}` has no levels, found {level}"), "remove `level`".into(), None);
        }
        (Some(level), Some((levels, _))) if !levels.contains(&level) => {
            let (least, most) = levels.into_inner();
            let message = format!("expected a level of {least} to {most} of `{name}`, found {level}");
            let near = level.clamp(least, most);
            refuse("level", message, format!("write `level: {near}`"), Some(near));
        }
        _ => {}
    }
    if codec.shuffle.is_some() && !codec.name.shuffles() {
        let message = format!("`shuffle` belongs to `blosc-lz4` and `blosc-zstd`, found codec `{name}`");
        refuse("shuffle", message, "remove it, or write `name: blosc-zstd`".into(), None);
    }
    if codec.checksum.is_some() && file.version.as_ref().is_some_and(|v| version(v) == ZarrVersion::V2) {
        let message = "checksums belong to Zarr v3 and OME-Zarr 0.5, found an older version";
        refuse("checksum", message.into(), "remove `checksum`, or leave `version` out".into(), None);
    }
}

/// The version of the Zarr format that a checked file asks for: OME-Zarr 0.4 stands on version 2.
fn version(file: &FormatVersion) -> ZarrVersion {
    match file.0.as_f64() {
        Some(v) if v == 2.0 || v == 0.4 => ZarrVersion::V2,
        _ => ZarrVersion::V3,
    }
}

/// The levels that a checked file asks for.
fn pyramid(file: PyramidFile) -> Pyramid {
    Pyramid {
        levels: file.levels.and_then(|l| l.0.as_u64()),
        method: file.method,
        axes: file.axes.map(|axes| axes.chars().filter_map(ops_core::Axis::parse).collect()),
    }
}

/// Checks the name of an output: a path of plain names below `Results/` that no other output shares.
fn name(l: &mut Loader<'_>, key: &str, span: Span, taken: &mut BTreeMap<String, (String, Span)>) {
    let why = if key.starts_with(['/', '\\']) || key.get(1..2) == Some(":") {
        Some("an absolute path")
    } else if key.split(['/', '\\']).any(|p| p == ".." || p == ".") {
        Some("a path that leaves it")
    } else if key.contains('\\') {
        Some("a backslash")
    } else if key.split('/').any(str::is_empty) {
        Some("an empty part")
    } else if key.split('/').any(|p| p.starts_with('.') || p.ends_with(['.', ' ']) || p.starts_with(' ')) {
        Some("a part that starts or ends with a dot or space")
    } else if !key.chars().all(|c| c.is_alphanumeric() || " _-./+()".contains(c)) {
        Some("characters that file systems refuse")
    } else if key.len() > 200 || key.split('/').count() > 4 {
        Some("a name that is too long or too deep")
    } else if key.split('/').any(|p| DEVICES.contains(&p.split('.').next().unwrap_or(p).to_ascii_lowercase().as_str()))
    {
        Some("the name of a device")
    } else {
        None
    };
    if let Some(why) = why {
        let d = Diagnostic::new("E0703", span, format!("expected a name inside `Results/`, found {why}: `{key}`"));
        l.report.push(d.help("name it with letters, digits, `_` and `-`; to write elsewhere add `to: PATH`"));
        return;
    }
    let folded = key.to_lowercase();
    let clash = taken.iter().find(|(other, _)| {
        **other == folded || folded.starts_with(&format!("{other}/")) || other.starts_with(&format!("{folded}/"))
    });
    if let Some((_, (first, at))) = clash {
        let message = format!("outputs `{first}` and `{key}` would be written to the same place");
        let d = Diagnostic::new("E0702", span, message);
        let at = names::place(&l.sources, *at);
        l.report
            .push(d.note(format!("`{first}` is at {at}")).help("rename one; upper and lower case count as the same"));
        return;
    }
    taken.insert(folded, (key.to_owned(), span));
}

/// Refuses a `to` in which the text of a reference leads out of the folder written before it.
fn stays(l: &mut Loader<'_>, to: &Node) {
    let (Some(text), Some(starts)) = (to.text(), to.pasted.as_deref()) else { return };
    for &start in starts.iter().filter(|s| **s > 0) {
        let folder = text.get(..start).and_then(|before| before.rfind('/')).map_or(0, |i| i + 1);
        let rest = text.get(folder..).unwrap_or_default().trim_start_matches('/');
        if super::unit::normal(std::path::Path::new(rest)).starts_with("..") {
            let folder = text.get(..folder).filter(|f| !f.is_empty()).unwrap_or("./");
            let message =
                format!("expected a path inside `{folder}`, which is written before the reference, found {text:?}");
            let d = Diagnostic::new("E0707", to.span, message);
            l.report.push(d.help("give the parameter a plain name, or make the whole path a parameter"));
            return;
        }
    }
}

/// Refuses a URL that names no store that can be written; anything else passes.
fn target_url(l: &mut Loader<'_>, to: &str, span: Span) -> bool {
    if !is_url(to) {
        return true;
    }
    let d = match place::url(to) {
        Err(message) => Diagnostic::new("E0607", span, message).help(place::HELP),
        Ok(url) if !url.scheme.is_writable() => {
            let message = format!("expected a place that can be written, found `{to}`: HTTP is for reading only");
            Diagnostic::new("E0712", span, message).help("write to a path, or to `s3://BUCKET/KEY`")
        }
        Ok(url) if url.path.is_empty() => {
            let message = format!("expected a key behind the bucket, found `{to}`");
            Diagnostic::new("E0712", span, message).help(format!("write a name behind it, such as `{to}/out.zarr`"))
        }
        Ok(_) => return true,
    };
    l.report.push(d);
    false
}

/// Refuses table formats for arrays and array formats for tables, as far as the op alone tells.
pub(super) fn formats(l: &mut Loader<'_>, outputs: &[OutputDecl], steps: &[StepDecl]) {
    for o in outputs {
        let Some(format) = &o.format else { continue };
        let table = match steps.iter().find(|s| s.name.value == o.from.value) {
            Some(step) => match registry::find(&step.op.value) {
                Some(op) => op.makes_table,
                None => continue,
            },
            None => false,
        };
        if format.value.is_table() == table {
            continue;
        }
        let (what, instead) =
            if table { ("a table", "`csv` or `parquet`") } else { ("an array", "`zarr`, `ome-zarr`, `tiff` or `png`") };
        let message = format!("`{}` makes {what}, which format `{}` can't hold", o.from.value, format.value.name());
        let right = if table { "csv" } else { "zarr" };
        let d = Diagnostic::new("E0701", format.span, message).help(format!("write {instead}"));
        l.report.push(d.fix(format.span, right));
    }
}

/// The `tests:` of the outermost workflow.
pub(super) fn tests(l: &mut Loader<'_>, unit: &Unit) -> Vec<TestDecl> {
    let mut out = Vec::new();
    for (i, node) in unit.root.get("tests").map(Node::elements).unwrap_or_default().iter().enumerate() {
        for e in node.get("params").map(Node::entries).unwrap_or_default() {
            match unit.params.declared.get(&e.key) {
                Some(d) => {
                    if let Some(file) = &d.file {
                        super::params::checked(&e.value, file, &e.key, &mut l.report);
                    }
                }
                None => {
                    let known = unit.params.declared.keys().map(String::as_str);
                    unknown(l, "E0406", "parameter", e, node.get("params"), known.collect());
                }
            }
        }
        let expected = node.get("expect").and_then(|e| e.get("outputs"));
        for e in expected.map(Node::entries).unwrap_or_default() {
            let known: Vec<&str> = unit.entries("outputs").iter().map(|o| o.key.as_str()).collect();
            if !known.contains(&e.key.as_str()) {
                unknown(l, "E0706", "output", e, expected, known);
            }
        }
        let Some(file) = unit.read::<TestFile>(&format!("/tests/{i}"), &mut l.report) else { continue };
        let Some(expect) = node.get("expect") else { continue };
        let name = Spanned::new(file.name, node.get("name").map_or(node.span, |n| n.span));
        out.push(TestDecl { name, params: file.params, expect: expect.to_spanned() });
    }
    out
}

/// Refuses a key of `siblings` that names nothing.
fn unknown(l: &mut Loader<'_>, code: &'static str, what: &str, e: &Entry, siblings: Option<&Node>, known: Vec<&str>) {
    let d = Diagnostic::new(code, e.key_span, format!("the workflow has no {what} `{}`", e.key));
    let free = known.iter().copied().filter(|k| siblings.is_none_or(|s| s.get(k).is_none()));
    l.report.push(match nearest(&e.key, free) {
        Some(near) => d.help(format!("did you mean `{near}`?")).fix(e.key_span, near),
        None => d.help(format!("there are {}", list(known))),
    });
}
