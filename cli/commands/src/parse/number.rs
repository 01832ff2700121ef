//! Whole numbers between bounds, as clap reads them: whoever types another one is told the bounds,
//! and not which type the program keeps numbers in.

use std::fmt;

use super::ParseError;

/// A reader of whole numbers between these, both included.
pub(crate) fn whole_number<T>(
    least: u64,
    most: u64,
    expected: &'static str,
) -> impl Fn(&str) -> Result<T, ParseError> + Clone + Send + Sync + 'static
where
    T: TryFrom<u64> + Clone + fmt::Debug + Send + Sync + 'static,
{
    move |text| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let number: Option<u64> = text.parse().ok().filter(|_| digits);
        let number = number.filter(|number| (least..=most).contains(number));
        number
            .and_then(|number| T::try_from(number).ok())
            .ok_or_else(|| ParseError::new("number", text, expected))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // covers: C200
    #[test]
    fn only_digits_between_the_bounds_are_taken() {
        let read = whole_number::<u16>(1, 300, "a whole number from 1 to 300");
        assert_eq!((read("1"), read("300")), (Ok(1), Ok(300)));
        for bad in ["0", "301", "-1", "+1", "1.0", "x", "", "99999999999999999999999"] {
            let refused = read(bad).expect_err(bad).to_string();
            assert!(refused.ends_with("is not a whole number from 1 to 300"), "{refused}");
        }
    }
}
