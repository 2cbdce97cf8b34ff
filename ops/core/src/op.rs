//! The two primitives, [`Map`] and [`Reduce`], and the [`Op`] that lowers to them.

use crate::{ArrayMeta, Block, Boundary, Lowering, OpError, Pool, Port, Ports, Region, Value, Warnings};
use serde::{Serialize, de::DeserializeOwned};
use smallvec::SmallVec;
use std::any::Any;
use std::fmt::Debug;

/// One box of one input that an output region needs.
#[derive(Debug, Clone, PartialEq)]
pub struct Need {
    /// Number of the array input.
    pub input: usize,
    /// Which item of a joined family; 0 for a plain input.
    pub item: u32,
    /// The box, in the coordinates of that input; it may reach outside the array.
    pub region: Region,
    /// What stands outside the array.
    pub boundary: Boundary,
}

/// The boxes an output region needs, in the order the kernel gets their blocks.
pub type Needs = SmallVec<[Need; 2]>;

impl Need {
    /// A box that stays inside the array.
    pub fn inside(input: usize, region: Region) -> Need {
        Need { input, item: 0, region, boundary: Boundary::Clip }
    }

    /// The same box of every one of `inputs` inputs: what an elementwise op needs.
    pub fn same(inputs: usize, region: &Region) -> Needs {
        (0..inputs).map(|i| Need::inside(i, region.clone())).collect()
    }
}

/// What a map kernel works on.
pub struct MapCall<'a> {
    /// The input arrays' metadata.
    pub ports: &'a Ports,
    /// The output array's metadata.
    pub meta: &'a ArrayMeta,
    /// One block for each [`Need`], in order; its region is the need's, cut at the edge for [`Boundary::Clip`].
    pub blocks: &'a [&'a Block],
    /// Results of the reductions this node consumes, in order.
    pub values: &'a [Value],
    /// Where scratch comes from.
    pub pool: &'a Pool,
    /// Takes what the user should know of the array. Whether any region tells of it must not depend on the regions.
    pub warnings: &'a Warnings,
}

/// An output region is computed from regions of each input.
///
/// Pure: the same needs and blocks give the same bits, whatever the region an element is computed in.
pub trait Map: Debug + Send + Sync {
    /// The output's shape, dtype and axes.
    ///
    /// # Errors
    /// When an input is not what the op works on.
    fn infer(&self, ports: &Ports) -> Result<ArrayMeta, OpError>;

    /// The boxes of the inputs that `out` needs. By default the same box of every input.
    fn needs(&self, ports: &Ports, out: &Region) -> Needs {
        Need::same(ports.len(), out)
    }

    /// Writes every element of `out`.
    ///
    /// # Errors
    /// When the data can't be processed.
    fn apply(&self, call: &MapCall<'_>, out: &mut Block) -> Result<(), OpError>;

    /// Extents of a grid whose cells are computed as a whole: blocks that cut none of them compute nothing twice.
    fn granule(&self, ports: &Ports) -> Option<Vec<u64>> {
        let _ = ports;
        None
    }

    /// Bytes of scratch taken from the pool while computing `out`, besides input and output blocks.
    fn scratch_bytes(&self, ports: &Ports, out: &Region) -> u64 {
        let _ = (ports, out);
        0
    }

    /// A rough cost of one output element in nanoseconds on one core: what fusing against storing is decided by.
    fn nanos_per_element(&self) -> f32 {
        1.0
    }
}

/// What a reduce kernel works on.
pub struct ReduceCall<'a> {
    /// The input arrays' metadata.
    pub ports: &'a Ports,
    /// The block of the first input this call accounts for; [`Reduce::needs`] may ask for more than that.
    pub region: &'a Region,
    /// One block for each need, in order.
    pub blocks: &'a [&'a Block],
    /// Results of the reductions this node consumes, in order.
    pub values: &'a [Value],
    /// Where scratch comes from.
    pub pool: &'a Pool,
}

/// What the end of a reduction works on, besides the root.
pub struct FinishCall<'a> {
    /// The input arrays' metadata.
    pub ports: &'a Ports,
    /// Results of the reductions this node consumes, in order.
    pub values: &'a [Value],
    /// Takes what the user should know of the value.
    pub warnings: &'a Warnings,
}

/// A block yields a partial, partials merge, the root becomes a [`Value`].
///
/// Merging is exactly associative and commutative: any partition merged in any order gives the same bits.
pub trait Reduce: Debug + Send + Sync {
    /// What is accumulated. It can be written down, so that a run which resumes need not compute it again.
    type Partial: Send + Serialize + DeserializeOwned + 'static;

    /// Checks the inputs.
    ///
    /// # Errors
    /// When an input is not what the op works on.
    fn check(&self, ports: &Ports) -> Result<(), OpError> {
        let _ = ports;
        Ok(())
    }

    /// The boxes that accounting for `block` of the first input needs. By default the same box of every input.
    fn needs(&self, ports: &Ports, block: &Region) -> Needs {
        Need::same(ports.len(), block)
    }

    /// Extents of a grid whose cells are accounted for as a whole; see [`Map::granule`].
    fn granule(&self, ports: &Ports) -> Option<Vec<u64>> {
        let _ = ports;
        None
    }

    /// A partial that accounts for nothing.
    fn start(&self, ports: &Ports) -> Self::Partial;

