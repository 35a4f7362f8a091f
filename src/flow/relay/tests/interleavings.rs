//! Reads, writes and ends in any order, through pipes of any size.

use super::*;
use proptest::prelude::*;

/// What one end does next.
#[derive(Clone, Debug)]
enum Act {
    /// Up to so many bytes, as the socket takes them.
    Write(usize),
    Read(usize),
    /// Let the relay run.
    Turn,
}

fn acts() -> impl Strategy<Value = Vec<(bool, Act)>> {
    let act = prop_oneof![
        3 => (1..200_000_usize).prop_map(Act::Write),
        3 => (1..200_000_usize).prop_map(Act::Read),
        2 => Just(Act::Turn),
    ];
    proptest::collection::vec((any::<bool>(), act), 1..60)
}

/// One end: what it has written and read so far.
struct End {
    stream: TcpStream,
    /// The first byte of its pattern: the two ends send different bytes.
    first: usize,
    wrote: usize,
    read: usize,
}

impl End {
    fn write(&mut self, most: usize) {
        let bytes: Vec<_> = (0..most).map(|n| ((self.first + self.wrote + n) % 251) as u8).collect();
        self.wrote += self.stream.try_write(&bytes).unwrap_or(0);
    }

    fn read(&mut self, most: usize, first: usize) {
        let mut bytes = vec![0; most];
        let read = self.stream.try_read(&mut bytes).unwrap_or(0);
        let right = (0..read).all(|n| bytes[n] == ((first + self.read + n) % 251) as u8);
        assert!(right, "other bytes, or in another order, behind byte {}", self.read);
        self.read += read;
    }
}

/// `from` ends, and all that it wrote arrives.
async fn finish(from: &mut End, to: &mut End) {
    from.stream.shutdown().await.unwrap();
    while to.read < from.wrote {
        to.stream.readable().await.unwrap();
        to.read(1 << 20, from.first);
    }
    assert_eq!(
        to.stream.read(&mut [0; 8]).await.unwrap(),
        0,
        "its end, and no byte more"
    );
}

async fn play(acts: Vec<(bool, Act)>) {
    let World {
        client, origin, relay, ..
    } = world(b"", IDLE).await;
    let end = |stream, first| End {
        stream,
        first,
        wrote: 0,
        read: 0,
    };
    let (mut client, mut origin) = (end(client, 0), end(origin, 100));
    for (at_client, act) in acts {
        let (one, first) = if at_client {
            (&mut client, 100)
        } else {
            (&mut origin, 0)
        };
        match act {
            Act::Write(bytes) => one.write(bytes),
            Act::Read(bytes) => one.read(bytes, first),
            Act::Turn => tokio::task::yield_now().await,
        }
    }
    let rest = async {
        finish(&mut client, &mut origin).await;
        finish(&mut origin, &mut client).await;
    };
    tokio::time::timeout(IDLE, rest).await.expect("all bytes arrive");
    let transfer = relay.await.unwrap();
    let counted = (transfer.sent, transfer.received, transfer.end);
    let (sent, received) = (client.wrote as u64, origin.wrote as u64);
    assert_eq!(counted, (sent, received, FlowEndKind::ClientClosed));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn in_any_interleaving_each_end_gets_the_others_bytes_in_order(
        acts in acts(),
        pipes in 0..3_usize,
        room in prop_oneof![Just(PIPE), Just(64 << 10), Just(4096)],
    ) {
        testing::budget(pipes, room);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(play(acts));
    }
}
