//! A line of a log: found without reading the file into memory, and brought into the newer form.

use super::sentence;
use crate::config::problem::printable;
use anyhow::{Context, anyhow, bail};
use serde_json::Value;
use std::{
    fs::File,
    io::{BufRead, BufReader},
};

/// Longest row in bytes. egret's have at most 8 KiB; an event of Azure Event Hubs has at most 1 MiB.
const MAX_ROW: u64 = 1 << 20;

/// A row: the table it belongs to, and its columns.
pub struct Row {
    /// `AZFWApplicationRule`
    pub category: String,
    /// As in the table of this name.
    pub columns: Value,
}

impl Row {
    /// The row at `FILE:LINE`, lines from 1. An older sentence is taken apart into columns.
    pub fn at(place: &str) -> anyhow::Result<Self> {
        let numbered = place
            .rsplit_once(':')
            .and_then(|(file, line)| Some((file, line.parse::<usize>().ok()?)));
        let (file, number) = numbered
            .filter(|(_, number)| *number > 0)
            .context("`--row` wants FILE:LINE, lines from 1")?;
        let open = File::open(file)?;
        if !open.metadata()?.is_file() {
            bail!("{} is not a regular file", printable(file));
        }
        Self::parse(&line(BufReader::new(open), number)?)
    }

    /// A line. Some exports write `properties` as text in the text; Event Hubs put rows into `records`; Log Analytics returns the
    /// columns themselves, with the name of their table as `Type`, and older rows as `AzureDiagnostics` with `Category`,
    /// `OperationName` and `msg_s`.
    pub fn parse(line: &[u8]) -> anyhow::Result<Self> {
        let line = line.strip_prefix("\u{feff}".as_bytes()).unwrap_or(line);
        let row = alone(serde_json::from_slice(line).context("it is no row in JSON")?)?;
        let text = |keys: [&str; 2]| keys.iter().find_map(|key| row[key].as_str());
        let category = text(["category", "Category"])
            .or(row["Type"].as_str())
            .unwrap_or_default();
        let columns = match &row["properties"] {
            Value::Null if row["Type"].is_string() => row.clone(),
            Value::String(text) => serde_json::from_str(text).context("`properties` is text, but no JSON")?,
            other => other.clone(),
        };
        if !columns.is_object() {
            bail!(
                "the row has no `properties`, and no `Type` beside columns: take it as Azure's diagnostic settings write it, or as Log \
                 Analytics returns it"
            );
        }
        if !category.starts_with("AzureFirewall") {
            return Ok(Self {
                category: category.to_owned(),
                columns,
            });
        }
        let operation = text(["operationName", "OperationName"]).unwrap_or_default();
        let category = sentence::category(operation)
            .ok_or_else(|| anyhow!("a row of `{}` tells of no decision of rules", printable(operation)))?;
        let msg = columns["msg"].as_str().or(columns["msg_s"].as_str());
        let msg = msg.context("the sentence is missing: `properties.msg`, in Log Analytics `msg_s`")?;
        let mut taken = sentence::columns(msg).context("`msg` is no sentence of Azure Firewall's")?;
        taken.insert("egret".into(), columns["egret"].clone());
        Ok(Self {
            category: category.to_owned(),
            columns: Value::Object(taken),
        })
    }
}

/// The row itself, out of `records` if it is the only one there.
fn alone(mut line: Value) -> anyhow::Result<Value> {
    let Some(records) = line.get_mut("records").and_then(Value::as_array_mut) else {
        return Ok(line);
    };
    match (records.pop(), records.len()) {
        (Some(row), 0) => Ok(row),
        (None, _) => bail!("`records` is empty"),
        (_, more) => bail!(
            "the line has {} rows in `records`: write each on a line of its own",
            more + 1
        ),
    }
}

/// One line; what stands before it is passed over and not kept.
fn line(mut reader: impl BufRead, number: usize) -> anyhow::Result<Vec<u8>> {
    for _ in 1..number {
        if reader.skip_until(b'\n')? == 0 {
            break;
        }
    }
    let mut line = Vec::new();
    reader.take(MAX_ROW + 1).read_until(b'\n', &mut line)?;
    if line.len() as u64 > MAX_ROW {
        bail!("the line is longer than 1 MiB");
    }
    if line.trim_ascii().is_empty() {
        bail!("there is no such line, or it is empty");
    }
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_of_log_analytics_has_its_columns_at_the_top_and_its_table_as_type() {
        let flat = br#"{"TimeGenerated":"2026-01-01T00:00:00Z","Type":"AZFWApplicationRule","Fqdn":"a.example","Action":"Deny"}"#;
        let row = Row::parse(flat).expect("a row");
        assert_eq!(
            (row.category.as_str(), &row.columns["Fqdn"]),
            ("AZFWApplicationRule", &"a.example".into())
        );
        let neither = Row::parse(br#"{"Fqdn":"a.example"}"#).err().expect("no row");
        assert!(neither.to_string().contains("take it as"), "{neither}");
    }

    #[test]
    fn a_line_far_into_a_large_file_is_found_and_a_line_without_an_end_is_not_read() {
        let text = format!("{}\nrow\n\n", "x".repeat(3 << 20));
        let at = |number| line(text.as_bytes(), number);
        assert_eq!(at(2).expect("a line"), b"row\n");
        assert!(at(1).expect_err("too long").to_string().contains("longer than 1 MiB"));
        for number in [3, 4, 5] {
            assert!(
                at(number)
                    .expect_err("nothing there")
                    .to_string()
                    .contains("no such line")
            );
        }
    }
}
