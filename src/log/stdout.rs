//! Standard output as a sink: unbuffered, so that a batch is one write and what was written is known exactly.

use super::writer::Output;
use std::{
    fs::File,
    io::{self, ErrorKind, Write},
    os::fd::AsFd,
    thread,
    time::Duration,
};

/// Pause when someone made the pipe non-blocking and it is full.
const FULL_PAUSE: Duration = Duration::from_millis(5);

pub(super) struct Stdout(File);

impl Stdout {
    pub(super) fn open() -> io::Result<Self> {
        Ok(Self(io::stdout().as_fd().try_clone_to_owned()?.into()))
    }
}

impl Output for Stdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match self.0.write(bytes) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(FULL_PAUSE),
                done => return done,
            }
        }
    }
}
