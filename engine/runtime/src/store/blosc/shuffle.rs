//! The two rearrangements of Blosc: bytes or bits of equal weight side by side, so that they compress.
//!
//! All functions take slices of equal length. What is left over after whole elements is copied as it is.

/// Puts the bytes of every element side by side again.
pub(super) fn join_bytes(element: usize, src: &[u8], out: &mut [u8]) {
    match element {
        2 => join::<2>(src, out),
        4 => join::<4>(src, out),
        8 => join::<8>(src, out),
        _ => {
            let n = src.len() / element;
            for (i, e) in out.chunks_exact_mut(element).enumerate() {
                e.iter_mut().enumerate().for_each(|(j, b)| *b = src[j * n + i]);
            }
            out[n * element..].copy_from_slice(&src[n * element..]);
        }
    }
}

fn join<const N: usize>(src: &[u8], out: &mut [u8]) {
    let n = src.len() / N;
    let planes: [&[u8]; N] = std::array::from_fn(|j| &src[j * n..(j + 1) * n]);
    let (elements, rest) = out.as_chunks_mut::<N>();
    for (i, e) in elements.iter_mut().enumerate() {
        *e = std::array::from_fn(|j| planes[j][i]);
    }
    rest.copy_from_slice(&src[n * N..]);
}

/// Puts the first bytes of all elements side by side, then the second, and so on.
pub(super) fn split_bytes(element: usize, src: &[u8], out: &mut [u8]) {
    let n = src.len() / element;
    let (planes, rest) = out.split_at_mut(n * element);
    if n > 0 {
        for (j, plane) in planes.chunks_exact_mut(n).enumerate() {
            plane.iter_mut().zip(src[j..].iter().step_by(element)).for_each(|(b, s)| *b = *s);
        }
    }
    rest.copy_from_slice(&src[n * element..]);
}

/// Puts the bits of every element side by side again. Blosc leaves a block as it is unless it holds a multiple of eight
/// elements.
pub(super) fn join_bits(element: usize, src: &[u8], out: &mut [u8]) {
    let n = src.len() / element;
    if !n.is_multiple_of(8) {
        return out.copy_from_slice(src);
    }
    let row = n / 8;
    for byte in 0..element {
        for eight in 0..row {
            // Byte k holds bit k of eight elements; transposed, byte k holds the eight bits of element k.
            let bits: [u8; 8] = std::array::from_fn(|k| src[(byte * 8 + k) * row + eight]);
            let bytes = transpose(u64::from_le_bytes(bits)).to_le_bytes();
            for (k, b) in bytes.into_iter().enumerate() {
                out[(eight * 8 + k) * element + byte] = b;
            }
        }
    }
    out[n * element..].copy_from_slice(&src[n * element..]);
}

/// Puts the first bits of all elements side by side, then the second, and so on; the inverse of [`join_bits`].
pub(super) fn split_bits(element: usize, src: &[u8], out: &mut [u8]) {
    let n = src.len() / element;
    if !n.is_multiple_of(8) {
        return out.copy_from_slice(src);
    }
    let row = n / 8;
    for byte in 0..element {
        for eight in 0..row {
            let bytes: [u8; 8] = std::array::from_fn(|k| src[(eight * 8 + k) * element + byte]);
            let bits = transpose(u64::from_le_bytes(bytes)).to_le_bytes();
            for (k, b) in bits.into_iter().enumerate() {
                out[(byte * 8 + k) * row + eight] = b;
            }
        }
    }
    out[n * element..].copy_from_slice(&src[n * element..]);
}

/// Transposes a matrix of eight times eight bits, a row a byte (Hacker's Delight, 7-3).
fn transpose(mut x: u64) -> u64 {
    for (mask, shift) in [(0x00aa_00aa_00aa_00aa, 7), (0x0000_cccc_0000_cccc, 14), (0x0000_0000_f0f0_f0f0, 28)] {
        let t = (x ^ (x >> shift)) & mask;
        x ^= t ^ (t << shift);
    }
    x
}
