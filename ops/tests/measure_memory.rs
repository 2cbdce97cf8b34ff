//! What `measure` takes of the heap, counted allocation by allocation, stays within what it declares.

use ops_core::lower::Kind;
use ops_core::op::{AnyPartial, DynReduce, FinishCall, ReduceCall};
use ops_core::{ArrayMeta, Axes, Block, DType, Lowering, OpError, Pool, Ports, Region, Warnings, with_dtype};
use serde_json::{Value as Json, json};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;

thread_local! {
    static NOW: Cell<i64> = const { Cell::new(0) };
    static PEAK: Cell<i64> = const { Cell::new(0) };
}

struct Counting;

fn count(bytes: i64) {
    let now = NOW.get() + bytes;
    NOW.set(now);
    PEAK.set(PEAK.get().max(now));
}

#[expect(unsafe_code, reason = "the trait is unsafe; every call goes to the system's allocator as it came")]
// SAFETY: each method passes its arguments on unchanged and only adds to counters that do not allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as i64);
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, p: *mut u8, layout: Layout) {
        count(-(layout.size() as i64));
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(p, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// Bytes taken at most by `f`, besides those that were taken before.
fn peak_of<T>(f: impl FnOnce() -> T) -> (T, u64) {
    let before = NOW.get();
    PEAK.set(before);
    let made = f();
    (made, (PEAK.get() - before) as u64)
}

fn block(region: &Region, dtype: DType, value: impl Fn(usize) -> f64) -> Block {
    let mut block = Block::zeros(dtype, region.clone());
    with_dtype!(dtype, T => {
        use ops_core::Element;
        block.as_mut_slice::<T>().iter_mut().enumerate().for_each(|(i, d)| *d = T::from_f64(value(i)));
    });
    block
}

struct Job {
    reduce: Arc<dyn DynReduce>,
    ports: Ports,
}

impl Job {
    fn new(with: &Json, shape: &[u64], labels: DType, image: DType) -> Job {
        assert!(!ops::registered().is_empty());
        let axes = || Axes::parse("yx").unwrap();
        let ports = Ports::plain(&[ArrayMeta::new(shape, labels, axes()), ArrayMeta::new(shape, image, axes())]);
        let inputs: Vec<_> = ports.0.iter().cloned().map(Some).collect();
        let (mut g, connected) = Lowering::new(&inputs);
        let op = (ops_core::registry::find("measure").unwrap().parse)(with.clone()).unwrap();
        op.lower(&mut g, &connected).unwrap();
        let Kind::Reduce(reduce, _) = g.nodes().last().unwrap().kind.clone() else { panic!("not a reduction") };
        Job { reduce, ports }
    }

    /// Measures band after band of `rows` lines; the error of the end, if any.
    fn run(&self, rows: i64, label: &dyn Fn(usize) -> f64, value: &dyn Fn(usize) -> f64) -> Result<u64, OpError> {
        let (whole, width) = (self.ports.meta(0).region(), self.ports.meta(0).shape[1] as usize);
        let mut root: Option<AnyPartial> = None;
        let before = NOW.get();
        let mut most = 0;
        for y in (0..whole.hi[0]).step_by(rows as usize) {
            let region = Region {
                lo: [y, 0].into_iter().collect(),
                hi: [(y + rows).min(whole.hi[0]), whole.hi[1]].into_iter().collect(),
            };
            let from = y as usize * width;
            let labels = block(&region, self.ports.meta(0).dtype, |i| label(from + i));
            let image = block(&region, self.ports.meta(1).dtype, |i| value(from + i));
            let pool = Pool::keeping(0);
            let call = ReduceCall {
                ports: &self.ports,
                region: &region,
                blocks: &[&labels, &image],
                values: &[],
                pool: &pool,
            };
            let (partial, bytes) = peak_of(|| {
                let mut partial = self.reduce.start(&self.ports);
                self.reduce.add(&call, &mut partial).unwrap();
                partial
            });
            let declared = self.reduce.partial_bytes(&self.ports, &region);
            assert!(bytes <= declared, "adding took {bytes} bytes, declared are {declared}");
            drop((labels, image));
            let mut held = root.take();
            let ((), _) = peak_of(|| match &mut held {
                Some(into) => self.reduce.merge(into, partial).unwrap(),
                None => held = Some(partial),
            });
            root = held;
            let (peak, state) = (PEAK.get() - before, self.reduce.state_bytes(&self.ports));
            assert!(peak as u64 <= state + declared, "merging took {peak} bytes, declared are {state} + {declared}");
            most = most.max((NOW.get() - before) as u64);
        }
        let (root, warnings) = (root.unwrap(), Warnings::default());
        let call = FinishCall { ports: &self.ports, values: &[], warnings: &warnings };
        let (value, _) = peak_of(|| self.reduce.finish(root, &call));
        let (peak, state) = ((PEAK.get() - before) as u64, self.reduce.state_bytes(&self.ports));
        assert!(peak <= state, "finishing took {peak} bytes, declared are {state}");
        value.map(|_| most.max(peak))
    }
}

#[test]
fn every_voxel_its_own_label_takes_no_more_than_declared() {
    for (with, labels, image) in [
        (json!({}), DType::UInt32, DType::Float64),
        (json!({}), DType::UInt16, DType::UInt8),
        (json!({"statistics": ["count", "max"], "background": true}), DType::UInt64, DType::Float32),
        (json!({"statistics": ["centroid"]}), DType::Int16, DType::UInt64),
    ] {
        let job = Job::new(&with, &[128, 100], labels, image);
        for rows in [1, 13, 128] {
            // Scattered over the dtype's values, and in order.
            for step in [1usize, 7919] {
                let most = job.run(rows, &|i| ((i * step) % 30_011) as f64, &|i| (i % 251) as f64 * 0.1).unwrap();
                let declared = job.reduce.state_bytes(&job.ports);
                assert!(4 * most + (4 << 20) >= declared, "{with}: {most} bytes taken, {declared} declared");
            }
        }
    }
}

#[test]
fn sums_of_wild_values_stop_before_they_take_more() {
    // Every second value is beyond the other's last bit: windows of hundreds of bytes in each of 8000 labels.
    let job = Job::new(&json!({}), &[160, 100], DType::UInt32, DType::Float64);
    let wild = |i: usize| if (i / 8000).is_multiple_of(2) { 1e300 } else { 1e-300 };
    let error = job.run(10, &|i| (i % 8000) as f64, &wild).unwrap_err().to_string();
    assert!(error.contains("comparable magnitude") && error.contains("leave out `std`"), "{error}");
    // In a thousand of them they fit.
    job.run(10, &|i| (i % 1000) as f64, &wild).unwrap();
}

#[test]
fn more_labels_than_allowed_take_no_more_and_are_told_alike_for_every_block() {
    let job = Job::new(&json!({"max_labels": 500}), &[100, 100], DType::UInt32, DType::UInt8);
    let told: Vec<String> = [1, 7, 100]
        .into_iter()
        .map(|rows| job.run(rows, &|i| (i / 3) as f64, &|_| 1.0).unwrap_err().to_string())
        .collect();
    assert!(told[0].contains("write `max_labels: 3333`"), "{}", told[0]);
    assert!(told.iter().all(|t| *t == told[0]), "{told:?}");
    let few = Job::new(&json!({"max_labels": 3333}), &[100, 100], DType::UInt32, DType::UInt8);
    few.run(7, &|i| (i / 3) as f64, &|_| 1.0).unwrap();
}
