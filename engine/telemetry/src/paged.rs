//! A growing YAML file that is valid whenever the writer is killed.
//!
//! Records are buffered and appended by one `write` of whole records. A kill between two writes leaves whole records.
//! A kill during one is taken by the kernel between two pages of the page cache, so a record never crosses a 4096-byte
//! boundary of the file: where it would, a comment fills the page first. Only a record longer than a page, or a power
//! failure, can leave a torn tail; [`PagedFile::open`] cuts it off before it appends.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::Path;

/// Page of the page cache; a multiple of it on every machine we run on.
const PAGE: u64 = 4096;
/// Buffered bytes that are written at once.
const FLUSH: usize = 64 * 1024;
/// What a record starts with.
const ENTRY: &[u8] = b"- ";
/// What a sequence without a record looks like.
const EMPTY: &[u8] = b"[]\n";

/// A YAML sequence on disk that only grows.
pub(crate) struct PagedFile {
    file: File,
    /// Length of the file.
    len: u64,
    buffer: Vec<u8>,
    /// True while neither file nor buffer holds a record.
    empty: bool,
}

impl PagedFile {
    /// Opens a file to append to, or makes it; a torn tail and the mark of an empty sequence are cut off.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
        let len = file.seek(SeekFrom::End(0))?;
        let tail_start = len.saturating_sub(4 * PAGE);
        file.seek(SeekFrom::Start(tail_start))?;
        let mut tail = Vec::new();
        file.read_to_end(&mut tail)?;
        let keep = if let Some(head) = tail.strip_suffix(EMPTY)
            && (head.is_empty() || head.ends_with(b"\n"))
        {
            head.len()
        } else if tail.ends_with(b"\n") {
            tail.len()
        } else {
            last_start(&tail)
        };
        let keep = tail_start + keep as u64;
        if keep != len {
            file.set_len(keep)?;
        }
        let empty = tail_start == 0 && !tail.starts_with(ENTRY) && !tail.windows(3).any(|w| w == b"\n- ");
        Ok(Self { file, len: keep, buffer: Vec::with_capacity(FLUSH + 2 * PAGE as usize), empty })
    }

    /// Adds a line that is no record, such as a comment; ends it.
    pub(crate) fn comment(&mut self, text: &str) -> io::Result<()> {
        self.add(|out| {
            out.extend_from_slice(b"# ");
            out.extend(text.bytes().map(|byte| if byte < b' ' { b' ' } else { byte }));
            out.push(b'\n');
        })
    }

    /// Adds one record, written by `write` and ended by a line break; writes to disk when the buffer is full.
    pub(crate) fn record(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> io::Result<()> {
        self.empty = false;
        self.add(write)
    }

    fn add(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> io::Result<()> {
        let start = self.buffer.len();
        write(&mut self.buffer);
        let length = (self.buffer.len() - start) as u64;
        let into_page = (self.len + start as u64) % PAGE;
        if into_page + length > PAGE && length <= PAGE {
            self.fill_page(start, (PAGE - into_page) as usize);
        }
        if self.buffer.len() >= FLUSH { self.flush() } else { Ok(()) }
    }

    /// Moves what starts at `start` behind a comment of `count` bytes.
    fn fill_page(&mut self, start: usize, count: usize) {
        let end = self.buffer.len();
        self.buffer.resize(end + count, b' ');
        self.buffer.copy_within(start..end, start + count);
        let Some(gap) = self.buffer.get_mut(start..start + count) else { return };
        gap.fill(b' ');
        if let Some(last) = gap.last_mut() {
            *last = b'\n';
        }
        if count > 1
            && let Some(first) = gap.first_mut()
        {
            *first = b'#';
        }
    }

    /// True when something waits to be written.
    pub(crate) fn is_dirty(&self) -> bool {
        !self.buffer.is_empty()
    }

    /// Writes what is buffered. After an error the file ends with a whole record and nothing is buffered.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        let mut written = 0;
        while let Some(rest) = self.buffer.get(written..)
            && !rest.is_empty()
        {
            match self.file.write(rest) {
                Ok(0) => return self.give_up(written, ErrorKind::WriteZero.into()),
                Ok(count) => written += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return self.give_up(written, error),
            }
        }
        self.len += written as u64;
        self.buffer.clear();
        Ok(())
    }

    /// Marks a sequence without records as one, and writes what is buffered.
    pub(crate) fn finish(&mut self) -> io::Result<()> {
        if self.empty {
            self.add(|out| out.extend_from_slice(EMPTY))?;
        }
        self.flush()
    }

    /// Cuts a partly written record off.
    fn give_up(&mut self, written: usize, error: io::Error) -> io::Result<()> {
        let part = self.buffer.get(..written).unwrap_or_default();
        let whole = if part.ends_with(b"\n") { written } else { last_start(part) };
        self.len += whole as u64;
        self.buffer.clear();
        // The first error is the one to report; the tail stays torn if this one fails too.
        let _ = self.file.set_len(self.len);
        Err(error)
    }
}

