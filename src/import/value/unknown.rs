//! [`Unknown`]: why a value is not known.

use super::Place;
use std::sync::Arc;

/// Most characters of a reason: it may be made of others, and is told again of each thing that it is the reason of.
const MOST_WHY: usize = 300;

/// Why a value cannot be known offline, and where that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unknown {
    /// At most [`MOST_WHY`] characters.
    pub why: Arc<str>,
    pub at: Place,
    /// It stands for an element that may not be there at all: `filter` with a condition that is not known.
    pub perhaps: bool,
    /// It is where the template of this number is deployed.
    pub here: Option<u32>,
    /// It stands for what Azure forms without a slash: the id of a subscription, the name of a resource group.
    pub slashless: bool,
}

impl Unknown {
    pub fn new(why: impl Into<Arc<str>>, at: Place) -> Arc<Self> {
        let mut why = why.into();
        if let Some((cut, _)) = why.char_indices().nth(MOST_WHY) {
            why = format!("{}…", &why[..cut]).into();
        }
        let (perhaps, here, slashless) = (false, None, false);
        Arc::new(Self {
            why,
            at,
            perhaps,
            here,
            slashless,
        })
    }

    /// The same reason, of something else than what it was found for.
    pub fn of_another(&self) -> Self {
        Self {
            here: None,
            slashless: false,
            ..self.clone()
        }
    }

    /// What it takes to keep it, in bytes.
    pub fn cost(&self) -> usize {
        self.why.len() + size_of::<Self>()
    }
}
