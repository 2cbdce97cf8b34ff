//! Writing Zarr v3 with `zarrs`.
//!
//! The store is made beside its final name and renamed when complete. Every block has to cover whole chunks (cut at the
//! edge of the array), so that no chunk is ever written by two.

use super::sink::partial_name;
use super::{WriteOptions, ZarrCodec};
use crate::store::read::{corrupt, io, lower, unsupported};
use crate::store::{ArrayWriter, StoreError};
use ops_core::{ArrayMeta, Block, Pool, Region};
use serde_json::json;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use zarrs::array::{Array, ArrayBytes, ArrayMetadata, CodecOptions};
use zarrs::storage::{Bytes, OffsetBytesIterator, StorageError, StoreKey, StorePrefix, WritableStorageTraits};

struct ZarrWriter {
    path: PathBuf,
    meta: ArrayMeta,
    chunks: Vec<u64>,
    store: Arc<Directory>,
    array: Array<Directory>,
    /// Elements written so far.
    written: AtomicU64,
    ended: AtomicBool,
}

/// A writer of a new Zarr array.
pub(super) fn create(
    path: &Path,
    meta: &ArrayMeta,
    options: &WriteOptions,
) -> Result<Box<dyn ArrayWriter>, StoreError> {
    let chunks = options.chunks.clone().unwrap_or_else(|| meta.shape.to_vec());
    if chunks.len() != meta.rank() || chunks.contains(&0) {
        let text = format!("chunks {chunks:?}, expected {} extents of at least 1 for {meta}", meta.rank());
        return Err(unsupported(path, text));
    }
    let partial = partial_name(path);
    let compress = match options.codec {
        ZarrCodec::BloscLz4 => json!({"name": "blosc", "configuration": {
            "cname": "lz4", "clevel": 5, "shuffle": "shuffle", "typesize": meta.dtype.size(), "blocksize": 0}}),
        ZarrCodec::Zstd => json!({"name": "zstd", "configuration": {"level": 3, "checksum": false}}),
    };
    let names: Vec<String> = meta.axes.iter().map(|a| a.name().to_string()).collect();
    let zarr_json = json!({
        "zarr_format": 3,
        "node_type": "array",
        "shape": meta.shape.as_slice(),
        "data_type": meta.dtype.name(),
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": chunks}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": if meta.dtype == ops_core::DType::Bool { json!(false) } else { json!(0) },
        "codecs": [{"name": "bytes", "configuration": {"endian": "little"}}, compress],
        "attributes": {},
        "dimension_names": names,
    });
    let bad = |text: String| unsupported(path, format!("zarr refused the array: {}", lower(&text)));
    let metadata: ArrayMetadata = serde_json::from_value(zarr_json.clone()).map_err(|e| bad(e.to_string()))?;
    let text = format!("{zarr_json:#}\n");
    if options.resume && !partial.exists() && path.exists() {
        // It was complete, and the run was killed before it could say so.
        fs::rename(path, &partial).map_err(|e| io(path, "going on with the store", &e))?;
    }
    let taken_up = options.resume && fs::read(partial.join("zarr.json")).is_ok_and(|old| old == text.as_bytes());
    if options.resume && !taken_up {
        let text = "expected the part of the array that an earlier run left, found another or none";
        return Err(corrupt(&partial, format!("{text}; remove the run's Reports/journal to begin afresh")));
    }
    if !taken_up && partial.exists() {
        // What a run that was killed has left.
        fs::remove_dir_all(&partial).map_err(|e| io(&partial, "removing", &e))?;
    }
    fs::create_dir_all(&partial).map_err(|e| io(&partial, "creating", &e))?;
    let store = Arc::new(Directory { root: partial.clone(), sync: options.sync, bytes: AtomicU64::new(0) });
    let array = Array::new_with_metadata(store.clone(), "/", metadata).map_err(|e| bad(e.to_string()))?;
    if !taken_up {
        store.put("zarr.json", text.as_bytes()).map_err(|e| io(&partial, "writing", &e))?;
    }
    Ok(Box::new(ZarrWriter {
        path: path.into(),
        meta: meta.clone(),
        chunks,
        store,
        array,
        written: AtomicU64::new(0),
        ended: AtomicBool::new(false),
    }))
}

impl ArrayWriter for ZarrWriter {
    fn write(&self, block: &Block) -> Result<u64, StoreError> {
        let (region, whole) = (block.region(), self.meta.region());
        if block.dtype() != self.meta.dtype || region.rank() != whole.rank() || !whole.contains(region) {
            let text = format!("a block of {} at {region}, expected {} in {whole}", block.dtype(), self.meta.dtype);
            return Err(unsupported(&self.path, text));
        }
        let aligned = (0..region.rank()).all(|a| {
            let n = self.chunks[a] as i64;
            region.lo[a] % n == 0 && (region.hi[a] % n == 0 || region.hi[a] == whole.hi[a])
        });
        if !aligned {
            return Err(unsupported(&self.path, format!("the block {region} cuts chunks of {:?}", self.chunks)));
        }
        let options = CodecOptions::default().with_concurrent_target(1);
        let pool = Pool::default();
        let mut bytes = 0;
        for index in self.chunk_indices(region) {
            let lo = index.iter().zip(&self.chunks).map(|(i, n)| (i * n) as i64).collect::<ops_core::Index>();
            let hi = lo.iter().zip(&self.chunks).map(|(l, n)| l + *n as i64).collect::<ops_core::Index>();
            let chunk = Region::new(lo, hi);
            let stored = if chunk == *region {
                self.store_chunk(&index, block.bytes(), &options)
            } else {
                // Beyond the edge of the array a chunk holds the fill value.
                let mut padded = Block::take(&pool, self.meta.dtype, chunk.clone());
                if !whole.contains(&chunk) {
                    padded.bytes_mut().fill(0);
                }
                padded.paste(block);
                self.store_chunk(&index, padded.bytes(), &options)
            };
            bytes += stored?;
        }
        self.written.fetch_add(region.volume(), Ordering::Relaxed);
        Ok(bytes)
    }

