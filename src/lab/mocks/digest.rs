//! Digests and encodings that protocols ask for: SHA-1 and SHA-256, MD5, CRC-32, base64, hexadecimal.

use aws_lc_rs::digest::{Algorithm, SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use data_encoding::{BASE64, BASE64URL_NOPAD, HEXLOWER};

/// SHA-1: object names of git, and the proof of a WebSocket's handshake.
pub fn sha1(bytes: &[u8]) -> Vec<u8> {
    of(&SHA1_FOR_LEGACY_USE_ONLY, bytes)
}

/// SHA-256 in hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    hex(&of(&SHA256, bytes))
}

fn of(algorithm: &'static Algorithm, bytes: &[u8]) -> Vec<u8> {
    digest(algorithm, bytes).as_ref().to_vec()
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    HEXLOWER.encode(bytes)
}

/// Base64 with padding.
pub fn base64(bytes: &[u8]) -> String {
    BASE64.encode(bytes)
}

/// Base64 for URLs, without padding.
pub fn base64url(bytes: &[u8]) -> String {
    BASE64URL_NOPAD.encode(bytes)
}

/// CRC-32 of ZIP and gzip.
pub fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xEDB8_8320 * (crc & 1)))
    })
}

/// MD5, RFC 1321, of bytes that come in pieces: the storage service's check of what arrived. No other crate here has it.
#[derive(Clone, Debug)]
pub struct Md5 {
    state: [u32; 4],
    rest: Vec<u8>,
    length: u64,
}

/// RFC 1321 3.4: shifts of the four rounds.
const SHIFTS: [[u32; 4]; 4] = [[7, 12, 17, 22], [5, 9, 14, 20], [4, 11, 16, 23], [6, 10, 15, 21]];

impl Default for Md5 {
    /// Of nothing yet.
    fn default() -> Self {
        Self {
            state: [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476],
            rest: Vec::new(),
            length: 0,
        }
    }
}

impl Md5 {
    /// Takes the next piece.
    pub fn update(&mut self, bytes: &[u8]) {
        self.length = self.length.wrapping_add(bytes.len() as u64);
        self.rest.extend_from_slice(bytes);
        let whole = self.rest.len() - self.rest.len() % 64;
        let (blocks, _) = self.rest[..whole].as_chunks::<64>();
        self.state = blocks.iter().fold(self.state, round);
        self.rest.drain(..whole);
    }

    /// The digest.
    pub fn finish(mut self) -> Vec<u8> {
        let bits = self.length.wrapping_mul(8);
        let padding = 64 - (self.rest.len() + 8) % 64;
        self.update(&[&[0x80], &[0; 63][..padding - 1], &bits.to_le_bytes()[..]].concat());
        self.state.iter().flat_map(|word| word.to_le_bytes()).collect()
    }
}

fn round(state: [u32; 4], block: &[u8; 64]) -> [u32; 4] {
    let (words, _) = block.as_chunks::<4>();
    let [mut a, mut b, mut c, mut d] = state;
    for (i, sine) in sines().iter().enumerate() {
        let (mix, word) = match i / 16 {
            0 => ((b & c) | (!b & d), i),
            1 => ((d & b) | (!d & c), 5 * i + 1),
            2 => (b ^ c ^ d, 3 * i + 5),
            _ => (c ^ (b | !d), 7 * i),
        };
        let sum = a
            .wrapping_add(mix)
            .wrapping_add(*sine)
            .wrapping_add(u32::from_le_bytes(words[word % 16]));
        (a, d, c) = (d, c, b);
        b = b.wrapping_add(sum.rotate_left(SHIFTS[i / 16][i % 4]));
    }
    let mixed = [a, b, c, d];
    std::array::from_fn(|i| state[i].wrapping_add(mixed[i]))
}

/// RFC 1321 3.4: the table of sines.
fn sines() -> &'static [u32; 64] {
    static SINES: std::sync::OnceLock<[u32; 64]> = std::sync::OnceLock::new();
    SINES.get_or_init(|| std::array::from_fn(|i| (((i + 1) as f64).sin().abs() * 4_294_967_296.0) as u32))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn md5_gives_the_digests_of_its_standard() {
        for (text, digest) in [
            ("", "d41d8cd98f00b204e9800998ecf8427e"),
            ("abc", "900150983cd24fb0d6963f7d28e17f72"),
            (
                "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
                "d174ab98d277d9f5a5611c2c9f419d9f",
            ),
            (
                "12345678901234567890123456789012345678901234567890123456789012345678901234567890",
                "57edf4a22be3c955ac49da2e2107b67a",
            ),
        ] {
            for cut in 0..=text.len() {
                let mut md5 = Md5::default();
                md5.update(&text.as_bytes()[..cut]);
                md5.update(&text.as_bytes()[cut..]);
                assert_eq!(hex(&md5.finish()), digest, "{text} cut at {cut}");
            }
        }
    }

    #[test]
    fn the_others_give_known_values() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926, "the check value of CRC-32");
        assert_eq!(
            hex(&sha1(b"abc")),
            "a9993e364706816aba3e25717850c26c9cd0d89d",
            "FIPS 180"
        );
        assert!(sha256(b"abc").starts_with("ba7816bf8f01cfea"), "FIPS 180");
    }
}
