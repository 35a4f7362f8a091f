//! [`Identity`]: what is known of where a resource is and what it is called. Templates leave
//! subscription and resource group to the deployment, exports write them out, names may be stand-ins; none of it is thrown away.
//! What is not known is the same as nothing for certain, and different from nothing for certain.

use crate::import::{
    arm::{Resource, Target},
    ids::{Id, MAX_ID_BYTES, Part, Same, Word, is_too_long, same_names, words},
    text::Text,
    value::Kind,
};
/// What tells one resource from another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    id: Id,
    /// The names as they read, each with its parents' before it.
    shown: Option<String>,
}

/// The full type of a resource id, in lower case; `None` if the text is none.
pub(super) fn kind_of_id(id: &str) -> Option<String> {
    Id::of(&Text::known(id)).kind
}

/// Where a deployment puts things: subscription and resource group.
pub(super) fn place_of(target: &Target) -> [Part; 2] {
    let said = [&target.subscription, &target.resource_group];
    said.map(|said| Part::of_value(said.as_ref(), target.template))
}

impl Identity {
    /// Of a resource: from its id if it was printed with one, else from its name and where it is deployed.
    pub fn of(resource: &Resource) -> Self {
        let printed = (!resource.in_template).then(|| Self::written(resource).next());
        printed.flatten().unwrap_or_else(|| Self::deployed(resource))
    }

    /// Another id that a template writes in a resource: a template deploys by type and name, so that it is the id of something else.
    pub fn contradicted(resource: &Resource) -> Option<Self> {
        let deployed = Self::deployed(resource);
        let mut written = Self::written(resource).filter(|_| resource.in_template);
        written.find(|id| id.same(&deployed) == Same::No)
    }

    /// The ids of its type that a resource says itself. PowerShell has a group's in `Properties`.
    fn written(resource: &Resource) -> impl Iterator<Item = Self> {
        let body = &resource.body;
        let inner = body.get("properties").and_then(|properties| properties.get("id"));
        let ids = [body.get("id"), inner].into_iter().flatten();
        let ids = ids.filter_map(|id| match &id.kind {
            Kind::Text(id) => Some(Self::meant_by(id)),
            _ => None,
        });
        ids.filter(|id| id.id.kind.as_ref() == Some(&resource.kind))
    }

    /// From its name and where it is deployed.
    fn deployed(resource: &Resource) -> Self {
        let names = match &resource.name.kind {
            Kind::Text(name) => words(name),
            _ => Vec::new(),
        };
        let shown = resource.name.as_str().map(|name| name.trim().trim_matches('/'));
        let [subscription, group] = place_of(&resource.target);
        Self {
            id: Id {
                subscription,
                group,
                kind: Some(resource.kind.clone()),
                names,
            },
            shown: shown
                .filter(|name| !name.is_empty() && name.len() <= MAX_ID_BYTES)
                .map(str::to_owned),
        }
    }

    /// What an id, or a name alone, refers to.
    pub fn referred(id: &str) -> Self {
        Self::meant_by(&Text::known(id))
    }

    /// What a reference means, which may be computed.
    pub fn meant_by(text: &Text) -> Self {
        let id = Id::of(text);
        if is_too_long(text) {
            return Self { id, shown: None };
        }
        let parts: Vec<&str> = text.text.trim().split('/').filter(|part| !part.is_empty()).collect();
        let at = parts.iter().position(|part| part.eq_ignore_ascii_case("providers"));
        let shown = match at {
            Some(at) if id.kind.is_some() => parts
                .iter()
                .skip(at + 3)
                .step_by(2)
                .copied()
                .collect::<Vec<_>>()
                .join("/"),
            _ => parts.last().copied().unwrap_or_default().to_owned(),
        };
        Self {
            id,
            shown: (!shown.is_empty()).then_some(shown),
        }
    }

    /// Of the resource that it is a child of. Its name is not known if this one was printed without it.
    pub fn parent(&self) -> Self {
        let parent = self.shown.as_deref().and_then(|name| name.rsplit_once('/'));
        // What stands before a policy's name is nothing of Azure's.
        let parent = parent.map(|(parent, _)| parent.rsplit('/').next().unwrap_or(parent).to_owned());
        let kind = self.id.kind.as_deref().and_then(|kind| kind.rsplit_once('/'));
        let above = self.id.names.len().checked_sub(2).and_then(|at| self.id.names.get(at));
        Self {
            id: Id {
                names: above.cloned().into_iter().collect(),
                kind: kind.map(|(kind, _)| kind.to_owned()),
                ..self.id.clone()
            },
            shown: parent.filter(|name| !name.is_empty()),
        }
    }

    /// The names as they read, each with its parents' before it.
    pub fn shown(&self) -> Option<&str> {
        self.shown.as_deref()
    }

    /// The last part of the name, as it reads.
    pub fn last(&self) -> Option<&str> {
        self.shown.as_deref().and_then(|name| name.rsplit('/').next())
    }

