use super::*;

/// An extension with its length.
fn extension(kind: u16, body: &[u8]) -> Vec<u8> {
    [&kind.to_be_bytes()[..], &(body.len() as u16).to_be_bytes(), body].concat()
}

fn server_name(names: &[(u8, &str)]) -> Vec<u8> {
    let entry = |(kind, name): &(u8, &str)| [&[*kind, 0, name.len() as u8], name.as_bytes()].concat();
    let list: Vec<u8> = names.iter().flat_map(entry).collect();
    extension(
        EXT_SERVER_NAME,
        &[&(list.len() as u16).to_be_bytes()[..], &list].concat(),
    )
}

/// A handshake message of the given version around these extensions.
fn message(version: [u8; 2], extensions: &[Vec<u8>]) -> Vec<u8> {
    let block = extensions.concat();
    let body = [
        &version[..],
        &[7; 32],
        &[0],
        &[0, 2, 0x13, 1],
        &[1, 0],
        &(block.len() as u16).to_be_bytes(),
        &block,
    ]
    .concat();
    [&[CLIENT_HELLO, 0][..], &(body.len() as u16).to_be_bytes(), &body].concat()
}

fn record(kind: u8, version: [u8; 2], fragment: &[u8]) -> Vec<u8> {
    [&[kind][..], &version, &(fragment.len() as u16).to_be_bytes(), fragment].concat()
}

fn hello(extensions: &[Vec<u8>]) -> Vec<u8> {
    record(CONTENT_HANDSHAKE, [3, 1], &message([3, 3], extensions))
}

fn api() -> Vec<u8> {
    server_name(&[(0, "api.example.com")])
}

/// The verdict in one line.
fn said(bytes: &[u8]) -> String {
    match parse(bytes) {
        Parsed::Hello(ClientHello {
            server_name,
            ech,
            hello_end,
        }) => {
            let name = server_name.map_or("-".to_owned(), |name| format!("{name:?}"));
            format!("{name} {} +{}", ech.label().unwrap_or("-"), bytes.len() - hello_end)
        }
        Parsed::Malformed(what) => format!("malformed: {what}"),
        other => format!("{other:?}"),
    }
}

#[test]
fn s_12_s_13_what_extensions_say_is_read_in_one_way_or_not_at_all() {
    let other = || server_name(&[(0, "evil.test")]);
    let unknown_first = server_name(&[(7, "x"), (0, "api.example.com")]);
    let padded_list = extension(0, &[0, 4, 0, 0, 1, b'a', 0]);
    let short_list = extension(0, &[0, 3, 0, 0, 1]);
    for (why, extensions, expected) in [
        ("one name", vec![api()], "\"api.example.com\" - +0"),
        ("no extension at all inside the block", vec![], "- - +0"),
        (
            "an unknown type before the host name does not count",
            vec![unknown_first],
            "\"api.example.com\" - +0",
        ),
        (
            "server_name twice",
            vec![api(), other()],
            "malformed: an extension that comes twice",
        ),
        (
            "any extension twice",
            vec![extension(9, &[]), extension(9, &[])],
            "malformed: an extension that comes twice",
        ),
        (
            "a name after pre_shared_key",
            vec![extension(41, &[0; 4]), api()],
            "malformed: an extension after pre_shared_key",
        ),
        (
            "pre_shared_key last",
            vec![api(), extension(41, &[0; 4])],
            "\"api.example.com\" - +0",
        ),
        (
            "two host names in one list",
            vec![server_name(&[(0, "a"), (0, "b")])],
            "malformed: two server names of one type",
        ),
        (
            "two names of an unknown type",
            vec![server_name(&[(9, "a"), (9, "b"), (0, "c")])],
            "malformed: two server names of one type",
        ),
        (
            "a name of no bytes",
            vec![server_name(&[(0, "")])],
            "malformed: an empty server name",
        ),
        (
            "an empty list",
            vec![server_name(&[])],
            "malformed: a server_name extension without a host name",
        ),
        (
            "only an unknown type",
            vec![server_name(&[(1, "a")])],
            "malformed: a server_name extension without a host name",
        ),
        (
            "bytes behind the list",
            vec![padded_list],
            "malformed: bytes left over at the end of a field",
        ),
        (
            "a list shorter than its name",
            vec![short_list],
            "malformed: a length that is longer than what holds it",
        ),
        (
            "an extension body as a server sends it",
            vec![extension(0, &[])],
            "malformed: a length that is longer than what holds it",
        ),
        (
            "NUL in the name is for the policy to refuse",
            vec![server_name(&[(0, "a\0b")])],
            "\"a\\x00b\" - +0",
        ),
    ] {
        assert_eq!(said(&hello(&extensions)), expected, "{why}");
    }
    let many: Vec<_> = (100..100 + MAX_EXTENSIONS as u16)
        .map(|kind| extension(kind, &[]))
        .collect();
    assert_eq!(said(&hello(&many)), "- - +0");
    assert_eq!(
        said(&hello(&[many, vec![api()]].concat())),
        "malformed: too many extensions"
    );
}

