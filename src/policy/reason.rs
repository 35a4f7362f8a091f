//! Why an attempt was decided as it was: one closed set, one table (`table.rs`).
//!
//! The table is what `docs/reasons.md`, the answers to clients, the rows and the metrics are made of.

mod table;

use table::ROWS;
pub use table::Reason;

/// Who can mend what a reason reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Actor {
    /// Nobody: the decision is the wanted one.
    Nobody,
    /// Whoever runs the workload.
    Workload,
    /// Whoever writes the policy.
    PolicyAuthor,
    /// Whoever runs DNS and the private endpoints.
    DnsOwner,
    /// Whoever runs the destination.
    Upstream,
    /// Whoever runs egret.
    Operator,
}

/// One row of the table of reasons.
#[derive(Clone, Copy, Debug)]
pub struct ReasonRow {
    /// The reason itself.
    pub reason: Reason,
    /// Its stable text: the name of the variant.
    pub name: &'static str,
    /// HTTP status of the answer when no 200 has been sent (RFC 9110 section 15).
    pub status: u16,
    /// `error` parameter of `Proxy-Status` (RFC 9209 section 2.3).
    pub proxy_error: &'static str,
    /// What it means, in a sentence.
    pub meaning: &'static str,
    /// Who must act.
    pub actor: Actor,
    /// What to do.
    pub remedy: &'static str,
}

impl Reason {
    /// Its row of the table.
    pub fn row(self) -> &'static ReasonRow {
        &ROWS[self as usize]
    }

    /// The stable text in rows, answers and metrics.
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// HTTP status of the answer when no 200 has been sent.
    pub fn status(self) -> u16 {
        self.row().status
    }

    /// Trouble with a destination that was let through, or a client that did not wait for it: no denial of anybody's.
    pub fn is_trouble(self) -> bool {
        matches!(
            self,
            Self::UpstreamRefused
                | Self::UpstreamUnreachable
                | Self::UpstreamTimeout
                | Self::UpstreamClosed
                | Self::UpstreamInvalid
                | Self::ClientClosed
        )
    }

    /// What Azure's column `ActionReason` holds: empty when a rule decided, the two sentences seen in real records where
    /// they apply, else our own name (Azure Firewall has no such case).
    pub fn azure_action_reason(self) -> &'static str {
        match self {
            Self::RuleMatched => "",
            Self::NoRuleMatched => "No rule matched. Proceeding with default action.",
            Self::SniMissing => "SNI TLS extension was missing.",
            other => other.name(),
        }
    }
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Error types of RFC 9209 section 2.3 that we use.
    const PROXY_ERRORS: [&str; 15] = [
        "dns_timeout",
        "dns_error",
        "destination_unavailable",
        "destination_ip_prohibited",
        "destination_ip_unroutable",
        "connection_refused",
        "connection_terminated",
        "connection_timeout",
        "connection_limit_reached",
        "http_request_error",
        "http_request_denied",
        "http_protocol_error",
        "proxy_internal_response",
        "proxy_internal_error",
        "proxy_loop_detected",
    ];

    #[test]
    fn every_row_stands_at_its_variant_and_is_named_after_it() {
        for (i, reason) in Reason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, i);
            assert_eq!(reason.name(), format!("{reason:?}"));
            assert_eq!(reason.to_string(), reason.name());
        }
    }

    #[test]
    fn every_row_is_filled_in_and_fits_a_reason_phrase() {
        for reason in Reason::ALL {
            let row = reason.row();
            assert!(PROXY_ERRORS.contains(&row.proxy_error), "{reason}: {}", row.proxy_error);
            assert!(row.meaning.ends_with('.') && row.remedy.ends_with('.'), "{reason}");
            assert!(row.meaning.is_ascii() && row.remedy.is_ascii(), "{reason}");
            assert!(
                matches!(row.status, 400 | 403 | 408 | 431 | 500 | 502..=504),
                "{reason}: {}",
                row.status
            );
        }
    }

    #[test]
    fn azure_columns_get_azures_words() {
        assert_eq!(Reason::RuleMatched.azure_action_reason(), "");
        assert_eq!(
            Reason::NoRuleMatched.azure_action_reason(),
            "No rule matched. Proceeding with default action."
        );
        assert_eq!(Reason::AddressDenied.azure_action_reason(), "AddressDenied");
    }
}
