//! [`Places`]: what the files say of where things are.

use super::identity::{Identity, place_of};
use crate::import::{
    arm::Resource,
    ids::{Part, Same, Word},
};
use std::collections::{HashMap, HashSet};

const NAMED: &str = "one is where the template is deployed, the other in a resource group or subscription that a deployment of the \
                     template names";

const BOTH: &str = "the template speaks of one of this name with a resource group or subscription and of one without";

const SEVERAL: &str = "the files say several resource groups or subscriptions for this name";

/// Places that the files say: subscriptions and resource groups. Where a template is deployed is the place that they say for a thing
/// of its name, unless they say several, or its own deployments name that one: then Azure alone knows.
#[derive(Clone, Debug, Default)]
pub(super) struct Places {
    mentions: HashMap<Vec<Word>, Mentions>,
    /// What the deployments of a template name, by its number: whoever says where a thing goes means another place than where the
    /// template is deployed, or that one by chance.
    named: HashMap<u32, [HashSet<Word>; 2]>,
    /// Of which names a template has, or refers to, one where it is deployed and refers to one of a place that it says: they are two, or
    /// one by chance.
    both: HashMap<Vec<Word>, [bool; 2]>,
}

/// The places that the files say for things of one name.
#[derive(Clone, Debug)]
struct Mentions {
    first: [Part; 2],
    /// They say another too.
    several: [bool; 2],
}

impl Places {
    /// What the deployments of these resources name.
    pub fn named(resources: &[&Resource]) -> Self {
        let mut places = Self::default();
        for target in resources.iter().map(|resource| &resource.target) {
            for (index, part) in place_of(target).into_iter().enumerate() {
                if let Part::Said(word) = part
                    && word.is_known()
                {
                    places.named.entry(target.template).or_default()[index].insert(word);
                }
            }
        }
        places
    }

    /// With what these say too.
    pub fn mentioned<'i>(mut self, ids: impl IntoIterator<Item = &'i Identity>) -> Self {
        ids.into_iter().for_each(|id| self.mention(id));
        self
    }

    /// With what references say, each of the template of this number.
    pub fn referred(mut self, references: impl IntoIterator<Item = (u32, Identity)>) -> Self {
        let mut ways: HashMap<(u32, Vec<Word>), [[bool; 2]; 2]> = HashMap::new();
        for (template, id) in references {
            let way = ways.entry((template, id.names().to_vec())).or_default();
            for (part, [here, said]) in id.parts().into_iter().zip(way) {
                *here |= matches!(part, Part::Here(_));
                *said |= part.is_known();
            }
        }
        for ((_, names), way) in ways {
            self.two(names, way.map(|[here, said]| here && said));
        }
        self
    }

    /// With what is only referred to (`existing`): if it says where it is, it is another than those of `others` that its template has, or
    /// means, where it is deployed. Each comes with the number of its template.
    pub fn existing(
        mut self,
        existing: impl IntoIterator<Item = (u32, Identity)>,
        others: impl IntoIterator<Item = (u32, Identity)>,
    ) -> Self {
        let mut said: HashMap<(u32, Vec<Word>), [bool; 2]> = HashMap::new();
        for (template, id) in existing {
            self.mention(&id);
            let known = said.entry((template, id.names().to_vec())).or_default();
            let parts = id.parts().into_iter().zip(known);
            parts.for_each(|(part, known)| *known |= part.is_known());
        }
        said.retain(|_, said| *said != [false; 2]);
        let others = if said.is_empty() { None } else { Some(others) };
        for (template, id) in others.into_iter().flatten() {
            let key = (template, id.names().to_vec());
            if let Some([subscription, group]) = said.get(&key) {
                let [in_subscription, in_group] = id.parts().map(|part| matches!(part, Part::Here(_)));
                self.two(key.1, [*subscription && in_subscription, *group && in_group]);
            }
        }
        self
    }

    /// Keeps of which parts of the place of this name there are two, or one by chance.
    fn two(&mut self, names: Vec<Word>, both: [bool; 2]) {
        if both != [false; 2] {
            let known = self.both.entry(names).or_default();
            known.iter_mut().zip(both).for_each(|(known, both)| *known |= both);
        }
    }

    /// Takes note of a place that the files say, be it in a reference.
    fn mention(&mut self, id: &Identity) {
        let parts = id.parts();
        if id.names().is_empty() || !parts.iter().any(|part| part.is_known()) {
            return;
        }
        let mentions = self.mentions.entry(id.names().to_vec()).or_insert_with(|| Mentions {
            first: parts.map(Part::clone),
            several: [false; 2],
        });
        for ((first, several), part) in mentions.first.iter_mut().zip(&mut mentions.several).zip(parts) {
            *several |= first.same(part) == Same::No;
            if !first.is_known() {
                *first = part.clone();
            }
        }
    }

    /// Why of two, of which nothing else tells that they are not one, one may be somewhere else: it is where its template is
    /// deployed.
    pub fn why_open(&self, one: &Identity, other: &Identity) -> Option<&'static str> {
        let mentions = self.mentions.get(other.names());
        let several = mentions.map_or([false; 2], |mentions| mentions.several);
        let both = self.both.get(other.names()).copied().unwrap_or_default();
        let mut parts = one.parts().into_iter().zip(other.parts()).zip(several).enumerate();
        parts.find_map(|(index, ((one, other), several))| {
            let (template, word) = match (one, other) {
                (Part::Here(template), Part::Said(word)) | (Part::Said(word), Part::Here(template)) => (template, word),
                _ => return None,
            };
            let named = self.named.get(template);
            match word.is_known() {
                true if named.is_some_and(|named| named[index].contains(word)) => Some(NAMED),
                true if both[index] => Some(BOTH),
                true if several => Some(SEVERAL),
                _ => None,
            }
        })
    }
}
