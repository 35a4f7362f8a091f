use super::super::{Log, start_sink};
use super::*;
use crate::config::settings::{Azure, Limits, LogFormat, OnFull};
use crate::log::counted::{until, write};
use std::sync::{Condvar, Mutex};
use std::time::Instant;

/// An output that does what a test says.
#[derive(Default)]
struct Fake {
    written: Vec<u8>,
    /// Bytes that still fit; then `error`. `None`: no end.
    room: Option<usize>,
    error: Option<ErrorKind>,
    /// Most bytes taken by one write; 0 for all.
    at_once: usize,
    /// Every other write is interrupted.
    interrupts: bool,
    blocked: bool,
    takes_back: bool,
    writes: u64,
}

#[derive(Clone, Default)]
struct Shared(Arc<(Mutex<Fake>, Condvar)>);

impl Shared {
    fn set(&self, change: impl FnOnce(&mut Fake)) {
        change(&mut self.0.0.lock().unwrap());
        self.0.1.notify_all();
    }

    fn lines(&self) -> Vec<serde_json::Value> {
        let fake = self.0.0.lock().unwrap();
        let text = std::str::from_utf8(&fake.written).unwrap();
        assert!(text.is_empty() || text.ends_with('\n'), "the last line is torn");
        text.lines()
            .map(|line| serde_json::from_str(line).expect(line))
            .collect()
    }
}

impl Output for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut fake = self.0.0.lock().unwrap();
        while fake.blocked {
            fake = self.0.1.wait(fake).unwrap();
        }
        fake.writes += 1;
        if fake.interrupts && fake.writes % 2 == 1 {
            return Err(ErrorKind::Interrupted.into());
        }
        if fake.room == Some(0) {
            return Err(fake.error.unwrap_or(ErrorKind::StorageFull).into());
        }
        let most = if fake.at_once == 0 { bytes.len() } else { fake.at_once };
        let n = bytes.len().min(most).min(fake.room.unwrap_or(usize::MAX));
        fake.written.extend_from_slice(&bytes[..n]);
        fake.room = fake.room.map(|room| room - n);
        Ok(n)
    }

    fn take_back(&mut self, partial: usize) -> bool {
        let mut fake = self.0.0.lock().unwrap();
        let left = fake.written.len() - partial;
        if fake.takes_back {
            fake.written.truncate(left);
        }
        fake.takes_back
    }
}

fn log(output: &Shared, on_full: OnFull, log_queue_bytes: usize) -> Log {
    let limits = Limits {
        log_queue_bytes,
        ..Limits::default()
    };
    let form = Form::new(LogFormat::Azure, &Azure::default());
    let sink = start_sink("file", on_full, &limits, Box::new(output.clone()), &form).unwrap();
    Log::of(form, vec![sink], None)
}

fn numbers(lines: &[serde_json::Value], writer: u16) -> Vec<u64> {
    let rows = lines.iter().map(|line| &line["properties"]);
    rows.filter(|row| row["SourcePort"] == writer)
        .map(|row| row["BytesSent"].as_u64().unwrap())
        .collect()
}

fn lost(lines: &[serde_json::Value]) -> u64 {
    lines
        .iter()
        .filter(|line| line["category"] == "EgretLogLoss")
        .map(|l| l["properties"]["Rows"].as_u64().unwrap())
        .sum()
}

#[test]
fn every_row_of_every_thread_arrives_whole_and_in_its_order() {
    let output = Shared::default();
    output.set(|fake| (fake.at_once, fake.interrupts) = (777, true));
    let log = log(&output, OnFull::Drop, 64 << 20);
    thread::scope(|scope| {
        for writer in 1..=20 {
            let log = &log;
            scope.spawn(move || (0..500).for_each(|n| write(log, writer, n)));
        }
    });
    log.flush();
    let lines = output.lines();
    for writer in 1..=20 {
        assert_eq!(numbers(&lines, writer), (0..500).collect::<Vec<_>>());
    }
    let status = &log.status()[0];
    assert_eq!((status.rows, status.dropped, status.waiting), (10_000, 0, 0));
}

#[test]
fn rows_are_written_in_batches_and_without_a_flush() {
    let output = Shared::default();
    let log = log(&output, OnFull::Drop, 64 << 20);
    output.set(|fake| fake.blocked = true);
    (0..1000).for_each(|n| write(&log, 1, n));
    output.set(|fake| fake.blocked = false);
    until("all rows arrive", || log.status()[0].rows == 1000);
    let writes = output.0.0.lock().unwrap().writes;
    assert!(writes < 30, "{writes} writes for 1000 rows of 400 bytes");
}

