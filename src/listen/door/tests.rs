use super::*;
use std::cell::Cell;
use std::net::Ipv4Addr;
use std::rc::Rc;
use tokio::net::TcpStream;
use tokio::task::{LocalSet, spawn_local};

fn doors() -> ([Door; 2], Arc<Watch>, SocketAddr) {
    let socket = StdListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    socket.set_nonblocking(true).unwrap();
    let (address, watch) = (socket.local_addr().unwrap(), Watch::new(2));
    let door = || Door::new(socket.try_clone().unwrap(), watch.clone()).unwrap();
    ([door(), door()], watch, address)
}

/// What a door that is served takes.
fn serve(mut door: Door) -> Rc<Cell<usize>> {
    let taken = Rc::new(Cell::new(0));
    let count = taken.clone();
    spawn_local(async move {
        loop {
            let take = |_: Accepted, _| count.set(count.get() + 1);
            door.turn(|_| false, || false, take).await.unwrap();
        }
    });
    taken
}

/// Connects so often, one after the other, until `taken` says that each was taken.
async fn connect(address: SocketAddr, times: usize, taken: impl Fn() -> usize) {
    for n in 1..=times {
        let _client = TcpStream::connect(address).await.unwrap();
        let all_taken = async {
            while taken() < n {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        timeout(Duration::from_secs(20), all_taken)
            .await
            .expect("nobody took it");
    }
}

#[tokio::test]
async fn where_one_is_enough_the_other_steps_back() {
    let alone = async {
        let ([a, b], watch, address) = doors();
        let (a, b) = (serve(a), serve(b));
        let fewest = Cell::new(usize::MAX);
        let taken = || {
            fewest.set(fewest.get().min(watch.watching.load(SeqCst)));
            a.get() + b.get()
        };
        connect(address, 3 * IN_VAIN as usize, taken).await;
        assert_eq!(fewest.get(), 1);
    };
    LocalSet::new().run_until(alone).await;
}

#[test]
fn what_a_worker_does_behind_a_turn() {
    const ONE: Seen = Seen {
        taken: 1,
        failed: false,
        ahead: false,
        load: Some(false),
        tunnels: true,
    };
    let high = Some(true);
    for (seen, next) in [
        (ONE, Next::Watch),
        (Seen { taken: 2, ..ONE }, Next::Call),
        (Seen { load: high, ..ONE }, Next::Call),
        (Seen { load: None, ..ONE }, Next::Call),
        (
            Seen {
                load: high,
                tunnels: false,
                ..ONE
            },
            Next::Watch,
        ),
        (Seen { ahead: true, ..ONE }, Next::Call),
        (
            Seen {
                ahead: true,
                load: None,
                ..ONE
            },
            Next::Call,
        ),
        (
            Seen {
                ahead: true,
                load: high,
                ..ONE
            },
            Next::StepBack,
        ),
        (
            Seen {
                ahead: true,
                tunnels: false,
                ..ONE
            },
            Next::StepBack,
        ),
        (
            Seen {
                taken: ACCEPTS_PER_TURN,
                ahead: true,
                load: high,
                ..ONE
            },
            Next::Call,
        ),
        (
            Seen {
                failed: true,
                ahead: true,
                tunnels: false,
                ..ONE
            },
            Next::Call,
        ),
        (
            Seen {
                taken: 0,
                failed: true,
                ..ONE
            },
            Next::Call,
        ),
    ] {
        let mut in_vain = IN_VAIN;
        assert_eq!(seen.next(&mut in_vain), next, "{seen:?}");
        assert_eq!(in_vain, IN_VAIN, "that was not in vain: {seen:?}");
    }
    let (nothing, mut in_vain) = (Seen { taken: 0, ..ONE }, 0);
    for _ in 1..IN_VAIN {
        assert_eq!(nothing.next(&mut in_vain), Next::Watch);
    }
    assert_eq!(nothing.next(&mut in_vain), Next::StepBack);
}

#[tokio::test]
async fn who_steps_back_is_not_woken_and_where_all_stepped_back_but_one_that_one_calls() {
    let ([mut a, mut b], watch, _) = doors();
    a.act(Next::StepBack);
    assert!(a.registered.is_none());
    b.act(Next::StepBack);
    assert!(b.registered.is_some(), "the last");
    let since = Instant::now();
    a.turn(|_| false, || false, |_, _| {}).await.unwrap();
    assert!(since.elapsed() < AWAY, "it was called");
    assert_eq!(watch.watching.load(SeqCst), 2);
    drop(a);
    assert_eq!(watch.watching.load(SeqCst), 1);
}

#[tokio::test]
async fn who_ends_calls_another() {
    let ([mut a, b], watch, _) = doors();
    a.act(Next::StepBack);
    drop(b);
    assert_eq!(watch.watching.load(SeqCst), 0);
    let since = Instant::now();
    a.turn(|_| false, || false, |_, _| {}).await.unwrap();
    assert!(since.elapsed() < AWAY && a.registered.is_some());
}

#[tokio::test]
async fn connections_together_call_the_other() {
    let ([mut a, mut b], watch, address) = doors();
    b.act(Next::StepBack);
    let _clients = [
        TcpStream::connect(address).await.unwrap(),
        TcpStream::connect(address).await.unwrap(),
    ];
    a.turn(|_| false, || false, |_, _| {}).await.unwrap();
    let since = Instant::now();
    b.turn(|_| false, || false, |_, _| {}).await.unwrap();
    assert!(since.elapsed() < AWAY && b.registered.is_some());
    assert_eq!(watch.watching.load(SeqCst), 2);
}

#[tokio::test]
async fn a_connection_does_not_wait_for_a_worker_that_is_kept() {
    let kept = async {
        let ([mut a, _kept], _, address) = doors();
        a.act(Next::StepBack);
        let taken = serve(a);
        connect(address, 1, || taken.get()).await;
    };
    LocalSet::new().run_until(kept).await;
}