/// Where the last record or comment of `text` starts.
fn last_start(text: &[u8]) -> usize {
    let starts = |at: usize| text.get(at + 1..).is_some_and(|line| line.starts_with(ENTRY) || line.starts_with(b"#"));
    (0..text.len()).rev().find(|&at| text.get(at) == Some(&b'\n') && starts(at)).map_or(0, |at| at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(size: usize) -> Vec<u8> {
        let mut text = b"- ".to_vec();
        text.resize(size - 1, b'x');
        text.push(b'\n');
        text
    }

    #[test]
    fn every_page_holds_whole_records() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.yaml");
        let mut file = PagedFile::open(&path).unwrap();
        for i in 0..2000usize {
            file.record(|out| out.extend(entry(3 + i * 37 % 900))).unwrap();
            if i % 71 == 0 {
                file.flush().unwrap();
            }
        }
        file.finish().unwrap();
        let text = std::fs::read(&path).unwrap();
        for page in 1..text.len() / 4096 {
            let rest = &text[page * 4096..];
            assert!(
                text[page * 4096 - 1] == b'\n' && (rest.starts_with(b"- ") || rest.starts_with(b"#")),
                "page {page}"
            );
        }
        let whole: Vec<String> = serde_yaml::from_slice(&text).unwrap();
        assert_eq!(whole.len(), 2000);
        for page in 1..text.len() / 4096 {
            serde_yaml::from_slice::<Vec<String>>(&text[..page * 4096]).unwrap();
        }
    }

    #[test]
    fn a_torn_tail_is_cut_off_before_appending() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.yaml");
        std::fs::write(&path, "# head\n- one\n- two\n- thr").unwrap();
        let mut file = PagedFile::open(&path).unwrap();
        file.record(|out| out.extend_from_slice(b"- four\n")).unwrap();
        file.finish().unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "# head\n- one\n- two\n- four\n");
    }

    #[test]
    fn a_sequence_without_records_is_one_until_it_is_continued() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.yaml");
        let mut file = PagedFile::open(&path).unwrap();
        file.comment("first\nline").unwrap();
        file.finish().unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "# first line\n[]\n");
        let mut file = PagedFile::open(&path).unwrap();
        file.record(|out| out.extend_from_slice(b"- one\n")).unwrap();
        file.finish().unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "# first line\n- one\n");
        PagedFile::open(&path).unwrap().finish().unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "# first line\n- one\n");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_an_error() {
        let file = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let mut file = PagedFile { file, len: 0, buffer: Vec::new(), empty: true };
        file.record(|out| out.extend_from_slice(b"- one\n")).unwrap();
        assert_eq!(file.flush().unwrap_err().kind(), ErrorKind::StorageFull);
        assert!(!file.is_dirty());
    }
}
