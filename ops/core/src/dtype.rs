//! The closed set of element types and what each can do.

use bytemuck::Pod;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The type of one array element.
///
/// The names are those of numpy and Zarr. `bool` is stored as one byte, 0 or 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DType {
    /// One byte, 0 or 1.
    Bool,
    /// Unsigned, 8 bits.
    UInt8,
    /// Unsigned, 16 bits.
    UInt16,
    /// Unsigned, 32 bits.
    UInt32,
    /// Unsigned, 64 bits.
    UInt64,
    /// Signed, 8 bits.
    Int8,
    /// Signed, 16 bits.
    Int16,
    /// Signed, 32 bits.
    Int32,
    /// Signed, 64 bits.
    Int64,
    /// IEEE 754 binary32.
    Float32,
    /// IEEE 754 binary64.
    Float64,
}

impl DType {
    /// Every dtype, narrow before wide.
    pub const ALL: [DType; 11] = [
        DType::Bool,
        DType::UInt8,
        DType::UInt16,
        DType::UInt32,
        DType::UInt64,
        DType::Int8,
        DType::Int16,
        DType::Int32,
        DType::Int64,
        DType::Float32,
        DType::Float64,
    ];

    /// Bytes of one element.
    pub const fn size(self) -> usize {
        match self {
            DType::Bool | DType::UInt8 | DType::Int8 => 1,
            DType::UInt16 | DType::Int16 => 2,
            DType::UInt32 | DType::Int32 | DType::Float32 => 4,
            DType::UInt64 | DType::Int64 | DType::Float64 => 8,
        }
    }

    /// The name used in workflows, plans and records.
    pub const fn name(self) -> &'static str {
        match self {
            DType::Bool => "bool",
            DType::UInt8 => "uint8",
            DType::UInt16 => "uint16",
            DType::UInt32 => "uint32",
            DType::UInt64 => "uint64",
            DType::Int8 => "int8",
            DType::Int16 => "int16",
            DType::Int32 => "int32",
            DType::Int64 => "int64",
            DType::Float32 => "float32",
            DType::Float64 => "float64",
        }
    }

    /// True for `float32` and `float64`.
    pub const fn is_float(self) -> bool {
        matches!(self, DType::Float32 | DType::Float64)
    }

    /// True for every integer type; `bool` is none.
    pub const fn is_integer(self) -> bool {
        !self.is_float() && !matches!(self, DType::Bool)
    }

    /// The smallest and largest finite value, as float64 (the limits of 64-bit integers are rounded).
    pub const fn limits(self) -> (f64, f64) {
        match self {
            DType::Bool => (0.0, 1.0),
            DType::UInt8 => (0.0, u8::MAX as f64),
            DType::UInt16 => (0.0, u16::MAX as f64),
            DType::UInt32 => (0.0, u32::MAX as f64),
            DType::UInt64 => (0.0, u64::MAX as f64),
            DType::Int8 => (i8::MIN as f64, i8::MAX as f64),
            DType::Int16 => (i16::MIN as f64, i16::MAX as f64),
            DType::Int32 => (i32::MIN as f64, i32::MAX as f64),
            DType::Int64 => (i64::MIN as f64, i64::MAX as f64),
            DType::Float32 => (f32::MIN as f64, f32::MAX as f64),
            DType::Float64 => (f64::MIN, f64::MAX),
        }
    }
}

impl std::fmt::Display for DType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

mod sealed {
    pub trait Sealed {}
}

/// A Rust type that stores one element. Sealed: the set is that of [`DType`].
pub trait Element: Pod + PartialOrd + PartialEq + Send + Sync + std::fmt::Debug + Default + sealed::Sealed {
    /// The dtype this type stores (`u8` also stores `bool`).
    const DTYPE: DType;

    /// The value as float64; 64-bit integers are rounded to nearest.
    fn to_f64(self) -> f64;

    /// The nearest value of this type: integers round half to even and saturate, NaN becomes 0.
    fn from_f64(v: f64) -> Self;

    /// The value cut towards zero and saturated, NaN becomes 0; for floats the same as [`Element::from_f64`].
    fn from_f64_truncated(v: f64) -> Self;

    /// A key that sorts as the values do; for floats -0 before +0 and NaN last whatever its sign.
    fn order_key(self) -> u64;

    /// The value whose [`Element::order_key`] is `key`.
    fn from_order_key(key: u64) -> Self;
}

