//! The known word that someone probably meant.

/// Shortest beginning of a word that stands for it.
const SHORTEST_BEGINNING: usize = 3;

/// The nearest of `known` to `written`, if one is near: at most a third of its letters differ, or one is the beginning of
/// the other; case never counts.
pub fn nearest<'a>(written: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    // Longer than any key: not a typo, and the distance costs length times length.
    if written.len() > 64 {
        return None;
    }
    let written = written.to_ascii_lowercase();
    known
        .map(|word| (distance(&written, &word.to_ascii_lowercase()), word))
        .filter(|(distance, word)| *distance <= (word.len() / 3).max(1) || one_begins_the_other(&written, word))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, word)| word)
}

fn one_begins_the_other(written: &str, word: &str) -> bool {
    let word = word.to_ascii_lowercase();
    let shorter = written.len().min(word.len());
    shorter >= SHORTEST_BEGINNING && written.as_bytes()[..shorter] == word.as_bytes()[..shorter]
}

/// Edits between two words: insert, delete, replace, or swap neighbours (optimal string alignment).
fn distance(from: &str, to: &str) -> usize {
    let (from, to) = (from.as_bytes(), to.as_bytes());
    let mut before: Vec<usize> = vec![0; to.len() + 1];
    let mut above: Vec<usize> = (0..=to.len()).collect();
    for (row, a) in from.iter().enumerate() {
        let mut current = vec![row + 1];
        for (column, b) in to.iter().enumerate() {
            let replaced = above[column] + usize::from(a != b);
            let mut least = replaced.min(above[column + 1] + 1).min(current[column] + 1);
            if row > 0 && column > 0 && *a == to[column - 1] && from[row - 1] == *b {
                least = least.min(before[column - 1] + 1);
            }
            current.push(least);
        }
        before = std::mem::replace(&mut above, current);
    }
    above[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_its_word_and_another_word_finds_none() {
        let known = ["priority", "action", "destination_fqdns", "destination_fqdn_tags", "a"];
        let cases = [
            ("prioritty", Some("priority"), "a letter too many"),
            ("piority", Some("priority"), "a letter too few"),
            ("priroity", Some("priority"), "two letters swapped"),
            ("Action", Some("action"), "case"),
            ("destination_fqdn", Some("destination_fqdns"), "the nearer of two"),
            ("target_fqdns", None, "another word"),
            ("b", Some("a"), "one letter for one"),
            ("", Some("a"), "nothing is one letter away"),
            ("sources", None, "nothing near"),
            ("prio", Some("priority"), "the beginning of a word"),
            ("actions_of_rules", Some("action"), "a word with more behind it"),
            ("pr", None, "too short a beginning"),
        ];
        for (written, expected, why) in cases {
            assert_eq!(nearest(written, known.into_iter()), expected, "{why}: {written}");
        }
    }
}
