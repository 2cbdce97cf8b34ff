//! The only code that knows file formats.
//!
//! Reading: [`probe`](read::probe) tells the metadata of a file or Zarr array from its header, [`open`](read::open)
//! gives an [`ArrayReader`]. Writing: [`create`](write::create) gives an [`ArrayWriter`] that takes blocks in any order.

pub mod blosc;
pub mod catalog;
pub(crate) mod keys;
pub(crate) mod natural;
pub mod read;
#[cfg(feature = "remote")]
pub(crate) mod remote;
pub mod write;

use engine_model::catalog::SourceProblem;
use ops_core::{Block, Pool, Region};
use std::path::PathBuf;
use thiserror::Error;

/// Why a store can't do what it was asked.
#[derive(Debug, Clone, Error)]
pub enum StoreError {
    /// The content is not what its format demands.
    #[error("{message}: {}", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What was expected and found.
        message: String,
    },
    /// The format, or a feature of it, is not supported.
    #[error("{message}: {}", path.display())]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// What was found and what is supported.
        message: String,
    },
    /// It is not one array: a group of several, or without the level asked for.
    #[error("{message}: {}", path.display())]
    NotOne {
        /// The store, or the path inside it.
        path: PathBuf,
        /// What was found and how to name one array.
        message: String,
    },
    /// The file system said no.
    #[error("{message}: {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What was tried and what came back.
        message: String,
        /// The kind of the I/O error.
        kind: std::io::ErrorKind,
    },
}

impl StoreError {
    /// As the planner reports it.
    pub fn problem(&self) -> SourceProblem {
        match self {
            StoreError::Corrupt { message, .. } => SourceProblem::Corrupt(message.clone()),
            StoreError::Unsupported { message, .. } => SourceProblem::Unsupported(message.clone()),
            StoreError::NotOne { message, .. } => SourceProblem::NotOne(message.clone()),
            StoreError::Io { message, .. } => SourceProblem::Unreadable(message.clone()),
        }
    }
}

/// Sets up encryption for this process: before anything makes a client of HTTP, which would find none.
pub fn tls() {
    #[cfg(feature = "remote")]
    remote::tls();
}

/// An open source. Shared between threads.
pub trait ArrayReader: Send + Sync {
    /// The elements of a region inside the array, and the bytes read from storage for it.
    ///
    /// # Errors
    /// When the data is damaged, missing, or does not agree with the header.
    fn read(&self, region: &Region, pool: &Pool) -> Result<(Block, u64), StoreError>;
}

/// An array being written. Shared between threads; every element is written once, in any order of blocks.
pub trait ArrayWriter: Send + Sync {
    /// Takes one block; returns the bytes that reached storage by this call.
    ///
    /// # Errors
    /// When storage says no.
    fn write(&self, block: &Block) -> Result<u64, StoreError>;

    /// Completes the file (or store) under its final name; returns the bytes that reached storage by this call.
    ///
    /// # Errors
    /// When storage says no, or blocks are missing.
    fn finish(&self) -> Result<u64, StoreError>;

    /// Drops what was written so far.
    fn abandon(&self);

    /// True where what was written can be left by [`ArrayWriter::suspend`] and taken up again.
    fn resumable(&self) -> bool {
        false
    }

    /// So many elements were written by the writer that it takes up.
    fn resumed(&self, elements: u64) {
        let _ = elements;
    }

    /// Leaves what was written so far, for a later writer that resumes; a format that can't be taken up again drops it.
    fn suspend(&self) {
        self.abandon();
    }
}
