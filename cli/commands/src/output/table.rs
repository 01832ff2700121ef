//! Tables of text (C206).

/// A column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its header.
    pub title: String,
    /// Whether values and header stand at its right edge.
    pub align_right: bool,
}

impl Column {
    /// A column whose values stand at the left edge.
    #[must_use]
    pub fn left(title: impl Into<String>) -> Self {
        Self { title: title.into(), align_right: false }
    }

    /// A column whose values stand at the right edge.
    #[must_use]
    pub fn right(title: impl Into<String>) -> Self {
        Self { title: title.into(), align_right: true }
    }
}

/// Lays out a table: with a separator for machines, in aligned columns for people. The last column
/// is not padded unless it stands to the right.
#[must_use]
pub fn format_table(
    columns: &[Column],
    rows: &[Vec<String>],
    headers: bool,
    separator: Option<&str>,
) -> Vec<String> {
    let titles: Vec<String> = columns.iter().map(|column| column.title.clone()).collect();
    let all = headers.then_some(&titles).into_iter().chain(rows);
    if let Some(separator) = separator {
        return all.map(|row| row.join(separator)).collect();
    }
    let mut widths = vec![0; columns.len()];
    for row in all.clone() {
        for (width, value) in widths.iter_mut().zip(row) {
            *width = (*width).max(value.chars().count());
        }
    }
    if let (Some(width), Some(column)) = (widths.last_mut(), columns.last())
        && !column.align_right
    {
        *width = 0;
    }
    all.map(|row| aligned(columns, &widths, row)).collect()
}

fn aligned(columns: &[Column], widths: &[usize], row: &[String]) -> String {
    let cells: Vec<String> = row
        .iter()
        .zip(columns)
        .zip(widths)
        .map(|((value, column), &width)| {
            // Not by `{:width$}`, which panics where a value has more than 65,535 characters.
            let blanks = " ".repeat(width.saturating_sub(value.chars().count()));
            match column.align_right {
                true => blanks + value,
                false => value.clone() + &blanks,
            }
        })
        .collect();
    cells.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rows(rows: &[&[&str]]) -> Vec<Vec<String>> {
        rows.iter().map(|row| row.iter().map(|&cell| cell.to_owned()).collect()).collect()
    }

    #[test]
    fn a_value_may_be_longer_than_formatting_can_pad() {
        let columns = [Column::right("Name"), Column::left("Type")];
        let long = "x".repeat(70_000);
        let lines = format_table(&columns, &rows(&[&[&long, "y"]]), true, None);
        assert_eq!(lines.iter().map(String::len).collect::<Vec<_>>(), [70_005, 70_002]);
    }

    // covers: C206
    #[test]
    fn columns_are_aligned_and_the_last_is_not_padded() {
        let columns = [Column::right("ID"), Column::left("Status"), Column::left("Summary")];
        let rows = rows(&[&["1", "success", "A"], &["10", "error", "LONGER"]]);
        assert_eq!(
            format_table(&columns, &rows, true, None),
            ["ID Status  Summary", " 1 success A", "10 error   LONGER"]
        );
    }

    // covers: C206
    #[test]
    fn a_last_column_to_the_right_is_padded_on_its_left() {
        let columns = [Column::left("Name"), Column::right("SerialNo")];
        let rows = rows(&[&["a", "3"]]);
        assert_eq!(format_table(&columns, &rows, true, None), ["Name SerialNo", "a           3"]);
    }

    // covers: C206
    #[test]
    fn with_a_separator_nothing_is_padded() {
        let columns = [Column::left("Name"), Column::right("Memory")];
        let rows = rows(&[&["inst1", "128"], &["i", "-"]]);
        assert_eq!(format_table(&columns, &rows, false, Some(":")), ["inst1:128", "i:-"]);
        assert_eq!(format_table(&columns, &rows, true, Some("|"))[0], "Name|Memory");
    }

    #[test]
    fn without_headers_only_values_make_the_width() {
        let columns = [Column::left("A long title"), Column::left("B")];
        assert_eq!(format_table(&columns, &rows(&[&["x", "y"]]), false, None), ["x y"]);
    }

    proptest! {
        #[test]
        fn all_lines_are_equally_long_up_to_the_last_column(
            values in proptest::collection::vec(("[a-zé ]{0,12}", "[0-9]{0,9}"), 0..8),
        ) {
            let columns = [Column::left("First"), Column::right("Second"), Column::left("")];
            let rows: Vec<Vec<String>> =
                values.into_iter().map(|(a, b)| vec![a, b, String::new()]).collect();
            let lines = format_table(&columns, &rows, true, None);
            prop_assert_eq!(lines.len(), rows.len() + 1);
            let width = lines[0].chars().count();
            prop_assert!(lines.iter().all(|line| line.chars().count() == width));
        }
    }
}
