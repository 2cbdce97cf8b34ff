//! What a journal holds, and its form on disk: records with their length and checksum, one after the other.

use super::Key;
use crate::store::read::Chunks;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The first bytes of a journal; another form of records would have other ones.
pub(super) const MAGIC: &[u8] = b"engine journal 3\n";
/// Length and checksum of a record.
pub(super) const FRAME: usize = 8;
/// No record is longer: a partial that is, is not worth keeping.
pub(super) const LONGEST: usize = 1 << 30;

/// One thing that is done, and stays done after a kill.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Entry {
    /// A store was begun afresh: whatever was recorded of this path before is gone.
    Begun {
        /// What is written.
        key: Key,
        /// Where.
        path: PathBuf,
    },
    /// A block of an output is in its store.
    Written {
        /// The output.
        key: Key,
        /// The number of the block in the grid of its stage, which the key covers.
        block: u64,
    },
    /// What a block contributes to a reduction.
    Partial {
        /// The reduction.
        key: Key,
        /// The number of the block.
        block: u64,
        /// The packed partial.
        bytes: Vec<u8>,
    },
    /// What an input looked like when the run began to read it, or went on. All that is told later was made from it, or from
    /// what has not changed since it was.
    Source {
        /// The input.
        key: Key,
        /// Its chunks.
        chunks: Chunks,
    },
    /// An output is complete under its name.
    Complete {
        /// The output.
        key: Key,
        /// The file or store.
        path: PathBuf,
        /// Bytes it took.
        bytes: u64,
    },
    /// What a file of an input held when it was read.
    File {
        /// The file.
        key: Key,
        /// Its state: size, times and number.
        state: Key,
        /// The digest of its content.
        content: Key,
    },
}

/// Appends a record of an entry.
pub(super) fn frame(entry: &Entry, to: &mut Vec<u8>) -> Result<(), postcard::Error> {
    let start = to.len();
    to.extend([0; FRAME]);
    postcard::to_io(entry, &mut *to)?;
    let body = &to[start + FRAME..];
    let (len, checksum) = (body.len(), crc32fast::hash(body));
    if len > LONGEST {
        to.truncate(start);
        return Ok(());
    }
    to[start..start + 4].copy_from_slice(&(len as u32).to_le_bytes());
    to[start + 4..start + FRAME].copy_from_slice(&checksum.to_le_bytes());
    Ok(())
}

/// Length and checksum that a frame announces; `None` for a length that no record has.
pub(super) fn announced(frame: [u8; FRAME]) -> Option<(usize, u32)> {
    let word = |at: usize| u32::from_le_bytes([frame[at], frame[at + 1], frame[at + 2], frame[at + 3]]);
    let len = word(0) as usize;
    (len <= LONGEST).then_some((len, word(4)))
}
