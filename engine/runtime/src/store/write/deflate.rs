//! A DEFLATE (RFC 1951) encoder made for filtered image rows.
//!
//! Filtered rows are either noise, where searching for matches finds nothing, or long runs, where the match is always
//! the byte before. So this encoder looks for runs only and puts its effort into the Huffman codes, which are made
//! anew for every [`BLOCK`] bytes. On photographs it gives the size of zlib's level 1 at several times its speed.

use super::huffman;

/// Bytes that share one set of Huffman codes.
pub(super) const BLOCK: usize = 0xffff;

/// The longest code used, so that four codes fit into what a 64-bit buffer has free.
const LIMIT: u8 = 12;

/// Literals, end of block, lengths.
const SYMBOLS: usize = 286;
const END: usize = 256;

/// Longest match of DEFLATE.
const LONGEST: usize = 258;

/// Order in which the lengths of the code length codes are written (RFC 1951, 3.2.7).
const ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

/// The bytes that end a stream of [`encode`]d pieces: an empty last block.
pub(super) const LAST: [u8; 2] = [3, 0];

/// Most bytes that [`encode`] appends for `len` bytes.
#[cfg(test)]
const fn bound(len: usize) -> usize {
    // Never worse than stored blocks, six bytes each with what is left of the byte before, and the piece's end.
    len + 6 * (len / BLOCK + 2) + 16
}

/// Appends `data` as blocks that end at a byte boundary, so that pieces encoded apart can be joined.
pub(super) fn encode(data: &[u8], out: &mut Vec<u8>) {
    let mut w = Bits { at: out.len(), out, buffer: 0, used: 0 };
    let mut runs = Vec::new();
    for block in data.chunks(BLOCK) {
        encode_block(block, &mut runs, &mut w);
    }
    w.finish();
}

/// Bits that [`encode`] would take for up to [`BLOCK`] bytes, without their header.
pub(super) fn cost(data: &[u8]) -> u64 {
    let mut frequency = [0u32; SYMBOLS];
    let runs = find_runs(data, &mut Vec::new(), &mut frequency);
    let mut length = [0u8; SYMBOLS];
    huffman::lengths(&frequency, LIMIT, &mut length);
    runs + body_bits(&frequency, &length)
}

fn body_bits(frequency: &[u32; SYMBOLS], length: &[u8; SYMBOLS]) -> u64 {
    (0..SYMBOLS).map(|s| u64::from(frequency[s]) * u64::from(u32::from(length[s]) + extra_bits(s))).sum()
}

/// Literals followed by one run of the last of them (or of the byte before the block's run).
struct Span {
    literals: u32,
    run: u32,
}

fn encode_block(data: &[u8], spans: &mut Vec<Span>, w: &mut Bits) {
    let mut frequency = [0u32; SYMBOLS];
    let runs = find_runs(data, spans, &mut frequency);
    frequency[END] = 1;
    let mut length = [0u8; SYMBOLS];
    huffman::lengths(&frequency, LIMIT, &mut length);
    let header = Header::new(&length);
    let bits = 3 + header.bits + body_bits(&frequency, &length) + runs;
    if bits.div_ceil(8) >= data.len() as u64 {
        return w.stored(data);
    }
    w.reserve(bits as usize / 8);
    w.put(0b100, 3);
    header.write(w);
    let mut code = [0u16; SYMBOLS];
    huffman::codes(&length, &mut code);
    // Low 16 bits: the code; above: its length.
    let mut table = [0u32; SYMBOLS];
    for s in 0..SYMBOLS {
        table[s] = u32::from(code[s]) | u32::from(length[s]) << 16;
    }
    let mut at = 0;
    for span in spans.iter() {
        let end = at + span.literals as usize;
        w.literals(&data[at..end], &table);
        at = end + span.run as usize;
        let mut run = span.run as usize;
        while run > 0 {
            let piece = piece(run);
            let (symbol, extra, value) = length_symbol(piece);
            let e = table[symbol];
            w.put(u64::from(e & 0xffff), e >> 16);
            w.put(value, extra);
            // Distance 1 is code 0 of the two one-bit distance codes.
            w.put(0, 1);
            run -= piece;
        }
    }
    let e = table[END];
    w.put(u64::from(e & 0xffff), e >> 16);
}

/// The next match of a run: never leaves a rest that is too short for a match.
fn piece(run: usize) -> usize {
    match run {
        0..=LONGEST => run,
        _ if run - LONGEST < 3 => run - 3,
        _ => LONGEST,
    }
}

