//! Outputs that are several arrays: the levels of an OME-Zarr image.
//!
//! Each level is an array of the graph like any other, made from the one before it by the op `downsample`, and written
//! by tasks of its own.

use super::build::Builder;
use super::place;
use super::{Image, NodeId, Output, Part};
use crate::catalog::AxisScale;
use crate::diag::{Diagnostic, Span};
use crate::formats::default_chunks;
use crate::spec::workflow::{Format, OutputDecl, Pyramid, PyramidMethod, Spanned, SpannedJson, StepDecl, StepInput};
use ops_core::Axis;
use serde_json::{Map, Value as Json, json};
use std::sync::Arc;

/// The most levels: an array that is halved more often has one element left.
const MOST_LEVELS: u64 = 32;

impl Builder<'_> {
    /// Adds the levels of an OME-Zarr output, and an output for each.
    pub(super) fn image(&mut self, decl: &OutputDecl, node: NodeId, span: Span) {
        let pyramid = decl.pyramid.as_ref().map(|p| p.value.clone()).unwrap_or(Pyramid::NONE);
        let method = pyramid.method.unwrap_or(if decl.labels { PyramidMethod::Mode } else { PyramidMethod::Mean });
        let span = decl.pyramid.as_ref().map_or(span, |p| p.span);
        let first = self.graph.node(node).metas[0].clone();
        if decl.labels && (first.dtype.is_float() || method == PyramidMethod::Mean) {
            let found = if first.dtype.is_float() { first.dtype.name() } else { "`method: mean`" };
            let message = format!("expected whole numbers, and levels that make no others, as `labels`, found {found}");
            let d = Diagnostic::new("E0709", span, message);
            return self.fail(d.help("write `method: mode` or `nearest`, or take `labels: true` away"));
        }
        let axes: Vec<Axis> = match &pyramid.axes {
            Some(axes) => axes.clone(),
            None => vec![Axis::Y, Axis::X],
        };
        if let Some(none) = axes.iter().find(|a| first.axes.position(**a).is_none()) {
            let message = format!("expected axes of the array ({}) to be halved, found `{}`", first.axes, none.name());
            return self.fail(Diagnostic::new("E0709", span, message).help("name axes of the array in `axes`"));
        }
        let (mut nodes, mut factors) = (vec![node], vec![vec![1u64; first.rank()]]);
        loop {
            let level = nodes.len() as u64;
            let before = nodes[nodes.len() - 1];
            let halved = self.halved(before, &axes);
            let enough = match pyramid.levels {
                Some(n) => level >= n,
                None => halved.is_empty() || level >= MOST_LEVELS || self.is_one_chunk(decl, before, &axes),
            };
            if enough {
                break;
            }
            if halved.is_empty() {
                let message = format!("level {level} would be no smaller than the one before it");
                let help = format!("write `levels: {level}` or `levels: auto`");
                return self.fail(Diagnostic::new("E0709", span, message).help(help));
            }
            let Some(next) = self.level(decl, level, before, &halved, method) else {
                return self.give_up();
            };
            let last = &factors[factors.len() - 1];
            let of = |(i, axis): (usize, Axis)| if halved.contains(&axis) { 2 * last[i] } else { last[i] };
            let next_factors = first.axes.iter().enumerate().map(of).collect();
            factors.push(next_factors);
            nodes.push(next);
        }
        let name = &decl.name.value;
        let stem = name.rsplit('/').next().unwrap_or(name);
        let prefix = if decl.labels { format!("labels/{stem}/") } else { String::new() };
        let classes = 0..self.graph.node(node).metas.len();
        let scales = |class| place::of(&self.graph, node, class);
        let image = Arc::new(Image {
            name: stem.to_owned(),
            axes: first.axes.clone(),
            labels: decl.labels,
            paths: (0..nodes.len()).map(|level| format!("{prefix}{level}")).collect(),
            method,
            scales: classes.map(|class| levels(&scales(class), &factors, &first.axes, method)).collect(),
        });
        for (level, node) in nodes.into_iter().enumerate() {
            let part = Some(Part { level, image: image.clone() });
            self.graph.outputs.push(Output { decl: decl.clone(), format: Format::OmeZarr, node, part, scratch: false });
        }
    }

    /// The axes along which an array of some item has more than one element.
    fn halved(&self, node: NodeId, axes: &[Axis]) -> Vec<Axis> {
        let metas = &self.graph.node(node).metas;
        let long = |axis: &Axis| metas.iter().any(|m| m.axes.position(*axis).is_some_and(|p| m.shape[p] > 1));
        axes.iter().copied().filter(long).collect()
    }

    /// True where a chunk reaches across every item's array along these axes.
    fn is_one_chunk(&self, decl: &OutputDecl, node: NodeId, axes: &[Axis]) -> bool {
        self.graph.node(node).metas.iter().all(|meta| {
            // The default depends on the array; what counts is how large a chunk may get.
            let chunk = |p: usize| match &decl.chunks {
                Some(chunks) => chunks.value.get(p).copied().unwrap_or(1),
                None => default_chunks(meta).get(p).copied().unwrap_or(1),
            };
            axes.iter().filter_map(|a| meta.axes.position(*a)).all(|p| meta.shape[p] <= chunk(p))
        })
    }

    /// Lowers the step that makes a level.
    fn level(
        &mut self,
        decl: &OutputDecl,
        level: u64,
        before: NodeId,
        halved: &[Axis],
        method: PyramidMethod,
    ) -> Option<NodeId> {
        let name = |level: u64| format!("{}.ome.zarr/{level}", decl.name.value);
        let spanned = |text: String| Spanned::new(text, decl.name.span);
        let factor: Map<String, Json> = halved.iter().map(|a| (a.name().to_string(), json!(2))).collect();
        self.names.insert(name(level - 1), Some(before));
        let step = StepDecl {
            name: spanned(name(level)),
            op: spanned("downsample".into()),
            inputs: vec![StepInput { port: None, from: spanned(name(level - 1)) }],
            with: SpannedJson { value: json!({"factor": factor, "method": method.name()}), ..SpannedJson::default() },
            when: None,
        };
        self.lower(&step)
    }
}

