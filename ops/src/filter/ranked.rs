//! The map of `median`, `percentile`, `minimum` and `maximum`.

use super::footprint::Footprint;
use super::params::Size;
use super::window::Window;
use super::{extremes, rank};
use ops_core::contract::{Array, Expected};
use ops_core::{
    ArrayMeta, Block, Boundary, Lowering, Map, MapCall, Need, Needs, OpError, Port, Ports, Region, with_dtype,
};
use smallvec::smallvec;

/// Which of the sorted elements of a window is the result.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Which {
    /// The first.
    Least,
    /// The last.
    Greatest,
    /// The middle one; the upper of two.
    Median,
    /// The one at this share of the window's count, in percent; rounded down.
    Percentile(f64),
}

/// A rank filter.
#[derive(Debug, Clone)]
pub(crate) struct Ranked {
    /// The box.
    pub(crate) size: Option<Size>,
    /// Or which neighbours count.
    pub(crate) footprint: Option<Footprint>,
    /// What stands beyond the edge.
    pub(crate) boundary: Boundary,
    /// The rank.
    pub(crate) which: Which,
}

impl Which {
    /// The rank among so many elements.
    fn among(self, count: usize) -> usize {
        match self {
            Which::Least => 0,
            Which::Greatest => count - 1,
            Which::Median => count / 2,
            Which::Percentile(p) => ((count as f64 * p / 100.0) as usize).min(count - 1),
        }
    }
}

impl Ranked {
    fn window(&self, meta: &ArrayMeta) -> Result<Window, OpError> {
        Window::new(self.size.as_ref(), self.footprint.as_ref(), meta)
    }

    /// Adds the node of the filter.
    pub(crate) fn lower(self, name: &'static str, g: &mut Lowering, inputs: &[Port]) -> Result<Port, OpError> {
        let a = g.array(inputs, 0)?;
        Ok(Port::Array(g.map(name, self, &[a], &[])?))
    }

    /// The window sorted, element by element.
    pub(crate) fn reference(&self, inputs: &[Vec<Array>]) -> Expected {
        if inputs[0].iter().any(|a| self.window(&a.meta).is_err()) {
            return Expected::Refused;
        }
        let item = |a: &Array| -> Vec<u8> {
            let (mut extents, mut members) = (vec![1; a.meta.rank()], None);
            if let Some(Ok((shape, values))) = self.footprint.as_ref().map(|f| f.elements(&a.meta)) {
                a.meta.axes.spatial().iter().zip(shape).for_each(|(&axis, n)| extents[axis] = n);
                members = values;
            } else if let Some(Ok(box_)) = self.size.as_ref().map(|s| s.extents(&a.meta)) {
                extents = box_;
            }
            let windows = crate::reference::windows(&a.meta, self.boundary, &extents);
            with_dtype!(a.meta.dtype, T => {
                let data = a.block.as_slice::<T>();
                let found = windows.into_iter().map(|w| {
                    let counts = |i: usize| members.as_ref().is_none_or(|m| m[i]);
                    let inside = w.into_iter().enumerate().filter(|(i, _)| counts(*i));
                    let mut v: Vec<T> = inside.map(|(_, at)| at.map_or(T::default(), |i| data[i])).collect();
                    v.sort_by_key(|x| ops_core::Element::order_key(*x));
                    v[self.which.among(v.len())]
                });
                bytemuck::cast_slice(&found.collect::<Vec<T>>()).to_vec()
            })
        };
        Expected::Bytes(inputs[0].iter().map(item).collect())
    }
}

impl Map for Ranked {
    fn infer(&self, ports: &Ports) -> Result<ArrayMeta, OpError> {
        self.window(ports.meta(0))?;
        Ok(ports.meta(0).clone())
    }

    fn needs(&self, ports: &Ports, out: &Region) -> Needs {
        // What `infer` refuses is never asked for.
        let region = self.window(ports.meta(0)).map_or_else(|_| out.clone(), |w| out.grow(&w.before, &w.after()));
        smallvec![Need { input: 0, item: 0, region, boundary: self.boundary }]
    }

    fn apply(&self, call: &MapCall<'_>, out: &mut Block) -> Result<(), OpError> {
        let meta = call.ports.meta(0);
        let (window, src) = (self.window(meta)?, call.blocks[0]);
        let last = meta.axes.spatial().last().copied().unwrap_or(0);
        match self.which {
            Which::Least => extremes::filter::<false>(&window, last, src, out, call.pool),
            Which::Greatest => extremes::filter::<true>(&window, last, src, out, call.pool),
            _ => rank::filter(&window, last, self.which.among(window.count()), src, out, call.pool),
        }
        Ok(())
    }

    fn scratch_bytes(&self, ports: &Ports, out: &Region) -> u64 {
        let meta = ports.meta(0);
        let Ok(window) = self.window(meta) else { return 0 };
        let last = meta.axes.spatial().last().copied().unwrap_or(0);
        match self.which {
            Which::Least | Which::Greatest => extremes::scratch_bytes(&window, last, meta.dtype, out),
            _ => rank::scratch_bytes(&window, last, self.which.among(window.count()), meta.dtype, out),
        }
    }

    fn nanos_per_element(&self) -> f32 {
        let widest =
            self.size.as_ref().map_or_else(|| self.footprint.as_ref().map_or(3, Footprint::widest), Size::widest)
                as f32;
        match self.which {
            Which::Least | Which::Greatest => 0.3 + 0.05 * widest,
            _ => (0.3 * widest * widest).min(50.0),
        }
    }
}
