//! egret, the floor, nothing at all, and other proxies under the same load: `benches/compare/run` builds, fetches the peers
//! and starts this.
//!
//! Every subject has the same policy (201 suffixes, the rest denied), the same DNS server and a log line for each request.
//! Raw figures go to `target/compare/samples.ndjson`, tables to `target/compare/`, after each round; `--write` puts them into
//! README.md and docs/performance.md between their marks, after the last. `--quick` writes nothing.

mod cells;
mod chart;
mod facts;
mod peers;
mod table;

use cells::{Cells, DIRECT, FLOOR, ROWS};
use clap::{CommandFactory, Parser, error::ErrorKind};
use egret_load::{
    client::{self, Route},
    report::line,
    subject::{
        Recipe, bare,
        egret::{self, Options},
        own_folder,
    },
    work::{Sample, Setup, Work},
    world::World,
};
use facts::Facts;
use std::{
    fs, io,
    path::{Path, PathBuf},
    process::ExitCode,
};

#[derive(Parser)]
#[command(about = "Compare egret with the floor and with other proxies")]
struct Args {
    /// Rounds; the subjects take turns within each.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Part of the usual operations: 1 is a run of a few seconds for each cell.
    #[arg(long, default_value_t = 0.5, value_parser = egret_load::scale)]
    scale: f64,
    /// Only these kinds of work.
    #[arg(long, value_delimiter = ',', value_parser = row_of)]
    works: Vec<Work>,
    /// Only these subjects, besides the floor.
    #[arg(long, value_delimiter = ',', value_parser = subject_of)]
    subjects: Vec<String>,
    /// Where `fetch` put the peers.
    #[arg(long, default_value = "target/peers")]
    peers: PathBuf,
    /// `NAME VERSION` of each peer.
    #[arg(long)]
    version_of: Vec<String>,
    /// One round of a few operations: that everything works, and nothing about speed.
    #[arg(long)]
    quick: bool,
    /// Put tables and chart into README.md and docs/: of a whole comparison, of at least five rounds.
    #[arg(long, conflicts_with_all = ["quick", "works", "subjects"])]
    write: bool,
}

/// Rounds of a comparison that may be published.
const PUBLISHED_ROUNDS: u32 = 5;

/// Its operations.
const PUBLISHED_SCALE: f64 = 0.5;

fn row_of(name: &str) -> Result<Work, String> {
    let row = ROWS.iter().find(|row| row.work.name() == name);
    row.map(|row| row.work).ok_or_else(|| {
        let names: Vec<_> = ROWS.iter().map(|row| row.work.name()).collect();
        format!("compared are: {}", names.join(", "))
    })
}

fn subject_of(name: &str) -> Result<String, String> {
    let known = name == "egret" || peers::PEERS.contains(&name);
    let names = || format!("subjects are: egret, {}", peers::PEERS.join(", "));
    known.then(|| name.to_owned()).ok_or_else(names)
}

fn main() -> ExitCode {
    egret_load::raise_file_limit();
    egret_load::subject::end_subjects_with_us();
    let mut args = Args::parse();
    if args.quick {
        (args.rounds, args.scale) = (1, 0.01);
    }
    if args.write && (args.rounds < PUBLISHED_ROUNDS || args.scale < PUBLISHED_SCALE) {
        let text = format!("--write takes at least --rounds {PUBLISHED_ROUNDS} and --scale {PUBLISHED_SCALE}");
        Args::command().error(ErrorKind::ValueValidation, text).exit();
    }
    match run(&args) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("egret-compare: {error}");
            ExitCode::from(2)
        }
    }
}

/// Whether every operation of every subject went right.
fn run(args: &Args) -> io::Result<bool> {
    let mut setup = Setup::new(World::start()?, Route::Direct, None)?;
    setup.scale = args.scale;
    if args.quick {
        setup.tunnels = 100;
    }
    let peers = std::path::absolute(&args.peers)?;
    let mut facts = Facts::new(args.rounds, args.scale, args.version_of.clone());
    let subjects = subjects(args, &peers, &setup.world, &mut facts)?;
    let folder = own_folder()?.join("../compare");
    fs::create_dir_all(&folder)?;
    let mut raw = String::new();
    let (mut cells, mut right) = (Cells::default(), true);
    for round in 1..=args.rounds {
        for row in ROWS
            .iter()
            .filter(|row| args.works.is_empty() || args.works.contains(&row.work))
        {
            for turn in 0..subjects.len() {
                // Each comes first in one round: none is always next to the floor.
                let subject = &subjects[(turn + round as usize) % subjects.len()];
                let before = client::asked();
                let Some((sample, logged)) = cell(subject, row.work, &peers, &setup)? else {
                    continue;
                };
                let asked = client::asked() - before;
                let unlogged = logged.map_or(0, |logged| asked.saturating_sub(logged));
                let sample = held_to_its_log(subject, sample, unlogged, asked);
                right &= sample.failed == 0;
                println!("{round} {} {subject}: {}", row.work.name(), line(&sample));
                let mut value = serde_json::to_value(&sample)?;
                (value["asked"], value["unlogged"]) = (asked.into(), unlogged.into());
                value["subject"] = subject.as_str().into();
                value["work"] = row.work.name().into();
                value["round"] = round.into();
                raw += &format!("{value}\n");
                cells.add(subject, row.work, round, sample);
                cells.logged(subject, row.work, unlogged, asked);
            }
        }
        // After each, so that a run that is cut short has figures: those of the rounds that are whole.
        facts.rounds = round;
        if !args.quick {
            fs::write(folder.join("samples.ndjson"), &raw)?;
        }
        report(args, &cells, &subjects, &facts, &folder)?;
    }
    Ok(right)
}

