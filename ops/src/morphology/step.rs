//! One erosion or dilation: what the ops of this domain are made of, and its naive reference.

use crate::filter::extremes;
use crate::filter::footprint::{Footprint, Shape};
use crate::filter::window::Window;
use ops_core::contract::{Array, Expected};
use ops_core::{
    ArrayMeta, ArrayPort, Block, Boundary, Element, Lowering, Map, MapCall, Need, Needs, OpError, Ports, Region,
    with_dtype,
};
use smallvec::smallvec;

/// Which extreme of the neighbours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// The least: bright things shrink.
    Erode,
    /// The greatest, over the reflected footprint: bright things grow.
    Dilate,
}

/// An erosion or a dilation.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    /// Which of both.
    pub(crate) side: Side,
    /// The neighbours that count.
    pub(crate) footprint: Footprint,
    /// What stands beyond the edge.
    pub(crate) boundary: Boundary,
}

/// The footprint that is meant where none is given: the centre and what shares a face with it.
pub(crate) fn faces() -> Footprint {
    Footprint::Shape(Shape::Cross(1))
}

impl Step {
    fn window(&self, meta: &ArrayMeta) -> Result<Window, OpError> {
        let window = Window::of(&self.footprint, meta)?;
        Ok(if self.side == Side::Dilate { window.reflected() } else { window })
    }

    /// Adds these steps, each to the result of the one before.
    pub(crate) fn chain(
        sides: &[Side],
        footprint: &Footprint,
        boundary: Boundary,
        g: &mut Lowering,
        input: ArrayPort,
    ) -> Result<ArrayPort, OpError> {
        sides.iter().try_fold(input, |a, &side| {
            let name = if side == Side::Erode { "erode" } else { "dilate" };
            g.map(name, Step { side, footprint: footprint.clone(), boundary }, &[a], &[])
        })
    }
}

impl Map for Step {
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
        match self.side {
            Side::Erode => extremes::filter::<false>(&window, last, src, out, call.pool),
            Side::Dilate => extremes::filter::<true>(&window, last, src, out, call.pool),
        }
        Ok(())
    }

    fn scratch_bytes(&self, ports: &Ports, out: &Region) -> u64 {
        let meta = ports.meta(0);
        let last = meta.axes.spatial().last().copied().unwrap_or(0);
        self.window(meta).map_or(0, |window| extremes::scratch_bytes(&window, last, meta.dtype, out))
    }

    fn nanos_per_element(&self) -> f32 {
        0.3 + 0.05 * self.footprint.widest() as f32
    }
}

/// The steps by their definition: the least of `f(x + d)`, the greatest of `f(x - d)`, for all `d` of the footprint.
pub(crate) fn reference(sides: &[Side], footprint: &Footprint, boundary: Boundary, inputs: &[Vec<Array>]) -> Expected {
    let item = |a: &Array| -> Option<Vec<u8>> {
        let near = distances(footprint, a.meta.axes.spatial().len())?;
        Some(with_dtype!(a.meta.dtype, T => {
            let mut v = a.block.as_slice::<T>().to_vec();
            sides.iter().for_each(|&side| v = stepped(&v, &a.meta, side, &near, boundary));
            bytemuck::cast_slice(&v).to_vec()
        }))
    };
    let items: Option<Vec<Vec<u8>>> = inputs[0].iter().map(item).collect();
    items.map_or(Expected::Refused, Expected::Bytes)
}

fn stepped<T: Element>(v: &[T], meta: &ArrayMeta, side: Side, near: &[Vec<i64>], boundary: Boundary) -> Vec<T> {
    let (strides, axes) = (meta.region().strides(), meta.axes.spatial());
    let read = |i: usize, d: &[i64]| {
        let mut from = i;
        for (&a, &d) in axes.iter().zip(d) {
            let n = meta.shape[a] as i64;
            let at = (i / strides[a]) as i64 % n;
            let there = boundary.source(if side == Side::Erode { at + d } else { at - d }, n)?;
            from = from + there as usize * strides[a] - at as usize * strides[a];
        }
        Some(from)
    };
    let value = |i, d: &Vec<i64>| read(i, d).map_or(T::default(), |from| v[from]);
    let best = |i| {
        let of = near.iter().map(|d| value(i, d));
        let found = match side {
            Side::Erode => of.min_by_key(|v| v.order_key()),
            Side::Dilate => of.max_by_key(|v| v.order_key()),
        };
        found.unwrap_or_default()
    };
    (0..v.len()).map(best).collect()
}

/// The distances from the centre that a footprint names; `None` where it names none, or not along so many axes.
fn distances(footprint: &Footprint, rank: usize) -> Option<Vec<Vec<i64>>> {
    let cube = |reach: &[(i64, i64)]| {
        let mut all = vec![Vec::new()];
        for &(lo, hi) in reach {
            all = all.iter().flat_map(|d: &Vec<i64>| (lo..=hi).map(|x| [d.as_slice(), &[x]].concat())).collect();
        }
        all
    };
    let centred = |n: u64| (-(n as i64 / 2), n as i64 - 1 - n as i64 / 2);
    let listed = |shape: &[usize], values: Vec<u8>| {
        if shape.len() != rank || shape.iter().product::<usize>() != values.len() || !values.contains(&1) {
            return None;
        }
        let all = cube(&shape.iter().map(|&n| centred(n as u64)).collect::<Vec<_>>());
        let only = all.into_iter().zip(values).filter(|(_, v)| *v == 1);
        Some(only.map(|(d, _)| d).collect())
    };
    use crate::filter::params::Size;
    match footprint {
        Footprint::Shape(Shape::Box(Size::All(n))) => Some(cube(&vec![centred(*n); rank])),
        Footprint::Shape(Shape::Box(Size::Each(v))) => {
            (v.len() == rank).then(|| cube(&v.iter().map(|&n| centred(n)).collect::<Vec<_>>()))
        }
        Footprint::Shape(Shape::Cross(steps)) => {
            // One step more in each round, as scipy iterates a structure.
            let mut all = vec![vec![0; rank]];
            for _ in 0..*steps {
                let mut more = all.clone();
                for d in &all {
                    for (a, by) in (0..rank).flat_map(|a| [(a, -1), (a, 1)]) {
                        let mut d = d.clone();
                        d[a] += by;
                        if !more.contains(&d) {
                            more.push(d);
                        }
                    }
                }
                all = more;
            }
            Some(all)
        }
        Footprint::Shape(Shape::Ball(radius)) => {
            let r = radius.ceil() as i64;
            let inside = |d: &Vec<i64>| (d.iter().map(|x| (x * x) as f64).sum::<f64>()).sqrt() <= *radius;
            (*radius >= 0.0).then(|| cube(&vec![(-r, r); rank]).into_iter().filter(inside).collect())
        }
        Footprint::Line(v) => listed(&[v.len()], v.clone()),
        Footprint::Plane(v) => listed(&[v.len(), v.first()?.len()], v.concat()),
        Footprint::Volume(v) => listed(&[v.len(), v.first()?.len(), v.first()?.first()?.len()], v.concat().concat()),
    }
}
