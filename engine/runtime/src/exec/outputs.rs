//! Names and opens outputs, and counts what they hold.

use super::item::lock;
use crate::store::read::{self, InputOptions};
use crate::store::write::{self, Group, WriteOptions};
use crate::store::{ArrayReader, ArrayWriter, StoreError};
use engine_model::place;
use engine_model::plan::Plan;
use engine_model::spec::workflow::Naming;
use ops_core::Table;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// Where one output goes, and what was written of it.
struct Place {
    /// The directory of a family's files, or the file itself without its extension.
    path: PathBuf,
    entries: AtomicU64,
    bytes: AtomicU64,
}

/// The directory beside the results for arrays that are written only to be read again.
pub const SCRATCH: &str = "Scratch";

/// Every output of a run.
pub struct Outputs {
    places: Vec<Place>,
    /// The levels that are complete of images that are not, by first output and item.
    images: Mutex<BTreeMap<(usize, u64), BTreeSet<usize>>>,
    /// Waits until what is written has reached the disk.
    sync: bool,
}

/// What was written of one output.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Written {
    /// The output's name.
    pub name: String,
    /// Its format.
    pub format: String,
    /// The file, or the directory of a family's files.
    pub path: PathBuf,
    /// Files (or stores) completed.
    pub entries: u64,
    /// Bytes that reached storage.
    pub bytes: u64,
}

impl Outputs {
    /// Places every output under `results`, or where it says.
    pub fn new(plan: &Plan, results: &Path) -> Outputs {
        let places = plan.graph.outputs.iter().map(|o| {
            let path = match &o.decl.to {
                _ if o.scratch => results.with_file_name(SCRATCH).join(&o.decl.name.value),
                Some(to) => place::join(&o.decl.base, &to.value),
                None => results.join(&o.decl.name.value),
            };
            Place { path, entries: AtomicU64::new(0), bytes: AtomicU64::new(0) }
        });
        Outputs { places: places.collect(), images: Mutex::default(), sync: false }
    }

    /// The same, which wait for the disk where `sync` says so.
    pub fn synced(self, sync: bool) -> Outputs {
        Outputs { sync, ..self }
    }

    /// The file of one item of an output.
    pub fn path(&self, plan: &Plan, o: usize, item: u64) -> PathBuf {
        let out = &plan.graph.outputs[o];
        let store = self.store(plan, o, item);
        match &out.part {
            Some(part) => store.join(part.image.paths.get(part.level).map_or("", String::as_str)),
            None => store,
        }
    }

    /// The file or store of one item of an output, whose array may be one of several in it.
    pub fn store(&self, plan: &Plan, o: usize, item: u64) -> PathBuf {
        let out = &plan.graph.outputs[o];
        let ext = out.format.extension();
        let base = &self.places[o].path;
        let ends = |name: &std::ffi::OsStr| name.to_string_lossy().ends_with(&format!(".{ext}"));
        match plan.graph.node(out.node).family {
            Some(f) => {
                let stem = match out.decl.naming {
                    Naming::Stem => plan.graph.input(f).items.stem(item),
                    Naming::Index => format!("{}-{item}", out.decl.name.value.to_lowercase()),
                };
                base.join(format!("{stem}.{ext}"))
            }
            // A declared path may already end in the extension.
            None if base.file_name().is_some_and(ends) => base.clone(),
            None => {
                let mut name = base.file_name().unwrap_or_default().to_os_string();
                name.push(format!(".{ext}"));
                base.with_file_name(name)
            }
        }
    }

    /// Where an output is written: its file (or store), or the directory of a family's.
    pub fn place(&self, plan: &Plan, o: usize) -> PathBuf {
        match plan.graph.node(plan.graph.outputs[o].node).family {
            Some(_) => self.places[o].path.clone(),
            None => self.store(plan, o, 0),
        }
    }

    /// Opens one item of an array output.
    ///
    /// # Errors
    /// When its directory or file can't be made.
    pub fn open(
        &self,
        plan: &Plan,
        o: usize,
        item: u64,
        class: usize,
        resume: bool,
    ) -> Result<Arc<dyn ArrayWriter>, StoreError> {
        let out = &plan.graph.outputs[o];
        let path = self.path(plan, o, item);
        make_parent(&path)?;
        let meta = plan.graph.node(out.node).meta(class);
        let group = out.part.as_ref().map(|_| self.store(plan, o, item));
        let options = WriteOptions { resume, group, sync: self.sync, ..WriteOptions::of(out, meta) };
        write::create(out.format, &path, meta, &options).map(Arc::from)
    }