macro_rules! unsigned {
    ($($t:ty => $d:ident),*) => {$(
        impl sealed::Sealed for $t {}
        impl Element for $t {
            const DTYPE: DType = DType::$d;
            #[inline(always)]
            fn to_f64(self) -> f64 { self as f64 }
            #[inline(always)]
            fn from_f64(v: f64) -> Self { v.round_ties_even() as $t }
            #[inline(always)]
            fn from_f64_truncated(v: f64) -> Self { v as $t }
            #[inline(always)]
            fn order_key(self) -> u64 { self as u64 }
            #[inline(always)]
            fn from_order_key(key: u64) -> Self { key as $t }
        }
    )*};
}
unsigned!(u8 => UInt8, u16 => UInt16, u32 => UInt32, u64 => UInt64);

macro_rules! signed {
    ($($t:ty => $d:ident),*) => {$(
        impl sealed::Sealed for $t {}
        impl Element for $t {
            const DTYPE: DType = DType::$d;
            #[inline(always)]
            fn to_f64(self) -> f64 { self as f64 }
            #[inline(always)]
            fn from_f64(v: f64) -> Self { v.round_ties_even() as $t }
            #[inline(always)]
            fn from_f64_truncated(v: f64) -> Self { v as $t }
            #[inline(always)]
            fn order_key(self) -> u64 { (self as i64).wrapping_sub(<$t>::MIN as i64) as u64 }
            #[inline(always)]
            fn from_order_key(key: u64) -> Self { (key as i64).wrapping_add(<$t>::MIN as i64) as $t }
        }
    )*};
}
signed!(i8 => Int8, i16 => Int16, i32 => Int32, i64 => Int64);

macro_rules! float {
    ($($t:ty, $bits:ty => $d:ident),*) => {$(
        impl sealed::Sealed for $t {}
        impl Element for $t {
            const DTYPE: DType = DType::$d;
            #[inline(always)]
            fn to_f64(self) -> f64 { self as f64 }
            #[inline(always)]
            fn from_f64(v: f64) -> Self { v as $t }
            #[inline(always)]
            fn from_f64_truncated(v: f64) -> Self { v as $t }
            #[inline(always)]
            fn order_key(self) -> u64 {
                const SIGN: $bits = 1 << (<$bits>::BITS - 1);
                if self.is_nan() { return <$bits>::MAX as u64; }
                let b = self.to_bits();
                (if b & SIGN != 0 { !b } else { b | SIGN }) as u64
            }
            #[inline(always)]
            fn from_order_key(key: u64) -> Self {
                const SIGN: $bits = 1 << (<$bits>::BITS - 1);
                let k = key as $bits;
                <$t>::from_bits(if k & SIGN != 0 { k & !SIGN } else { !k })
            }
        }
    )*};
}
float!(f32, u32 => Float32, f64, u64 => Float64);

/// Runs an expression with a type alias bound to the Rust type that stores a dtype.
///
/// `with_dtype!(block.dtype(), T => work::<T>(block))`; `bool` is stored as, and runs as, `u8`.
#[macro_export]
macro_rules! with_dtype {
    ($dtype:expr, $t:ident => $body:expr) => {
        match $dtype {
            $crate::DType::Bool | $crate::DType::UInt8 => {
                type $t = u8;
                $body
            }
            $crate::DType::UInt16 => {
                type $t = u16;
                $body
            }
            $crate::DType::UInt32 => {
                type $t = u32;
                $body
            }
            $crate::DType::UInt64 => {
                type $t = u64;
                $body
            }
            $crate::DType::Int8 => {
                type $t = i8;
                $body
            }
            $crate::DType::Int16 => {
                type $t = i16;
                $body
            }
            $crate::DType::Int32 => {
                type $t = i32;
                $body
            }
            $crate::DType::Int64 => {
                type $t = i64;
                $body
            }
            $crate::DType::Float32 => {
                type $t = f32;
                $body
            }
            $crate::DType::Float64 => {
                type $t = f64;
                $body
            }
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_saturates_and_ties_go_to_even() {
        assert_eq!(u8::from_f64(2.5), 2);
        assert_eq!(u8::from_f64(3.5), 4);
        assert_eq!(u8::from_f64(-1.0), 0);
        assert_eq!(u8::from_f64(1e9), 255);
        assert_eq!(i16::from_f64(f64::NAN), 0);
        assert_eq!(u8::from_f64_truncated(2.9), 2);
    }

    #[test]
    fn order_keys_sort_as_values_and_come_back() {
        let v = [f64::NEG_INFINITY, -3.5, -0.0, 0.0, 1e-300, 2.0, f64::INFINITY];
        for w in v.windows(2) {
            assert!(w[0].order_key() < w[1].order_key());
        }
        for x in v {
            assert_eq!(f64::from_order_key(x.order_key()).to_bits(), x.to_bits());
        }
        assert!(f64::NAN.order_key() > f64::INFINITY.order_key());
        assert!(i8::MIN.order_key() < 0i8.order_key());
        assert_eq!(i64::from_order_key((-7i64).order_key()), -7);
    }
}
