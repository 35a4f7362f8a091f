//! [`Seeded`]: the hash of what comes from outside: names, whole or cut at a label, and the addresses of clients.

use std::hash::{BuildHasher, Hasher, RandomState};

/// A seeded multiply-and-fold hash: its keys come from outside, so it must not be predictable, and a lookup of a name hashes
/// every suffix, so it must be fast on 10 to 60 bytes; the standard one takes about three times as long there.
#[derive(Clone, Debug)]
pub(crate) struct Seeded(u64);

impl Seeded {
    /// Of a seed that nobody knows.
    pub(crate) fn new() -> Self {
        Self(RandomState::new().hash_one(0_u8))
    }
}

impl BuildHasher for Seeded {
    type Hasher = SeededHasher;

    fn build_hasher(&self) -> SeededHasher {
        SeededHasher(self.0)
    }
}

pub(crate) struct SeededHasher(u64);

impl SeededHasher {
    fn mix(&mut self, word: u64) {
        /// 2^64 divided by the golden ratio: odd, with its bits well spread.
        const FACTOR: u128 = 0x9e37_79b9_7f4a_7c15;
        let product = u128::from(self.0 ^ word) * FACTOR;
        self.0 = (product ^ (product >> 64)) as u64;
    }
}

impl Hasher for SeededHasher {
    /// The length first, then eight bytes at a time, the last eight whether or not they overlap with those before.
    fn write(&mut self, bytes: &[u8]) {
        self.0 = self.0.wrapping_add(bytes.len() as u64);
        let Some(last) = bytes.last_chunk() else {
            return self.mix(short(bytes));
        };
        let (words, _) = bytes[..bytes.len() - 1].as_chunks();
        for word in words {
            self.mix(u64::from_le_bytes(*word));
        }
        self.mix(u64::from_le_bytes(*last));
    }

    /// The mark that `str` puts at its end: the length is mixed in already.
    fn write_u8(&mut self, _: u8) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

/// Up to seven bytes as a number.
fn short(bytes: &[u8]) -> u64 {
    let Some((first, last)) = bytes.first_chunk().zip(bytes.last_chunk()) else {
        return bytes.iter().fold(0, |word, &byte| word << 8 | u64::from(byte));
    };
    u64::from(u32::from_le_bytes(*first)) << 32 | u64::from(u32::from_le_bytes(*last))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

    #[test]
    fn names_that_differ_in_the_last_bytes_hash_apart() {
        let hash = Seeded(7);
        let names = [
            "",
            "\0",
            "a",
            "aa",
            "a\0",
            "aaa",
            "aaaa",
            "aaaaa",
            "aaaaaaaa",
            "aaaaaaaaa",
            "aaaaaaaa\0",
            "aaaaaaaaaaaaaaaa",
            "abcdefg",
            "abcdefh",
            "abcdxfg",
            "bbcdefg",
            "abcdefghi",
            "abcdefghx",
            "xbcdefghi",
        ];
        let mut hashes: Vec<u64> = names.iter().map(|name| hash.hash_one(name)).collect();
        hashes.sort_unstable();
        hashes.dedup();
        assert_eq!(hashes.len(), names.len());
    }

    /// Those of a subnet, which one host may have all of.
    #[test]
    fn addresses_that_differ_in_few_bits_hash_apart() {
        let hash = Seeded(7);
        let subnet = Ipv6Addr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0]).to_bits();
        let v4 = (0..4096).map(|host| IpAddr::from(Ipv4Addr::from_bits(0x0a00_0000 + host)));
        let v6 = (0..4096).map(|host| IpAddr::from(Ipv6Addr::from_bits(subnet + (host << 52))));
        let hashes: HashSet<u64> = v4.chain(v6).map(|ip| hash.hash_one(ip)).collect();
        assert_eq!(hashes.len(), 2 * 4096);
    }
}
