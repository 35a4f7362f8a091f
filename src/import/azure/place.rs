//! Where resources are: subscription and resource group, as far as the files say them.

use crate::import::value::{Kind, Value};
use std::sync::Arc;

/// What stands for the subscription (stand-in of `subscription()`, and of exports that were made anonymous).
pub(super) const NO_SUBSCRIPTION: &str = "00000000-0000-0000-0000-000000000000";

/// What stands for the resource group (stand-in of `resourceGroup()`).
pub(super) const NO_GROUP: &str = "resource-group";

/// A part of the place of a resource.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Part {
    /// Wherever the template is deployed.
    Unsaid,
    /// In lower case.
    Known(String),
    /// Azure alone knows it: certainly the same as its clones, by the address that they share. What it reads is in lower case.
    StandIn(usize, String),
    /// Out of a computed id: what is written, or a stand-in that reads so.
    Reads(String),
    /// Not even a stand-in: certainly the same as nothing.
    InDoubt,
}

impl Part {
    /// Of a text; `none` stands for where the template is deployed.
    pub fn of_text(text: &str, none: &str) -> Self {
        let text = text.trim().to_ascii_lowercase();
        match text.is_empty() || text == none {
            true => Self::Unsaid,
            false => Self::Known(text),
        }
    }

    /// Of what a deployment says of where it is.
    pub fn of(value: Option<&Value>, none: &str) -> Self {
        match value.map(|value| &value.kind) {
            None | Some(Kind::Null) => Self::Unsaid,
            Some(Kind::Text(text)) if text.stands_for.is_none() || &*text.text == none => {
                Self::of_text(&text.text, none)
            }
            Some(Kind::Text(text)) => {
                Self::StandIn(Arc::as_ptr(&text.text).addr(), text.text.trim().to_ascii_lowercase())
            }
            Some(_) => Self::InDoubt,
        }
    }

    pub fn is_known(&self) -> bool {
        matches!(self, Self::Known(_))
    }

    /// Whether both may be the same, and whether they are taken for that. What is not said is what is meant, if there is only one.
    pub fn fits(&self, other: &Self) -> Fit {
        match (self, other) {
            (Self::Unsaid, _) | (_, Self::Unsaid) => Fit::Yes,
            (Self::Known(one), Self::Known(other)) if one != other => Fit::No,
            (Self::InDoubt, _) | (_, Self::InDoubt) => Fit::Perhaps,
            (Self::Reads(one), Self::Known(other) | Self::StandIn(_, other)) if one == other => Fit::Yes,
            (Self::Known(one) | Self::StandIn(_, one), Self::Reads(other)) if one == other => Fit::Yes,
            _ if self == other => Fit::Yes,
            _ => Fit::Perhaps,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fit {
    No,
    Perhaps,
    Yes,
}
