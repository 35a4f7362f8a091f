//! The chart: a panel for each kind of work, a bar for each subject. SVG without scripts or fonts of its own.

use crate::cells::{Cells, DIRECT, FLOOR, Shown};
use egret_load::{report::show, work::Work};
use std::fmt::Write;

/// What the chart shows, with a short title for each.
const PANELS: [(Work, &str); 6] = [
    (Work::Connect, "New tunnel"),
    (Work::Deny, "Denial"),
    (Work::Download, "Download"),
    (Work::Small, "512-byte round trip"),
    (Work::Http, "Plain HTTP request"),
    (Work::Idle, "Memory of a silent tunnel, B"),
];

const WIDTH: u32 = 900;
const PANEL_WIDTH: u32 = 430;
const BAR: u32 = 16;
const PITCH: u32 = 22;
const LABEL: u32 = 76;
const VALUE: u32 = 56;

/// Bars in times the floor's CPU time, and in bytes. Longer bars are worse; one that is cut says so by its figure.
pub fn svg(cells: &Cells, subjects: &[String], caption: &str) -> String {
    let names: Vec<_> = subjects
        .iter()
        .filter(|name| *name != DIRECT && *name != FLOOR)
        .collect();
    let panel_height = 34 + names.len() as u32 * PITCH + 12;
    let rows = PANELS.len().div_ceil(2) as u32;
    let height = 52 + rows * panel_height + 24;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" font-size=\"13\">\n\
         <rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#ffffff\"/>\n\
         <text x=\"16\" y=\"26\" font-size=\"17\" font-weight=\"bold\" fill=\"#1b1f24\">CPU time, times that of a relay that decides nothing (shorter is better)</text>\n"
    );
    for (n, (work, title)) in PANELS.iter().enumerate() {
        let (x, y) = (
            16 + (n as u32 % 2) * (PANEL_WIDTH + 16),
            52 + (n as u32 / 2) * panel_height,
        );
        let _ = writeln!(
            svg,
            "<text x=\"{x}\" y=\"{}\" font-weight=\"bold\" fill=\"#1b1f24\">{title}</text>",
            y + 16
        );
        panel(&mut svg, cells, &names, *work, x, y + 28);
    }
    let marked = |(work, _): &(Work, _)| names.iter().any(|name| cells.is_marked(name, *work));
    let note = if PANELS.iter().any(marked) {
        " * Its log lacks requests."
    } else {
        ""
    };
    let _ = writeln!(
        svg,
        "<text x=\"16\" y=\"{}\" font-size=\"11\" fill=\"#57606a\">{caption}{note}</text>\n</svg>",
        height - 10
    );
    svg
}

fn panel(svg: &mut String, cells: &Cells, names: &[&String], work: Work, x: u32, y: u32) {
    let claims: Vec<_> = names.iter().map(|name| cells.shown(name, work)).collect();
    let median = |claim: &Shown| match claim {
        Shown::Figure { median, .. } => Some(*median),
        Shown::Failed | Shown::Nothing => None,
    };
    let mut sorted: Vec<f64> = claims.iter().filter_map(median).collect();
    sorted.sort_by(f64::total_cmp);
    // One that is far behind all others must not make them points.
    let scale = match sorted[..] {
        [] => return,
        [.., second, last] => last.min(second * 2.0),
        [last] => last,
    };
    let room = f64::from(PANEL_WIDTH - LABEL - VALUE);
    for (n, (name, claim)) in names.iter().zip(&claims).enumerate() {
        let top = y + n as u32 * PITCH;
        let colour = if name.as_str() == "egret" { "#0969da" } else { "#9aa4ae" };
        let length = median(claim).map_or(0.0, |claim| (claim / scale).min(1.0) * room);
        let unit = if work == Work::Idle { "" } else { "x" };
        let value = match claim {
            Shown::Nothing => "not measured".to_owned(),
            Shown::Failed => "failed".to_owned(),
            Shown::Figure { median, logged } => {
                format!("{}{unit}{}", show(*median), if *logged { "" } else { "*" })
            }
        };
        let (text, bar) = (top + 13, x + LABEL);
        let _ = writeln!(
            svg,
            "<text x=\"{x}\" y=\"{text}\" fill=\"#1b1f24\">{name}</text>\
             <rect x=\"{bar}\" y=\"{top}\" width=\"{length:.1}\" height=\"{BAR}\" fill=\"{colour}\"/>\
             <text x=\"{:.1}\" y=\"{text}\" fill=\"#1b1f24\">{value}</text>",
            f64::from(bar) + length + 5.0
        );
    }
    if work != Work::Idle {
        let at = f64::from(x + LABEL) + room / scale;
        let bottom = y + names.len() as u32 * PITCH - (PITCH - BAR);
        let _ = writeln!(
            svg,
            "<line x1=\"{at:.1}\" y1=\"{}\" x2=\"{at:.1}\" y2=\"{bottom}\" stroke=\"#1b1f24\" stroke-dasharray=\"3 3\"/>",
            y - 4
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cells::ROWS;
    use egret_load::work::Sample;

    #[test]
    fn a_bar_is_as_long_as_its_ratio_and_one_far_behind_is_cut() {
        let mut cells = Cells::default();
        let names = ["floor", "egret", "squid", "slow"].map(str::to_owned);
        for (name, cpu) in names.iter().zip([10.0, 11.0, 22.0, 900.0]) {
            let sample = Sample {
                cpu_us: Some(cpu),
                ..Sample::default()
            };
            cells.add(name, Work::Connect, 1, sample);
        }
        let svg = svg(&cells, &names, "a caption");
        // the scale ends at twice the second: 4.4
        for (width, value) in [("74.5", "1.10x"), ("149.0", "2.20x"), ("298.0", "90.0x")] {
            assert!(
                svg.contains(&format!("width=\"{width}\"")) && svg.contains(value),
                "{value}: {svg}"
            );
        }
        assert!(PANELS.iter().all(|(work, _)| ROWS.iter().any(|row| row.work == *work)));
    }
}