    /// Accounts for one block.
    ///
    /// # Errors
    /// When the data can't be processed.
    fn add(&self, call: &ReduceCall<'_>, partial: &mut Self::Partial) -> Result<(), OpError>;

    /// Joins two partials.
    fn merge(&self, into: &mut Self::Partial, other: Self::Partial);

    /// The result.
    ///
    /// # Errors
    /// When it can't be represented, such as too many labels for their dtype.
    fn finish(&self, partial: Self::Partial, call: &FinishCall<'_>) -> Result<Value, OpError>;

    /// Bytes the root may hold at most, for inputs of this metadata.
    fn state_bytes(&self, ports: &Ports) -> u64 {
        let _ = ports;
        64
    }

    /// Bytes a task holds while accounting for `block`, besides its input blocks: partial and scratch.
    fn partial_bytes(&self, ports: &Ports, block: &Region) -> u64 {
        let _ = (ports, block);
        64
    }

    /// A rough cost of one input element in nanoseconds on one core.
    fn nanos_per_element(&self) -> f32 {
        1.0
    }
}

/// A partial of whatever type.
pub type AnyPartial = Box<dyn Any + Send>;

/// [`Reduce`] with its partial's type erased: what the runtime holds. Implemented for every [`Reduce`].
#[expect(missing_docs, reason = "each method is documented at the trait it erases")]
pub trait DynReduce: Debug + Send + Sync {
    fn check(&self, ports: &Ports) -> Result<(), OpError>;
    fn needs(&self, ports: &Ports, block: &Region) -> Needs;
    fn granule(&self, ports: &Ports) -> Option<Vec<u64>>;
    fn start(&self, ports: &Ports) -> AnyPartial;
    fn add(&self, call: &ReduceCall<'_>, partial: &mut AnyPartial) -> Result<(), OpError>;
    fn merge(&self, into: &mut AnyPartial, other: AnyPartial) -> Result<(), OpError>;
    fn finish(&self, partial: AnyPartial, call: &FinishCall<'_>) -> Result<Value, OpError>;
    fn state_bytes(&self, ports: &Ports) -> u64;
    fn partial_bytes(&self, ports: &Ports, block: &Region) -> u64;
    fn nanos_per_element(&self) -> f32;

    /// A partial as bytes.
    ///
    /// # Errors
    /// When it is a partial of another reduction: a bug.
    fn pack(&self, partial: &AnyPartial) -> Result<Vec<u8>, OpError>;

    /// The partial that was packed to these bytes.
    ///
    /// # Errors
    /// When the bytes are not those of a partial of this reduction.
    fn unpack(&self, bytes: &[u8]) -> Result<AnyPartial, OpError>;
}

fn foreign() -> OpError {
    OpError::Internal("a partial of another reduction".into())
}

impl<R: Reduce> DynReduce for R {
    fn check(&self, ports: &Ports) -> Result<(), OpError> {
        Reduce::check(self, ports)
    }
    fn needs(&self, ports: &Ports, block: &Region) -> Needs {
        Reduce::needs(self, ports, block)
    }
    fn granule(&self, ports: &Ports) -> Option<Vec<u64>> {
        Reduce::granule(self, ports)
    }
    fn start(&self, ports: &Ports) -> AnyPartial {
        Box::new(Reduce::start(self, ports))
    }
    fn add(&self, call: &ReduceCall<'_>, partial: &mut AnyPartial) -> Result<(), OpError> {
        Reduce::add(self, call, partial.downcast_mut().ok_or_else(foreign)?)
    }
    fn merge(&self, into: &mut AnyPartial, other: AnyPartial) -> Result<(), OpError> {
        let other = other.downcast::<R::Partial>().map_err(|_| foreign())?;
        Reduce::merge(self, into.downcast_mut().ok_or_else(foreign)?, *other);
        Ok(())
    }
    fn finish(&self, partial: AnyPartial, call: &FinishCall<'_>) -> Result<Value, OpError> {
        let partial = partial.downcast::<R::Partial>().map_err(|_| foreign())?;
        Reduce::finish(self, *partial, call)
    }
    fn state_bytes(&self, ports: &Ports) -> u64 {
        Reduce::state_bytes(self, ports)
    }
    fn partial_bytes(&self, ports: &Ports, block: &Region) -> u64 {
        Reduce::partial_bytes(self, ports, block)
    }
    fn nanos_per_element(&self) -> f32 {
        Reduce::nanos_per_element(self)
    }
    fn pack(&self, partial: &AnyPartial) -> Result<Vec<u8>, OpError> {
        let partial: &R::Partial = partial.downcast_ref().ok_or_else(foreign)?;
        postcard::to_stdvec(partial).map_err(|e| OpError::Internal(format!("a partial that can't be packed: {e}")))
    }
    fn unpack(&self, bytes: &[u8]) -> Result<AnyPartial, OpError> {
        let partial: R::Partial = postcard::from_bytes(bytes)
            .map_err(|e| OpError::Internal(format!("bytes that are no partial of this reduction: {e}")))?;
        Ok(Box::new(partial))
    }
}

/// A named operation of the workflow language: parameters that lower to a small graph of the two primitives.
pub trait Op: Debug + Send + Sync {
    /// Adds the nodes that compute this op to `g` and returns what stands for its result.
    ///
    /// # Errors
    /// When a parameter or an input is not what the op accepts.
    fn lower(&self, g: &mut Lowering, inputs: &[Port]) -> Result<Port, OpError>;
}
