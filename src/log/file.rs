//! The rotating file: `path` is written, `path.1` is the one before it, `path.2` the one before that.
//!
//! Every line is whole and in exactly one file. A file that was removed or renamed is noticed before the next batch.

use super::writer::Output;
use crate::config::settings::FileLog;
use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, ErrorKind, Read, Seek, SeekFrom, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::PathBuf,
    time::SystemTime,
};

/// Rows name who talks to whom: for the owner, and the group that collects them.
const MODE: u32 = 0o640;

/// How far back the start of an unfinished line is looked for. Longer than any row.
const TAIL_BYTES: u64 = 64 << 10;

/// The log file and those before it.
pub(super) struct RotatingFile {
    settings: FileLog,
    open: Option<Open>,
    torn: Option<usize>,
}

struct Open {
    file: File,
    size: u64,
    since: SystemTime,
    /// Device and inode.
    identity: (u64, u64),
    /// A line could not be taken back: end it before the next.
    unfinished: bool,
}

impl RotatingFile {
    /// Opens or creates the file. What a process before left unfinished at its end is cut off.
    pub(super) fn open(settings: FileLog) -> io::Result<Self> {
        let mut this = Self {
            settings,
            open: None,
            torn: None,
        };
        this.open_again()?;
        Ok(this)
    }

    fn open_again(&mut self) -> io::Result<&mut Open> {
        self.open = None;
        let path = &self.settings.path;
        // Opening a FIFO would wait for its reader; a device cannot be rotated.
        if fs::metadata(path).is_ok_and(|there| !there.is_file()) {
            return Err(io::Error::new(ErrorKind::InvalidInput, "it is not a regular file"));
        }
        let mut file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .mode(MODE)
            .open(path)?;
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => {
                return Err(io::Error::new(ErrorKind::ResourceBusy, "another process writes to it"));
            }
            // A file system without locks: nothing to be done about it.
            Err(TryLockError::Error(_)) | Ok(()) => {}
        }
        let there = file.metadata()?;
        let size = cut_unfinished(&mut file, there.len())?;
        self.torn = self.torn.or(there
            .len()
            .checked_sub(size)
            .filter(|&cut| cut > 0)
            .map(|cut| cut as usize));
        let since = if size == 0 {
            SystemTime::now()
        } else {
            there.created().or_else(|_| there.modified())?
        };
        let identity = (there.dev(), there.ino());
        Ok(self.open.insert(Open {
            file,
            size,
            since,
            identity,
            unfinished: false,
        }))
    }

    /// What is open, if it is still what its name says.
    fn current(&mut self) -> io::Result<&mut Open> {
        let there = fs::metadata(&self.settings.path)
            .ok()
            .map(|there| (there.dev(), there.ino()));
        match &self.open {
            Some(open) if Some(open.identity) == there => Ok(self.open.as_mut().expect("it was there a line ago")),
            _ => self.open_again(),
        }
    }

    fn rotate(&mut self) -> io::Result<()> {
        let FileLog { path, keep, .. } = &self.settings;
        let numbered = |n: u32| {
            let mut name = OsString::from(path);
            name.push(format!(".{n}"));
            PathBuf::from(name)
        };
        if *keep == 0 {
            fs::remove_file(path)?;
        } else {
            // The oldest is overwritten by the one after it.
            for n in (1..*keep).rev() {
                match fs::rename(numbered(n), numbered(n + 1)) {
                    Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                    _ => {}
                }
            }
            fs::rename(path, numbered(1))?;
        }
        self.open_again().map(drop)
    }
}

impl Output for RotatingFile {
    fn ready(&mut self, next: usize) -> io::Result<()> {
        let (max_bytes, max_age) = (self.settings.max_bytes, self.settings.max_age);
        let open = self.current()?;
        let age = SystemTime::now().duration_since(open.since).unwrap_or_default();
        if open.size > 0 && (open.size + next as u64 > max_bytes || max_age.is_some_and(|most| age >= most)) {
            self.rotate()?;
        }
        match &mut self.open {
            Some(open) if open.unfinished => {
                open.file.write_all(b"\n")?;
                open.size += 1;
                open.unfinished = false;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(open) = &mut self.open else {
            return Err(ErrorKind::NotFound.into());
        };
        let written = open.file.write(bytes)?;
        open.size += written as u64;
        Ok(written)
    }

    fn take_back(&mut self, partial: usize) -> bool {
        if let Some(open) = &mut self.open {
            let size = open.size - partial as u64;
            match open.file.set_len(size) {
                Ok(()) => open.size = size,
                Err(_) => open.unfinished = true,
            }
        }
        true
    }

    fn reopen(&mut self) {
        self.open = None;
    }

    fn take_torn(&mut self) -> Option<usize> {
        self.torn.take()
    }
}

/// Cuts off a row that was left unfinished at the end; what is not a row of ours is ended, never cut. The size then.
fn cut_unfinished(file: &mut File, size: u64) -> io::Result<u64> {
    let from = size.saturating_sub(TAIL_BYTES);
    let mut tail = Vec::new();
    file.seek(SeekFrom::Start(from))?;
    Read::by_ref(file).take(TAIL_BYTES).read_to_end(&mut tail)?;
    let end = tail.iter().rposition(|&b| b == b'\n').map_or(0, |end| end + 1);
    let unfinished = &tail[end..];
    if unfinished.is_empty() {
        return Ok(size);
    }
    if super::starts_a_row(unfinished) {
        let size = from + end as u64;
        file.set_len(size)?;
        return Ok(size);
    }
    file.write_all(b"\n")?;
    Ok(size + 1)
}

#[cfg(test)]
mod tests;
