//! Elements as integers that sort as they do: what rank filters compute with.
//!
//! Integers are their own keys. Floats become integers of their size: -0 sorts before +0, NaN (any of them) after
//! everything. So minima and maxima of keys are exact, associative and the same on every instruction set.

use bytemuck::Pod;
use ops_core::Element;

/// An element with a key.
pub(crate) trait Keyed: Element {
    /// An integer of the size of the element.
    type Key: Pod + Ord + Default + Send + Sync + Keyed<Key = Self::Key>;

    /// The key of a value.
    fn key(self) -> Self::Key;

    /// The value of a key.
    fn of_key(key: Self::Key) -> Self;
}

macro_rules! own_key {
    ($($t:ty),*) => {$(
        impl Keyed for $t {
            type Key = $t;
            #[inline(always)]
            fn key(self) -> $t { self }
            #[inline(always)]
            fn of_key(key: $t) -> $t { key }
        }
    )*};
}
own_key!(u8, u16, u32, u64, i8, i16, i32, i64);

macro_rules! float_key {
    ($($t:ty, $k:ty, $u:ty),*) => {$(
        impl Keyed for $t {
            type Key = $k;
            #[inline(always)]
            fn key(self) -> $k {
                let b = self.to_bits() as $k;
                // Of negative numbers all bits but the sign are turned round.
                let k = b ^ ((b >> (<$k>::BITS - 1)) as $u >> 1) as $k;
                if self.is_nan() { <$k>::MAX } else { k }
            }
            #[inline(always)]
            fn of_key(k: $k) -> $t {
                <$t>::from_bits((k ^ ((k >> (<$k>::BITS - 1)) as $u >> 1) as $k) as $u)
            }
        }
    )*};
}
float_key!(f32, i32, u32, f64, i64, u64);

#[cfg(test)]
mod tests {
    use super::Keyed;
    use ops_core::Element;

    #[test]
    fn keys_sort_as_the_order_keys_of_elements_do() {
        let v =
            [f64::NEG_INFINITY, -2.5, -f64::MIN_POSITIVE, -0.0, 0.0, 1e-310, 7.0, f64::INFINITY, f64::NAN, -f64::NAN];
        for a in v {
            for b in v {
                assert_eq!(a.key().cmp(&b.key()), a.order_key().cmp(&b.order_key()), "{a} {b}");
                let (a, b) = (a as f32, b as f32);
                assert_eq!(a.key().cmp(&b.key()), a.order_key().cmp(&b.order_key()), "{a} {b}");
            }
            assert!(a.is_nan() || f64::of_key(a.key()).to_bits() == a.to_bits());
            assert!(a.is_nan() == f64::of_key(a.key()).is_nan());
        }
    }
}