    fn finish(&self) -> Result<u64, StoreError> {
        let (done, all) = (self.written.load(Ordering::Relaxed), self.meta.volume());
        if done != all {
            self.abandon();
            return Err(unsupported(&self.path, format!("{done} of {all} elements were written")));
        }
        if self.ended.swap(true, Ordering::Relaxed) {
            return Err(unsupported(&self.path, "finished twice".into()));
        }
        if self.path.exists() {
            // Left by an earlier run in this directory, of something else.
            fs::remove_dir_all(&self.path).map_err(|e| io(&self.path, "replacing", &e))?;
        }
        fs::rename(&self.store.root, &self.path).map_err(|e| io(&self.path, "giving the store its name", &e))?;
        Ok(self.store.bytes.load(Ordering::Relaxed))
    }

    fn resumable(&self) -> bool {
        true
    }

    fn resumed(&self, elements: u64) {
        self.written.fetch_add(elements, Ordering::Relaxed);
    }

    fn suspend(&self) {
        self.ended.store(true, Ordering::Relaxed);
    }

    fn abandon(&self) {
        if !self.ended.swap(true, Ordering::Relaxed) {
            // Nothing can be done about a store that can't be removed; its name says that it is partial.
            let _ = fs::remove_dir_all(&self.store.root);
        }
    }
}

impl Drop for ZarrWriter {
    fn drop(&mut self) {
        self.abandon();
    }
}

impl ZarrWriter {
    fn store_chunk(&self, index: &[u64], bytes: &[u8], options: &CodecOptions) -> Result<u64, StoreError> {
        let before = self.store.bytes.swap(0, Ordering::Relaxed);
        let result = self.array.store_chunk_opt(index, ArrayBytes::new_flen(bytes), options);
        result.map_err(|e| StoreError::Io {
            path: self.path.clone(),
            message: format!("writing chunk {index:?} failed: {}", lower(&e.to_string())),
            kind: std::io::ErrorKind::Other,
        })?;
        Ok(before + self.store.bytes.swap(0, Ordering::Relaxed))
    }

    /// Indices of the chunks that a region covers, in C order.
    fn chunk_indices(&self, region: &Region) -> Vec<Vec<u64>> {
        let mut all = vec![vec![]];
        for a in 0..region.rank() {
            let n = self.chunks[a];
            let range = region.lo[a] as u64 / n..(region.hi[a] as u64).div_ceil(n);
            all = all
                .iter()
                .flat_map(|i: &Vec<u64>| {
                    range.clone().map(move |k| {
                        let mut i = i.clone();
                        i.push(k);
                        i
                    })
                })
                .collect();
        }
        all
    }
}

/// A directory as a store that is only written. Every key is put under a temporary name first.
struct Directory {
    root: PathBuf,
    sync: bool,
    /// Bytes written and not told yet.
    bytes: AtomicU64,
}

impl Directory {
    fn put(&self, key: &str, value: &[u8]) -> std::io::Result<()> {
        let path = self.root.join(key);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        let partial = partial_name(&path);
        let mut file = File::create(&partial)?;
        file.write_all(value)?;
        if self.sync {
            file.sync_all()?;
        }
        fs::rename(&partial, &path)?;
        self.bytes.fetch_add(value.len() as u64, Ordering::Relaxed);
        Ok(())
    }
}

impl WritableStorageTraits for Directory {
    fn set(&self, key: &StoreKey, value: Bytes) -> Result<(), StorageError> {
        self.put(key.as_str(), &value).map_err(|e| StorageError::Other(format!("{}: {e}", key.as_str())))
    }

    fn set_partial_many(&self, key: &StoreKey, _: OffsetBytesIterator) -> Result<(), StorageError> {
        Err(StorageError::Other(format!("{}: chunks are written whole", key.as_str())))
    }

    fn erase(&self, key: &StoreKey) -> Result<(), StorageError> {
        match fs::remove_file(self.root.join(key.as_str())) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(StorageError::Other(e.to_string())),
            _ => Ok(()),
        }
    }

    fn erase_prefix(&self, prefix: &StorePrefix) -> Result<(), StorageError> {
        match fs::remove_dir_all(self.root.join(prefix.as_str())) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(StorageError::Other(e.to_string())),
            _ => Ok(()),
        }
    }

    fn supports_set_partial(&self) -> bool {
        false
    }
}