/// Splits a block into literals and runs, counts symbols, gives the number of matches.
///
/// Looks at eight bytes at a time; a run is taken from its first aligned word of eight equal bytes, and then reaches
/// back over the literals before it.
fn find_runs(data: &[u8], spans: &mut Vec<Span>, frequency: &mut [u32; SYMBOLS]) -> u64 {
    spans.clear();
    // Four tables, so that equal neighbours do not wait for each other.
    let mut counts = [[0u32; 256]; 4];
    let (mut at, mut start, mut matches) = (1, 0, 0);
    while at + 8 <= data.len() {
        let word = word(data, at);
        let before = word_of(data[at - 1]);
        if word != before {
            at += 8;
            continue;
        }
        let mut first = at;
        while first > start + 1 && data[first - 2] == data[at - 1] {
            first -= 1;
        }
        let mut end = at + 8;
        while end + 8 <= data.len() && word == self::word(data, end) {
            end += 8;
        }
        while end < data.len() && data[end] == data[at - 1] {
            end += 1;
        }
        count(&data[start..first], &mut counts);
        spans.push(Span { literals: (first - start) as u32, run: (end - first) as u32 });
        let mut run = end - first;
        while run > 0 {
            let piece = piece(run);
            frequency[length_symbol(piece).0] += 1;
            matches += 1;
            run -= piece;
        }
        start = end;
        at = end + 1;
    }
    count(&data[start..], &mut counts);
    spans.push(Span { literals: (data.len() - start) as u32, run: 0 });
    for (s, f) in frequency[..256].iter_mut().enumerate() {
        *f += counts[0][s] + counts[1][s] + counts[2][s] + counts[3][s];
    }
    matches
}

fn word(data: &[u8], at: usize) -> u64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&data[at..at + 8]);
    u64::from_le_bytes(bytes)
}

fn word_of(byte: u8) -> u64 {
    u64::from(byte) * 0x0101_0101_0101_0101
}

fn count(data: &[u8], counts: &mut [[u32; 256]; 4]) {
    let [a, b, c, d] = counts;
    let mut words = data.chunks_exact(8);
    for w in &mut words {
        a[usize::from(w[0])] += 1;
        b[usize::from(w[1])] += 1;
        c[usize::from(w[2])] += 1;
        d[usize::from(w[3])] += 1;
        a[usize::from(w[4])] += 1;
        b[usize::from(w[5])] += 1;
        c[usize::from(w[6])] += 1;
        d[usize::from(w[7])] += 1;
    }
    words.remainder().iter().for_each(|v| a[usize::from(*v)] += 1);
}

/// Symbol, number of extra bits and their value for a match of 3 to 258 bytes (RFC 1951, 3.2.5).
fn length_symbol(length: usize) -> (usize, u32, u64) {
    let l = length - 3;
    match l {
        255 => (285, 0, 0),
        0..=7 => (257 + l, 0, 0),
        _ => {
            let extra = l.ilog2() - 2;
            (257 + 4 * extra as usize + (l >> extra), extra, (l & ((1 << extra) - 1)) as u64)
        }
    }
}

fn extra_bits(symbol: usize) -> u32 {
    match symbol {
        265..285 => (symbol as u32 - 261) / 4,
        _ => 0,
    }
}

/// The head of a block with its own codes: the code lengths, run-length coded.
struct Header {
    /// Symbol and extra value of each item.
    items: Vec<(u8, u8)>,
    length: [u8; 19],
    symbols: usize,
    written: usize,
    bits: u64,
}

impl Header {
    fn new(length: &[u8; SYMBOLS]) -> Header {
        let symbols = length.iter().rposition(|l| *l > 0).map_or(257, |p| (p + 1).max(257));
        // Two distance codes of one bit each, of which only the first is used.
        let all: Vec<u8> = length[..symbols].iter().copied().chain([1, 1]).collect();
        let mut items = Vec::with_capacity(all.len());
        let mut at = 0;
        while at < all.len() {
            let value = all[at];
            let same = all[at..].iter().take_while(|v| **v == value).count();
            let (item, taken) = match (value, same) {
                (0, 11..) => ((18, (same.min(138) - 11) as u8), same.min(138)),
                (0, 3..) => ((17, (same - 3) as u8), same),
                (_, 4..) => {
                    items.push((value, 0));
                    ((16, (same.min(7) - 4) as u8), same.min(7))
                }
                _ => ((value, 0), 1),
            };
            items.push(item);
            at += taken;
        }
        let mut frequency = [0u32; 19];
        items.iter().for_each(|(s, _)| frequency[usize::from(*s)] += 1);
        let mut code_length = [0u8; 19];
        huffman::lengths(&frequency, 7, &mut code_length);
        let written = ORDER.iter().rposition(|s| code_length[*s] > 0).map_or(4, |p| (p + 1).max(4));
        let body: u64 = items.iter().map(|(s, _)| u64::from(code_length[usize::from(*s)]) + extra_of(*s)).sum();
        Header { items, length: code_length, symbols, written, bits: 14 + 3 * written as u64 + body }
    }

    fn write(&self, w: &mut Bits) {
        w.put(self.symbols as u64 - 257, 5);
        w.put(1, 5);
        w.put(self.written as u64 - 4, 4);
        ORDER[..self.written].iter().for_each(|s| w.put(u64::from(self.length[*s]), 3));
        let mut code = [0u16; 19];
        huffman::codes(&self.length, &mut code);
        for (symbol, extra) in &self.items {
            let s = usize::from(*symbol);
            w.put(u64::from(code[s]), u32::from(self.length[s]));
            w.put(u64::from(*extra), extra_of(*symbol) as u32);
        }
    }
}

