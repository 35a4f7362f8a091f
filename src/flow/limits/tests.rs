use super::*;
use std::time::Instant;

fn settings(tunnels: usize, per_source: usize, rate: u32) -> Settings {
    Settings {
        tunnels,
        tunnels_per_source: per_source,
        attempts_per_second_per_source: rate,
        attempts_burst_per_source: 2 * rate,
        dials: 1,
        ..Settings::default()
    }
}

fn source(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn one_source_cannot_take_every_place() {
    let (limits, settings) = (Limits::new(None), settings(3, 2, 100));
    let held: Vec<_> = (0..2)
        .map(|_| limits.admit(source("10.0.0.1"), &settings).unwrap())
        .collect();
    assert_eq!(
        limits.admit(source("10.0.0.1"), &settings).unwrap_err(),
        Reason::LimitSourceTunnels
    );
    let other = limits.admit(source("10.0.0.2"), &settings).unwrap();
    assert_eq!(
        limits.admit(source("10.0.0.3"), &settings).unwrap_err(),
        Reason::LimitTunnels
    );
    drop((held, other));
    assert_eq!(limits.connections(), 0);
    assert!(limits.admit(source("10.0.0.1"), &settings).is_ok());
}

#[test]
fn a_source_that_reconnects_does_not_get_a_fresh_bucket() {
    let (limits, settings) = (Limits::new(None), settings(100, 100, 1));
    let asked: Vec<_> = (0..5)
        .map(|_| {
            let _permit = limits.admit(source("10.0.0.1"), &settings).unwrap();
            limits.sweep(&settings);
            limits.attempt(source("10.0.0.1"), &settings)
        })
        .collect();
    assert!(asked[0].is_ok() && asked[1].is_ok(), "both are in the burst");
    assert_eq!(asked[4], Err(Reason::LimitSourceRate));
}

#[test]
fn a_source_beyond_its_rate_is_told_of_three_times_a_second() {
    let (limits, settings) = (Limits::new(None), settings(10, 10, 1));
    let _held = limits.admit(source("10.0.0.1"), &settings).unwrap();
    let started = Instant::now();
    let told = (0..1000).filter(|_| limits.may_tell(source("10.0.0.1"))).count();
    let seconds = 1 + started.elapsed().as_secs() as usize;
    assert!((3..=3 * seconds).contains(&told), "{told}");
}

#[test]
fn strangers_share_a_hundred_rows_a_second() {
    let limits = Limits::new(None);
    let started = Instant::now();
    let told = (0..1000_u32)
        .filter(|n| limits.may_tell(IpAddr::V4((*n).into())))
        .count();
    let seconds = 1 + started.elapsed().as_secs() as usize;
    assert!((100..=100 * seconds).contains(&told), "{told}");
}

#[test]
fn an_ipv6_source_is_one_address() {
    let (limits, settings) = (Limits::new(None), settings(10, 1, 100));
    let _held = limits.admit(source("2001:db8::1"), &settings).unwrap();
    assert_eq!(
        limits.admit(source("2001:db8::1"), &settings).unwrap_err(),
        Reason::LimitSourceTunnels
    );
    let neighbour = limits.admit(source("2001:db8::2"), &settings);
    assert!(neighbour.is_ok(), "a whole subnet of Azure is one /64");
}

#[test]
fn f_08_the_last_place_is_given_once() {
    let (limits, settings) = (Limits::new(None), settings(100, 100, 100));
    let admitted: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|n| {
                let (limits, settings) = (&limits, &settings);
                scope.spawn(move || {
                    let ask = |k| limits.admit(source(&format!("10.0.{n}.{k}")), settings);
                    let held: Vec<_> = (0..50).filter_map(|k| ask(k).ok()).collect();
                    let count = held.len();
                    std::mem::forget(held);
                    count
                })
            })
            .collect();
        threads.into_iter().map(|t| t.join().unwrap()).sum()
    });
    assert_eq!((admitted, limits.connections()), (100, 100));
}

#[test]
fn flows_leave_descriptors_for_everything_else() {
    for (files, flows, lingering) in [
        (0, 0, 0),
        (16, 6, 2),
        (256, 160, 32),
        (1024, 824, 128),
        (20_000, 19_120, 512),
    ] {
        assert_eq!(within(files), (flows, lingering), "of {files}");
    }
}

#[test]
fn refused_connections_of_one_source_leave_places_to_linger_for_others() {
    let (limits, settings) = (Limits::new(Some(256)), settings(100, 100, 100));
    let _admitted = [1, 2].map(|n| limits.admit(source(&format!("10.0.0.{n}")), &settings).unwrap());
    let linger = |ip| limits.linger(source(ip));
    let held: Vec<_> = std::iter::from_fn(|| linger("10.0.0.1")).collect();
    assert_eq!(held.len(), 32 / SHARE_OF_LINGERING);
    assert!(linger("10.0.0.2").is_some());
    drop(held);
    assert!(linger("10.0.0.1").is_some(), "what it gave back it may have again");
    assert_eq!(limits.all.counts.total(LINGERING), 0);
}

#[test]
fn clients_leave_descriptors_for_dials() {
    let (limits, settings) = (Limits::new(Some(26)), settings(100, 100, 100));
    let admit = || limits.admit(source("10.0.0.1"), &settings);
    let held: Vec<_> = (0..9).map(|_| admit().unwrap()).collect();
    assert_eq!(admit().unwrap_err(), Reason::LimitFiles);
    let dialled = limits.file().unwrap();
    assert_eq!(limits.file().unwrap_err(), Reason::LimitFiles, "all ten are in use");
    drop(held);
    assert!(admit().is_ok(), "a client holds one descriptor, not two");
    drop(dialled);
    assert_eq!(limits.all.counts.total(FILES), 0);
}

#[test]
fn half_open_dials_are_counted_until_they_end() {
    let (limits, settings) = (Limits::new(None), settings(1, 1, 1));
    let first = limits.dial(&settings).unwrap();
    assert_eq!(limits.dial(&settings).unwrap_err(), Reason::LimitDials);
    drop(first);
    assert!(limits.dial(&settings).is_ok());
}

#[test]
fn a_worker_is_ahead_by_a_quarter_and_one() {
    let (limits, settings) = (Limits::new(None), settings(100, 100, 100));
    let other = limits.for_worker();
    let admit = |of: &Arc<Limits>| of.admit(source("10.0.0.1"), &settings).unwrap();
    let mut own = vec![admit(&limits)];
    assert!(!limits.is_ahead(2), "it has one, the other none");
    own.push(admit(&limits));
    assert!(limits.is_ahead(2));
    assert!(!limits.is_ahead(1), "there is no other");
    let others: Vec<_> = (0..4).map(|_| admit(&other)).collect();
    own.extend((0..4).map(|_| admit(&limits)));
    assert!(!limits.is_ahead(2), "6 beside 4");
    own.push(admit(&limits));
    assert!(limits.is_ahead(2), "7 beside 4");
    assert!(!other.is_ahead(2));
    assert!(limits.is_ahead(3), "7 beside 2 on average");
    own.truncate(5);
    assert!(!limits.is_ahead(2), "5 beside 4");
    drop((own, others));
}
