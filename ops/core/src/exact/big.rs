//! Sign, magnitude and a binary exponent: just enough arithmetic for exact ratios.

/// `± magnitude * 2^exponent`; no leading zero limb.
#[derive(Debug, Clone)]
pub(super) struct Big {
    negative: bool,
    magnitude: Vec<u64>,
    exponent: i64,
}

impl Big {
    /// From two's complement limbs, least significant first.
    pub(super) fn from_twos_complement(limbs: &[u64], exponent: i64) -> Big {
        let negative = limbs.last().is_some_and(|&l| l >> 63 != 0);
        let mut magnitude = limbs.to_vec();
        if negative {
            let mut carry = true;
            for l in &mut magnitude {
                let (s, c) = (!*l).overflowing_add(u64::from(carry));
                *l = s;
                carry = c;
            }
        }
        Big { negative, magnitude, exponent }.trimmed()
    }

    fn trimmed(mut self) -> Big {
        while self.magnitude.last() == Some(&0) {
            self.magnitude.pop();
        }
        self
    }

    /// The square.
    pub(super) fn squared(&self) -> Big {
        let n = self.magnitude.len();
        let mut out = vec![0u64; 2 * n];
        for (i, &a) in self.magnitude.iter().enumerate() {
            let mut carry = 0u128;
            for (j, &b) in self.magnitude.iter().enumerate() {
                let t = u128::from(a) * u128::from(b) + u128::from(out[i + j]) + carry;
                out[i + j] = t as u64;
                carry = t >> 64;
            }
            out[i + n] = carry as u64;
        }
        Big { negative: false, magnitude: out, exponent: 2 * self.exponent }.trimmed()
    }

    /// Times a count.
    pub(super) fn times(mut self, n: u64) -> Big {
        let mut carry = 0u128;
        for l in &mut self.magnitude {
            let t = u128::from(*l) * u128::from(n) + carry;
            *l = t as u64;
            carry = t >> 64;
        }
        self.magnitude.push(carry as u64);
        self.trimmed()
    }

    /// The magnitude of `self - other`, both at or above 0 and `self` the larger; their exponents are multiples of 64.
    pub(super) fn minus(mut self, other: &Big) -> Big {
        if other.magnitude.is_empty() {
            return self;
        }
        let low = self.exponent.min(other.exponent);
        let shift = ((self.exponent - low) / 64) as usize;
        self.magnitude.splice(0..0, std::iter::repeat_n(0, shift));
        self.exponent = low;
        let at = ((other.exponent - low) / 64) as usize;
        let mut borrow = false;
        for (i, l) in self.magnitude.iter_mut().enumerate().skip(at) {
            let (s, b1) = l.overflowing_sub(other.magnitude.get(i - at).copied().unwrap_or(0));
            let (s, b2) = s.overflowing_sub(u64::from(borrow));
            *l = s;
            borrow = b1 | b2;
        }
        self.trimmed()
    }

    /// Divided by `n` as often as `times` says, rounded once. `times` is at most 2.
    pub(super) fn divided(mut self, n: u64, times: usize) -> f64 {
        // Three limbs below: the quotient has more bits than a float, and as a fraction above 0 is at least 2^-128, a
        // remainder always leaves a bit in them. So what is cut off never decides a tie.
        self.magnitude.splice(0..0, [0, 0, 0]);
        self.exponent -= 192;
        for _ in 0..times {
            let mut rest = 0u128;
            for l in self.magnitude.iter_mut().rev() {
                let t = (rest << 64) | u128::from(*l);
                *l = (t / u128::from(n)) as u64;
                rest = t % u128::from(n);
            }
        }
        self.trimmed().round()
    }

    /// The nearest float64, ties to even.
    pub(super) fn round(&self) -> f64 {
        let Some(&top) = self.magnitude.last() else { return 0.0 };
        let bits = 64 * self.magnitude.len() as i64 - i64::from(top.leading_zeros());
        let lsb = (self.exponent + bits - 53).max(-1074);
        let drop = lsb - self.exponent;
        let mut m;
        if drop <= 0 {
            // At most 53 bits, so one limb, and the shift is exact.
            m = top << -drop;
        } else {
            m = self.bits_from(drop);
            let half = self.bit(drop - 1);
            let below = self.any_below(drop - 1);
            if half && (below || m & 1 == 1) {
                m += 1;
            }
        }
        if lsb > 971 {
            return if self.negative { f64::NEG_INFINITY } else { f64::INFINITY };
        }
        let v = m as f64 * power_of_two(lsb);
        if self.negative { -v } else { v }
    }

    fn bit(&self, i: i64) -> bool {
        let limb = self.magnitude.get((i / 64) as usize).copied().unwrap_or(0);
        (limb >> (i % 64)) & 1 == 1
    }

    /// The 64 bits from bit `i` on; there are at most 53 left.
    fn bits_from(&self, i: i64) -> u64 {
        let (limb, shift) = ((i / 64) as usize, (i % 64) as u32);
        let low = self.magnitude.get(limb).copied().unwrap_or(0) >> shift;
        let high = self.magnitude.get(limb + 1).copied().unwrap_or(0);
        if shift == 0 { low } else { low | (high << (64 - shift)) }
    }

    fn any_below(&self, i: i64) -> bool {
        let (limb, shift) = ((i / 64) as usize, (i % 64) as u32);
        let whole = self.magnitude.iter().take(limb).any(|&l| l != 0);
        whole || self.magnitude.get(limb).is_some_and(|&l| l & ((1u64 << shift) - 1) != 0)
    }
}

/// `2^e` for `-1074 <= e <= 1023`.
fn power_of_two(e: i64) -> f64 {
    if e >= -1022 { f64::from_bits(((e + 1023) as u64) << 52) } else { f64::from_bits(1 << (e + 1074)) }
}
