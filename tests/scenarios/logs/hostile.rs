//! Whatever clients say: one line a record, bounded, and harmless to a terminal.

use super::*;

#[test]
fn g_01_whatever_is_in_a_name_a_header_or_a_url_each_record_is_one_line_that_parses_back() {
    let long = "x".repeat(64 << 10);
    let hostile = [
        "a\r\nb",
        "a\0b",
        "\u{1b}[2J\u{1b}]0;owned\u{7}",
        "\"},\"Action\":\"Allow\"{\"",
        "a\\",
        "\\u0000",
        "\u{2028}\u{2029}",
        "\u{202e}moc.live",
        "\u{9b}31m",
        "ünïcödé 漢字 😀",
        "</script><script>",
        "${jndi:ldap://x}",
        &long,
    ];
    for text in hostile {
        let row = parsed(&Row::Application(ApplicationRow {
            fqdn: text,
            requested: Some(text.as_bytes()),
            target_url: Some(text),
            sni: Some(text.as_bytes()),
            host_header: Some(text.as_bytes()),
            detail: Some(text),
            ..denied(Reason::NameInvalid)
        }));
        let properties = &row["properties"];
        for shown in [
            &properties["Fqdn"],
            &properties["TargetUrl"],
            &properties["egret"]["detail"],
        ] {
            let shown = shown.as_str().unwrap();
            let cut = text.len() > 512 && shown.ends_with("...(cut, 65536 bytes)");
            assert!(shown == text || cut, "{shown:?}");
        }
        let bytes = text.replace('\\', "\\x5c");
        for key in ["requested", "sni", "host"] {
            let shown = properties["egret"][key].as_str().unwrap();
            assert!(shown == bytes || shown.ends_with("...(cut, 65536 bytes)"), "{shown:?}");
        }
        assert_eq!(properties["Action"], "Deny", "nothing in a name reaches another column");
        parsed(&Row::FlowEnd(FlowEnd { fqdn: text, ..end() }));
    }
    let row = parsed(&Row::Application(ApplicationRow {
        sni: Some(b"\xff\xc0\xaf"),
        ..denied(Reason::SniInvalid)
    }));
    assert_eq!(row["properties"]["egret"]["sni"], "\\xff\\xc0\\xaf");
}

#[test]
fn the_longest_row_is_bounded() {
    let label = "l".repeat(63);
    let longest = name(&[label.as_str(); 3].join("."));
    let wild = "\u{1b}".repeat(64 << 10);
    let link = Link {
        owner: longest.clone(),
        target: longest.clone(),
        zone: wild.as_str().into(),
        server: wild.as_str().into(),
        ttl: u32::MAX,
    };
    let found = AnswerAddress {
        ip: "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff".parse().unwrap(),
        owner: longest.clone(),
        zone: wild.as_str().into(),
        server: wild.as_str().into(),
        ttl: u32::MAX,
    };
    let answer = Answer {
        name: longest,
        links: vec![link; 8],
        addresses: vec![found.clone(); 64],
    };
    let rule = RuleRef {
        policy: wild.as_str().into(),
        group: wild.as_str().into(),
        collection: wild.as_str().into(),
        rule: wild.as_str().into(),
    };
    let row = Row::Application(ApplicationRow {
        fqdn: &wild,
        requested: Some(wild.as_bytes()),
        target_url: Some(&wild),
        sni: Some(wild.as_bytes()),
        host_header: Some(wild.as_bytes()),
        detail: Some(&wild),
        policy_hash: &wild,
        rule: Some(&rule),
        dns: Some(&answer),
        refused_addresses: &[found.ip; 64],
        generation: u64::MAX,
        wide: true,
        public_resolution: true,
        overrides: true,
        ech: Some("outer"),
        ..denied(Reason::LimitSourceTunnels)
    });
    let settings = Azure {
        resource_id: wild.as_str().into(),
        action_reason: wild.as_str().into(),
        ..Azure::default()
    };
    for format in [LogFormat::Azure, LogFormat::AzureDiagnostics, LogFormat::Text] {
        let line = Log::line(format, &settings, &row);
        assert!(line.len() <= LONGEST, "{format:?}: {} bytes", line.len());
    }
}

#[test]
fn g_10_text_for_people_cannot_drive_a_terminal_or_forge_a_line() {
    let hostile = "\u{1b}[2J\r\n2026-01-01T00:00:00.000000Z ALLOW\u{9b}31m\u{202e}\u{7}";
    let row = Row::Application(ApplicationRow {
        fqdn: hostile,
        requested: Some(hostile.as_bytes()),
        sni: Some(b"\x9b\xff"),
        host_header: Some(hostile.as_bytes()),
        detail: Some(hostile),
        ..denied(Reason::NameInvalid)
    });
    let line = Log::line(LogFormat::Text, &Azure::default(), &row);
    assert_eq!(line.matches('\n').count(), 1);
    let shown = line.trim_end_matches('\n');
    assert!(!shown.chars().any(|c| c.is_control() || c == '\u{202e}'), "{shown:?}");
    assert!(shown.contains("\\u{1b}[2J") && shown.contains(" DENY "), "{shown}");
}
