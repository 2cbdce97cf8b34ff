//! BloscLZ, the default compressor of Blosc: a FastLZ with longer matches. Decoding only.
//!
//! Source: `blosclz.c` of c-blosc. An instruction byte below 32 copies that many literals and one more; any other is a
//! match: three bits of length, five of the distance's high byte.

/// A distance of this or more is told by sixteen bits of its own.
const FAR: usize = 8191;

/// Decodes `src` into `out` and tells how many bytes came; `None` when `src` is damaged or holds more.
pub(super) fn decode(mut src: &[u8], out: &mut [u8]) -> Option<usize> {
    let src = &mut src;
    let mut at = 0;
    // The first instruction has no earlier bytes to copy: its upper bits are a mark of the format.
    let mut code = usize::from(next(src)? & 31);
    loop {
        if code < 32 {
            let literals = src.split_off(..=code)?;
            out.get_mut(at..at + literals.len())?.copy_from_slice(literals);
            at += literals.len();
        } else {
            let mut length = (code >> 5) + 2;
            if code >> 5 == 7 {
                loop {
                    let more = next(src)?;
                    length += usize::from(more);
                    if more != 255 {
                        break;
                    }
                }
            }
            let (high, low) = ((code & 31) << 8, next(src)?);
            let distance = if low == 255 && high == 31 << 8 {
                let far = usize::from(next(src)?) << 8;
                far + usize::from(next(src)?) + FAR + 1
            } else {
                high + usize::from(low) + 1
            };
            copy(out, at, distance, length)?;
            at += length;
        }
        match next(src) {
            Some(byte) => code = usize::from(byte),
            None => return Some(at),
        }
    }
}

fn next(src: &mut &[u8]) -> Option<u8> {
    src.split_off_first().copied()
}

/// Copies `length` bytes from `distance` before `at` to `at`; what overlaps repeats.
fn copy(out: &mut [u8], at: usize, distance: usize, length: usize) -> Option<()> {
    let from = at.checked_sub(distance)?;
    let end = at.checked_add(length).filter(|end| *end <= out.len())?;
    let mut to = at;
    while to < end {
        // Twice as much is there to be copied after each turn.
        let n = (to - from).min(end - to);
        out.copy_within(from..from + n, to);
        to += n;
    }
    Some(())
}
