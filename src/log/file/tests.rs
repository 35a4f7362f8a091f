use super::*;
use crate::config::settings::{Azure, Limits, LogSettings, OnFull};
use crate::folder::Folder;
use crate::log::Log;
use crate::log::counted::{until, write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

impl Folder {
    fn log(&self) -> PathBuf {
        self.0.join("egret.ndjson")
    }

    /// Rows of every file of the folder; panics on a line that is not one.
    fn rows(&self) -> Vec<serde_json::Value> {
        let files = fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap().path());
        files.flat_map(|path| rows(&path)).collect()
    }
}

fn rows(path: &Path) -> Vec<serde_json::Value> {
    let text = fs::read_to_string(path).unwrap();
    assert!(
        text.is_empty() || text.ends_with('\n'),
        "{} ends in a torn line",
        path.display()
    );
    text.lines()
        .map(|line| serde_json::from_str(line).expect(line))
        .collect()
}

fn settings(path: PathBuf) -> FileLog {
    FileLog {
        path,
        max_bytes: 1 << 30,
        keep: 8,
        max_age: None,
        on_full: OnFull::Deny,
    }
}

fn start(file: FileLog) -> Result<Log, crate::log::LogError> {
    let settings = LogSettings {
        stdout: false,
        file: Some(file),
        ..LogSettings::default()
    };
    let limits = Limits {
        log_queue_bytes: 256 << 10,
        ..Limits::default()
    };
    Log::start(&settings, &Azure::default(), &limits)
}

fn numbers(rows: &[serde_json::Value]) -> Vec<u64> {
    let mut numbers: Vec<_> = rows
        .iter()
        .filter_map(|row| row["properties"]["BytesSent"].as_u64())
        .collect();
    numbers.sort_unstable();
    numbers
}

#[test]
fn g_06_every_row_is_in_exactly_one_file_while_someone_renames_it_and_signals() {
    let folder = Folder::new("rename");
    let log = start(settings(folder.log())).unwrap();
    let next = AtomicU64::new(0);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..2000 {
                    write(&log, 1, next.fetch_add(1, Relaxed));
                    while !log.accepts_new_flows() {
                        thread::sleep(Duration::from_millis(1));
                    }
                }
            });
        }
        for n in 0..20 {
            thread::sleep(Duration::from_millis(5));
            // Between the rename and the new file there is none for a moment.
            let _ = fs::rename(folder.log(), folder.0.join(format!("rotated-{n}")));
            log.reopen();
        }
    });
    log.close();
    assert_eq!(numbers(&folder.rows()), (0..8000).collect::<Vec<_>>());
}

#[test]
fn rotation_by_size_keeps_every_row_once_and_files_in_order() {
    let folder = Folder::new("size");
    let log = start(FileLog {
        max_bytes: 50_000,
        keep: 100,
        ..settings(folder.log())
    })
    .unwrap();
    for n in 0..2000 {
        write(&log, 1, n);
        if n % 50 == 0 {
            log.flush();
        }
    }
    log.close();
    assert_eq!(numbers(&folder.rows()), (0..2000).collect::<Vec<_>>());
    for entry in fs::read_dir(&folder.0).unwrap() {
        assert!(entry.unwrap().metadata().unwrap().len() <= 50_000);
    }
    let numbered = |n: u32| numbers(&rows(&folder.0.join(format!("egret.ndjson.{n}"))));
    assert!(
        numbered(2).last() < numbered(1).first(),
        "the higher number is the older file"
    );
    assert!(numbered(1).last() < numbers(&rows(&folder.log())).first());
}

#[test]
fn no_more_files_are_kept_than_asked_for() {
    for keep in [0, 1, 3] {
        let folder = Folder::new("keep");
        let log = start(FileLog {
            max_bytes: 5000,
            keep,
            ..settings(folder.log())
        })
        .unwrap();
        for n in 0..200 {
            write(&log, 1, n);
            log.flush();
        }
        log.close();
        let files = fs::read_dir(&folder.0).unwrap().count();
        assert_eq!(files as u32, keep + 1);
        assert_eq!(numbers(&rows(&folder.log())).last(), Some(&199));
    }
}

