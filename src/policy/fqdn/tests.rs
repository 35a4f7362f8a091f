use super::*;

fn name(text: &str) -> Fqdn {
    Fqdn::parse(text).unwrap_or_else(|e| panic!("{text}: {e}"))
}

fn host(bytes: impl AsRef<[u8]>) -> Result<Host, HostError> {
    Host::parse(bytes.as_ref())
}

fn pattern(text: &str) -> FqdnPattern {
    FqdnPattern::parse(text).unwrap_or_else(|e| panic!("{text}: {e}"))
}

#[test]
fn c10_address_literals_are_addresses() {
    for (text, ip) in [
        ("203.0.113.5", "203.0.113.5"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("127.0.0.1.", "127.0.0.1"), // one trailing dot is no part of it, as of a name
        ("[::ffff:127.0.0.1]", "127.0.0.1"), // C-15: mapped forms are IPv4
        ("[::ffff:7f00:1]", "127.0.0.1"),
        ("[::127.0.0.1]", "::7f00:1"),
        ("[64:ff9b::7f00:1]", "64:ff9b::7f00:1"),
    ] {
        assert_eq!(host(text), Ok(Host::Address(ip.parse().unwrap())), "{text}");
    }
}

#[test]
fn c11_c12_c13_brackets_zones_and_colons_are_no_authority() {
    for text in [
        "[fe80::1%25eth0]",
        "[fe80::1%eth0]",
        "2001:db8::1",
        "[api.example.com]",
        "[[api.example.com]]",
        "[api.example.com",
        "[203.0.113.5]",
        "[bad.example.com]", // N-15
        "[v1.fe80]",
        "[]",
        "",
        "user:pw@api.example.com",
        "api.example.com@evil.test",
        "api.example.com/",
        r"api.example.com\",
        "api.example.com?x",
        "api.example.com#x",
        "api.example.com:443",
    ] {
        assert_eq!(host(text), Err(HostError::BadAuthority), "{text}");
    }
}

#[test]
fn c14_n22_addresses_in_other_spellings_are_ip_literals() {
    for text in [
        "3405803785",
        "0xcb007109",
        "0XCB007109",
        "0313.0.0161.011",
        "203.113.9",
        "0x7f.1",
        "127.1",
        "203.0.113.256",
        "①②⑦.0.0.1",
        "foo.1",
        "1.2.3.4.5",
        "api.example.0x10",
        "api.example.0x",
    ] {
        assert_eq!(host(text), Err(HostError::IpLiteral), "{text}");
    }
}

#[test]
fn c16_c18_case_and_one_trailing_dot_are_the_same_name() {
    let normal = name("api.example.com");
    for text in ["api.example.com.", "API.eXample.COM", "API.EXAMPLE.COM."] {
        assert_eq!(host(text), Ok(Host::Name(normal.clone())), "{text}");
        assert_eq!(name(text).as_str(), "api.example.com", "{text}");
    }
}

#[test]
fn c17_c19_c23_n07_n10_n12_n13_bad_names() {
    for text in [
        "api.example.com..",
        ".api.example.com",
        "api..example.com",
        ".",
        "..",
        "bücher.example",
        "b%C3%BCcher.example",
        "api.example.com%2eevil.test",
        "api%00.example.com",
        "api.example.com%00",
        "*.openai.example.com",
        "*",
        "-a.openai.example.com",
        "a-.openai.example.com",
        "-",
        "api.example.com\u{200b}",
        "api\u{ad}.example.com",
        "api。example.com",
        "oﬃce.example.com",
        "\u{212a}.example.com",
        "ẞ.example.com",
        "İ.openai.example.com",
        "a,b.example.com",
        "a;b.example.com",
        "\"a\".example.com",
    ] {
        assert_eq!(host(text), Err(HostError::NameInvalid), "{text}");
    }
}

#[test]
fn c22_control_bytes_are_no_authority() {
    for byte in [0x00, 0x09, 0x0a, 0x0b, 0x0d, 0x1b, 0x20, 0x7f, 0xa0, 0xff] {
        let text = [b"api.example.com", &[byte][..], b".evil.test"].concat();
        assert_eq!(host(text), Err(HostError::BadAuthority), "{byte:#x}");
    }
}

#[test]
fn c20_c21_a_labels_are_bytes_on_the_wire_and_converted_in_the_configuration() {
    assert_eq!(
        Fqdn::from_config("bücher.example").unwrap(),
        name("xn--bcher-kva.example")
    );
    assert_eq!(
        Fqdn::from_config("BÜCHER.example.").unwrap(),
        name("xn--bcher-kva.example")
    );
    assert_eq!(
        Fqdn::from_config("straße.example").unwrap(),
        name("xn--strae-oqa.example"),
        "non-transitional"
    );
    assert_eq!(Fqdn::from_config("a\u{200b}.\u{fffd}"), Err(NameFault::Idna));
    assert_eq!(name("XN--BCHER-KVA.example").as_str(), "xn--bcher-kva.example");
    assert_eq!(
        name("xn--a.example").as_str(),
        "xn--a.example",
        "bad punycode is only bytes"
    );
    assert_eq!(Fqdn::parse("xn--"), Err(HostError::NameInvalid), "ends in a hyphen");
    assert_eq!(pattern("*.bücher.example"), pattern("*.xn--bcher-kva.example"));
}

#[test]
fn n08_lengths_at_their_edges() {
    let label = "a".repeat(63);
    let of = |bytes: usize| [&*label, &*label, &*label, &"b".repeat(bytes - 192)].join(".");
    assert!(Fqdn::parse(&format!("{label}.example.com")).is_ok());
    assert_eq!(
        Fqdn::parse(&format!("a{label}.example.com")),
        Err(HostError::NameInvalid)
    );
    assert_eq!(of(253).len(), 253);
    assert!(Fqdn::parse(&of(253)).is_ok());
    assert!(Fqdn::parse(&format!("{}.", of(253))).is_ok());
    assert_eq!(Fqdn::from_config(&of(254)), Err(NameFault::TooLong));
    assert_eq!(Fqdn::from_config(&of(255)), Err(NameFault::TooLong));
    let many = |labels: usize| vec!["a"; labels].join(".");
    assert_eq!(name(&many(127)).labels().count(), 127);
    assert_eq!(Fqdn::parse(&many(128)), Err(HostError::NameInvalid));
}

#[test]
fn n09_n20_n21_underscores_and_special_names_are_names() {
    for text in [
        "_dmarc.openai.example.com",
        "a_b.openai.example.com",
        "localhost",
        "wpad",
        "x.onion",
        "x.alt",
    ] {
        assert_eq!(host(text), Ok(Host::Name(name(text))), "{text}");
    }
}

#[test]
fn n01_to_n05_n11_what_stars_admit() {
    for (text, host, admitted, why) in [
        (
            "*.openai.example.com",
            "evilopenai.example.com",
            false,
            "N-01: label border",
        ),
        (
            "*openai.example.com",
            "evilopenai.example.com",
            true,
            "N-01: Azure's star has no border",
        ),
        (
            "*openai.example.com",
            "openai.example.com",
            true,
            "a star may stand for nothing",
        ),
        ("*.openai.example.com", "openai.example.com.evil.test", false, "N-02"),
        ("*openai.example.com", "openai.example.com.evil.test", false, "N-02"),
        (
            "*.openai.example.com",
            "openai.example.com",
            false,
            "N-03: not the apex",
        ),
        ("*.openai.example.com", "a.openai.example.com", true, "N-04"),
        ("*.openai.example.com", "a.b.c.d.openai.example.com", true, "N-04"),
        ("*.blob.example.net", "a.x.blob.example.net", true, "N-05"),
        ("*.blob.example.net", "blob.example.net", false, "N-05"),
        (
            "*.openai.example.com",
            "x.xn--penai-7ve.example.com",
            false,
            "N-11: homograph",
        ),
        ("api.example.com", "api.example.com", true, "exact"),
        (
            "api.example.com",
            "x.api.example.com",
            false,
            "exact admits nothing below",
        ),
        (
            "API.Example.COM.",
            "api.example.com",
            true,
            "patterns are normalised too",
        ),
        ("*", "anything.test", true, "everything"),
        (
            "*-a.example.com",
            "b-a.example.com",
            true,
            "a star may end inside a label",
        ),
    ] {
        assert_eq!(pattern(text).matches(&name(host)), admitted, "{text} {host}: {why}");
    }
}

#[test]
fn n06_n18_patterns_that_are_refused() {
    use {NameFault as F, PatternError as E};
    for (text, error) in [
        ("api.*.example.com", E::Star),
        ("www.example.*", E::Star),
        ("a*b.example.com", E::Star),
        ("*.*", E::Star),
        ("**.example.com", E::Star),
        (".", E::Name(F::Empty)),
        ("", E::Name(F::Empty)),
        ("*.", E::Name(F::Empty)),
        ("*..com", E::Name(F::EmptyLabel)),
        ("\u{feff}api.example.com\r", E::Name(F::Character('\r'))),
        ("api.example.com ", E::Name(F::Character(' '))),
        ("https://api.example.com", E::Name(F::Character(':'))),
        ("*ücher.example", E::StarBeforeUnicode),
        ("203.0.113.5", E::Name(F::EndsInNumber)),
        ("*.1", E::Name(F::EndsInNumber)),
        ("*-.example.com", E::Name(F::Hyphen)),
    ] {
        assert_eq!(FqdnPattern::parse(text), Err(error), "{text:?}");
    }
}

#[test]
fn n06_patterns_that_need_allow_wide() {
    for text in ["*", "*.com", "*.co.uk", "*com", "*o.uk", "*co.uk"] {
        assert!(pattern(text).needs_allow_wide(), "{text}");
    }
    for text in [
        "com",
        "*.contoso.com",
        "*contoso.com",
        "*.contoso.co.uk",
        "contoso.co.uk",
    ] {
        assert!(!pattern(text).needs_allow_wide(), "{text}");
    }
}

#[test]
fn names_know_what_they_lie_in() {
    assert!(name("x.priv.example").is_below_or_same(&name("priv.example")));
    assert!(name("priv.example").is_below_or_same(&name("priv.example")));
    assert!(
        !name("xpriv.example").is_below_or_same(&name("priv.example")),
        "D-28: label border"
    );
    assert!(!name("example").is_below_or_same(&name("priv.example")));
    assert_eq!(name("a.b.c").parent(), Some(name("b.c")));
    assert_eq!(name("c").parent(), None);
}

#[test]
fn patterns_and_hosts_print_as_they_are_read() {
    for text in ["api.example.com", "*.example.com", "*example.com", "*"] {
        assert_eq!(pattern(text).to_string(), text);
    }
    for text in ["api.example.com", "203.0.113.5", "[2001:db8::1]"] {
        assert_eq!(host(text).unwrap().to_string(), text);
    }
    assert_eq!(format!("{:>8}|", name("a.b")), "     a.b|");
}

/// The table of Azure's page row by row, as far as it speaks of target FQDNs of application rules (Azure Firewall FAQ, "How do
/// wildcards work in target URLs and target FQDNs in application rules?"). Of the star alone Microsoft's own templates tell.
#[test]
fn every_row_of_azures_table_of_target_fqdns_holds() {
    let rows: [(&str, &[&str], &[&str]); 4] = [
        (
            "www.contoso.com",
            &["www.contoso.com"],
            &["contoso.com", "a.www.contoso.com", "www.contoso.org"],
        ),
        (
            "*.contoso.com",
            &["any.contoso.com", "sub1.any.contoso.com"],
            &["contoso.com", "anycontoso.com"],
        ),
        (
            "*contoso.com",
            &["contoso.com", "example.anycontoso.com", "th3re4lcontoso.com"],
            &["contoso.com.evil.test"],
        ),
        ("*", &["contoso.com", "a.b.c.test"], &[]),
    ];
    for (text, matched, others) in rows {
        for other in matched {
            assert!(pattern(text).matches(&name(other)), "{text} and {other}");
        }
        for other in others {
            assert!(!pattern(text).matches(&name(other)), "{text} and {other}");
        }
    }
    for refused in ["www.contoso.*", "*.contoso.*"] {
        assert!(FqdnPattern::parse(refused).is_err(), "{refused} is not supported");
    }
}
