//! Mutations of seeds: the same round gives the same bytes on every machine.

/// Changes made to one seed at most.
const CHANGES: u64 = 6;

/// The longest input that is made.
const LONGEST: usize = 16 << 10;

/// Values at which programs err.
const EDGES: [u64; 9] = [0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0xffff, 0x7fff_ffff, 0xffff_ffff];

/// Makes inputs of seeds and of the words of a dictionary.
pub(super) struct Mutator<'a> {
    seeds: &'a [&'a [u8]],
    words: Vec<Vec<u8>>,
}

/// The generator splitmix64 (Steele, Lea, Flood 2014).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let v = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let v = (v ^ (v >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        v ^ (v >> 31)
    }

    /// A number below `n`, or 0.
    fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }
}

impl Mutator<'_> {
    /// Seeds, of which there is at least one, and a dictionary as libFuzzer reads it.
    pub(super) fn new<'a>(seeds: &'a [&'a [u8]], dictionary: &str) -> Mutator<'a> {
        let quoted = |l: &str| Some(l.split_once('"')?.1.rsplit_once('"')?.0.to_owned());
        let lines = dictionary.lines().filter(|l| !l.starts_with('#'));
        Mutator { seeds, words: lines.filter_map(quoted).map(|w| unescaped(&w)).collect() }
    }

    /// The input of a round.
    pub(super) fn make(&self, round: u64) -> Vec<u8> {
        let mut numbers = Numbers(round);
        let n = &mut numbers;
        let mut v = self.seeds[n.below(self.seeds.len())].to_vec();
        for _ in 0..=n.next() % CHANGES {
            let at = n.below(v.len());
            let part = |n: &mut Numbers, len: usize| at..len.min(at + 1 + n.below(64));
            match n.below(8) {
                0 if !v.is_empty() => v[at] ^= 1 << n.below(8),
                1 if !v.is_empty() => v[at] = n.next() as u8,
                2 => v.truncate(at),
                3 => drop(v.drain(part(n, v.len()))),
                4 => {
                    let copy = v[part(n, v.len())].to_vec();
                    let to = n.below(v.len());
                    v.splice(to..to, copy);
                }
                // The end of one and the end of another.
                5 => {
                    let other = self.seeds[n.below(self.seeds.len())];
                    v.truncate(at);
                    v.extend_from_slice(&other[n.below(other.len())..]);
                }
                6 => {
                    let (edge, width) = (EDGES[n.below(EDGES.len())], [1, 2, 4][n.below(3)]);
                    let bytes =
                        if n.below(2) == 0 { edge.to_le_bytes() } else { (edge << (64 - 8 * width)).to_be_bytes() };
                    for (to, byte) in v.iter_mut().skip(at).zip(&bytes[..width]) {
                        *to = *byte;
                    }
                }
                _ => {
                    let word = &self.words[n.below(self.words.len())];
                    let over = if n.below(2) == 0 { word.len() } else { 0 };
                    v.splice(at..v.len().min(at + over), word.iter().copied());
                }
            }
        }
        v.truncate(LONGEST);
        v
    }
}

/// A word with `\"`, `\\` and `\xAB` replaced.
fn unescaped(word: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = word.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        match (first, after) {
            (b'\\', [b'x', hex @ ..]) if hex.len() >= 2 => {
                let digits = std::str::from_utf8(&hex[..2]).unwrap();
                out.push(u8::from_str_radix(digits, 16).unwrap());
                rest = &hex[2..];
            }
            (b'\\', [quoted, more @ ..]) => {
                out.push(*quoted);
                rest = more;
            }
            _ => out.push(first),
        }
    }
    out
}

#[test]
fn rounds_differ_and_repeat() {
    assert_eq!(unescaped(r#"a\"\\b\x00\xfFc"#), b"a\"\\b\x00\xffc");
    let seeds: [&[u8]; 2] = [b"some text that is long enough to be changed", b""];
    let made = |from: u64| -> Vec<Vec<u8>> {
        (from..from + 500).map(|r| Mutator::new(&seeds, "# a\n\"word\"\n").make(r)).collect()
    };
    assert_eq!(made(0), made(0));
    let different: std::collections::BTreeSet<Vec<u8>> = made(0).into_iter().collect();
    assert!(different.len() > 300, "{}", different.len());
    assert!(different.iter().any(|v| v.windows(4).any(|w| w == b"word")));
}
