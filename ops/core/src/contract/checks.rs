//! The checks of what an op computes.

use super::data::{Extents, inputs};
use super::interpret::{Blocks, Failure, How, Outcome, evaluate};
use super::{Case, Check, Expected, Held, Report, Rng, bits, halo};
use crate::simd::{self, Path};
use crate::{Op, OpEntry, OpError};
use serde_json::Value as Json;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{PoisonError, RwLock};

/// The instruction set path is one for the process: who changes it is alone meanwhile.
static SIMD: RwLock<()> = RwLock::new(());

/// Runs every check of one case with one set of parameters.
pub(super) fn all(entry: &OpEntry, case: &Case, with: &Json, number: usize, rng: &mut Rng, report: &mut Report) {
    let op = match (entry.parse)(with.clone()) {
        Ok(op) => op,
        Err(e) => return report.check(Check::Runs, number, Err(format!("{with} is refused: {e}"))),
    };
    for extents in Extents::ALL {
        let Some(data) = inputs(entry, case, extents, rng) else {
            return report.check(Check::Runs, number, Err("the axes of an input do not parse".to_owned()));
        };
        let mut on = On { op: op.as_ref(), with, extents, data: &data, case, number, report };
        on.run(rng);
    }
}

struct On<'a> {
    op: &'a dyn Op,
    with: &'a Json,
    extents: Extents,
    data: &'a [Held],
    case: &'a Case,
    number: usize,
    report: &'a mut Report,
}

impl On<'_> {
    fn say(&mut self, check: Check, outcome: Result<(), String>) {
        let at = format!("{:?} with {}: ", self.extents, self.with);
        self.report.check(check, self.number, outcome.map_err(|e| at + &e));
    }

    fn evaluate(&self, how: &How) -> Result<Outcome, Failure> {
        evaluate(self.op, self.data, how)
    }

    fn run(&mut self, rng: &mut Rng) {
        let shared = SIMD.read().unwrap_or_else(PoisonError::into_inner);
        let whole = How { seed: rng.bits(), blocks: Blocks::Whole, threads: 1, garbage: 0xA5 };
        let reference = self.evaluate(&whole);
        self.say(Check::Runs, self.may_fail(&reference));
        self.expected(&reference);
        let other = self.evaluate(&How { garbage: 0x5B, ..whole });
        self.say(Check::WritesAll, compare(self.data, &reference, &other));
        for blocks in [Blocks::Ones, Blocks::Prime, Blocks::Larger, Blocks::Random, Blocks::Random] {
            let how = How { seed: rng.bits(), blocks, garbage: 0x3C, ..whole };
            let cut = self.evaluate(&how);
            let outcome = compare(self.data, &reference, &cut).map_err(|e| format!("{blocks:?}: {e}"));
            self.say(Check::ChunkedEqualsWhole, outcome);
            self.merged(rng, &how, &cut);
            self.declared(&cut);
        }
        let how = How { seed: rng.bits(), blocks: Blocks::Random, threads: 4, ..whole };
        self.say(Check::Threads, compare(self.data, &reference, &self.evaluate(&how)));
        if let Ok(outcome) = &reference {
            for (check, found) in halo::all(outcome, self.data, self.extents == Extents::Prime, rng) {
                self.say(check, found);
            }
        }
        self.declared(&reference);
        drop(shared);
        self.paths(rng);
    }

    /// Ordinary shapes must work; others may be refused, but neither panic nor be called a bug.
    fn may_fail(&self, outcome: &Result<Outcome, Failure>) -> Result<(), String> {
        let refusal_expected = self.refused();
        match outcome {
            Ok(_) => Ok(()),
            Err(Failure::Op(OpError::Param { .. } | OpError::Input { .. } | OpError::Data(_)))
                if refusal_expected || self.extents != Extents::Prime =>
            {
                Ok(())
            }
            Err(e) => Err(e.to_string()),
        }
    }

    fn reference(&self) -> Option<Result<Expected, String>> {
        let arrays: Vec<Vec<super::Array>> = self.data.iter().map(copies).collect();
        let reference = self.case.expect?;
        let run = catch_unwind(AssertUnwindSafe(|| reference(self.with, &arrays)));
        Some(run.map_err(|p| super::interpret::panic_text(p.as_ref())))
    }

    fn refused(&self) -> bool {
        matches!(self.reference(), Some(Ok(Expected::Refused)))
    }

    fn expected(&mut self, outcome: &Result<Outcome, Failure>) {
        let Some(want) = self.reference() else { return };
        let met = match (want, outcome) {
            (Err(panic), Ok(_)) => Err(format!("the reference panics: {panic}")),
            (Ok(want), Ok(o)) => match o.at(self.data, o.result) {
                Some(got) => bits::meets(got, &want),
                None => Err("the op's result is no node".to_owned()),
            },
            // Whether a refusal is right is said by `Runs`.
            (_, Err(_)) => Ok(()),
        };
        self.say(Check::Expected, met);
    }

    /// The same blocks in another partition, merged in another order.
    fn merged(&mut self, rng: &mut Rng, how: &How, first: &Result<Outcome, Failure>) {
        let reduces = matches!(first, Ok(o) if o.held.iter().any(|h| matches!(h, Some(Held::Values(_)))));
        if !reduces {
            return;
        }
        for _ in 0..2 {
            let again = self.evaluate(&How { seed: rng.bits(), ..*how });
            self.say(Check::MergeOrder, compare(self.data, first, &again));
        }
    }

    fn declared(&mut self, outcome: &Result<Outcome, Failure>) {
        if let Ok(o) = outcome {
            self.say(Check::DeclaredBytes, o.over.first().map_or(Ok(()), |e| Err(e.clone())));
        }
    }

    fn paths(&mut self, rng: &mut Rng) {
        let alone = SIMD.write().unwrap_or_else(PoisonError::into_inner);
        let before = simd::path();
        let how = How { seed: rng.bits(), blocks: Blocks::Random, threads: 1, garbage: 0x11 };
        simd::set_path(Path::Scalar);
        let scalar = self.evaluate(&how);
        simd::set_path(Path::Vector);
        let vector = self.evaluate(&how);
        simd::set_path(before);
        drop(alone);
        self.say(Check::SimdPaths, compare(self.data, &scalar, &vector));
    }
}