#[test]
fn f_10_g_03_g_04_a_sink_that_stands_still_is_bounded_never_blocks_and_its_losses_are_told_exactly() {
    let output = Shared::default();
    output.set(|fake| fake.blocked = true);
    let limit = 512 << 10;
    let log = log(&output, OnFull::Drop, limit);
    let start = Instant::now();
    (0..20_000).for_each(|n| write(&log, 1, n));
    assert!(
        start.elapsed() < Duration::from_secs(5),
        "the writer of rows was held up"
    );
    let status = log.status().remove(0);
    assert!(status.waiting <= limit, "{} bytes wait", status.waiting);
    assert!(status.dropped > 10_000, "{status:?}");
    assert!(status.trouble.is_some(), "readiness does not show it");
    assert!(log.accepts_new_flows(), "a sink that drops refuses nobody");
    output.set(|fake| fake.blocked = false);
    log.flush();
    let lines = output.lines();
    let kept = numbers(&lines, 1);
    assert_eq!(kept.len() as u64 + lost(&lines), 20_000);
    assert_eq!(lost(&lines), log.status()[0].dropped);
    assert!(kept.is_sorted(), "order is kept");
    assert_eq!(
        lines.last().unwrap()["category"],
        "EgretLogLoss",
        "the loss stands where it happened"
    );
    assert_eq!(log.status()[0].trouble, None);
}

#[test]
fn g_03_a_full_disk_refuses_new_flows_until_there_is_space_and_loses_nothing() {
    for takes_back in [true, false] {
        let output = Shared::default();
        output.set(|fake| (fake.room, fake.takes_back) = (Some(1000), takes_back));
        let log = log(&output, OnFull::Deny, 1 << 20);
        assert!(log.accepts_new_flows());
        (0..100).for_each(|n| write(&log, 1, n));
        until("new flows are refused", || !log.accepts_new_flows());
        assert!(log.status()[0].trouble.as_deref().is_some_and(|t| !t.is_empty()));
        (100..200).for_each(|n| write(&log, 1, n));
        output.set(|fake| fake.room = None);
        until("flows are admitted again", || log.accepts_new_flows());
        log.flush();
        assert_eq!(numbers(&output.lines(), 1), (0..200).collect::<Vec<_>>());
    }
}

#[test]
fn a_queue_that_fills_refuses_new_flows_before_rows_are_lost() {
    let output = Shared::default();
    output.set(|fake| fake.blocked = true);
    let log = log(&output, OnFull::Deny, 1 << 20);
    let mut written = 0;
    while log.accepts_new_flows() && written < 100_000 {
        write(&log, 1, written);
        written += 1;
    }
    assert!(written < 100_000);
    assert_eq!(log.status()[0].dropped, 0);
    output.set(|fake| fake.blocked = false);
    until("flows are admitted again", || log.accepts_new_flows());
}

#[test]
fn a_pipe_without_a_reader_holds_no_memory_and_counts() {
    let output = Shared::default();
    output.set(|fake| (fake.room, fake.error) = (Some(0), Some(ErrorKind::BrokenPipe)));
    let log = log(&output, OnFull::Drop, 1 << 20);
    (0..100).for_each(|n| write(&log, 1, n));
    until("all are given up", || {
        log.flush();
        log.status()[0].dropped == 100
    });
    assert_eq!(log.status()[0].waiting, 0);
}

#[test]
fn close_writes_what_waits_and_later_rows_are_counted() {
    let output = Shared::default();
    let log = log(&output, OnFull::Drop, 1 << 20);
    (0..100).for_each(|n| write(&log, 1, n));
    log.close();
    assert_eq!(numbers(&output.lines(), 1).len(), 100);
    write(&log, 1, 100);
    assert_eq!(log.status()[0].dropped, 1);
    log.close();
}

#[test]
fn a_stop_does_not_wait_for_a_full_disk() {
    let output = Shared::default();
    output.set(|fake| fake.room = Some(0));
    let log = log(&output, OnFull::Deny, 1 << 20);
    (0..10).for_each(|n| write(&log, 1, n));
    let start = Instant::now();
    log.close();
    assert!(start.elapsed() < Duration::from_secs(3));
    assert_eq!(log.status()[0].dropped, 10);
}
