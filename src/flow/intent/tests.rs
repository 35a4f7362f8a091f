use super::*;

fn read_all(head: &[u8]) -> Result<Option<Intent>, IntentError> {
    parse(head, &mut 0, &Limits::default())
}

fn refused(head: &[u8]) -> Reason {
    match read_all(head) {
        Err(IntentError::Refused(reason, _)) => reason,
        other => panic!("{} was not refused: {other:?}", head.escape_ascii()),
    }
}

fn connects(head: &[u8]) -> String {
    match read_all(head) {
        Ok(Some(Intent::Connect { target, .. })) => format!("{:?} {}", target.host, target.port),
        other => panic!("{} is no CONNECT: {other:?}", head.escape_ascii()),
    }
}

#[test]
fn real_clients_differ_and_all_are_read() {
    for head in [
        "CONNECT api.example.com:443 HTTP/1.0\r\n\r\n",
        "CONNECT api.example.com:443 HTTP/1.1\r\nHost: api.example.com\r\nUser-Agent: x\r\n\r\n",
        "CONNECT api.example.com:443 HTTP/1.1\r\nhost: api.example.com:443\r\nproxy-connection: keep-alive\r\n\r\n",
        "CONNECT api.example.com:443 HTTP/1.1\r\nHost: evil.test:443\r\n\r\n",
        "\r\nCONNECT api.example.com:443 HTTP/1.1\r\n\r\n",
    ] {
        assert!(connects(head.as_bytes()).contains("api.example.com"), "{head}");
    }
}

#[test]
fn lines_are_strict_where_every_byte_is_in_its_place() {
    fn one_by_one(head: &[u8]) -> bool {
        let at = |i: usize| head.get(i).copied();
        (0..head.len()).all(|i| match head[i] {
            0 => false,
            b'\r' => at(i + 1) == Some(b'\n'),
            b'\n' => i > 0 && head[i - 1] == b'\r' && !matches!(at(i + 1), Some(b' ' | b'\t')),
            _ => true,
        })
    }
    const BYTES: &[u8] = b"\0\r\n \ta";
    for length in 0..=5u32 {
        for number in 0..BYTES.len().pow(length) {
            let head: Vec<u8> = (0..length)
                .map(|place| BYTES[number / BYTES.len().pow(place) % BYTES.len()])
                .collect();
            assert_eq!(lines_are_strict(&head), one_by_one(&head), "{}", head.escape_ascii());
        }
    }
}

#[test]
fn a_head_cut_anywhere_needs_more() {
    let head = b"\r\nCONNECT api.example.com:443 HTTP/1.1\r\nHost: api.example.com\r\n\r\n";
    let mut scanned = 0;
    for end in 0..head.len() {
        let read = parse(&head[..end], &mut scanned, &Limits::default());
        assert!(matches!(read, Ok(None)), "{}", head[..end].escape_ascii());
    }
    assert!(matches!(
        parse(head, &mut scanned, &Limits::default()),
        Ok(Some(Intent::Connect { .. }))
    ));
}

#[test]
fn an_authority_is_a_host_and_a_port_and_nothing_else() {
    for (authority, reason) in [
        ("api.example.com", Reason::BadAuthority),
        ("api.example.com:", Reason::BadAuthority),
        ("api.example.com:0", Reason::BadAuthority),
        ("api.example.com:65536", Reason::BadAuthority),
        ("api.example.com:4294967739", Reason::BadAuthority),
        ("api.example.com:-443", Reason::BadAuthority),
        ("api.example.com:+443", Reason::BadAuthority),
        ("api.example.com:0443", Reason::BadAuthority),
        ("api.example.com:443x", Reason::BadAuthority),
        ("api.example.com:https", Reason::BadAuthority),
        ("user:pw@api.example.com:443", Reason::BadAuthority),
        ("evil.test:443@api.example.com:443", Reason::BadAuthority),
        ("https://api.example.com:443/", Reason::BadAuthority),
        ("/api.example.com:443", Reason::BadAuthority),
        ("*", Reason::BadAuthority),
        ("2001:db8::1:443", Reason::BadAuthority),
        ("[api.example.com]:443", Reason::BadAuthority),
        ("[fe80::1%25eth0]:443", Reason::BadAuthority),
    ] {
        assert_eq!(
            parse_authority(authority.as_bytes()).unwrap_err(),
            reason,
            "{authority}"
        );
    }
}

