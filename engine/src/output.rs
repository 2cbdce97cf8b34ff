//! Standard output that a reader may close early, as `head` does.

use std::io::Write;

/// Prints text as it is. When nobody reads any more the rest is left out without a word.
pub(crate) fn text(s: &str) {
    let mut out = std::io::stdout().lock();
    if let Err(e) = out.write_all(s.as_bytes()).and_then(|()| out.flush())
        && e.kind() != std::io::ErrorKind::BrokenPipe
    {
        eprintln!("error: can't write to standard output: {e}");
    }
}

/// Prints one line.
pub(crate) fn line(s: impl std::fmt::Display) {
    text(&format!("{s}\n"));
}
