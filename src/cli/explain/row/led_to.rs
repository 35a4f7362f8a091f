//! Where a name led, as a row of egret tells it: `egret.dns` and `egret.refused`.

use super::read::Row;
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
    /// The row was too short for all of them.
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
        let addresses: Vec<IpAddr> = addresses.filter(|ip| !is_never_dialled(*ip)).collect();
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
                .collect(),
            cut: steps.iter().any(|step| step.starts_with("...")),
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
