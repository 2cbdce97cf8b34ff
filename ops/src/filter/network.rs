//! Sorting networks: programs of minima and maxima that find an order statistic without a branch.
//!
//! Sorted lists are merged by Batcher's odd-even merge (Knuth, *The Art of Computer Programming* 3, section 5.3.4), the
//! shortest first. What too many others are known to be above or below of is dropped on the way, the last two lists are
//! never merged (of them only one element is asked), and what nothing asks for is left out of the program.

/// A value: the number of an input, or beyond those of the step that made it.
pub(super) type Wire = u32;

/// One minimum or maximum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Gate {
    pub(super) max: bool,
    pub(super) a: Wire,
    pub(super) b: Wire,
}

/// Gates in the order they are computed in.
#[derive(Debug, Default)]
pub(crate) struct Network {
    pub(super) inputs: u32,
    pub(super) gates: Vec<Gate>,
}

/// Which of the minimum and the maximum of two values are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Both.
    Both,
    /// The minimum.
    Min,
    /// The maximum.
    Max,
}

/// A minimum and a maximum of the same two values, either of which may be left out.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Step {
    /// Which are asked for.
    pub(crate) kind: Kind,
    /// The values: inputs, or beyond their number slots.
    pub(crate) from: [u32; 2],
    /// The slots of the minimum and of the maximum; the last slot stands for the one that is left out.
    pub(crate) to: [u32; 2],
}

/// A network whose values have places.
#[derive(Debug)]
pub(crate) struct Program {
    /// Number of inputs.
    pub(crate) inputs: usize,
    /// Values held at once besides the inputs, and one more for what is left out.
    pub(crate) slots: usize,
    /// What is computed, in order.
    pub(crate) steps: Vec<Step>,
    /// The results: inputs, or beyond their number slots.
    pub(crate) outputs: Vec<u32>,
}

impl Network {
    pub(super) fn new(inputs: usize) -> Network {
        Network { inputs: inputs as u32, gates: Vec::new() }
    }

    fn gate(&mut self, max: bool, a: Wire, b: Wire) -> Wire {
        self.gates.push(Gate { max, a, b });
        self.inputs + self.gates.len() as u32 - 1
    }

    fn pair(&mut self, a: Wire, b: Wire) -> [Wire; 2] {
        [self.gate(false, a, b), self.gate(true, a, b)]
    }

    /// Two sorted lists become one.
    pub(super) fn merge(&mut self, a: &[Wire], b: &[Wire]) -> Vec<Wire> {
        match (a, b) {
            ([], v) | (v, []) => v.to_vec(),
            ([a], [b]) => self.pair(*a, *b).to_vec(),
            _ => {
                let every_other =
                    |v: &[Wire], from: usize| -> Vec<Wire> { v.iter().skip(from).step_by(2).copied().collect() };
                let even = self.merge(&every_other(a, 0), &every_other(b, 0));
                let odd = self.merge(&every_other(a, 1), &every_other(b, 1));
                let mut out = vec![even[0]];
                for i in 0..odd.len().max(even.len() - 1) {
                    match (odd.get(i), even.get(i + 1)) {
                        (Some(&o), Some(&e)) => out.extend(self.pair(o, e)),
                        (one, other) => out.extend(one.or(other)),
                    }
                }
                out
            }
        }
    }

    pub(super) fn sort(&mut self, v: &[Wire]) -> Vec<Wire> {
        if v.len() < 2 {
            return v.to_vec();
        }
        let (low, high) = v.split_at(v.len() / 2);
        let (low, high) = (self.sort(low), self.sort(high));
        self.merge(&low, &high)
    }

