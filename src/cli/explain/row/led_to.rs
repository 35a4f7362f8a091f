//! Where a name led, as a row of egret tells it: `egret.dns` and `egret.refused`.

use super::read::Row;
use crate::dns::chain::MAX_ADDRESSES;
use crate::policy::is_never_dialled;
use serde_json::Value;
use std::net::IpAddr;

/// The addresses of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedTo {
    /// In the order of the answer, but for those that are dialled for nobody: no rule is asked for them.
    pub addresses: Vec<IpAddr>,
    /// Some of these: they were not dialled, because a rule denies them or because nobody vouched for them.
    pub refused: Vec<IpAddr>,
    /// The row was too short for all of them, or has more than any of egret's.
    pub cut: bool,
}

impl LedTo {
    /// `None`: the name was not looked up, or the row is not egret's.
    pub fn read(row: &Row) -> Option<Self> {
        let ours = &row.columns["egret"];
        let texts = |key: &str| -> Vec<&str> {
            ours[key]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .collect()
        };
        let steps = texts("dns");
        let addresses = steps.iter().filter_map(|step| address(step));
        let mut dialled = addresses.filter(|ip| !is_never_dialled(*ip));
        let addresses: Vec<IpAddr> = dialled.by_ref().take(MAX_ADDRESSES).collect();
        let more = dialled.next().is_some();
        let told = match row.columns["DestinationIp"].as_str() {
            Some(told) if row.category == "AZFWNetworkRule" => told.parse::<IpAddr>().ok(),
            _ => None,
        };
        let refused = texts("refused")
            .into_iter()
            .filter_map(|text| text.parse::<IpAddr>().ok());
        let led = Self {
            // A network rule judges what was vetted.
            refused: refused
                .map(|ip| ip.to_canonical())
                .filter(|ip| told != Some(*ip))
                .take(MAX_ADDRESSES)
                .collect(),
            cut: more || steps.iter().any(|step| step.starts_with("...")),
            addresses,
        };
        (!steps.is_empty()).then_some(led)
    }

    /// Those that were dialled, or might have been.
    pub fn vetted(&self) -> Vec<IpAddr> {
        let kept = self.addresses.iter().filter(|ip| !self.refused.contains(ip));
        kept.copied().collect()
    }
}

/// The address of `a.example A 192.0.2.1 (zone ..)`; an alias has none.
fn address(step: &str) -> Option<IpAddr> {
    let mut words = step.split(' ');
    let kind = words.nth(1)?;
    let address = words.next().filter(|_| matches!(kind, "A" | "AAAA"))?;
    address.parse().ok().map(|ip: IpAddr| ip.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Rules are asked for each: a row with more than any of egret's must not cost more.
    #[test]
    fn no_more_addresses_are_read_than_an_answer_has() {
        let row = |count: usize| {
            let step = |index: usize| {
                format!(
                    "a.example A 198.51.100.{} (zone ., server 10.0.0.4:53, 300 s)",
                    index % 250
                )
            };
            let steps: Vec<_> = (0..count).map(step).collect();
            let columns = json!({ "egret": { "dns": steps, "refused": vec!["10.0.0.1"; count] } });
            let category = "AZFWApplicationRule".to_owned();
            LedTo::read(&Row { category, columns }).unwrap()
        };
        let most = row(MAX_ADDRESSES);
        assert_eq!((most.addresses.len(), most.cut), (MAX_ADDRESSES, false));
        let more = row(20_000);
        assert_eq!(
            (more.addresses.len(), more.refused.len(), more.cut),
            (MAX_ADDRESSES, MAX_ADDRESSES, true)
        );
    }
}
