//! Types of resources: which are worked out, which deploy a template.

use crate::import::{ids::MAX_ID_BYTES, value::Value};

/// A deployment inside a template.
pub(crate) const DEPLOYMENT: &str = "microsoft.resources/deployments";

/// What deploys a template and keeps what it deployed together. It has a scope of its own.
pub(super) const STACK: &str = "microsoft.resources/deploymentstacks";

/// Whether resources of this type, in lower case, deploy a template.
pub(crate) fn deploys(kind: &str) -> bool {
    [DEPLOYMENT, STACK].contains(&kind)
}

/// Types that are worked out, in lower case; their children as well.
const WANTED: [&str; 3] = [
    "microsoft.network/firewallpolicies",
    "microsoft.network/azurefirewalls",
    "microsoft.network/ipgroups",
];

/// Whether resources of this type, in lower case, are worked out.
pub(crate) fn wanted(kind: &str) -> bool {
    let below = |wanted: &str| {
        kind.strip_prefix(wanted)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    WANTED.iter().any(|wanted| below(wanted)) || is_slip(kind)
}

/// A slip of the pen in a type whose resources hold rules: Azure refuses it, and nothing of it is passed over.
fn is_slip(kind: &str) -> bool {
    let is_group = kind.contains("/rulecollectiongroup");
    let is_deployment = [DEPLOYMENT, STACK].iter().any(|known| {
        kind.strip_prefix(known)
            .is_some_and(|rest| rest.starts_with(['@', '/']))
    });
    let is_policy = kind.starts_with("microsoft.network/firewallpolicy");
    is_group || is_deployment || is_policy || kind == "microsoft.network/azurefirewall"
}

/// A type, in lower case. One that is longer than any id is not known.
pub(super) fn kind_of(kind: &Value) -> Option<String> {
    let kind = kind.known_str().filter(|kind| kind.len() <= MAX_ID_BYTES);
    kind.map(|kind| kind.trim().to_ascii_lowercase())
}
