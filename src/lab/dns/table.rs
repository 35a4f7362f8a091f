//! The table of records and misdeeds, and the right answer by it.

use super::{Asked, Behaviour};
use hickory_proto::{
    op::{Message, ResponseCode},
    rr::{Name, RData, Record, RecordType, rdata::SOA},
};
use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
};

/// How long a negative answer stands, in seconds.
const NEGATIVE_TTL: u32 = 30;

/// Links of a chain that are followed at most: more than any resolver follows.
const MAX_CHASE: usize = 32;

/// Names counted apart at most; questions beyond are counted in the total only.
const MAX_NAMES: usize = 100_000;

/// Questions remembered with their details at most: the latest.
const MAX_ASKED: usize = 10_000;

#[derive(Debug, Default)]
pub(super) struct Table {
    pub(super) records: HashMap<String, Vec<(u32, RData)>>,
    pub(super) behaviours: HashMap<String, Behaviour>,
    pub(super) counts: HashMap<String, usize>,
    pub(super) total: usize,
    pub(super) asked: VecDeque<Asked>,
}

impl Table {
    pub(super) fn count(&mut self, asked: Asked) {
        self.total += 1;
        if self.counts.len() < MAX_NAMES || self.counts.contains_key(&asked.name) {
            *self.counts.entry(asked.name.clone()).or_default() += 1;
        }
        if self.asked.len() == MAX_ASKED {
            self.asked.pop_front();
        }
        self.asked.push_back(asked);
    }

    /// Records of a name: its own, else those of the nearest `*.` above it.
    fn records_of(&self, name: &str) -> Option<&Vec<(u32, RData)>> {
        self.records.get(name).or_else(|| {
            let parents = name.match_indices('.').map(|(at, _)| &name[at..]);
            parents
                .filter_map(|parent| self.records.get(&format!("*{parent}")))
                .next()
        })
    }

    /// The right answer: the chain as far as this table knows it, and an SOA if it leads nowhere.
    pub(super) fn answer(&self, question: &Message, name: &str, kind: RecordType) -> Message {
        let mut answer = blank(question);
        let mut end = name.to_owned();
        for _ in 0..MAX_CHASE {
            let Some(records) = self.records_of(&end) else {
                answer.metadata.response_code = ResponseCode::NXDomain;
                break;
            };
            let mut next = None;
            for (ttl, data) in records {
                if data.record_type() == kind || data.record_type() == RecordType::CNAME {
                    answer.add_answer(Record::from_rdata(wire_name(&end), *ttl, data.clone()));
                }
                if let RData::CNAME(target) = data {
                    next = Some(plain(&target.to_ascii()));
                }
            }
            let Some(next) = next else { break };
            end = next;
            if self.records_of(&end).is_none() {
                // what lies beyond this table is for the asker to look up, unless the table denies it
                let Some(Behaviour::Code(code)) = self.behaviours.get(&end) else {
                    return answer;
                };
                answer.metadata.response_code = *code;
                break;
            }
        }
        if !answer.answers.iter().any(|record| record.record_type() == kind) {
            answer.add_authority(soa_over(&end));
        }
        answer
    }
}

/// An answer without records: id, question and flags of a recursive server.
pub(super) fn blank(question: &Message) -> Message {
    let mut answer = Message::response(question.id, question.op_code);
    answer.metadata.recursion_desired = question.recursion_desired;
    answer.metadata.recursion_available = true;
    answer.add_queries(question.queries.iter().cloned());
    answer
}

pub(super) fn lock(table: &Mutex<Table>) -> MutexGuard<'_, Table> {
    table.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Lower case, no trailing dot.
pub(super) fn plain(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}

/// A name of the lab, which is written in code or in a scenario.
pub(super) fn wire_name(text: &str) -> Name {
    Name::from_ascii(format!("{}.", plain(text))).expect("names of the lab are DNS names")
}

/// The SOA of the domain of two labels that holds a name.
fn soa_over(name: &str) -> Record {
    let labels: Vec<&str> = name.split('.').collect();
    let zone = wire_name(&labels[labels.len().saturating_sub(2)..].join("."));
    let soa = SOA::new(zone.clone(), zone.clone(), 1, 3600, 600, 86400, NEGATIVE_TTL);
    Record::from_rdata(zone, NEGATIVE_TTL, RData::SOA(soa))
}
