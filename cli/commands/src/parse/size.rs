//! Sizes: a number with `m`, `g` or `t`, MiB without (C203).
//!
//! As in Ganeti, fractions are allowed and the result is rounded up to whole 4 MiB, because that is
//! what LVM would make of it anyway. Calculated in whole numbers: no size depends on rounding of
//! floats.

use gantry_model::units::MiB;

use super::ParseError;

/// What is rounded up to, in MiB.
const GRANULE_MIB: u128 = 4;

/// Most digits before or after the point. More would overflow, and no disk needs them.
const DIGITS_MAX: usize = 15;

/// The largest size that is taken, in MiB: what the offset into a file can name, 8 EiB. More cannot
/// be made, and sizes in bytes would overflow.
const SIZE_MIB_MAX: u64 = (1 << 43) - 4;

const EXPECTED: &str = "a size such as 512, 512M, 1.5G or 2T";
const EXPECTED_LESS: &str = "less than 8388608T";

/// Reads a size.
///
/// # Errors
/// When the text is no number with one of the units.
pub fn parse_size(text: &str) -> Result<MiB, ParseError> {
    let refuse = || ParseError::new("size", text, EXPECTED);
    let trimmed = text.trim();
    let unit_at = trimmed.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(trimmed.len());
    let (number, unit) = trimmed.split_at(unit_at);
    let factor: u128 = match unit.to_ascii_lowercase().as_str() {
        "" | "m" | "mb" | "mib" => 1,
        "g" | "gb" | "gib" => 1024,
        "t" | "tb" | "tib" => 1024 * 1024,
        _ => return Err(refuse()),
    };
    let (whole, fraction) = split_decimal(number.trim_end()).ok_or_else(refuse)?;
    let scale = 10_u128.pow(u32::try_from(fraction.len()).map_err(|_| refuse())?);
    let digits = |text: &str| if text.is_empty() { Ok(0) } else { text.parse::<u128>() };
    let whole = digits(whole).map_err(|_| refuse())?;
    let fraction = digits(fraction).map_err(|_| refuse())?;
    let mib = ((whole * scale + fraction) * factor).div_ceil(scale);
    let rounded = mib.div_ceil(GRANULE_MIB) * GRANULE_MIB;
    match u64::try_from(rounded) {
        Ok(mib) if mib <= SIZE_MIB_MAX => Ok(MiB(mib)),
        _ => Err(ParseError::new("size", text, EXPECTED_LESS)),
    }
}

/// The digits before and after the point; at least one digit in all.
fn split_decimal(number: &str) -> Option<(&str, &str)> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let is_digits =
        |part: &str| part.len() <= DIGITS_MAX && part.bytes().all(|b| b.is_ascii_digit());
    let some = !whole.is_empty() || !fraction.is_empty();
    (some && is_digits(whole) && is_digits(fraction)).then_some((whole, fraction))
}

/// As Ganeti prints sizes for people: `128M`, `1.5G`, `2.0T`; and in a given unit without suffix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Unit {
    /// The unit that fits, with its letter.
    H,
    /// MiB.
    M,
    /// GiB.
    G,
    /// TiB.
    T,
}

/// Writes a size in a unit.
#[must_use]
pub fn format_size(size: MiB, unit: Unit) -> String {
    let mib = size.0;
    match unit {
        Unit::M => mib.to_string(),
        Unit::G => tenths(mib, 1024),
        Unit::T => tenths(mib, 1024 * 1024),
        Unit::H if mib < 1024 => format!("{mib}M"),
        Unit::H if mib < 1024 * 1024 => format!("{}G", tenths(mib, 1024)),
        Unit::H => format!("{}T", tenths(mib, 1024 * 1024)),
    }
}

/// With one digit behind the point. What is exactly between two is rounded to the even one, as
/// Python does for Ganeti: 256 MiB are 0.2 GiB, 768 MiB are 0.8 GiB.
fn tenths(mib: u64, per_unit: u64) -> String {
    let (scaled, unit) = (u128::from(mib) * 10, u128::from(per_unit));
    let (down, twice_rest) = (scaled / unit, scaled % unit * 2);
    let up = twice_rest > unit || (twice_rest == unit && down % 2 == 1);
    let tenths = down + u128::from(up);
    format!("{}.{}", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    // covers: C203
    #[test]
    fn units_and_fractions_are_understood() {
        for (text, mib) in [
            ("64", 64),
            ("64M", 64),
            ("64m", 64),
            ("1g", 1024),
            ("1.5G", 1536),
            ("1T", 1_048_576),
            ("0.5t", 524_288),
            (".5g", 512),
            ("1.", 4),
            (" 512 MiB ", 512),
            ("0", 0),
        ] {
            assert_eq!(parse_size(text), Ok(MiB(mib)), "{text}");
        }
    }

    #[test]
    fn sizes_are_rounded_up_to_four_mib() {
        for (text, mib) in [("1", 4), ("4", 4), ("4.1", 8), ("1023", 1024), ("0.001g", 4)] {
            assert_eq!(parse_size(text), Ok(MiB(mib)), "{text}");
        }
    }

    #[test]
    fn other_texts_are_refused() {
        let long = "9".repeat(40);
        for text in
            ["", ".", "G", "1x", "1.2.3", "-1", "+1", "1e3", "1 2", "１", "8388608T", long.as_str()]
        {
            assert!(parse_size(text).is_err(), "{text:?}");
        }
    }

    // covers: C206
    #[test]
    fn sizes_are_printed_as_ganeti_prints_them() {
        for (mib, text) in
            [(0, "0M"), (1023, "1023M"), (1024, "1.0G"), (24_064, "23.5G"), (1_572_864, "1.5T")]
        {
            assert_eq!(format_size(MiB(mib), Unit::H), text);
        }
        assert_eq!(format_size(MiB(64), Unit::M), "64");
        assert_eq!(format_size(MiB(512), Unit::G), "0.5");
        let between = [(256, "0.2"), (768, "0.8"), (257, "0.3"), (1_280, "1.2"), (1_792, "1.8")];
        for (mib, text) in between {
            assert_eq!(format_size(MiB(mib), Unit::G), text);
        }
        assert_eq!(format_size(MiB(256 * 1024), Unit::T), "0.2");
    }

    proptest! {
        #[test]
        fn any_text_gives_a_size_or_an_error(text: String) {
            let _ignored = parse_size(&text);
        }

        #[test]
        fn whole_mib_come_back_rounded_up(mib in 0_u64..1_000_000_000) {
            let size = parse_size(&mib.to_string()).expect("a number").0;
            prop_assert!(size >= mib);
            prop_assert!(size < mib + 4);
            prop_assert_eq!(size % 4, 0);
        }
    }
}