/// Scale, translation and unit of each level, from those of the first: `factors` says how many of its elements one of a
/// level stands for.
///
/// What is made from a whole window lies in its middle; what is taken from its first element lies there.
fn levels(
    first: &[AxisScale],
    factors: &[Vec<u64>],
    axes: &ops_core::Axes,
    method: PyramidMethod,
) -> Vec<Vec<AxisScale>> {
    let of = |factors: &Vec<u64>| {
        let each = axes.iter().zip(factors).map(|(axis, factor)| {
            let unknown = || AxisScale { axis, scale: 1.0.into(), translation: 0.0.into(), unit: None };
            let own = first.iter().find(|s| s.axis == axis).cloned().unwrap_or_else(unknown);
            let factor = *factor as f64;
            let middle = if method == PyramidMethod::Nearest { 0.0 } else { (factor - 1.0) / 2.0 };
            let scale = own.scale.get();
            AxisScale {
                axis,
                scale: (scale * factor).into(),
                translation: (own.translation.get() + scale * middle).into(),
                unit: own.unit,
            }
        });
        each.collect()
    };
    factors.iter().map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ops_core::Axes;

    #[test]
    fn levels_lie_where_their_elements_come_from() {
        let axes = Axes::parse("cyx").unwrap();
        let unit = Some("micrometer".to_owned());
        let y = AxisScale { axis: Axis::Y, scale: 0.5.into(), translation: 10.0.into(), unit: unit.clone() };
        let factors = [vec![1, 1, 1], vec![1, 2, 2], vec![1, 4, 4]];
        let numbers = |method| -> Vec<Vec<(f64, f64)>> {
            let levels = levels(std::slice::from_ref(&y), &factors, &axes, method);
            assert!(levels.iter().all(|l| l[1].unit == unit && l[2].unit.is_none()));
            levels.iter().map(|l| l.iter().map(|s| (s.scale.get(), s.translation.get())).collect()).collect()
        };
        // The middle of elements 0 to 3, 0.5 apart from 10 on, is 10.75.
        let mean = [[(1.0, 0.0), (0.5, 10.0), (1.0, 0.0)], [(1.0, 0.0), (1.0, 10.25), (2.0, 0.5)]];
        assert_eq!(numbers(PyramidMethod::Mean)[..2], mean.map(|l| l.to_vec()));
        assert_eq!(numbers(PyramidMethod::Max)[2], [(1.0, 0.0), (2.0, 10.75), (4.0, 1.5)]);
        assert_eq!(numbers(PyramidMethod::Nearest)[2], [(1.0, 0.0), (2.0, 10.0), (4.0, 0.0)]);
    }
}