#[test]
fn rotation_by_age() {
    let folder = Folder::new("age");
    let log = start(FileLog {
        max_age: Some(Duration::from_millis(100)),
        ..settings(folder.log())
    })
    .unwrap();
    write(&log, 1, 0);
    log.flush();
    thread::sleep(Duration::from_millis(150));
    write(&log, 1, 1);
    log.close();
    assert_eq!(numbers(&rows(&folder.0.join("egret.ndjson.1"))), [0]);
    assert_eq!(numbers(&rows(&folder.log())), [1]);
}

#[test]
fn g_03_a_file_that_was_removed_is_made_again_and_a_folder_that_went_away_refuses_new_flows() {
    let folder = Folder::new("removed");
    let log = start(settings(folder.log())).unwrap();
    write(&log, 1, 0);
    log.flush();
    fs::remove_file(folder.log()).unwrap();
    write(&log, 1, 1);
    log.flush();
    assert_eq!(numbers(&rows(&folder.log())), [1]);
    fs::remove_dir_all(&folder.0).unwrap();
    write(&log, 1, 2);
    until("new flows are refused", || !log.accepts_new_flows());
    fs::create_dir(&folder.0).unwrap();
    until("flows are admitted again", || log.accepts_new_flows());
    log.close();
    assert_eq!(numbers(&rows(&folder.log())), [2], "nothing was lost meanwhile");
}

#[test]
fn g_05_a_row_that_a_crash_left_unfinished_is_cut_off_and_told() {
    let folder = Folder::new("torn");
    for torn in [
        "{",
        "{\"category\":\"EgretFl",
        "{\"category\":\"EgretFlow\",\"time\":\"2026-11-24T",
    ] {
        let log = start(settings(folder.log())).unwrap();
        write(&log, 1, 0);
        log.close();
        drop(log);
        let mut file = OpenOptions::new().append(true).open(folder.log()).unwrap();
        file.write_all(torn.as_bytes()).unwrap();
        drop(file);
        let log = start(settings(folder.log())).unwrap();
        write(&log, 1, 1);
        log.close();
        let found = rows(&folder.log());
        assert_eq!(numbers(&found), [0, 1], "{torn}");
        let loss = found.iter().find(|row| row["category"] == "EgretLogLoss").unwrap();
        assert_eq!(loss["properties"]["Cause"], "Torn");
        assert_eq!(loss["properties"]["Bytes"], torn.len());
        fs::remove_file(folder.log()).unwrap();
    }
}

#[test]
fn what_is_not_ours_is_never_cut() {
    let folder = Folder::new("foreign");
    fs::write(folder.log(), "someone's note without a line end").unwrap();
    let log = start(settings(folder.log())).unwrap();
    write(&log, 1, 0);
    log.close();
    let text = fs::read_to_string(folder.log()).unwrap();
    assert!(
        text.starts_with("someone's note without a line end\n{\"category\""),
        "{text}"
    );
}

#[test]
fn what_cannot_be_a_log_is_refused_at_the_start() {
    let folder = Folder::new("refused");
    let refused = |path: PathBuf, word: &str| {
        let error = start(settings(path)).unwrap_err().to_string();
        assert!(error.contains(word), "{error}");
    };
    refused(folder.0.clone(), "not a regular file");
    refused("/dev/null".into(), "not a regular file");
    refused(folder.0.join("missing/egret.ndjson"), "No such file");
    let _log = start(settings(folder.log())).unwrap();
    refused(folder.log(), "another process writes to it");
}

#[test]
fn others_cannot_read_it() {
    let folder = Folder::new("mode");
    let _log = start(settings(folder.log())).unwrap();
    let mode = fs::metadata(folder.log()).unwrap().permissions().mode();
    assert_eq!(mode & 0o137, 0, "{mode:o}");
}