#[test]
fn s_05_n_12_a_server_name_is_a_host_name_or_has_its_own_reason() {
    let long = "a.".repeat(200);
    for (sent, expected) in [
        ("api.example.com", Ok("api.example.com")),
        ("API.Example.com.", Ok("api.example.com")),
        ("203.0.113.9", Err(Reason::SniIpLiteral)),
        ("2001:db8::1", Err(Reason::SniIpLiteral)),
        ("0xcb007109", Err(Reason::SniIpLiteral)),
        ("[2001:db8::1]", Err(Reason::SniInvalid)),
        ("[api.example.com]", Err(Reason::SniInvalid)),
        ("api.example.com:443", Err(Reason::SniInvalid)),
        ("*.example.com", Err(Reason::SniInvalid)),
        ("api.example.com\0.evil.test", Err(Reason::SniInvalid)),
        ("bücher.example", Err(Reason::SniInvalid)),
        ("api\u{200b}.example.com", Err(Reason::SniInvalid)),
        (&long[..250], Ok(&long[..249])),
        (&long[..], Err(Reason::SniInvalid)),
    ] {
        let list = [&[0, (sent.len() >> 8) as u8, sent.len() as u8], sent.as_bytes()].concat();
        let body = [&(list.len() as u16).to_be_bytes()[..], &list].concat();
        let bytes = hello(&[extension(EXT_SERVER_NAME, &body)]);
        let Parsed::Hello(ClientHello {
            server_name: Some(name),
            ..
        }) = parse(&bytes)
        else {
            panic!("{sent}")
        };
        assert_eq!(
            name.fqdn().as_ref().map(Fqdn::as_str).map_err(|reason| *reason),
            expected,
            "{sent}"
        );
    }
}

#[test]
fn s_18_s_32_hidden_names_are_seen() {
    let outer = || extension(EXT_ECH, &[0, 0, 1, 0, 1, 9, 0, 1, 0xaa, 0, 1, 0xbb]);
    let draft = || extension(EXT_ESNI_DRAFT, &[1, 2]);
    for (why, extensions, expected) in [
        (
            "an outer hello, real or GREASE",
            vec![api(), outer()],
            "\"api.example.com\" outer +0",
        ),
        ("an outer hello without a name", vec![outer()], "- outer +0"),
        (
            "an inner hello in the clear",
            vec![extension(EXT_ECH, &[1])],
            "- inner +0",
        ),
        (
            "an inner hello with more in it",
            vec![extension(EXT_ECH, &[1, 0])],
            "- malformed +0",
        ),
        ("an unknown kind", vec![extension(EXT_ECH, &[2])], "- malformed +0"),
        ("nothing in it", vec![extension(EXT_ECH, &[])], "- malformed +0"),
        (
            "no payload",
            vec![extension(EXT_ECH, &[0, 0, 1, 0, 1, 9, 0, 0, 0, 0])],
            "- malformed +0",
        ),
        ("the old draft without a name", vec![draft()], "- esni_draft +0"),
        (
            "the old draft with a name",
            vec![api(), draft()],
            "\"api.example.com\" esni_draft +0",
        ),
        ("both: the standard one counts", vec![draft(), outer()], "- outer +0"),
    ] {
        assert_eq!(said(&hello(&extensions)), expected, "{why}");
    }
}

