//! RFC 3339 in UTC with microseconds, as Azure's records have it, straight into the row.

use std::{
    cell::Cell,
    time::{SystemTime, UNIX_EPOCH},
};

/// Appends `2026-11-24T00:33:12.123456Z`. Times before 1970 become 1970, times after 9999 become its last second.
pub(super) fn push(out: &mut Vec<u8>, time: SystemTime) {
    const END_OF_9999: u64 = 253_402_300_799;
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let seconds = since.as_secs().min(END_OF_9999);
    thread_local!(static LAST: Cell<(u64, Second)> = const { Cell::new((u64::MAX, [0; 20])) });
    let second = match LAST.get() {
        (last, second) if last == seconds => second,
        _ => {
            let second = to_the_second(seconds);
            LAST.set((seconds, second));
            second
        }
    };
    let mut text = [b'Z'; 27];
    text[..20].copy_from_slice(&second);
    write(&mut text[20..26], since.subsec_micros());
    out.extend_from_slice(&text);
}

/// `2026-11-24T00:33:12.`: the rows of a second share it.
type Second = [u8; 20];

fn to_the_second(seconds: u64) -> Second {
    let (year, month, day) = civil(seconds / 86_400);
    let of_day = (seconds % 86_400) as u32;
    let mut text = *b"YYYY-MM-DDThh:mm:ss.";
    for (at, value) in [
        (0..4, year as u32),
        (5..7, month as u32),
        (8..10, day as u32),
        (11..13, of_day / 3600),
        (14..16, of_day / 60 % 60),
        (17..19, of_day % 60),
    ] {
        write(&mut text[at], value);
    }
    text
}

/// Year, month, day of a day number since 1970-01-01 in the Gregorian calendar: eras of 400 years, years that start in
/// March so that the leap day is their last.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468; // from 0000-03-01
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let march_based = (5 * of_year + 2) / 153;
    let day = of_year - (153 * march_based + 2) / 5 + 1;
    let month = if march_based < 10 {
        march_based + 3
    } else {
        march_based - 9
    };
    (era * 400 + year + u64::from(month <= 2), month, day)
}

/// Writes the last decimal digits, as many as there is room for.
fn write(room: &mut [u8], mut rest: u32) {
    for digit in room.iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn shown(seconds: u64, micros: u32) -> String {
        let mut out = Vec::new();
        push(&mut out, UNIX_EPOCH + Duration::new(seconds, micros * 1000));
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn known_times() {
        for (seconds, micros, text) in [
            (0, 0, "1970-01-01T00:00:00.000000Z"),
            (951_782_399, 999_999, "2000-02-28T23:59:59.999999Z"),
            (951_782_400, 0, "2000-02-29T00:00:00.000000Z"),
            (951_868_800, 1, "2000-03-01T00:00:00.000001Z"),
            (1_709_251_199, 5, "2024-02-29T23:59:59.000005Z"),
            (1_767_225_599, 0, "2025-12-31T23:59:59.000000Z"),
            (4_107_542_400, 0, "2100-03-01T00:00:00.000000Z"),
            (253_402_300_799, 0, "9999-12-31T23:59:59.000000Z"),
            (999_999_999_999, 0, "9999-12-31T23:59:59.000000Z"),
        ] {
            assert_eq!(shown(seconds, micros), text);
        }
    }

    #[test]
    fn every_day_of_400_years_follows_the_one_before() {
        let mut last = civil(0);
        for day in 1..146_097 {
            let now = civil(day);
            let follows =
                now.2 == last.2 + 1 || (now.2 == 1 && (now.1 == last.1 + 1 || (now.1 == 1 && now.0 == last.0 + 1)));
            assert!(follows && last.2 <= 31, "{last:?} then {now:?}");
            last = now;
        }
        assert_eq!(civil(146_096), (2369, 12, 31));
    }
}
