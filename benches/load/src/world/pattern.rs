//! The bytes of every transfer: a stream whose period is prime, so that a block that is lost, doubled or moved shows.

use std::sync::LazyLock;

/// Length after which the stream repeats itself, in bytes.
const PERIOD: usize = 65_521;

/// Most bytes that are sent or compared at once.
pub const CHUNK_BYTES: usize = 256 * 1024;

static STREAM: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let byte = |n: usize| {
        let n = (n % PERIOD) as u32;
        (n.wrapping_mul(2_654_435_761) >> 13) as u8
    };
    (0..PERIOD + CHUNK_BYTES).map(byte).collect()
});

/// The stream from `offset`, at most `length` bytes and at most [`CHUNK_BYTES`] of them.
pub fn at(offset: u64, length: u64) -> &'static [u8] {
    let start = (offset % PERIOD as u64) as usize;
    let length = length.min(CHUNK_BYTES as u64) as usize;
    &STREAM[start..start + length]
}

/// Whether `bytes`, no more than [`CHUNK_BYTES`], are the stream from `offset`.
pub fn is_at(bytes: &[u8], offset: u64) -> bool {
    bytes == at(offset, bytes.len() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_that_is_lost_doubled_or_moved_shows() {
        assert!(is_at(at(1_000_000, 4096), 1_000_000));
        for moved in [1, 4096, 16 * 1024, 64 * 1024, 1 << 20] {
            assert!(!is_at(at(1_000_000, 4096), 1_000_000 + moved), "{moved}");
        }
    }
}
