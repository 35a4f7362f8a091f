use super::*;

#[test]
fn targets_are_taken_apart_like_those_of_clients() {
    let cases = [
        ("api.example.com:443", None, "api.example.com", Some(443)),
        ("api.example.com", None, "api.example.com", Some(443)),
        (
            "https://api.example.com/v1?x=1",
            Some(Protocol::Https),
            "api.example.com",
            Some(443),
        ),
        (
            "HTTP://api.example.com:8080/",
            Some(Protocol::Http),
            "api.example.com",
            Some(8080),
        ),
        (
            "http://api.example.com",
            Some(Protocol::Http),
            "api.example.com",
            Some(80),
        ),
        ("[2001:db8::1]:443", None, "[2001:db8::1]", Some(443)),
        ("[2001:db8::1]", None, "[2001:db8::1]", Some(443)),
        ("api.example.com:0", None, "api.example.com", None),
        ("api.example.com:", None, "api.example.com", None),
        ("user@api.example.com:443", None, "user@api.example.com", Some(443)),
    ];
    for (text, protocol, host, port) in cases {
        assert_eq!(
            Target::read(text),
            Target {
                protocol,
                host: host.into(),
                port
            },
            "{text}"
        );
    }
}
