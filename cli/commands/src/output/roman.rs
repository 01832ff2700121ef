//! Whole numbers as the Romans wrote them: `--roman` of the `info` commands.
//!
//! Ganeti does it where a library for it is installed, and otherwise not at all.

/// The symbols, with those of four and nine, from large to small.
const SYMBOLS: [(u64, &str); 13] = [
    (1000, "M"),
    (900, "CM"),
    (500, "D"),
    (400, "CD"),
    (100, "C"),
    (90, "XC"),
    (50, "L"),
    (40, "XL"),
    (10, "X"),
    (9, "IX"),
    (5, "V"),
    (4, "IV"),
    (1, "I"),
];

/// There is no symbol for 5000, so nothing from four thousands on.
const LARGEST: u64 = 3999;

/// A number in Roman symbols; `None` for those that have none.
#[must_use]
pub(crate) fn roman(number: u64) -> Option<String> {
    if number == 0 || number > LARGEST {
        return None;
    }
    let mut rest = number;
    let mut text = String::new();
    for (value, symbol) in SYMBOLS {
        while rest >= value {
            text.push_str(symbol);
            rest -= value;
        }
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads it the other way: a smaller symbol before a larger one is taken away.
    fn read(text: &str) -> u64 {
        let value = |c: char| {
            let symbol = SYMBOLS.into_iter().find(|(_, symbol)| *symbol == c.to_string());
            symbol.expect("a symbol").0
        };
        let values: Vec<u64> = text.chars().map(value).collect();
        let mut sum = 0;
        for (i, value) in values.iter().enumerate() {
            match values.get(i + 1) {
                Some(next) if next > value => sum -= *value as i64,
                _ => sum += *value as i64,
            }
        }
        u64::try_from(sum).expect("positive")
    }

    #[test]
    fn numbers_come_back_and_the_longest_symbols_are_not_repeated() {
        for number in 1..=LARGEST {
            let text = roman(number).expect("in range");
            assert_eq!(read(&text), number, "{text}");
            for wrong in ["IIII", "XXXX", "CCCC", "MMMM", "VV", "LL", "DD"] {
                assert!(!text.contains(wrong), "{number} {text}");
            }
        }
        assert_eq!(roman(1994).as_deref(), Some("MCMXCIV"));
    }

    #[test]
    fn what_has_no_symbols_stays_a_number() {
        assert_eq!([0, 4000, u64::MAX].map(roman), [None, None, None]);
    }
}