#[test]
fn s_14_s_15_s_31_s_34_only_one_hello_in_records_of_its_own_is_read() {
    let message = message([3, 3], &[api()]);
    let (head, tail) = message.split_at(60);
    let handshake = |fragment: &[u8]| record(CONTENT_HANDSHAKE, [3, 1], fragment);
    let between = |middle: Vec<u8>| [handshake(head), middle, handshake(tail)].concat();
    let of_version = |minor| record(CONTENT_HANDSHAKE, [3, minor], &message);
    let said_version = |version| said(&handshake(&super::tests::message(version, &[api()])));
    let api = "\"api.example.com\" - +0";
    for (why, bytes, expected) in [
        ("two records", between(vec![]), api),
        (
            "an alert between them",
            between(record(21, [3, 1], &[1, 0])),
            "malformed: another record type before the ClientHello ends",
        ),
        (
            "application data between them",
            between(record(23, [3, 1], &[0])),
            "malformed: another record type before the ClientHello ends",
        ),
        (
            "an empty record between them",
            between(handshake(&[])),
            "malformed: an empty handshake record",
        ),
        (
            "two hellos in one record",
            handshake(&[message.clone(), message.clone()].concat()),
            "malformed: bytes after the ClientHello in its last record",
        ),
        (
            "two hellos in two records: the second is opaque",
            [handshake(&message), handshake(&message)].concat(),
            "\"api.example.com\" - +76",
        ),
        ("record version 3.4", of_version(4), api),
        ("record version 3.255", of_version(255), api),
        ("record version 3.0", of_version(0), api),
        (
            "DTLS 1.2",
            record(CONTENT_HANDSHAKE, [254, 253], &message),
            "malformed: a record version that is not 3.x",
        ),
        (
            "the first two bytes of DTLS",
            vec![22, 254],
            "malformed: a record version that is not 3.x",
        ),
        (
            "a handshake message from a server",
            handshake(&[2, 0, 0, 1, 0]),
            "malformed: a handshake message that is not a ClientHello",
        ),
        ("SSLv2", vec![0x80, 46, 1, 0, 2], "Sslv2"),
        ("SSLv2 framing that offers TLS 1.2", vec![0x80, 46, 1, 3, 3], "Sslv2"),
        ("not yet to be told from SSLv2", vec![0x80, 46, 1, 0], "Incomplete"),
        ("no version of SSLv2", vec![0x80, 46, 1, 0, 3], "NotTls"),
        ("an alert first", record(21, [3, 1], &[1, 0]), "NotTls"),
        ("plain HTTP", b"GET / HTTP/1.1".to_vec(), "NotTls"),
        ("nothing", vec![], "Incomplete"),
    ] {
        assert_eq!(said(&bytes), expected, "{why}");
    }
    assert_eq!(said_version([3, 0]), "malformed: an SSL 3.0 ClientHello");
    assert_eq!(said_version([3, 1]), api);
    assert_eq!(said_version([3, 9]), api);
    assert_eq!(said_version([2, 0]), "malformed: a ClientHello version that is not 3.x");
}

#[test]
fn work_is_bounded_however_finely_the_hello_is_cut() {
    let filler = extension(21, &[0; 9000]);
    let fine = |message: &[u8]| -> Vec<u8> { message.iter().flat_map(|&byte| [22, 3, 1, 0, 1, byte]).collect() };
    let long = message([3, 3], &[api(), filler]);
    assert_eq!(said(&fine(&message([3, 3], &[api()]))), "\"api.example.com\" - +0");
    assert_eq!(said(&fine(&long)), "malformed: a ClientHello in too many records");
    assert_eq!(said(&fine(&long[..MAX_RECORDS - 1])), "Incomplete");
}
