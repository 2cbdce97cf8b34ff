//! Inputs and the profile: from their entries in the file to what the planner reads.

use super::file::{BlockSize, InputFile, LevelFile, Size};
use super::unit::Unit;
use super::workflow::{Generate, InputDecl, InputSource, Level, Profile, Spanned};
use super::{Loader, size};
use crate::diag::{Diagnostic, Span};
use crate::place;
use ops_core::Axes;

impl Loader<'_> {
    /// One entry of `inputs:`; `name` is its flat name.
    pub(super) fn input(&mut self, unit: &Unit, key: &str, name: String) -> Option<InputDecl> {
        let pointer = format!("/inputs/{}", super::tree::escape(key));
        let file: InputFile = unit.read(&pointer, &mut self.report)?;
        let node = super::check::node_at(&unit.root, &pointer)?;
        let key_span = unit.json.keys.get(&pointer).copied().unwrap_or(node.span);
        let kinds =
            [("foreach", file.foreach.is_some()), ("path", file.path.is_some()), ("generate", file.generate.is_some())];
        let given: Vec<&str> = kinds.iter().filter(|(_, there)| *there).map(|(k, _)| *k).collect();
        if given.is_empty() && unit.broken.unknown.iter().any(|p| p.starts_with(&format!("{pointer}/"))) {
            // A misspelt key, reported as that.
            return None;
        }
        if given.len() != 1 {
            let found = if given.is_empty() { "none".to_owned() } else { super::names::list(given.iter().copied()) };
            let message =
                format!("input `{key}`: expected exactly one of `foreach`, `path` and `generate`, found {found}");
            let help = "write `foreach: \"data/*.png\"` for many files, or `path: file.tif` for one";
            self.report.push(Diagnostic::new("E0206", key_span, message).help(help));
            return None;
        }
        let axes_at = |key: &str| node.get(key).map_or(node.span, |n| n.span);
        if let Some(axes) = &file.axes {
            self.axes(axes, axes_at("axes"))?;
        }
        let text = |key: &str| node.get(key).map(|n| (n.text().unwrap_or_default().to_owned(), n.span, n.origin));
        let (source, origin) = if let Some(generate) = file.generate {
            let at = node.get("generate")?;
            let rank = generate.shape.len();
            let axes = match &generate.axes {
                Some(axes) => self.axes(axes, at.get("axes").map_or(at.span, |n| n.span))?,
                None => match ["x", "yx", "zyx"].get(rank - 1).and_then(|a| Axes::parse(a)) {
                    Some(axes) => axes,
                    None => {
                        let message = format!("generated input `{key}`: expected `axes` for a shape of {rank} extents");
                        let d = Diagnostic::new("E0212", at.span, message);
                        self.report.push(d.help("write one letter of t, c, z, y, x for each extent, slowest first"));
                        return None;
                    }
                },
            };
            if axes.rank() != rank {
                let span = at.get("axes").map_or(at.span, |n| n.span);
                let message =
                    format!("expected as many axes as extents, found {} axes and {rank} extents", axes.rank());
                self.report
                    .push(Diagnostic::new("E0212", span, message).help("write one letter for each extent of `shape`"));
                return None;
            }
            let value = Generate {
                items: generate.items,
                shape: generate.shape,
                axes,
                dtype: generate.dtype,
                pattern: generate.pattern,
                seed: generate.seed,
            };
            (InputSource::Generate(Spanned::new(value, at.span)), at.origin)
        } else if let Some((glob, span, origin)) = text("foreach") {
            (InputSource::Foreach(Spanned::new(glob, span)), origin)
        } else {
            let (path, span, origin) = text("path")?;
            (InputSource::Path(Spanned::new(path, span)), origin)
        };
        self.source_url(&source)?;
        let level = file.level.map(|LevelFile(json)| {
            let level = match &json {
                serde_json::Value::String(path) => Level::Path(path.clone()),
                // The schema lets only whole numbers from 0 through.
                number => Level::Number(number.as_u64().unwrap_or(u64::MAX)),
            };
            Spanned::new(level, axes_at("level"))
        });
        if let (Some(level), InputSource::Generate(_)) = (&level, &source) {
            let message = format!("input `{key}`: a generated array has no levels, found `level: {}`", level.value);
            self.report.push(Diagnostic::new("E0606", level.span, message).help("remove `level`"));
            return None;
        }
        Some(InputDecl {
            name: Spanned::new(name, key_span),
            source,
            base: self.base_of(origin),
            channels: file.channels,
            axes: file.axes.map(|a| Spanned::new(a, axes_at("axes"))),
            level,
            on_error: file.on_error,
            batch: file.batch,
        })
    }

    /// Refuses a URL that names no store; anything else passes.
    fn source_url(&mut self, source: &InputSource) -> Option<()> {
        let (text, globbed) = match source {
            InputSource::Path(p) => (p, false),
            InputSource::Foreach(p) => (p, true),
            InputSource::Generate(_) => return Some(()),
        };
        if !place::is_url(&text.value) {
            return Some(());
        }
        let (message, help) = match place::url(&text.value) {
            Err(message) => (message, place::HELP),
            Ok(_) if globbed => {
                let message = format!("`foreach` matches files, found a URL: `{}`", text.value);
                (message, "write `path: URL` for one store")
            }
            Ok(_) => return Some(()),
        };
        self.report.push(Diagnostic::new("E0607", text.span, message).help(help));
        None
    }

    fn axes(&mut self, text: &str, span: Span) -> Option<Axes> {
        let axes = Axes::parse(text);
        if axes.is_none() {
            let message = format!("expected each axis once, found {text:?}");
            self.report
                .push(Diagnostic::new("E0212", span, message).help("the axes are t, c, z, y and x, slowest first"));
        }
        axes
    }

    /// The `run:` block.
    pub(super) fn profile(&mut self, unit: &Unit) -> Profile {
        let Some(node) = unit.root.get("run") else { return Profile::default() };
        let span = |key: &str| node.get(key).map_or(node.span, |n| n.span);
        let memory = unit.read::<Size>("/run/memory", &mut self.report).and_then(|m| {
            let parsed = match &m.0 {
                serde_json::Value::String(s) => size::parse_bytes(s),
                other => other.as_u64().ok_or_else(|| "expected a size such as `4GiB`".to_owned()),
            };
            match parsed {
                Ok(bytes) => Some(Spanned::new(bytes, span("memory"))),
                Err(e) => {
                    let d = Diagnostic::new("E0211", span("memory"), format!("`memory`: {e}"));
                    self.report.push(d.help("write a number and a unit, such as `4GiB`"));
                    None
                }
            }
        });
        let block = unit.read::<BlockSize>("/run/block", &mut self.report).and_then(|b| {
            let v = match &b.0 {
                serde_json::Value::Array(v) => v.iter().filter_map(serde_json::Value::as_u64).collect(),
                other => vec![other.as_u64()?],
            };
            Some(Spanned::new(v, span("block")))
        });
        Profile {
            memory,
            threads: unit.read::<u64>("/run/threads", &mut self.report).map(|t| Spanned::new(t, span("threads"))),
            block,
        }
    }
}