fn copies(h: &Held) -> Vec<super::Array> {
    match h {
        Held::Arrays(v) => v
            .iter()
            .map(|a| {
                let block = a.block.cut(&crate::Pool::default(), a.block.region());
                super::Array { meta: a.meta.clone(), block }
            })
            .collect(),
        Held::Values(_) => Vec::new(),
    }
}

/// Both the same bits, in the result and in every number and table on the way, and the same warnings; or both failed.
fn compare(data: &[Held], a: &Result<Outcome, Failure>, b: &Result<Outcome, Failure>) -> Result<(), String> {
    match (a, b) {
        (Ok(a), Ok(b)) => {
            if a.warnings != b.warnings {
                return Err(format!("warnings differ: {:?} and {:?}", a.warnings, b.warnings));
            }
            for (x, y) in a.held.iter().zip(&b.held) {
                if let (Some(x @ Held::Values(_)), Some(y @ Held::Values(_))) = (x, y) {
                    bits::same(x, y)?;
                }
            }
            match (a.at(data, a.result), b.at(data, b.result)) {
                (Some(x), Some(y)) => bits::same(x, y),
                _ => Err("the op's result is no node".to_owned()),
            }
        }
        (Err(Failure::Panic(p)), _) | (_, Err(Failure::Panic(p))) => Err(format!("panic: {p}")),
        (Err(_), Err(_)) => Ok(()),
        (Ok(_), Err(e)) | (Err(e), Ok(_)) => Err(format!("one way succeeds, the other fails: {e}")),
    }
}