    /// The element of that rank among all of the sorted lists.
    fn select(&mut self, mut lists: Vec<Vec<Wire>>, mut rank: usize) -> Wire {
        loop {
            // An element with more than `rank` others known below it, or too many above, is not the one.
            let total: usize = lists.iter().map(Vec::len).sum();
            let above = total - 1 - rank;
            for list in &mut lists {
                list.truncate(rank + 1);
                let low = list.len().saturating_sub(above + 1);
                list.drain(..low);
                rank -= low;
            }
            lists.retain(|l| !l.is_empty());
            lists.sort_by_key(|l| std::cmp::Reverse(l.len()));
            match &lists[..] {
                [one] => return one[rank],
                [a, b] => return self.select_of_two(&a.clone(), &b.clone(), rank),
                _ => {
                    let (a, b) = (lists.pop().unwrap_or_default(), lists.pop().unwrap_or_default());
                    let merged = self.merge(&a, &b);
                    lists.push(merged);
                }
            }
        }
    }

    /// The least, over all ways to take `rank + 1` elements from the fronts of two sorted lists, of the greater end.
    pub(super) fn select_of_two(&mut self, a: &[Wire], b: &[Wire], rank: usize) -> Wire {
        let mut least = None;
        for from_a in 0..=a.len().min(rank + 1) {
            let from_b = rank + 1 - from_a;
            let end = match (from_a, from_b) {
                (_, n) if n > b.len() => continue,
                (0, n) => b[n - 1],
                (m, 0) => a[m - 1],
                (m, n) => self.gate(true, a[m - 1], b[n - 1]),
            };
            least = Some(least.map_or(end, |l| self.gate(false, l, end)));
        }
        least.unwrap_or(0)
    }

    /// Which gates the outputs depend on.
    pub(super) fn asked(&self, outputs: &[Wire]) -> Vec<bool> {
        let mut asked = vec![false; self.gates.len()];
        let mark = |asked: &mut Vec<bool>, w: Wire| {
            if w >= self.inputs {
                asked[(w - self.inputs) as usize] = true;
            }
        };
        outputs.iter().for_each(|&w| mark(&mut asked, w));
        for i in (0..self.gates.len()).rev() {
            if asked[i] {
                mark(&mut asked, self.gates[i].a);
                mark(&mut asked, self.gates[i].b);
            }
        }
        asked
    }

    /// Gives every value a slot that is free again after its last use.
    fn program(&self, outputs: &[Wire]) -> Program {
        let asked = self.asked(outputs);
        let wires = self.inputs as usize + self.gates.len();
        let mut last = vec![0; wires];
        for (i, g) in self.gates.iter().enumerate().filter(|(i, _)| asked[*i]) {
            last[g.a as usize] = i;
            last[g.b as usize] = i;
        }
        outputs.iter().for_each(|&w| last[w as usize] = usize::MAX);
        let mut place: Vec<u32> = (0..wires as u32).collect();
        let (mut free, mut slots, mut steps) = (Vec::new(), 0u32, Vec::<Step>::new());
        let mut i = 0;
        while i < self.gates.len() {
            // A minimum and the maximum of the same two values stand side by side and become one step.
            let first = self.gates[i];
            let paired = self.gates.get(i + 1).is_some_and(|g| (g.a, g.b) == (first.a, first.b));
            let both = i..(if paired { i + 2 } else { i + 1 });
            i = both.end;
            let mut to = [u32::MAX; 2];
            for g in both.clone().filter(|&g| asked[g]) {
                let slot = free.pop().unwrap_or_else(|| {
                    slots += 1;
                    slots - 1
                });
                to[usize::from(self.gates[g].max)] = slot;
                place[self.inputs as usize + g] = self.inputs + slot;
            }
            let kind = match to.map(|t| t == u32::MAX) {
                [true, true] => continue,
                [false, false] => Kind::Both,
                [_, true] => Kind::Min,
                [true, _] => Kind::Max,
            };
            let ends = |w: Wire| both.contains(&last[w as usize]) && w >= self.inputs;
            steps.push(Step { kind, from: [place[first.a as usize], place[first.b as usize]], to });
            for w in [first.a, first.b].into_iter().filter(|&w| ends(w)) {
                free.push(place[w as usize] - self.inputs);
            }
        }
        let outputs = outputs.iter().map(|&w| place[w as usize]).collect();
        steps.iter_mut().flat_map(|s| &mut s.to).for_each(|t| *t = (*t).min(slots));
        Program { inputs: self.inputs as usize, slots: slots as usize + 1, steps, outputs }
    }
}

