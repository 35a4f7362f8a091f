//! Archives made in memory, nothing in them compressed: ZIP, tar, gzip, zlib, ar.

use super::digest::crc32;

/// A file of an archive.
pub type Entry<'a> = (&'a str, &'a [u8]);

/// Longest block of deflate that is not compressed, RFC 1951 3.2.4.
const STORED: usize = 0xffff;

/// Deflate without compression.
fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() + bytes.len() / STORED * 5 + 5);
    let last = bytes.len().saturating_sub(1) / STORED;
    let empty: &[&[u8]] = &[&[]];
    let blocks: Vec<&[u8]> = if bytes.is_empty() {
        empty.to_vec()
    } else {
        bytes.chunks(STORED).collect()
    };
    for (n, block) in blocks.iter().enumerate() {
        let length = u16::try_from(block.len()).expect("blocks are cut to fit");
        out.push(u8::from(n == last));
        out.extend(length.to_le_bytes());
        out.extend((!length).to_le_bytes());
        out.extend_from_slice(block);
    }
    out
}

/// RFC 1950.
pub fn zlib(bytes: &[u8]) -> Vec<u8> {
    let (a, b) = bytes.iter().fold((1u32, 0u32), |(a, b), byte| {
        let a = (a + u32::from(*byte)) % 65521;
        (a, (b + a) % 65521)
    });
    [&[0x78, 0x01][..], &deflate(bytes), &(b << 16 | a).to_be_bytes()].concat()
}

/// RFC 1952.
pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let head = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    [
        &head[..],
        &deflate(bytes),
        &crc32(bytes).to_le_bytes(),
        &low(bytes.len()).to_le_bytes(),
    ]
    .concat()
}

fn low(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

/// A ZIP file (PKWARE's APPNOTE 6.3), dated 1980.
pub fn zip(entries: &[Entry<'_>]) -> Vec<u8> {
    let (mut files, mut directory) = (Vec::new(), Vec::new());
    for (name, bytes) in entries {
        let size = low(bytes.len()).to_le_bytes();
        let sums = [&crc32(bytes).to_le_bytes()[..], &size, &size].concat();
        let name_length = low(name.len()).to_le_bytes();
        // version, flags, method, time, date (1 January 1980)
        let common = [
            &[20, 0, 0, 0, 0, 0, 0, 0, 0x21, 0][..],
            &sums,
            &name_length[..2],
            &[0, 0],
        ]
        .concat();
        let offset = low(files.len()).to_le_bytes();
        files.extend([b"PK\x03\x04", &common[..], name.as_bytes(), bytes].concat());
        let attributes = [0, 0, 0, 0, 0, 0, 0, 0, 0xa4, 0x81];
        directory.extend(
            [
                b"PK\x01\x02\x14\x03",
                &common[..],
                &attributes,
                &offset,
                name.as_bytes(),
            ]
            .concat(),
        );
    }
    let count = low(entries.len()).to_le_bytes();
    let end = [
        b"PK\x05\x06\0\0\0\0",
        &count[..2],
        &count[..2],
        &low(directory.len()).to_le_bytes(),
        &low(files.len()).to_le_bytes(),
        &[0, 0],
    ]
    .concat();
    [files, directory, end].concat()
}

/// A tar file (POSIX ustar).
pub fn tar(entries: &[Entry<'_>]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, bytes) in entries {
        let mut head = [0u8; 512];
        let mut put = |at: usize, text: &str| head[at..at + text.len()].copy_from_slice(text.as_bytes());
        put(0, &name[..name.len().min(100)]);
        put(100, "0000644\0");
        put(108, "0000000\0");
        put(116, "0000000\0");
        put(124, &format!("{:011o}\0", bytes.len()));
        put(136, "00000000000\0");
        put(148, "        0");
        put(257, "ustar\x0000");
        let sum: u32 = head.iter().map(|byte| u32::from(*byte)).sum();
        head[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        out.extend_from_slice(&head);
        out.extend_from_slice(bytes);
        out.resize(out.len().next_multiple_of(512), 0);
    }
    out.extend([0; 1024]);
    out
}

/// An ar file, the outer form of a Debian package.
pub fn ar(entries: &[Entry<'_>]) -> Vec<u8> {
    let mut out = b"!<arch>\n".to_vec();
    for (name, bytes) in entries {
        out.extend(
            format!(
                "{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n",
                0,
                0,
                0,
                "100644",
                bytes.len()
            )
            .as_bytes(),
        );
        out.extend_from_slice(bytes);
        out.resize(out.len().next_multiple_of(2), b'\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `deflate` stored.
    fn inflate(mut stored: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        loop {
            let last = stored[0] == 1;
            let length = usize::from(u16::from_le_bytes([stored[1], stored[2]]));
            assert_eq!(u16::from_le_bytes([stored[3], stored[4]]), !(length as u16));
            out.extend_from_slice(&stored[5..5 + length]);
            stored = &stored[5 + length..];
            if last {
                assert!(stored.is_empty(), "nothing behind the last block");
                return out;
            }
        }
    }

    #[test]
    fn what_is_stored_comes_out_again() {
        for length in [0, 1, STORED, STORED + 1, 3 * STORED] {
            let bytes = vec![7; length];
            assert_eq!(inflate(&deflate(&bytes)), bytes, "{length}");
            let zlib = zlib(&bytes);
            assert_eq!(inflate(&zlib[2..zlib.len() - 4]), bytes);
            let gzip = gzip(&bytes);
            assert_eq!(inflate(&gzip[10..gzip.len() - 8]), bytes);
        }
        assert!(
            zlib(b"Wikipedia").ends_with(&0x11E6_0398u32.to_be_bytes()),
            "a known Adler-32"
        );
    }

    #[test]
    fn archives_say_where_their_files_are() {
        let files: [Entry<'_>; 2] = [("a.txt", b"hello"), ("b/c.txt", b"")];
        let zip = zip(&files);
        let directory = u32::from_le_bytes(zip[zip.len() - 6..zip.len() - 2].try_into().unwrap()) as usize;
        assert!(zip[directory..].starts_with(b"PK\x01\x02"));
        let tar = tar(&files);
        assert_eq!(tar.len(), 512 + 512 + 512 + 1024);
        assert_eq!(
            (&tar[..5], &tar[124..136], &tar[512..517]),
            (&b"a.txt"[..], &b"00000000005\0"[..], &b"hello"[..])
        );
        let ar = ar(&files);
        assert_eq!(ar.len(), 8 + 60 + 6 + 60);
    }
}
