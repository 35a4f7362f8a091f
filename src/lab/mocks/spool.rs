//! Long uploads: bytes that a site keeps in a file without a name, so that memory holds none of them.

use hyper::body::Bytes;
use serde::{Deserialize, Serialize};
use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{FileExt, OpenOptionsExt},
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

/// Most bytes that a site takes while a lab runs. Nothing is given back before its end.
const MAX_BYTES: u64 = 1024 * 1024 * 1024;

/// Numbers the files of this process, whose names stand only for a moment.
static NUMBER: AtomicU64 = AtomicU64::new(0);

/// A part of a spool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extent {
    /// Offset of its first byte.
    pub start: u64,
    /// Bytes in it.
    pub length: u64,
}

/// A file that ends with the site; made when the first byte comes.
#[derive(Debug, Default)]
pub struct Spool {
    file: OnceLock<Option<File>>,
    end: AtomicU64,
}

impl Spool {
    /// Room for so many bytes; `None` if the site has taken too many.
    pub fn reserve(&self, length: u64) -> Option<Extent> {
        let grow = |end: u64| end.checked_add(length).filter(|end| *end <= MAX_BYTES);
        let start = self.end.fetch_update(Relaxed, Relaxed, grow).ok()?;
        Some(Extent { start, length })
    }

    /// Writes at an offset that was reserved.
    ///
    /// # Errors
    /// The folder for temporary files cannot be written.
    pub fn write(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        let file = self.file.get_or_init(|| nameless().ok()).as_ref();
        file.ok_or(io::ErrorKind::Unsupported)?.write_all_at(bytes, at)
    }

    /// The bytes of a part; `None` if it was not written.
    pub fn read(&self, part: Extent) -> Option<Bytes> {
        let mut piece = vec![0; usize::try_from(part.length).ok()?];
        self.file.get()?.as_ref()?.read_exact_at(&mut piece, part.start).ok()?;
        Some(piece.into())
    }
}

/// A file that nobody else can open, and that is gone with its last handle.
fn nameless() -> io::Result<File> {
    let number = NUMBER.fetch_add(1, Relaxed);
    let path = std::env::temp_dir().join(format!("egret-lab-{}-spool-{number}", std::process::id()));
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)?;
    fs::remove_file(&path)?;
    Ok(file)
}

/// The part from `first` to `last`, both counted from the beginning of the parts together.
pub fn slice(parts: &[Extent], first: u64, last: u64) -> Vec<Extent> {
    let mut found = Vec::new();
    let mut offset = 0;
    for part in parts {
        let from = first.max(offset);
        let to = (last + 1).min(offset + part.length);
        if from < to {
            found.push(Extent {
                start: part.start + (from - offset),
                length: to - from,
            });
        }
        offset += part.length;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_again_and_there_is_an_end_to_it() {
        let spool = Spool::default();
        let part = spool.reserve(5).unwrap();
        assert_eq!(spool.read(part), None, "nothing has been written");
        spool.write(b"hello", part.start).unwrap();
        assert_eq!(spool.read(part).unwrap(), "hello");
        assert_eq!(spool.reserve(MAX_BYTES), None);
        assert_eq!(spool.reserve(u64::MAX), None);
        assert!(spool.reserve(MAX_BYTES - 5).is_some());
    }

    #[test]
    fn a_slice_may_begin_and_end_inside_parts() {
        let extent = |start, length| Extent { start, length };
        let parts = [extent(100, 10), extent(300, 10)];
        assert_eq!(slice(&parts, 0, 19), parts);
        assert_eq!(slice(&parts, 8, 12), [extent(108, 2), extent(300, 3)]);
        assert_eq!(slice(&parts, 19, 19), [extent(309, 1)]);
        assert_eq!(slice(&parts, 20, 25), []);
    }
}
