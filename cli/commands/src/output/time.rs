//! Points in time as text, in local time.

use gantry_model::units::Timestamp;
use jiff::Zoned;
use jiff::tz::TimeZone;

/// `2026-11-22 06:07:54`.
#[must_use]
pub fn format_time(at: Timestamp, zone: &TimeZone) -> String {
    format(at, zone, "%Y-%m-%d %H:%M:%S")
}

/// `2026-11-22 06:07:54.773264`.
#[must_use]
pub fn format_time_exact(at: Timestamp, zone: &TimeZone) -> String {
    format(at, zone, "%Y-%m-%d %H:%M:%S.%6f")
}

/// `Sun Nov 22 06:07:54 2026`, as before each line of a job's log (C215).
#[must_use]
pub fn format_log_time(at: Timestamp, zone: &TimeZone) -> String {
    format(at, zone, "%a %b %e %H:%M:%S %Y")
}

/// `2026-11-22 06:07:54,773`, as before each line of the log of commands (C223).
#[must_use]
pub fn format_command_time(at: Timestamp, zone: &TimeZone) -> String {
    format(at, zone, "%Y-%m-%d %H:%M:%S,%3f")
}

fn format(at: Timestamp, zone: &TimeZone, pattern: &str) -> String {
    match zoned(at, zone) {
        Some(zoned) => zoned.strftime(pattern).to_string(),
        // Beyond the year 9999: a broken clock somewhere. The number says more than nothing.
        None => format!("{} us", at.0),
    }
}

fn zoned(at: Timestamp, zone: &TimeZone) -> Option<Zoned> {
    let micros = i64::try_from(at.0).ok()?;
    Some(jiff::Timestamp::from_microsecond(micros).ok()?.to_zoned(zone.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Timestamp = Timestamp(1_795_327_674_773_264);

    #[test]
    fn times_are_local() {
        let east = TimeZone::fixed(jiff::tz::offset(2));
        assert_eq!(format_time(AT, &TimeZone::UTC), "2026-11-22 06:07:54");
        assert_eq!(format_time(AT, &east), "2026-11-22 08:07:54");
        assert_eq!(format_time_exact(AT, &east), "2026-11-22 08:07:54.773264");
    }

    // covers: C215
    #[test]
    fn log_lines_begin_with_the_time_as_c_prints_it() {
        assert_eq!(format_log_time(AT, &TimeZone::UTC), "Sun Nov 22 06:07:54 2026");
        let early = Timestamp(1_793_599_674_000_000);
        assert_eq!(format_log_time(early, &TimeZone::UTC), "Mon Nov  2 06:07:54 2026");
    }

    #[test]
    fn times_beyond_the_calendar_are_numbers() {
        assert_eq!(format_time(Timestamp(u64::MAX), &TimeZone::UTC), format!("{} us", u64::MAX));
    }
}