    /// The last part of the name; nothing is known of it if that is not.
    pub fn word(&self) -> Word {
        self.id.names.last().cloned().unwrap_or(Word::InDoubt)
    }

    /// The type that an id says.
    pub fn kind(&self) -> Option<&str> {
        self.id.kind.as_deref()
    }

    /// The name is the one that Azure has, and no stand-in.
    pub fn has_known_name(&self) -> bool {
        !self.id.names.is_empty() && self.id.names.iter().all(Word::is_known)
    }

    /// Azure alone knows something of its name or of its place.
    pub fn is_in_doubt(&self) -> bool {
        let said = |part: &&Part| matches!(part, Part::Said(word) if !word.is_known());
        !self.has_known_name() || self.parts().iter().any(said)
    }

    /// It was printed without a name, or its name is unknown as a whole.
    pub fn is_nameless(&self) -> bool {
        self.id.names.is_empty()
    }

    /// How many of the parts of its place are known.
    pub fn known_parts(&self) -> usize {
        usize::from(self.id.subscription.is_known()) + usize::from(self.id.group.is_known())
    }

    pub fn same_place(&self, other: &Self) -> Same {
        self.id.same_place(&other.id)
    }

    pub fn same_name(&self, other: &Self) -> Same {
        same_names(&self.id.names, &other.id.names)
    }

    pub fn same(&self, other: &Self) -> Same {
        self.same_name(other).min(self.same_place(other))
    }

    /// Whether another deployment of one file may make this too: a name or a place of one of them is not known. One that is put into
    /// a resource group that is known is another than one of a name that is not, where the template is deployed.
    pub fn may_be_again(&self, other: &Self) -> bool {
        let elsewhere = |(one, other): (&Part, &Part)| match (one, other) {
            (Part::Here(_), other) | (other, Part::Here(_)) => other.is_known(),
            _ => false,
        };
        let mut parts = self.parts().into_iter().zip(other.parts());
        match (self.same_name(other), self.same_place(other)) {
            (Same::No, _) | (_, Same::No) | (Same::Yes, Same::Yes) => false,
            (_, Same::InDoubt) => true,
            (Same::InDoubt, Same::Yes) => !parts.any(elsewhere),
        }
    }

    /// What it takes to compare it, in steps.
    pub fn weight(&self) -> usize {
        let place = self.parts().into_iter().map(|part| match part {
            Part::Said(word) => word.weight(),
            Part::Anywhere | Part::Here(_) => 0,
        });
        place.chain(self.id.names.iter().map(Word::weight)).sum()
    }

    /// Names, each with its parents' before it.
    pub fn names(&self) -> &[Word] {
        &self.id.names
    }

    /// Subscription and resource group.
    pub fn parts(&self) -> [&Part; 2] {
        [&self.id.subscription, &self.id.group]
    }

    /// Names and place, by which others that are the same for certain are found.
    pub fn exact(&self) -> Exact {
        (
            self.id.names.clone(),
            self.id.subscription.clone(),
            self.id.group.clone(),
        )
    }
}

/// Names, subscription, resource group.
pub(super) type Exact = (Vec<Word>, Part, Part);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::azure::register::{Meant, Register};

    fn at(group: &str, name: &str) -> Identity {
        Identity::referred(&format!(
            "/subscriptions/s/resourceGroups/{group}/providers/Microsoft.Network/ipGroups/{name}"
        ))
    }

    fn names(id: &str) -> Vec<String> {
        let shown = |word: Word| match word {
            Word::Known(known) => known,
            other => format!("{other:?}"),
        };
        Identity::referred(id).id.names.into_iter().map(shown).collect()
    }

    #[test]
    fn an_id_is_read_with_its_place_and_a_name_stands_for_itself() {
        let id =
            "/subscriptions/S/resourceGroups/rg/providers/Microsoft.Network/firewallPolicies/P/ruleCollectionGroups/g/";
        let group = Identity::referred(id);
        let said = |text: &str| Part::Said(Word::Known(text.into()));
        assert_eq!((&group.id.subscription, &group.id.group), (&said("s"), &said("rg")));
        assert_eq!((group.last(), names(id)), (Some("g"), vec!["p".to_owned(), "g".into()]));
        assert_eq!(group.parent().last(), Some("P"));
        assert_eq!(
            kind_of_id(id).as_deref(),
            Some("microsoft.network/firewallpolicies/rulecollectiongroups")
        );
        assert_eq!(names("spokes"), ["spokes"]);
    }

    #[test]
    fn what_is_no_whole_id_refers_to_nothing() {
        let one = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/ipGroups/a";
        for text in [
            &format!("{one} {one}"),
            &format!("{one},{one}"),
            "a b",
            "a, b",
            "x/y/z/a/ipGroups/b",
            "/resourceGroups/g/providers/Microsoft.Network/ipGroups/b",
            "/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/ipGroups",
        ] {
            assert_eq!(names(text), [""; 0], "{text}");
            let mut register = Register::default();
            register.add(&at("g", "b"), 0);
            assert_ne!(register.meant(&Identity::referred(text)), Meant::One(0), "{text}");
        }
    }
}
