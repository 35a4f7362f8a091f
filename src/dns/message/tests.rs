use super::*;
use hickory_proto::rr::rdata::{A, CNAME, SOA};
use proptest::prelude::*;

fn question(family: Family) -> Question {
    Question {
        name: Fqdn::parse("api.example.com").unwrap(),
        family,
    }
}

fn server() -> Arc<str> {
    "192.0.2.53:53".into()
}

fn wire(name: &str) -> Name {
    Name::from_ascii(format!("{name}.")).unwrap()
}

/// An answer to `question` with id 7 and one address.
fn answer() -> Message {
    let mut message = Message::response(7, OpCode::Query);
    message.add_query(wire_query(&question(Family::V4)));
    message.add_answer(WireRecord::from_rdata(
        wire("api.example.com"),
        60,
        RData::A(A::new(203, 0, 113, 5)),
    ));
    message
}

fn read(message: &Message) -> Result<Reply, Flaw> {
    decode(&message.to_vec().unwrap(), 7, &question(Family::V4), &server())
}

#[test]
fn a_question_is_absolute_recursive_and_advertises_1232_bytes() {
    let (id, bytes) = encode(&question(Family::V6), true);
    let message = Message::from_vec(&bytes).unwrap();
    assert_eq!(message.id, id);
    assert!(message.recursion_desired && !message.checking_disabled);
    assert_eq!(
        message.queries,
        [Query::query(wire("api.example.com"), RecordType::AAAA)]
    );
    assert_eq!(message.edns.as_ref().map(Edns::max_payload), Some(1232));
    let (_, plain) = encode(&question(Family::V6), false);
    assert_eq!(Message::from_vec(&plain).unwrap().edns, None);
}

#[test]
fn d_18_ids_are_spread_and_never_sequential() {
    let ids: Vec<u16> = (0..1000).map(|_| encode(&question(Family::V4), true).0).collect();
    let steps = ids.windows(2).filter(|pair| pair[1].wrapping_sub(pair[0]) == 1).count();
    assert!(steps < 5, "{steps} of 1000 ids follow their predecessor");
    // chi-square over 16 buckets, 15 degrees of freedom: 44.3 is exceeded once in 10 000 runs
    let mut buckets = [0f64; 16];
    ids.iter().for_each(|id| buckets[usize::from(id >> 12)] += 1.0);
    let chi: f64 = buckets.iter().map(|seen| (seen - 62.5).powi(2) / 62.5).sum();
    assert!(chi < 44.3, "chi-square {chi}: {buckets:?}");
}

#[test]
fn an_answer_is_read() {
    let reply = read(&answer()).unwrap();
    let data = Data::Address([203, 0, 113, 5].into());
    assert_eq!(
        reply.records,
        [Record {
            owner: question(Family::V4).name,
            ttl: 60,
            data
        }]
    );
    assert!(!reply.nxdomain && reply.soa.is_none());
}

#[test]
fn d_19_names_match_without_case() {
    let mut message = answer();
    message.queries = vec![Query::query(wire("API.eXample.COM"), RecordType::A)];
    message.answers[0].name = wire("aPi.example.com");
    assert_eq!(read(&message).unwrap().records[0].owner.as_str(), "api.example.com");
}

#[test]
fn d_17_what_answers_another_question_is_not_ours() {
    assert_eq!(
        decode(&answer().to_vec().unwrap(), 8, &question(Family::V4), &server()),
        Err(Flaw::NotOurs),
        "id"
    );
    assert_eq!(
        decode(&answer().to_vec().unwrap(), 7, &question(Family::V6), &server()),
        Err(Flaw::NotOurs),
        "type"
    );
    let mut other = answer();
    other.queries = vec![Query::query(wire("evil.test"), RecordType::A)];
    assert_eq!(read(&other), Err(Flaw::NotOurs), "name");
    let mut chaos = answer();
    chaos.queries[0].set_query_class(DNSClass::CH);
    assert_eq!(read(&chaos), Err(Flaw::NotOurs), "class");
}

#[test]
fn d_22_odd_headers_and_counts() {
    let good = answer().to_vec().unwrap();
    let with = |at: usize, bytes: &[u8]| {
        let mut packet = good.clone();
        packet[at..at + bytes.len()].copy_from_slice(bytes);
        decode(&packet, 7, &question(Family::V4), &server())
    };
    assert_eq!(with(2, &[0x01]), Err(Flaw::NotOurs), "QR=0");
    assert_eq!(with(2, &[0xa8]), Err(Flaw::NotOurs), "opcode UPDATE");
    assert_eq!(with(4, &[0, 0]), Err(Flaw::NotOurs), "no question");
    assert_eq!(with(4, &[0, 2]), Err(Flaw::NotOurs), "two questions");
    assert_eq!(with(4, &[0xff, 0xff]), Err(Flaw::NotOurs), "65 535 questions");
    assert_eq!(
        with(6, &[0xff, 0xff]),
        Err(Flaw::Malformed),
        "65 535 answers without data"
    );
    assert_eq!(with(2, &[0x83]), Err(Flaw::Truncated), "TC: nothing else is read");
    assert_eq!(with(3, &[0x05]), Err(Flaw::Refused));
    assert_eq!(with(3, &[0x02]), Err(Flaw::Servfail));
    assert_eq!(with(3, &[0x01]), Err(Flaw::NoEdns));
    for len in 0..HEADER_LEN {
        assert_eq!(
            decode(&good[..len], 7, &question(Family::V4), &server()),
            Err(Flaw::NotOurs),
            "{len} bytes"
        );
    }
    for len in HEADER_LEN..good.len() {
        assert_eq!(
            decode(&good[..len], 7, &question(Family::V4), &server()),
            Err(Flaw::Malformed),
            "{len} bytes"
        );
    }
    // the last 6 bytes are RDLENGTH and the address
    assert_eq!(
        with(good.len() - 6, &[0, 3]),
        Err(Flaw::Malformed),
        "RDLENGTH too short for A"
    );
    let bare = [0, 7, 0x80, 0x01, 0, 0, 0, 0, 0, 0, 0, 0];
    assert_eq!(
        decode(&bare, 7, &question(Family::V4), &server()),
        Err(Flaw::NoEdns),
        "a bare FORMERR header"
    );
}

