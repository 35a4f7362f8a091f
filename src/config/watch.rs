//! [`Watch`]: notices that the configuration has changed, the file or one that it names, and hands it over once it has settled.
//!
//! Polled, about once a second: it then needs no descriptor, works on every file system, and follows the path anew each time,
//! so that the symlink swap of a Kubernetes ConfigMap is a change like any other. A file is handed over only when two polls in
//! a row read the same bytes: a write that is under way may well look like a shorter, valid file (threat L-05).

use super::{Problem, azure::read_policy, fingerprint, read};
use crate::import::MAX_IMPORT_BYTES;
use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
};

/// What a poll saw.
#[derive(Debug, PartialEq, Eq)]
pub enum Seen {
    /// Nothing new, or not settled yet.
    Nothing,
    /// New bytes, the same at two polls.
    Changed(Vec<u8>),
    /// The file is gone or cannot be read. Told once, until it is another fault or there again.
    Fault(Vec<Problem>),
}

/// A configuration that is watched.
#[derive(Debug)]
pub struct Watch {
    path: PathBuf,
    /// What stands for the file where the configuration came from the command line.
    text: Option<Vec<u8>>,
    /// Files that the configuration names, in its order.
    sources: Vec<PathBuf>,
    /// Of the bytes that were handed over last, good or bad: what was refused is not refused again every second.
    known: Arc<str>,
    stamp: Option<Vec<Stamp>>,
    unsettled: Option<Arc<str>>,
    fault: Option<Vec<Problem>>,
}

/// What changes with every write and every swap of the file behind the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    length: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    fn of(path: &Path) -> io::Result<Self> {
        fs::metadata(path).map(|found| Self {
            device: found.dev(),
            inode: found.ino(),
            length: found.len(),
            modified: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
        })
    }
}

impl Watch {
    /// Watches `path`, of which the bytes with this [`hash`](super::Checked::hash) run, and the [`sources`](super::Checked::sources)
    /// that it names.
    pub fn new(path: PathBuf, hash: Arc<str>, sources: Vec<PathBuf>) -> Self {
        Self {
            path,
            text: None,
            sources,
            known: hash,
            stamp: None,
            unsettled: None,
            fault: None,
        }
    }

    /// Watches the files that a configuration without a file of its own names.
    pub fn of_text(name: &str, text: String, hash: Arc<str>, sources: Vec<PathBuf>) -> Self {
        Self {
            text: Some(text.into_bytes()),
            ..Self::new(name.into(), hash, sources)
        }
    }

    /// What is in force now names these files.
    pub fn set_sources(&mut self, sources: Vec<PathBuf>) {
        if self.sources != sources {
            self.sources = sources;
            self.stamp = None;
        }
    }

    /// The path as it was given.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The bytes of this moment, settled or not: someone asked for them. Fails if the file cannot be read.
    pub fn now(&mut self) -> Result<Vec<u8>, Vec<Problem>> {
        let stamp = self.stamps();
        let (bytes, hash) = self.read()?;
        self.known = hash;
        self.stamp = stamp;
        self.unsettled = None;
        Ok(bytes)
    }

    /// Looks at the file. It is read only if something about it has changed.
    pub fn poll(&mut self) -> Seen {
        let stamp = self.stamps();
        if stamp.is_some() && stamp == self.stamp && self.unsettled.is_none() {
            return Seen::Nothing;
        }
        match self.read() {
            Ok((bytes, hash)) => {
                self.fault = None;
                self.settle(stamp, bytes, hash)
            }
            Err(fault) => {
                self.unsettled = None;
                self.stamp = None;
                if self.fault.as_ref() == Some(&fault) {
                    return Seen::Nothing;
                }
                self.fault = Some(fault.clone());
                Seen::Fault(fault)
            }
        }
    }

    fn stamps(&self) -> Option<Vec<Stamp>> {
        let file = self.text.is_none().then_some(&self.path);
        file.into_iter()
            .chain(&self.sources)
            .map(|path| Stamp::of(path).ok())
            .collect()
    }

    /// The bytes of the file, and the hash of them and of all files that it names.
    fn read(&self) -> Result<(Vec<u8>, Arc<str>), Vec<Problem>> {
        let bytes = match &self.text {
            Some(text) => text.clone(),
            None => read(&self.path)?,
        };
        if self.sources.is_empty() {
            let hash = fingerprint(&bytes);
            return Ok((bytes, hash));
        }
        let mut all = bytes.clone();
        let mut left = MAX_IMPORT_BYTES;
        for path in &self.sources {
            all.extend(read_policy(path, &mut left)?);
        }
        Ok((bytes, fingerprint(&all)))
    }

