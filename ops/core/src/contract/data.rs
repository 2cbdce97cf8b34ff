//! Test inputs: random numbers, shapes and contents.

use super::{Case, Content, Input};
use crate::{ArrayMeta, Axes, Block, DType, Element, InputKind, OpEntry, Value, with_dtype};

/// A small random generator (splitmix64): the same seed gives the same tests.
#[derive(Debug, Clone)]
pub struct Rng(u64);

impl Rng {
    /// A generator of that seed.
    pub fn new(seed: u64) -> Rng {
        Rng(seed)
    }

    /// The next 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `n`, 0 when `n` is 0.
    pub fn below(&mut self, n: u64) -> u64 {
        self.bits() % n.max(1)
    }

    /// A number in `[0, 1)`.
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Puts the elements in random order.
    pub fn shuffle<T>(&mut self, v: &mut [T]) {
        for i in (1..v.len()).rev() {
            v.swap(i, self.below(i as u64 + 1) as usize);
        }
    }
}

/// A whole array in memory with its metadata.
#[derive(Debug)]
pub struct Array {
    /// Shape, dtype and axes.
    pub meta: ArrayMeta,
    /// All its elements.
    pub block: Block,
}

impl Array {
    /// The elements as float64, C order.
    pub fn to_f64(&self) -> Vec<f64> {
        with_dtype!(self.meta.dtype, T => self.block.as_slice::<T>().iter().map(|v| v.to_f64()).collect())
    }
}

/// What stands at a port while the battery evaluates an op.
#[derive(Debug)]
pub enum Held {
    /// An array for each item.
    Arrays(Vec<Array>),
    /// A value for each item, or one for all.
    Values(Vec<Value>),
}

impl Held {
    /// The value of an item, where there are values.
    pub fn value(&self, item: usize) -> Option<&Value> {
        match self {
            Held::Values(v) => v.get(item).or(v.first()),
            Held::Arrays(_) => None,
        }
    }

    /// The array of an item, where there are arrays.
    pub fn array(&self, item: usize) -> Option<&Array> {
        match self {
            Held::Arrays(v) if v.len() == 1 => v.first(),
            Held::Arrays(v) => v.get(item),
            Held::Values(_) => None,
        }
    }

    /// Number of items.
    pub fn items(&self) -> usize {
        match self {
            Held::Arrays(v) => v.len(),
            Held::Values(v) => v.len(),
        }
    }
}

/// Extents of the test arrays along their spatial and time axes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extents {
    /// Prime and unequal, small enough for the interpreter: 37 x 23, or 7 x 11 x 5.
    Prime,
    /// Smaller than most halos: 2 x 3, or 2 x 3 x 2.
    Tiny,
    /// A single row.
    Row,
    /// One voxel.
    One,
    /// Nothing along the first axis.
    EmptyFirst,
    /// Nothing along the last axis.
    EmptyLast,
}

impl Extents {
    pub(super) const ALL: [Extents; 6] =
        [Extents::Prime, Extents::Tiny, Extents::Row, Extents::One, Extents::EmptyFirst, Extents::EmptyLast];

    fn of(self, axes: &Axes, channels: u64, item: u64) -> Vec<u64> {
        let volume = axes.to_string().contains('z');
        let mut v: Vec<u64> = axes
            .iter()
            .map(|a| match (a.name(), self) {
                ('c', _) => channels,
                (_, Extents::One) => 1,
                ('y', Extents::Row) => 1,
                ('x', Extents::Row) => 13 + item,
                ('t', _) => 2,
                ('z', Extents::Prime) => 7,
                ('y', Extents::Prime) => (if volume { 11 } else { 37 }) + item,
                ('x', Extents::Prime) if volume => 5,
                ('x', Extents::Prime) => 23,
                ('y', _) => 3 - u64::from(!volume) + item,
                ('x', _) => 3 - u64::from(volume),
                _ => 2,
            })
            .collect();
        match self {
            Extents::EmptyFirst => v.iter_mut().take(1).for_each(|n| *n = 0),
            Extents::EmptyLast => v.iter_mut().rev().take(1).for_each(|n| *n = 0),
            _ => (),
        }
        v
    }
}

fn fill<T: Element>(out: &mut [T], bool_: bool, content: Content, rng: &mut Rng) {
    let special = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0, 0.0, -f64::NAN];
    for v in out {
        *v = match content {
            Content::Noise | Content::Special | Content::Numbers(_) => {
                if T::DTYPE.is_float() {
                    let sprinkle = content == Content::Special && rng.below(8) == 0;
                    let x = -100.0 + 1100.0 * rng.unit();
                    T::from_f64(if sprinkle { special[rng.below(6) as usize] } else { x })
                } else if bool_ {
                    T::from_order_key(rng.below(2))
                } else {
                    let bits = 8 * size_of::<T>() as u32;
                    T::from_order_key(rng.bits() >> (64 - bits))
                }
            }
            Content::Mask(share) => T::from_f64(f64::from(u8::from(rng.unit() < share))),
            Content::Labels(n) => T::from_f64(rng.below(n.saturating_add(1)) as f64),
            Content::Constant(c) => T::from_f64(c),
        };
    }
}

fn array(input: &Input, axes: &Axes, extents: Extents, item: u64, rng: &mut Rng) -> Array {
    let shape = extents.of(axes, input.channels, item);
    let meta = ArrayMeta::new(&shape, input.dtype, axes.clone());
    let mut block = Block::zeros(input.dtype, meta.region());
    with_dtype!(input.dtype, T =>
        fill::<T>(block.as_mut_slice(), input.dtype == DType::Bool, input.content, rng));
    Array { meta, block }
}

/// The inputs of a case with these extents; `None` when its axes do not parse.
pub(super) fn inputs(entry: &OpEntry, case: &Case, extents: Extents, rng: &mut Rng) -> Option<Vec<Held>> {
    let joins = entry.inputs.iter().any(|i| i.kind == InputKind::Family);
    case.inputs
        .iter()
        .map(|input| {
            if let Content::Numbers(v) = input.content {
                return Some(Held::Values(vec![Value::numbers(v)]));
            }
            let axes = Axes::parse(input.axes)?;
            let grown = |i: u32| if joins { 0 } else { u64::from(i) };
            Some(Held::Arrays((0..input.items).map(|i| array(input, &axes, extents, grown(i), rng)).collect()))
        })
        .collect()
}