fn inputs(n: usize) -> Vec<Wire> {
    (0..n as u32).collect()
}

/// Sorts `n` values.
pub(crate) fn sorting(n: usize) -> Program {
    let mut net = Network::new(n);
    let sorted = net.sort(&inputs(n));
    net.program(&sorted)
}

/// Finds the value of a rank among `lists` sorted lists of `n` values each, one list after the other.
pub(crate) fn selecting(lists: usize, n: usize, rank: usize) -> Program {
    let mut net = Network::new(lists * n);
    let all = inputs(lists * n).chunks(n).map(<[Wire]>::to_vec).collect();
    let found = net.select(all, rank);
    net.program(&[found])
}

#[cfg(test)]
mod tests {
    use super::*;
    use ops_core::contract::Rng;

    fn evaluate(p: &Program, input: &[u32]) -> Vec<u32> {
        let mut slots = vec![u32::MAX; p.slots];
        let at = |slots: &[u32], w: u32| {
            if (w as usize) < p.inputs { input[w as usize] } else { slots[w as usize - p.inputs] }
        };
        for s in &p.steps {
            let (a, b) = (at(&slots, s.from[0]), at(&slots, s.from[1]));
            if s.kind != Kind::Max {
                slots[s.to[0] as usize] = a.min(b);
            }
            if s.kind != Kind::Min {
                slots[s.to[1] as usize] = a.max(b);
            }
        }
        p.outputs.iter().map(|&w| at(&slots, w)).collect()
    }

    /// A network that sorts all zeros and ones sorts everything.
    #[test]
    fn every_sequence_of_zeros_and_ones_is_sorted() {
        for n in 1..=13 {
            let p = sorting(n);
            for bits in 0..1u32 << n {
                let input: Vec<u32> = (0..n).map(|i| bits >> i & 1).collect();
                let mut want = input.clone();
                want.sort_unstable();
                assert_eq!(evaluate(&p, &input), want);
            }
        }
    }

    #[test]
    fn every_rank_is_found_among_sorted_lists() {
        let mut rng = Rng::new(3);
        for (lists, n) in [(1, 1), (3, 1), (13, 1), (3, 3), (3, 9), (5, 5), (2, 7), (4, 3), (7, 4), (49, 1)] {
            for rank in 0..lists * n {
                let p = selecting(lists, n, rank);
                for try_ in 0..40 {
                    let span = if try_ % 2 == 0 { 2 } else { 1000 };
                    let mut input: Vec<u32> = (0..lists * n).map(|_| rng.below(span) as u32).collect();
                    input.chunks_mut(n).for_each(<[u32]>::sort_unstable);
                    let mut want = input.clone();
                    want.sort_unstable();
                    assert_eq!(evaluate(&p, &input), [want[rank]], "{lists} lists of {n}, rank {rank}");
                }
            }
        }
    }

    #[test]
    fn what_is_not_asked_for_is_left_out() {
        let gates = |p: &Program| p.steps.iter().map(|s| if s.kind == Kind::Both { 2 } else { 1 }).sum::<usize>();
        // Of three sorted triples: two for the largest minimum, two for the smallest maximum, four for each of two medians.
        assert!(gates(&selecting(3, 3, 4)) <= 16, "{}", gates(&selecting(3, 3, 4)));
        assert!(gates(&selecting(3, 9, 13)) <= 80, "{}", gates(&selecting(3, 9, 13)));
        assert!(gates(&selecting(3, 9, 0)) <= 2);
        assert!(sorting(9).steps.len() <= 27);
    }
}
