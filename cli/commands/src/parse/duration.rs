//! Times: seconds, or a number with `s`, `m`, `h`, `d`, `w` (C204).

use gantry_model::units::Millis;

use super::ParseError;

/// What a time is called in refusals.
pub(crate) const TIME: &str = "time";

const EXPECTED: &str = "a time such as 90, 90s, 5m, 2h, 1d or 1w";
const EXPECTED_LESS: &str = "at most 5200w";
const EXPECTED_FRACTION: &str = "a number of seconds such as 10 or 0.001";
const EXPECTED_FEWER: &str = "at most 3144960000, which are 5200 weeks";

/// The longest time that is taken: 5,200 weeks, a hundred years. Less would refuse somebody's way
/// to say "for ever"; more is a slip of the keyboard, and ends where instants overflow.
const TIME_MAX: Millis = Millis(5200 * 7 * 24 * 3600 * 1000);

/// Digits after the point that are kept: milliseconds.
const FRACTION_DIGITS: usize = 3;

/// Reads a time in whole units.
///
/// # Errors
/// When the text is no whole number with one of the units, or too long a time.
pub fn parse_duration(text: &str) -> Result<Millis, ParseError> {
    let refuse = || ParseError::new(TIME, text, EXPECTED);
    let trimmed = text.trim();
    let (number, seconds_per_unit) = match trimmed.char_indices().last() {
        Some((at, 's')) => (&trimmed[..at], 1),
        Some((at, 'm')) => (&trimmed[..at], 60),
        Some((at, 'h')) => (&trimmed[..at], 3600),
        Some((at, 'd')) => (&trimmed[..at], 24 * 3600),
        Some((at, 'w')) => (&trimmed[..at], 7 * 24 * 3600),
        _ => (trimmed, 1),
    };
    if number.is_empty() || !number.bytes().all(|b| b.is_ascii_digit()) {
        return Err(refuse());
    }
    let too_long = || ParseError::new(TIME, text, EXPECTED_LESS);
    let number: u64 = number.parse().map_err(|_| too_long())?;
    number
        .checked_mul(seconds_per_unit)
        .and_then(|seconds| seconds.checked_mul(1000))
        .map(Millis)
        .filter(|time| *time <= TIME_MAX)
        .ok_or_else(too_long)
}

/// Reads seconds with a fraction, also with an exponent; more than 0.
///
/// # Errors
/// When the text is no such number, or finer than milliseconds.
pub fn parse_seconds(text: &str) -> Result<Millis, ParseError> {
    let refuse = || ParseError::new("duration", text, EXPECTED_FRACTION);
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse().map_err(|_| refuse())?),
        None => (text, 0_i16),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(refuse());
    }
    // Where the milliseconds end, counted from the first digit.
    let Some(end) = (whole.len() + FRACTION_DIGITS).checked_add_signed(exponent.into()) else {
        return Err(refuse());
    };
    let (millis, finer) = digits.split_at(end.min(digits.len()));
    if finer.bytes().any(|b| b != b'0') {
        return Err(refuse());
    }
    let padded = millis.to_owned() + &"0".repeat(end - millis.len());
    match padded.parse().map(Millis) {
        Ok(Millis(0)) => Err(refuse()),
        Ok(time) if time <= TIME_MAX => Ok(time),
        _ if millis.is_empty() => Err(refuse()),
        // Digits alone, so there are too many.
        _ => Err(ParseError::new("duration", text, EXPECTED_FEWER)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    // covers: C204
    #[test]
    fn units_are_understood() {
        for (text, seconds) in
            [("0", 0), ("90", 90), ("90s", 90), ("5m", 300), ("2h", 7200), ("1d", 86_400)]
        {
            assert_eq!(parse_duration(text), Ok(Millis(seconds * 1000)), "{text}");
        }
        assert_eq!(parse_duration("1w"), Ok(Millis(604_800_000)));
    }

    #[test]
    fn other_texts_are_refused() {
        for text in
            ["", "s", "1x", "-1", "+1", "1.5h", "1 h", "5201w", "99999999999999999999", "3ß"]
        {
            assert!(parse_duration(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn seconds_may_have_a_fraction_down_to_milliseconds() {
        for (text, millis) in [
            ("10", 10_000),
            ("0.001", 1),
            (".5", 500),
            ("1.25", 1250),
            ("0.2500", 250),
            ("1e-2", 10),
            ("1E3", 1_000_000),
            ("2.5e+1", 25_000),
            ("100e-5", 1),
        ] {
            assert_eq!(parse_seconds(text), Ok(Millis(millis)), "{text}");
        }
        for text in ["0", "0.0", "0.0001", "", ".", "-1", "1s", "3144960000.001"] {
            assert!(parse_seconds(text).is_err(), "{text:?}");
        }
        for text in ["1e", "e1", "1e-4", "1e-99", "1e10", "1e32767", "0e5", "1e1.5", "1e99999"] {
            assert!(parse_seconds(text).is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_gives_a_time_or_an_error(text: String) {
            let _ignored = parse_duration(&text);
            let _ignored = parse_seconds(&text);
        }
    }
}