    /// A reader of what was left of one item of an array output, complete or not, which keeps at most `cache` bytes of decoded
    /// chunks; `None` for a format from which the array does not come back as it was.
    ///
    /// # Errors
    /// When the store can't be opened.
    pub fn reread(
        &self,
        plan: &Plan,
        o: usize,
        item: u64,
        class: usize,
        cache: u64,
    ) -> Result<Option<Arc<dyn ArrayReader>>, StoreError> {
        let out = &plan.graph.outputs[o];
        let axes = plan.graph.node(out.node).meta(class).axes.clone();
        if !out.format.is_zarr() {
            return Ok(None);
        }
        let options = InputOptions { axes: Some(axes), ..InputOptions::default() };
        read::open_left(&self.path(plan, o, item), &options, cache).map(|reader| Some(reader.into()))
    }

    /// Writes one item of a table output.
    ///
    /// # Errors
    /// When its directory or file can't be made.
    pub fn table(&self, plan: &Plan, o: usize, item: u64, table: &Table) -> Result<u64, StoreError> {
        let path = self.path(plan, o, item);
        make_parent(&path)?;
        let bytes = write::write_table(plan.graph.outputs[o].format, &path, table, self.sync)?;
        self.completed(plan, o, item, bytes)?;
        Ok(bytes)
    }

    /// The file (or store) of one item of an output, and the bytes it takes.
    pub fn size(&self, plan: &Plan, o: usize, item: u64) -> (PathBuf, u64) {
        let path = self.path(plan, o, item);
        let bytes = write::location(&path).map_or(0, |p| write::bytes_of(&p));
        (path, bytes)
    }

    /// One more file of an output is complete; gives what completing the image it belongs to wrote, if it was its last.
    ///
    /// # Errors
    /// When storage says no.
    pub fn completed(&self, plan: &Plan, o: usize, item: u64, bytes: u64) -> Result<u64, StoreError> {
        self.places[o].bytes.fetch_add(bytes, Ordering::Relaxed);
        let out = &plan.graph.outputs[o];
        let Some(part) = &out.part else {
            self.places[o].entries.fetch_add(1, Ordering::Relaxed);
            return Ok(0);
        };
        let first = o - part.level;
        let mut images = lock(&self.images);
        let done = images.entry((first, item)).or_default();
        done.insert(part.level);
        if done.len() < part.image.paths.len() {
            return Ok(0);
        }
        images.remove(&(first, item));
        drop(images);
        let class = plan.graph.class_of(plan.graph.node(out.node).family, item);
        let documents = write::documents(&part.image, class, out.version());
        let path = self.store(plan, o, item);
        let group = Group { path: &path, documents: &documents, arrays: &part.image.paths, sync: self.sync };
        let more = group.complete()?;
        self.places[first].entries.fetch_add(1, Ordering::Relaxed);
        self.places[first].bytes.fetch_add(more, Ordering::Relaxed);
        Ok(more)
    }

    /// Bytes reached storage before an output was complete.
    pub fn wrote(&self, o: usize, bytes: u64) {
        self.places[o].bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Bytes of arrays that were written only to be read again.
    pub fn spilled(&self, plan: &Plan) -> u64 {
        let scratch = plan.graph.outputs.iter().zip(&self.places).filter(|(o, _)| o.scratch);
        scratch.map(|(_, p)| p.bytes.load(Ordering::Relaxed)).sum()
    }

    /// What was written.
    pub fn written(&self, plan: &Plan) -> Vec<Written> {
        let count = |i: usize, of: fn(&Place) -> &AtomicU64| {
            let parts = plan.graph.outputs[i].part.as_ref().map_or(1, |p| p.image.paths.len());
            self.places[i..i + parts].iter().map(|p| of(p).load(Ordering::Relaxed)).sum()
        };
        let each = plan.graph.outputs.iter().enumerate().filter(|(_, o)| o.is_first() && !o.scratch);
        each.map(|(i, o)| Written {
            name: o.decl.name.value.clone(),
            format: o.format.name().to_owned(),
            path: self.place(plan, i),
            entries: count(i, |p| &p.entries),
            bytes: count(i, |p| &p.bytes),
        })
        .collect()
    }
}

fn make_parent(path: &Path) -> Result<(), StoreError> {
    // Behind a URL there are keys only.
    let Some(dir) = path.parent().filter(|_| !place::is_remote(path)) else { return Ok(()) };
    std::fs::create_dir_all(dir).map_err(|e| StoreError::Io {
        path: dir.to_path_buf(),
        message: format!("can't make the directory of an output: {e}"),
        kind: e.kind(),
    })
}
