//! Workflow to graph: sources are probed, steps lowered, shapes and dtypes inferred for every class of items.

use super::{Graph, Input, InputId, Kind, Node, NodeId, Output};
use crate::catalog::{Catalog, Items, SourceError, SourceProblem};
use crate::diag::{Diagnostic, Report, Span};
use crate::formats;
use crate::place;
use crate::spec::workflow::{Format, InputDecl, OnError, OutputDecl, Spanned, StepDecl, StepInput, Workflow};
use ops_core::lower::Kind as LoweredKind;
use ops_core::{ArrayMeta, Lowering, OpError, Port, PortMeta, registry};
use smallvec::SmallVec;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Builds the graph of a workflow whose text was found right. Everything wrong with it goes to `report`; a graph comes
/// back only when nothing is.
pub fn build(workflow: &Workflow, catalog: &dyn Catalog, report: &mut Report) -> Option<Graph> {
    let mut b =
        Builder { graph: Graph::default(), names: BTreeMap::new(), off: BTreeSet::new(), report, failed: false };
    for decl in &workflow.inputs {
        b.input(decl, catalog);
    }
    for step in in_order(&workflow.steps) {
        b.step(step);
    }
    for decl in &workflow.outputs {
        b.output(decl);
    }
    (!b.failed).then_some(b.graph)
}

/// Steps so that each comes after what it consumes. The text was found free of cycles.
fn in_order(steps: &[StepDecl]) -> Vec<&StepDecl> {
    let mut done: BTreeMap<&str, bool> = steps.iter().map(|s| (s.name.as_str(), false)).collect();
    let mut left: Vec<&StepDecl> = steps.iter().collect();
    let mut order = Vec::with_capacity(left.len());
    while !left.is_empty() {
        let before = left.len();
        left.retain(|s| {
            let mut sources = s.inputs.iter().map(|i| &i.from).chain(s.when.as_ref().map(|w| &w.of));
            let ready = sources.all(|from| done.get(from.as_str()).copied().unwrap_or(true));
            if ready {
                done.insert(&s.name, true);
                order.push(*s);
            }
            !ready
        });
        if left.len() == before {
            break;
        }
    }
    order
}

pub(super) struct Builder<'a> {
    pub(super) graph: Graph,
    /// What each input and step made; `None` when it could not be built and was reported.
    pub(super) names: BTreeMap<String, Option<NodeId>>,
    /// Steps that are off and have not exactly one input to pass on.
    off: BTreeSet<String>,
    report: &'a mut Report,
    failed: bool,
}