/// Who is measured. A peer that cannot be is named among the facts.
fn subjects(args: &Args, peers: &Path, world: &World, facts: &mut Facts) -> io::Result<Vec<String>> {
    let mut subjects = vec![DIRECT.to_owned(), FLOOR.to_owned()];
    for name in ["egret"].into_iter().chain(peers::PEERS) {
        if !args.subjects.is_empty() && !args.subjects.iter().any(|asked| asked == name) {
            continue;
        }
        match name == "egret" || peers::recipe(name, peers, world)?.is_some() {
            true => subjects.push(name.to_owned()),
            false => facts
                .absent
                .push(format!("{name} (needs DNS on port 53, which takes root)")),
        }
    }
    Ok(subjects)
}

/// One subject at one work, started for it, and the requests in its log, if it has one. None where the two do not go together.
fn cell(subject: &str, work: Work, peers: &Path, setup: &Setup) -> io::Result<Option<(Sample, Option<u64>)>> {
    let recipe = match (subject, work) {
        (DIRECT, Work::Deny | Work::Idle) => return Ok(None),
        (DIRECT, _) => {
            let sample = work.run(&setup.with(Route::Direct, None))?;
            return Ok(Some((sample, None)));
        }
        // It closes after each answer.
        ("tinyproxy", Work::Http) => return Ok(None),
        (FLOOR, _) => Some(bare::recipe(work, &setup.world, &own_folder()?)?),
        ("egret", _) => Some(egret::recipe(
            &own_folder()?.join("egret"),
            &setup.world,
            &Options::default(),
        )?),
        _ => peers::recipe(subject, peers, &setup.world)?,
    };
    recipe.map(|recipe| started(subject, &recipe, work, setup)).transpose()
}

fn started(subject: &str, recipe: &Recipe, work: Work, setup: &Setup) -> io::Result<(Sample, Option<u64>)> {
    // It is so much slower than all others that it gets a tenth of the operations.
    let scale = if subject == "tinyproxy" {
        setup.scale / 10.0
    } else {
        setup.scale
    };
    let setup = &Setup { scale, ..setup.clone() };
    let failed = |e: io::Error| io::Error::new(e.kind(), format!("{subject} at {}: {e}", work.name()));
    let mut running = recipe.start().map_err(failed)?;
    let route = Route::Proxy(running.proxy);
    let sample = work.run(&setup.with(route, Some(running.tree())));
    // The others go on without it.
    let sample = sample.unwrap_or_else(|error| Sample {
        failed: 1,
        failure: Some(running.explained(error).to_string()),
        ..Sample::default()
    });
    Ok((sample, running.stop().map_err(failed)?))
}

/// Part of its requests that the log of a peer may lack: of two threads of HAProxy that log at the same moment one may drop its
/// line (`DroppedLogs` of its `show info`), and its figures are told with how many. What logs less does less than the others.
const LOSABLE: f64 = 0.05;

fn held_to_its_log(subject: &str, mut sample: Sample, unlogged: u64, asked: u64) -> Sample {
    let losable = if subject == "egret" { 0.0 } else { LOSABLE };
    if unlogged as f64 > asked as f64 * losable {
        sample.failed += 1;
        let why = format!("its log lacks {unlogged} of {asked} requests");
        sample.failure.get_or_insert(why);
    }
    sample
}

fn report(args: &Args, cells: &Cells, subjects: &[String], facts: &Facts, folder: &Path) -> io::Result<()> {
    let summary = table::summary(cells, subjects);
    println!("\n{summary}");
    if args.quick {
        return Ok(());
    }
    let caption = format!(
        "Medians of {} rounds, benches/compare; the dashed line is the floor. A bar that is cut tells by its figure.",
        facts.rounds
    );
    let whole = table::whole(cells, subjects, facts);
    let svg = chart::svg(cells, subjects, &caption);
    fs::write(folder.join("whole.md"), &whole)?;
    fs::write(folder.join("summary.md"), &summary)?;
    fs::write(folder.join("performance.svg"), &svg)?;
    if args.write && facts.rounds == args.rounds {
        put(Path::new("README.md"), &summary)?;
        put(Path::new("docs/performance.md"), &whole)?;
        fs::write("docs/performance.svg", &svg)?;
    }
    Ok(())
}

/// Replaces what stands between the marks.
fn put(file: &Path, text: &str) -> io::Result<()> {
    const MARKS: [&str; 2] = [
        "<!-- compare: written by benches/compare/run --write -->\n",
        "<!-- end of compare -->",
    ];
    let old = fs::read_to_string(file)?;
    let (head, rest) = old
        .split_once(MARKS[0])
        .ok_or_else(|| io::Error::other(format!("{} has no mark", file.display())))?;
    let (_, tail) = rest
        .split_once(MARKS[1])
        .ok_or_else(|| io::Error::other(format!("{} has no end mark", file.display())))?;
    let new = [head, MARKS[0], "\n", text.trim_end(), "\n\n", MARKS[1], tail].concat();
    // In one step: a signal may end this program at any moment.
    let next = file.with_extension("md.next");
    fs::write(&next, new)?;
    fs::rename(next, file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn egret_logs_every_request_and_a_peer_all_but_a_few() {
        for (subject, unlogged, failed) in [("egret", 0, 0), ("egret", 1, 1), ("peer", 50, 0), ("peer", 51, 1)] {
            let sample = held_to_its_log(subject, Sample::default(), unlogged, 1000);
            assert_eq!(
                sample.failed, failed,
                "{subject}, {unlogged} of 1000: {:?}",
                sample.failure
            );
        }
    }
}
