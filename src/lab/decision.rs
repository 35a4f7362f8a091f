//! What came of an attempt, as the lab says it: in tables, in the JSON lines that it prints and in those that it reads back.

/// What was decided. A run through a proxy that writes no rows knows no [`Decision::Audited`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Let through.
    Allow,
    /// Refused.
    Deny,
    /// Let through by audit mode, and recorded as a denial.
    Audited,
}

impl Decision {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::Allow, Self::Deny, Self::Audited];

    /// As it stands in tables and JSON lines.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Allow => "Allow",
            Self::Deny => "Deny",
            Self::Audited => "audit: Deny",
        }
    }

    /// The one of this text.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|decision| decision.text() == text)
    }

    /// Whether the attempt went through.
    pub fn lets_through(self) -> bool {
        self != Self::Deny
    }
}