    fn settle(&mut self, stamp: Option<Vec<Stamp>>, bytes: Vec<u8>, hash: Arc<str>) -> Seen {
        if hash == self.known {
            self.stamp = stamp;
            self.unsettled = None;
            return Seen::Nothing;
        }
        if self.unsettled.as_ref() != Some(&hash) {
            self.unsettled = Some(hash);
            return Seen::Nothing;
        }
        self.stamp = stamp;
        self.unsettled = None;
        self.known = hash;
        Seen::Changed(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::folder::Folder;
    use std::os::unix::fs::symlink;

    impl Folder {
        fn watch(&self, name: &str) -> Watch {
            let path = self.0.join(name);
            let hash = fingerprint(&fs::read(&path).unwrap());
            Watch::new(path, hash, Vec::new())
        }
    }

    fn changed(text: &str) -> Seen {
        Seen::Changed(text.as_bytes().to_vec())
    }

    #[test]
    fn l_05_a_write_under_way_is_not_handed_over() {
        let folder = Folder::new("l05");
        let file = folder.0.join("egret.toml");
        fs::write(&file, "one").unwrap();
        let mut watch = folder.watch("egret.toml");
        assert_eq!(watch.poll(), Seen::Nothing, "as it was loaded");
        fs::write(&file, "tw").unwrap();
        assert_eq!(watch.poll(), Seen::Nothing, "half written");
        fs::write(&file, "two").unwrap();
        assert_eq!(watch.poll(), Seen::Nothing, "whole, but read once");
        assert_eq!(watch.poll(), changed("two"));
        assert_eq!(watch.poll(), Seen::Nothing);
    }

    #[test]
    fn l_05_a_change_that_is_taken_back_is_none() {
        let folder = Folder::new("back");
        let file = folder.0.join("egret.toml");
        fs::write(&file, "one").unwrap();
        let mut watch = folder.watch("egret.toml");
        fs::write(&file, "two").unwrap();
        assert_eq!(watch.poll(), Seen::Nothing);
        fs::write(&file, "one").unwrap();
        assert_eq!((watch.poll(), watch.poll()), (Seen::Nothing, Seen::Nothing));
    }

    #[test]
    fn l_04_a_symlink_swap_is_handed_over_once() {
        let folder = Folder::new("swap");
        for version in ["v1", "v2"] {
            fs::create_dir(folder.0.join(version)).unwrap();
            fs::write(folder.0.join(version).join("egret.toml"), version).unwrap();
        }
        // A ConfigMap: egret.toml -> ..data/egret.toml, ..data -> v1, and an update renames another link over ..data.
        symlink("v1", folder.0.join("..data")).unwrap();
        symlink("..data/egret.toml", folder.0.join("egret.toml")).unwrap();
        let mut watch = folder.watch("egret.toml");
        assert_eq!(watch.poll(), Seen::Nothing);
        symlink("v2", folder.0.join("..data_tmp")).unwrap();
        fs::rename(folder.0.join("..data_tmp"), folder.0.join("..data")).unwrap();
        assert_eq!(watch.poll(), Seen::Nothing);
        assert_eq!(watch.poll(), changed("v2"));
        assert_eq!((watch.poll(), watch.poll()), (Seen::Nothing, Seen::Nothing));
    }

    #[test]
    fn a_change_of_a_file_that_the_configuration_names_is_one_of_the_configuration() {
        let folder = Folder::new("sources");
        let (file, policy) = (folder.0.join("egret.toml"), folder.0.join("policy.json"));
        fs::write(&file, "one").unwrap();
        fs::write(&policy, "{}").unwrap();
        let mut watch = Watch::new(file.clone(), fingerprint(b"one{}"), vec![policy.clone()]);
        assert_eq!(watch.poll(), Seen::Nothing, "as it was loaded");
        fs::write(&policy, "{ }").unwrap();
        assert_eq!(watch.poll(), Seen::Nothing, "read once");
        assert_eq!((watch.poll(), watch.poll()), (changed("one"), Seen::Nothing));
        fs::remove_file(&policy).unwrap();
        assert!(matches!(watch.poll(), Seen::Fault(_)), "removed");
        let mut watch = Watch::of_text("command line", "text".into(), fingerprint(b"text"), vec![file]);
        assert_eq!(
            (watch.poll(), watch.poll()),
            (Seen::Nothing, changed("text")),
            "its hash lacks the file"
        );
    }

    #[test]
    fn files_of_a_policy_that_no_import_takes_are_not_read_whole() {
        let folder = Folder::new("large");
        let (file, policy) = (folder.0.join("egret.toml"), folder.0.join("policy.json"));
        fs::write(&file, "one").unwrap();
        fs::write(&policy, "{}").unwrap();
        let sources = vec![policy.clone(), policy.clone()];
        let mut watch = Watch::new(file, fingerprint(b"one{}{}"), sources);
        assert_eq!(watch.poll(), Seen::Nothing, "as it was loaded");
        let half = fs::File::create(&policy).unwrap();
        half.set_len(MAX_IMPORT_BYTES / 2 + 1).unwrap();
        match watch.poll() {
            Seen::Fault(fault) => assert_eq!(fault[0].found, crate::import::TOO_LARGE),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn l_04_what_is_no_file_is_told_once() {
        let folder = Folder::new("gone");
        let file = folder.0.join("egret.toml");
        fs::write(&file, "one").unwrap();
        let mut watch = folder.watch("egret.toml");
        fs::remove_file(&file).unwrap();
        assert!(matches!(watch.poll(), Seen::Fault(_)), "removed");
        assert_eq!(watch.poll(), Seen::Nothing);
        fs::create_dir(&file).unwrap();
        assert!(
            matches!(watch.poll(), Seen::Fault(fault) if fault[0].found.contains("regular")),
            "a directory"
        );
        fs::remove_dir(&file).unwrap();
        fs::write(&file, "one").unwrap();
        assert_eq!(watch.poll(), Seen::Nothing, "as it was");
        fs::write(&file, "two").unwrap();
        assert_eq!((watch.poll(), watch.poll()), (Seen::Nothing, changed("two")));
    }
}
