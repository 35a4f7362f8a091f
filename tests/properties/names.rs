//! Names have one normal form, and what is read prints as it is read.

use egret::policy::{Fqdn, FqdnPattern, Host};
use proptest::{collection::vec, prelude::*};

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn normalising_twice_is_once(text in "[a-zA-Z0-9_.-]{1,40}") {
        if let Ok(name) = Fqdn::parse(&text) {
            prop_assert_eq!(Fqdn::parse(name.as_str()), Ok(name.clone()));
            prop_assert_eq!(Fqdn::parse(&text.to_ascii_uppercase()), Ok(name.clone()));
            prop_assert_eq!(Fqdn::from_config(&text), Ok(name));
        }
    }

    #[test]
    fn a_host_prints_as_it_is_read_and_no_bytes_make_it_panic(bytes in vec(any::<u8>(), 0..300)) {
        if let Ok(host) = Host::parse(&bytes) {
            prop_assert_eq!(Host::parse(host.to_string().as_bytes()), Ok(host));
        }
    }

    #[test]
    fn a_pattern_prints_as_it_is_read(text in "\\*?\\.?[a-zA-Z0-9ü_-]{1,8}(\\.[a-zA-Z0-9-]{1,8}){0,3}\\.?") {
        if let Ok(pattern) = FqdnPattern::parse(&text) {
            prop_assert_eq!(FqdnPattern::parse(&pattern.to_string()), Ok(pattern));
        }
    }
}
