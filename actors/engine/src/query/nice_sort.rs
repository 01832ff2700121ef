//! The order of names in lists: numbers inside names count as numbers (`web2` before `web10`).

/// A key that sorts as people expect.
#[must_use]
pub(super) fn nice_key(name: &str) -> Vec<(String, u64)> {
    let mut parts = Vec::new();
    let mut text = String::new();
    let mut digits = String::new();
    for c in name.chars() {
        if c.is_ascii_digit() {
            digits.push(c);
        } else {
            if !digits.is_empty() {
                parts.push((std::mem::take(&mut text), number(&digits)));
                digits.clear();
            }
            text.push(c);
        }
    }
    let last = if digits.is_empty() { 0 } else { number(&digits) };
    parts.push((text, last));
    parts
}

fn number(digits: &str) -> u64 {
    digits.parse().unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_inside_names_count_as_numbers() {
        let mut names = ["web10.b", "web2.b", "web1.b", "db", "web2.a"];
        names.sort_by_key(|name| nice_key(name));
        assert_eq!(names, ["db", "web1.b", "web2.a", "web2.b", "web10.b"]);
    }
}
