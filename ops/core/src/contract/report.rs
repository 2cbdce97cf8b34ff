//! What the battery found.

use std::collections::BTreeMap;

/// One promise of an op.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Check {
    /// There is at least one case.
    HasCases,
    /// The schema describes the op and every parameter, and the example names it.
    Documented,
    /// Unknown keys and values of a wrong type are refused.
    StrictParams,
    /// The canonical parameters parse to the same op and to themselves.
    RoundTrip,
    /// The cases run on ordinary shapes; no input of another shape makes a panic or an internal error.
    Runs,
    /// The result is that of the case's independent reference.
    Expected,
    /// Any blocks, in any order, give the bits of one block that covers everything.
    ChunkedEqualsWhole,
    /// Random partitions merged in random order give the same bits.
    MergeOrder,
    /// Blocks running at once on several threads give the same bits.
    Threads,
    /// The scalar and the vector path give the same bits.
    SimdPaths,
    /// Every element of the output is written, and no scratch is read before it is written.
    WritesAll,
    /// What lies outside the declared needs does not matter.
    HaloSufficient,
    /// The outermost layer of the declared needs matters.
    HaloMinimal,
    /// No more bytes are taken from the pool, and none larger is kept, than was declared.
    DeclaredBytes,
}

impl Check {
    /// The name in messages.
    pub const fn name(self) -> &'static str {
        match self {
            Check::HasCases => "has-cases",
            Check::Documented => "documented",
            Check::StrictParams => "strict-params",
            Check::RoundTrip => "round-trip",
            Check::Runs => "runs",
            Check::Expected => "expected",
            Check::ChunkedEqualsWhole => "chunked-equals-whole",
            Check::MergeOrder => "merge-order",
            Check::Threads => "threads",
            Check::SimdPaths => "simd-paths",
            Check::WritesAll => "writes-all",
            Check::HaloSufficient => "halo-sufficient",
            Check::HaloMinimal => "halo-minimal",
            Check::DeclaredBytes => "declared-bytes",
        }
    }
}

/// A broken promise.
#[derive(Debug, Clone)]
pub struct Violation {
    /// Which one.
    pub check: Check,
    /// Number of the case.
    pub case: usize,
    /// What was seen.
    pub detail: String,
}

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "[{}] case {}: {}", self.check.name(), self.case, self.detail)
    }
}

/// What a battery run found, and how often each check ran.
#[derive(Debug, Clone)]
pub struct Report {
    /// The op.
    pub op: &'static str,
    /// What is broken; the first few of each check and case.
    pub violations: Vec<Violation>,
    ran: BTreeMap<Check, u64>,
}

/// Violations kept for one check of one case: more of the same say nothing new.
const KEPT: usize = 3;

impl Report {
    pub(super) fn new(op: &'static str) -> Report {
        Report { op, violations: Vec::new(), ran: BTreeMap::new() }
    }

    pub(super) fn check(&mut self, check: Check, case: usize, outcome: Result<(), String>) {
        *self.ran.entry(check).or_default() += 1;
        if let Err(detail) = outcome
            && self.violations.iter().filter(|v| v.check == check && v.case == case).count() < KEPT
        {
            self.violations.push(Violation { check, case, detail });
        }
    }

    /// How often a check ran.
    pub fn ran(&self, check: Check) -> u64 {
        self.ran.get(&check).copied().unwrap_or(0)
    }

    /// How many checks ran in all.
    pub fn total(&self) -> u64 {
        self.ran.values().sum()
    }

    /// True when that promise is broken.
    pub fn broke(&self, check: Check) -> bool {
        self.violations.iter().any(|v| v.check == check)
    }
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {} violations", self.op, self.violations.len())?;
        self.violations.iter().try_for_each(|v| write!(f, "\n  {v}"))
    }
}