impl Builder<'_> {
    pub(super) fn fail(&mut self, d: Diagnostic) {
        self.failed = true;
        self.report.push(d);
    }

    /// No graph comes of it; why was reported.
    pub(super) fn give_up(&mut self) {
        self.failed = true;
    }

    fn input(&mut self, decl: &InputDecl, catalog: &dyn Catalog) {
        let (items, problems) = catalog.items(decl);
        let skip = decl.on_error == OnError::Skip && !items.is_empty();
        for p in &problems {
            let mut d = describe(p, decl);
            if skip && !matches!(p.problem, SourceProblem::Pattern(_)) {
                d = Diagnostic { code: "W0911", severity: crate::diag::Severity::Warning, ..d }
                    .note("`on_error: skip` leaves this item out");
                self.report.push(d);
            } else {
                self.fail(d);
            }
        }
        let node = (!items.is_empty()).then(|| self.source(decl, items));
        self.failed |= node.is_none();
        self.names.insert(decl.name.value.clone(), node);
    }

    fn source(&mut self, decl: &InputDecl, items: Items) -> NodeId {
        let first = items.distinct()[0].array.clone();
        for other in items.distinct() {
            if (other.array.dtype, &other.array.axes) != (first.dtype, &first.axes) {
                let at = (0..items.len()).find(|&i| items.meta(i) == other).unwrap_or(0);
                let d = Diagnostic::new(
                    "E0513",
                    decl.span(),
                    format!(
                        "the items of input `{}` disagree: `{}` is {} {}, `{}` is {} {}",
                        decl.name.value,
                        items.stem(0),
                        first.dtype,
                        first.axes,
                        items.stem(at),
                        other.array.dtype,
                        other.array.axes
                    ),
                )
                .help("one `foreach` takes images of one dtype and the same axes; narrow the glob, or set `channels: rgb`");
                self.fail(d);
            }
        }
        let id = InputId(self.graph.inputs.len() as u32);
        let node = Node {
            step: decl.name.value.clone(),
            op: "read".into(),
            name: "read".into(),
            params: format!("{:?}", decl.channels),
            kind: Kind::Source(id),
            arrays: SmallVec::new(),
            values: SmallVec::new(),
            family: decl.is_family().then_some(id),
            metas: items.distinct().iter().map(|s| s.array.clone()).collect(),
        };
        self.graph.inputs.push(Input { decl: decl.clone(), items: Arc::new(items) });
        self.push(node)
    }

    fn push(&mut self, node: Node) -> NodeId {
        self.graph.nodes.push(node);
        NodeId(self.graph.nodes.len() as u32 - 1)
    }

    fn step(&mut self, step: &StepDecl) {
        let on = match &step.when {
            Some(when) => self.decide(step, when),
            None => Some(true),
        };
        let made = match (on, &step.inputs[..]) {
            (Some(true), _) => self.lower(step),
            (Some(false), [one]) => self.made(&one.from),
            (Some(false), _) => {
                self.off.insert(step.name.value.clone());
                self.names.insert(step.name.value.clone(), None);
                return;
            }
            (None, _) => None,
        };
        self.failed |= made.is_none();
        self.names.insert(step.name.value.clone(), made);
    }

    /// What an input or step made; a step that is off and passes nothing on is reported where it is needed.
    pub(super) fn made(&mut self, from: &Spanned<String>) -> Option<NodeId> {
        if self.off.contains(&from.value) {
            let message = format!("`{}` is off, and has not exactly one input that could be passed on", from.value);
            let d = Diagnostic::new("E0313", from.span, message);
            self.fail(d.help("give this step a `when:` of its own, or let it use something else"));
        }
        *self.names.get(&from.value)?
    }

    pub(super) fn lower(&mut self, step: &StepDecl) -> Option<NodeId> {
        let entry = registry::find(&step.op)?;
        let op = (entry.parse)(step.with.value.clone()).ok()?;
        // Inputs in the order of the op, not of the file; where the workflow names them, in that of the file.
        let mut from: Vec<(NodeId, Span)> = Vec::new();
        let called = |s: &StepInput| s.port.as_ref().map_or_else(|| "input".to_owned(), |p| p.value.clone());
        let names: Vec<String> = match entry.free_inputs() {
            Some(_) => step.inputs.iter().map(called).collect(),
            None => entry.inputs.iter().map(|s| s.name.to_owned()).collect(),
        };
        for (i, name) in names.iter().enumerate() {
            let given = step.inputs.iter().find(|s| s.port.as_ref().map_or(i == 0, |p| p.as_str() == name))?;
            from.push((self.made(&given.from)?, given.from.span));
        }
        let families: Vec<InputId> = from.iter().filter_map(|(n, _)| self.graph.node(*n).family).collect();
        if let Some(&other) = families.iter().find(|f| **f != families[0]) {
            let name = |f: InputId| self.graph.input(f).decl.name.value.clone();
            let d = Diagnostic::new(
                "E0514",
                step.name.span,
                format!(
                    "step `{}` combines items of `{}` with items of `{}`",
                    step.name.value,
                    name(families[0]),
                    name(other)
                ),
            )
            .help("join one of the two first (`stack`, `tile`), or read both from one `foreach`");
            self.fail(d);
            return None;
        }
        let family = families.first().copied();
        let metas: Vec<Option<PortMeta>> = from
            .iter()
            .map(|(n, _)| {
                let node = self.graph.node(*n);
                let items = self.graph.items(node.family).min(u32::MAX as u64) as u32;
                (!node.is_reduce()).then(|| PortMeta { meta: node.meta(0).clone(), items })
            })
            .collect();
        let (mut lowering, ports) = Lowering::new(&metas);
        lowering.name_inputs(names);
        let result = match op.lower(&mut lowering, &ports) {
            Ok(port) => port,
            Err(e) => {
                let d = refuse(&e, step, &from, None);
                self.fail(d);
                return None;
            }
        };
        let mut ids: Vec<NodeId> = Vec::new();
        for n in lowering.nodes() {
            let id = match &n.kind {
                LoweredKind::Input(i) => from[*i].0,
                _ => {
                    let arrays: SmallVec<[NodeId; 2]> = n.arrays.iter().map(|a| ids[a.0]).collect();
                    let values: SmallVec<[NodeId; 2]> = n.values.iter().map(|v| ids[v.0]).collect();
                    self.add_lowered(step, n, arrays, values, family, &from)?
                }
            };
            ids.push(id);
        }
        Some(match result {
            Port::Array(a) => ids[a.0],
            Port::Value(v) => ids[v.0],
        })
    }

    fn add_lowered(
        &mut self,
        step: &StepDecl,
        n: &ops_core::lower::Lowered,
        arrays: SmallVec<[NodeId; 2]>,
        values: SmallVec<[NodeId; 2]>,
        family: Option<InputId>,
        from: &[(NodeId, Span)],
    ) -> Option<NodeId> {
        let of_family = |g: &Graph| arrays.iter().chain(&values).any(|&a| g.node(a).family.is_some());
        let (kind, family) = match &n.kind {
            LoweredKind::Map(m) => (Kind::Map(m.clone()), family.filter(|_| of_family(&self.graph))),
            LoweredKind::Join(m) => (Kind::Join(m.clone()), None),
            LoweredKind::Reduce(r, scope) => {
                let item = *scope == ops_core::Scope::Item;
                (Kind::Reduce(r.clone(), *scope), family.filter(|_| item && of_family(&self.graph)))
            }
            LoweredKind::Input(_) => return None,
        };
        if matches!(kind, Kind::Join(_)) {
            self.check_joinable(step, arrays[0], from[0].1)?;
        }
        let node = Node {
            step: step.name.value.clone(),
            op: step.op.value.clone(),
            name: n.name.to_owned(),
            params: n.params.clone(),
            kind,
            arrays,
            values,
            family,
            metas: Vec::new(),
        };
        let id = self.push(node);
        // A collection reduction reads every class though its result is single.
        let input_family = self.graph.node(id).arrays.iter().find_map(|&a| self.graph.node(a).family);
        let joins = matches!(self.graph.node(id).kind, Kind::Join(_));
        let classes = if joins { 1 } else { self.graph.classes(input_family) };
        for class in 0..classes {
            let ports = self.graph.ports(id, class);
            let checked: Result<Option<ArrayMeta>, OpError> = match &self.graph.node(id).kind {
                Kind::Map(m) | Kind::Join(m) => m.infer(&ports).map(Some),
                Kind::Reduce(r, _) => r.check(&ports).map(|()| None),
                Kind::Source(_) => Ok(None),
            };
            match checked {
                Ok(Some(meta)) => self.graph.nodes[id.0 as usize].metas.push(meta),
                Ok(None) => {}
                Err(e) => {
                    let file = input_family.map(|f| {
                        let items = &self.graph.input(f).items;
                        (0..items.len())
                            .find(|&i| items.meta_id(i) == class)
                            .map_or_else(String::new, |i| items.stem(i))
                    });
                    let d = refuse(&e, step, from, file);
                    self.fail(d);
                    return None;
                }
            }
        }
        Some(id)
    }

    fn check_joinable(&mut self, step: &StepDecl, array: NodeId, span: Span) -> Option<()> {
        let node = self.graph.node(array);
        let metas = &node.metas;
        if let (Some(family), Some(odd)) = (node.family, metas.iter().position(|m| m != &metas[0])) {
            let items = &self.graph.input(family).items;
            let at = (0..items.len()).find(|&i| items.meta_id(i) == odd).unwrap_or(0);
            let d = Diagnostic::new(
                "E0513",
                span,
                format!(
                    "`{}` joins items of equal shape: `{}` is {}, `{}` is {}",
                    step.op.value,
                    items.stem(0),
                    metas[0],
                    items.stem(at),
                    metas[odd]
                ),
            )
            .help("crop or resize the items to one shape first");
            self.fail(d);
            return None;
        }
        Some(())
    }

    fn output(&mut self, decl: &OutputDecl) {
        let Some(node) = self.made(&decl.from) else {
            self.failed = true;
            return;
        };
        let n = self.graph.node(node).clone();
        let format = decl.format.as_ref().map_or(if n.is_reduce() { Format::Csv } else { Format::Zarr }, |f| f.value);
        let span = decl.format.as_ref().map_or(decl.from.span, |f| f.span);
        if n.is_reduce() != format.is_table() {
            let (is, takes) =
                if n.is_reduce() { ("a table", "csv or parquet") } else { ("an array", "png, tiff, zarr or ome-zarr") };
            let d = Diagnostic::new(
                "E0702",
                span,
                format!("`{}` is {is}, {} can't hold it", decl.from.value, format.name()),
            )
            .help(format!("write it as {takes}"));
            self.fail(d);
            return;
        }
        for meta in &n.metas {
            if let Err(p) = formats::can_hold(format, meta) {
                let d = Diagnostic::new(
                    "E0701",
                    span,
                    format!("{} can't hold `{}`: {}", format.name(), decl.from.value, p.what),
                )
                .help(p.help);
                self.fail(d);
                return;
            }
        }
        if let Some(codec) = &decl.codec
            && let Some(meta) = n.metas.iter().find(|m| !codec.value.name.takes(m.dtype))
        {
            let (name, of) = (codec.value.name.name(), &decl.from.value);
            let message = format!("`{name}` takes numbers of 16 bits and more, `{of}` is {}", meta.dtype);
            self.fail(Diagnostic::new("E0713", codec.span, message).help("write `codec: blosc-zstd`"));
            return;
        }
        if !self.fits(decl, format, &n.metas[..n.metas.len().min(1)]) {
            return;
        }
        if let Some(to) = decl.to.as_ref().filter(|to| place::is_url(&to.value) && !format.is_zarr()) {
            let message = format!("expected a Zarr output at `{}`, found format `{}`", to.value, format.name());
            let d = Diagnostic::new("E0712", to.span, message);
            self.fail(d.help("write `format: zarr` or `ome-zarr`, or write it to a path"));
            return;
        }
        match format {
            Format::OmeZarr => self.image(decl, node, span),
            _ => self.graph.outputs.push(Output { decl: decl.clone(), format, node, part: None, scratch: false }),
        }
    }

    /// Checks that chunks and shards have an extent for each axis, and belong to what is written at all.
    fn fits(&mut self, decl: &OutputDecl, format: Format, metas: &[ArrayMeta]) -> bool {
        let before = self.failed;
        let asked = [("chunks", &decl.chunks), ("shards", &decl.shards)];
        for (key, extents) in asked.into_iter().filter_map(|(k, e)| Some((k, e.as_ref()?))) {
            if format.is_table() {
                let message = format!("`{key}` belongs to Zarr outputs, found a table: `{}`", decl.from.value);
                self.fail(Diagnostic::new("E0705", extents.span, message).help("remove it"));
            }
            for meta in metas.iter().filter(|m| m.rank() != extents.value.len()) {
                let (n, found) = (meta.rank(), extents.value.len());
                let message = format!("expected {n} extents in `{key}`, one for each axis of {meta}, found {found}");
                let help = format!("write one each for {}", meta.axes);
                self.fail(Diagnostic::new("E0708", extents.span, message).help(help));
            }
        }
        before == self.failed
    }
}