#[test]
fn d_22_two_opt_records_are_malformed() {
    let mut packet = answer().to_vec().unwrap();
    let opt = [0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0];
    packet[11] = 1;
    packet.extend(opt);
    assert!(
        decode(&packet, 7, &question(Family::V4), &server()).is_ok(),
        "one is fine"
    );
    packet[11] = 2;
    packet.extend(opt);
    assert_eq!(
        decode(&packet, 7, &question(Family::V4), &server()),
        Err(Flaw::Malformed)
    );
}

#[test]
fn d_21_broken_names_are_malformed_and_quick() {
    let good = answer().to_vec().unwrap();
    // the question is 17 bytes of name, type and class
    let owner = HEADER_LEN + 17 + 4;
    assert_eq!(good[owner] & 0xc0, 0xc0, "the owner is a pointer");
    let here = [0xc0, owner as u8];
    for (why, bytes) in [
        ("a pointer to itself", here),
        ("a pointer forward", [0xc0, 0xff]),
        ("a pointer past the end", [0xff, 0xff]),
        ("label type 0x40", [0x41, 0x61]),
        ("label type 0x80", [0x81, 0x61]),
    ] {
        let mut packet = good.clone();
        packet[owner..owner + 2].copy_from_slice(&bytes);
        let start = std::time::Instant::now();
        assert_eq!(
            decode(&packet, 7, &question(Family::V4), &server()),
            Err(Flaw::Malformed),
            "{why}"
        );
        assert!(start.elapsed().as_millis() < 50, "{why} took {:?}", start.elapsed());
    }
    let mut cut = good[..owner].to_vec();
    cut.push(0xc0);
    assert_eq!(
        decode(&cut, 7, &question(Family::V4), &server()),
        Err(Flaw::Malformed),
        "a pointer cut in half"
    );
}

#[test]
fn d_11_a_ttl_with_the_high_bit_is_zero() {
    for (sent, read_as) in [
        (0, 0),
        (60, 60),
        (i32::MAX as u32, i32::MAX as u32),
        (1 << 31, 0),
        (u32::MAX, 0),
    ] {
        let mut message = answer();
        message.answers[0].ttl = sent;
        assert_eq!(read(&message).unwrap().records[0].ttl, read_as, "{sent}");
    }
}

#[test]
fn d_20_only_answers_of_class_in_and_the_asked_type_count() {
    let mut message = answer();
    let address = message.answers[0].clone();
    let mut chaos = address.clone();
    chaos.dns_class = DNSClass::CH;
    message.answers = vec![chaos];
    message.add_authority(address.clone());
    message.add_additional(address);
    assert_eq!(read(&message).unwrap().records, []);
}

#[test]
fn a_label_with_a_dot_is_not_two_labels() {
    let mut message = answer();
    let odd = Name::from_labels([&b"api.example"[..], b"com"]).unwrap();
    message.answers[0].name = odd.clone();
    message.add_answer(WireRecord::from_rdata(
        wire("api.example.com"),
        60,
        RData::CNAME(CNAME(odd)),
    ));
    let reply = read(&message).unwrap();
    assert_eq!(reply.records.len(), 1, "the odd owner is on no chain");
    assert_eq!(reply.records[0].data, Data::Alias(None));
}

#[test]
fn d_23_a_negative_answer_says_how_long_it_stands() {
    let soa = |ttl, minimum| {
        let mut message = answer();
        message.answers.clear();
        message.metadata.response_code = ResponseCode::NXDomain;
        let soa = SOA::new(wire("ns.example.com"), wire("h.example.com"), 1, 2, 3, 4, minimum);
        message.add_authority(WireRecord::from_rdata(wire("example.com"), ttl, RData::SOA(soa)));
        read(&message).unwrap()
    };
    assert!(soa(60, 86400).nxdomain);
    assert_eq!(soa(60, 86400).soa.unwrap().negative_ttl, 60);
    assert_eq!(soa(86400, 30).soa.unwrap().negative_ttl, 30);
    let covering = soa(60, 60).soa.unwrap();
    assert!(covering.covers(&question(Family::V4).name));
    assert!(!covering.covers(&Fqdn::parse("notexample.com").unwrap()));
}

/// The bytes as the answer to a question with the id that they carry.
fn read_anything(bytes: &[u8]) {
    let id = bytes.first_chunk().map_or(0, |id| u16::from_be_bytes(*id));
    for family in [Family::V4, Family::V6] {
        let _ = decode(bytes, id, &question(family), &server());
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        read_anything(&bytes);
    }

    #[test]
    fn a_damaged_answer_never_panics(at in 0usize..60, value: u8, more in proptest::collection::vec(any::<u8>(), 0..40)) {
        let mut bytes = answer().to_vec().unwrap();
        let at = at % bytes.len();
        bytes[at] = value;
        bytes.extend(more);
        read_anything(&bytes);
    }
}
