//! References from a policy to its parent, and from a firewall to its policy.

use super::{groups::unknown, identity::Identity, shapes::POLICY};
use crate::import::{
    ids::{MAX_ID_BYTES, is_too_long},
    value::{Kind, Unknown, Value},
};
use std::sync::Arc;

/// A reference to another policy: a parent, or the one that a firewall uses.
#[derive(Clone, Debug)]
pub(super) enum Base {
    None,
    Named(Identity),
    Unknown(Arc<Unknown>),
}

/// `{ id }`, or the id alone. Whatever else is written there may be a parent.
pub(super) fn base(value: &Value) -> Base {
    let id = match value.as_object() {
        Some(object) if object.entries.iter().all(|(key, _)| key.eq_ignore_ascii_case("id")) => match value.get("id") {
            Some(id) => id,
            None => return Base::None,
        },
        Some(_) => value.get("id").unwrap_or(value),
        None => value,
    };
    match &id.kind {
        Kind::Text(text) if text.text.trim().is_empty() && text.stands_for.is_none() => Base::None,
        Kind::Text(text) if !text.text.trim_matches(['/', ' ']).is_empty() => {
            if is_too_long(text) {
                let why = format!("its id is longer than {MAX_ID_BYTES} bytes or has too many parts");
                return Base::Unknown(unknown(why, id.at));
            }
            let named = Identity::meant_by(text);
            match named.kind() {
                Some(kind) if kind != POLICY => Base::Unknown(unknown(format!("`{kind}` is no policy"), id.at)),
                _ => Base::Named(named),
            }
        }
        Kind::Unknown(unknown) => Base::Unknown(unknown.clone()),
        _ => Base::Unknown(unknown(format!("its id is {}", id.type_name()), id.at)),
    }
}