fn describe(e: &SourceError, decl: &InputDecl) -> Diagnostic {
    let (code, message) = match &e.problem {
        SourceProblem::NoMatch => ("E0601", format!("no file matches `{}`", e.path)),
        SourceProblem::Pattern(m) => ("E0605", format!("`{}` is not a valid glob: {m}", e.path)),
        SourceProblem::Unreadable(m) => ("E0602", format!("can't read `{}`: {m}", e.path)),
        SourceProblem::Corrupt(m) => ("E0603", format!("`{}` is damaged: {m}", e.path)),
        SourceProblem::Unsupported(m) => ("E0604", format!("`{}` can't be read: {m}", e.path)),
        SourceProblem::NotOne(m) => ("E0606", format!("`{}` is not one array: {m}", e.path)),
    };
    let span = match (&e.problem, &decl.level) {
        (SourceProblem::NotOne(_), Some(level)) => level.span,
        _ => decl.span(),
    };
    let d = Diagnostic::new(code, span, message);
    match e.similar.first() {
        Some(s) => d.help(format!("did you mean `{s}`?")),
        None if code == "E0601" => d.help("a relative path starts at the directory of the workflow file"),
        None => d,
    }
}

/// The diagnostic of an op that refuses its parameters or inputs.
fn refuse(e: &OpError, step: &StepDecl, from: &[(NodeId, Span)], item: Option<String>) -> Diagnostic {
    let what = format!("step `{}` ({})", step.name.value, step.op.value);
    let d = match e {
        OpError::Param { param, expected, found } => Diagnostic::new(
            "E0511",
            step.with.span_at(&format!("/{param}")),
            format!("{what}: `{param}` should be {expected}, found {found}"),
        ),
        OpError::Input { input, expected, found, help } => {
            let span = from.get(*input).map_or(step.name.span, |f| f.1);
            Diagnostic::new("E0510", span, format!("{what} takes {expected}, found {found}")).help(help.clone())
        }
        OpError::Data(m) | OpError::Internal(m) => Diagnostic::new("E0510", step.name.span, format!("{what}: {m}")),
    };
    match item {
        Some(name) if !name.is_empty() => d.note(format!("first such item: `{name}`")),
        _ => d,
    }
}