#[test]
fn what_has_two_readings_is_refused() {
    for (head, reason) in [
        (
            "CONNECT a.example:443 HTTP/1.1\nHost: a.example\n\n",
            Reason::BadRequest,
        ),
        (
            "CONNECT a.example:443 HTTP/1.1\r\nHost: a\r b\r\n\r\n",
            Reason::BadRequest,
        ),
        ("CONNECT a.example:443 HTTP/1.1\r\r\n\r\n", Reason::BadRequest),
        (
            "CONNECT a.example:443 HTTP/1.1\r\nHost : a.example\r\n\r\n",
            Reason::BadRequest,
        ),
        (
            "CONNECT a.example:443 HTTP/1.1\r\n Host: a.example\r\n\r\n",
            Reason::BadRequest,
        ),
        (
            "CONNECT a.example:443 HTTP/1.1\r\nX: a\r\n\tb\r\n\r\n",
            Reason::BadRequest,
        ),
        (
            "CONNECT a.example:443 HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
            Reason::BadRequest,
        ),
        (
            "CONNECT a.example:443 HTTP/1.1\r\nHost: a, b\r\n\r\n",
            Reason::BadRequest,
        ),
        ("CONNECT  a.example:443 HTTP/1.1\r\n\r\n", Reason::BadRequest),
        ("CONNECT a.example:443 HTTP/1.2\r\n\r\n", Reason::BadRequest),
        (
            "CONNECT a.example:443 HTTP/1.1\r\nContent-Length: 10\r\n\r\n",
            Reason::Framing,
        ),
        (
            "CONNECT a.example:443 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
            Reason::Framing,
        ),
        (
            "\r\n\r\n\r\n\r\nCONNECT a.example:443 HTTP/1.1\r\n\r\n",
            Reason::BadRequest,
        ),
        ("\x16\x03\x01\x02\x00", Reason::BadRequest),
        ("\x05\x01\x00", Reason::BadRequest),
    ] {
        assert_eq!(refused(head.as_bytes()), reason, "{}", head.escape_debug());
    }
}

#[test]
fn f_01_a_head_has_a_length_and_a_number_of_fields() {
    let long = format!("CONNECT a.example:443 HTTP/1.1\r\nX: {}", "a".repeat(16 << 10));
    assert_eq!(refused(long.as_bytes()), Reason::HeadTooLarge);
    let many = format!("CONNECT a.example:443 HTTP/1.1\r\n{}\r\n", "X: a\r\n".repeat(101));
    assert_eq!(refused(many.as_bytes()), Reason::HeadTooLarge);
}

#[tokio::test]
async fn c_41_what_is_kept_of_a_head_is_bounded_however_much_is_sent() {
    let limits = Limits::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (mut server, _) = listener.accept().await.unwrap();
    let flood = tokio::spawn(async move {
        let head = [b"GET /".as_slice(), &vec![b'a'; 4 << 20]].concat();
        let _ = tokio::io::AsyncWriteExt::write_all(&mut client, &head).await;
    });
    let mut held = Held::default();
    let refused = read(&mut server, &mut held, &limits).await;
    assert!(
        matches!(refused, Err(IntentError::Refused(Reason::HeadTooLarge, _))),
        "{refused:?}"
    );
    // One read may go over.
    let kept = held.bytes.capacity();
    assert!(kept <= limits.head_bytes + 2048, "{kept} bytes");
    drop(server);
    flood.await.unwrap();
}