fn extra_of(symbol: u8) -> u64 {
    match symbol {
        16 => 2,
        17 => 3,
        18 => 7,
        _ => 0,
    }
}

/// Bits in the order of DEFLATE: the first one is the lowest of the first byte.
struct Bits<'a> {
    /// Long enough for what was reserved, zeroed beyond `at`.
    out: &'a mut Vec<u8>,
    /// Where the next whole byte goes.
    at: usize,
    buffer: u64,
    /// Bits in the buffer, fewer than 8 between calls.
    used: u32,
}

/// Moves the whole bytes of the buffer out.
#[inline(always)]
fn flush(out: &mut [u8], at: &mut usize, buffer: &mut u64, used: &mut u32) {
    out[*at..*at + 8].copy_from_slice(&buffer.to_le_bytes());
    *at += (*used / 8) as usize;
    *buffer >>= *used & !7;
    *used &= 7;
}

impl Bits<'_> {
    /// Makes room for so many bytes more.
    fn reserve(&mut self, bytes: usize) {
        self.out.resize(self.at + bytes + 64, 0);
    }

    /// Appends the low `n` bits of `value`, at most 48; the others must be 0.
    fn put(&mut self, value: u64, n: u32) {
        self.buffer |= value << self.used;
        self.used += n;
        flush(self.out, &mut self.at, &mut self.buffer, &mut self.used);
    }

    /// Appends the codes of these bytes.
    fn literals(&mut self, data: &[u8], table: &[u32; SYMBOLS]) {
        let out = self.out.as_mut_slice();
        let (mut buffer, mut used, mut at) = (self.buffer, self.used, self.at);
        let add = |v: u8, buffer: &mut u64, used: &mut u32| {
            let e = table[usize::from(v)];
            *buffer |= u64::from(e & 0xffff) << *used;
            *used += e >> 16;
        };
        // At most 7 bits are left from before, four codes of 12 bits fit above them.
        let mut words = data.chunks_exact(4);
        for w in &mut words {
            add(w[0], &mut buffer, &mut used);
            add(w[1], &mut buffer, &mut used);
            add(w[2], &mut buffer, &mut used);
            add(w[3], &mut buffer, &mut used);
            flush(out, &mut at, &mut buffer, &mut used);
        }
        for v in words.remainder() {
            add(*v, &mut buffer, &mut used);
        }
        flush(out, &mut at, &mut buffer, &mut used);
        (self.buffer, self.used, self.at) = (buffer, used, at);
    }

    /// Fills up to a byte boundary with an empty stored block, unless there, and drops the room that is left.
    fn finish(&mut self) {
        if self.used > 0 {
            self.stored(&[]);
        }
        self.out.truncate(self.at);
    }

    /// Appends one stored block of at most [`BLOCK`] bytes.
    fn stored(&mut self, data: &[u8]) {
        self.reserve(data.len());
        self.put(0, 3);
        self.put(0, (8 - self.used) % 8);
        let n = data.len() as u16;
        self.put(u64::from(n) | u64::from(!n) << 16, 32);
        self.out[self.at..self.at + data.len()].copy_from_slice(data);
        self.at += data.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Read;

    fn round_trip(pieces: &[&[u8]]) -> usize {
        let mut out = Vec::new();
        for p in pieces {
            let before = out.len();
            encode(p, &mut out);
            assert!(out.len() - before <= bound(p.len()), "{} bytes became {}", p.len(), out.len() - before);
        }
        let size = out.len();
        out.extend_from_slice(&LAST);
        let mut back = Vec::new();
        flate2::read::DeflateDecoder::new(out.as_slice()).read_to_end(&mut back).unwrap();
        assert!(back == pieces.concat(), "{} bytes differ", back.len());
        size
    }

    #[test]
    fn every_run_length_survives() {
        for n in (0..600).chain([BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 7]) {
            round_trip(&[&vec![7u8; n]]);
            let mut mixed = vec![1u8, 2, 3];
            mixed.extend(vec![0u8; n]);
            mixed.extend([9, 8]);
            round_trip(&[&mixed, &mixed]);
        }
    }

    #[test]
    fn constant_data_shrinks_a_thousandfold() {
        assert!(round_trip(&[&vec![0u8; 1 << 20]]) < 1 << 12);
    }

    proptest! {
        #[test]
        fn any_bytes_survive(
            parts in prop::collection::vec((any::<u8>(), 1usize..700, 0u8..3), 0..60),
            seed in any::<u64>(),
        ) {
            let mut state = seed | 1;
            let mut data = Vec::new();
            for (v, n, kind) in parts {
                for _ in 0..n {
                    state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                    data.push(match kind { 0 => v, 1 => (state >> 60) as u8, _ => (state >> 56) as u8 });
                }
            }
            let cut = data.len() / 3;
            round_trip(&[&data[..cut], &data[cut..]]);
        }
    }
}
