//! "Did you mean": the existing name that is nearest to one that does not exist.

use gantry_client::Client;
use gantry_model::errors::FaultCode;
use gantry_model::query::{Cell, Resource, UNKNOWN_FILTER_FIELD};

use crate::error::{CommandError, Failure};

/// Most changed characters between a name and its suggestion. Three find most typing errors; more
/// suggest names that were not meant.
const DISTANCE_MAX: usize = 3;

/// Longest name that is compared: of DNS. The comparison takes the square of it.
const NAME_CHARS_MAX: usize = gantry_model::names::NAME_BYTES_MAX;

/// Adds hints to a failure over names that do not exist. Where the cluster cannot be asked, the
/// failure stays as it is.
pub(crate) async fn suggest_names(
    client: Option<Client>,
    typed: Option<(Resource, Vec<String>)>,
    error: CommandError,
) -> CommandError {
    if let (Some(client), Some((resource, _))) = (&client, &typed)
        && let Some(unknown) = unknown_fields(&error)
    {
        return suggest_fields(client, *resource, &unknown, error).await;
    }
    let is_unknown = error.fault().is_some_and(|fault| fault.code == FaultCode::UnknownEntity);
    let (Some(client), Some((resource, typed)), true) = (client, typed, is_unknown) else {
        return error;
    };
    let Ok(table) = client.query(resource, &["name"], &[]).await else { return error };
    let known: Vec<&str> = table
        .rows
        .iter()
        .filter_map(|row| match row.first() {
            Some(Cell::Value(value)) => value.as_str(),
            _ => None,
        })
        .collect();
    typed.iter().filter(|name| !known.contains(&name.as_str())).fold(error, |error, name| {
        match nearest(name, &known) {
            Some(near) => error.hint(format!("did you mean '{near}' in place of '{name}'?")),
            None => error,
        }
    })
}

/// The fields that do not exist, in a list of them or in a filter.
fn unknown_fields(error: &CommandError) -> Option<Vec<String>> {
    if let Failure::UnknownFields(names) = &*error.error {
        return Some(names.clone());
    }
    let named = error.fault()?.message.strip_prefix(UNKNOWN_FILTER_FIELD)?;
    Some(vec![named.trim_matches(|c| c == ' ' || c == '\'').to_owned()])
}

async fn suggest_fields(
    client: &Client,
    resource: Resource,
    unknown: &[String],
    error: CommandError,
) -> CommandError {
    let Ok(answer) = client.fields(resource, &[]).await else { return error };
    let known: Vec<&str> = answer.fields.iter().map(|field| field.name.as_str()).collect();
    unknown.iter().fold(error, |error, name| match nearest(name, &known) {
        Some(near) => error.hint(format!("did you mean '{near}' in place of '{name}'?")),
        None => error,
    })
}

/// The known name that is nearest, if one is near enough. Of equally near ones the first.
pub(crate) fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    known
        .iter()
        .flat_map(|candidate| beginnings(candidate).map(move |part| (part, *candidate)))
        .map(|(part, candidate)| (distance(name, part), part, candidate))
        .filter(|(distance, part, _)| *distance <= DISTANCE_MAX.min(part.len() / 3 + 1))
        .min_by_key(|(distance, _, _)| *distance)
        .map(|(_, _, candidate)| candidate)
}

/// A name and its beginnings up to a dot: each may have been meant (C208).
fn beginnings(name: &str) -> impl Iterator<Item = &str> {
    let dots = name.match_indices('.').map(|(at, _)| at);
    dots.chain(std::iter::once(name.len())).map(|end| &name[..end])
}

/// How many characters must be changed, added or taken away (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().take(NAME_CHARS_MAX).collect();
    let b: Vec<char> = b.chars().take(NAME_CHARS_MAX).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let changed = diagonal + usize::from(from != to);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_count_single_changes() {
        for (a, b, expected) in [
            ("", "", 0),
            ("web1", "web1", 0),
            ("web1", "wbe1", 2),
            ("web", "web1", 1),
            ("", "ab", 2),
        ] {
            assert_eq!(distance(a, b), expected, "{a} {b}");
            assert_eq!(distance(b, a), expected, "{b} {a}");
        }
    }

    #[test]
    fn only_near_names_are_suggested() {
        let known = ["web1", "web2", "database.example"];
        assert_eq!(nearest("weeb1", &known), Some("web1"));
        assert_eq!(nearest("databse.example", &known), Some("database.example"));
        assert_eq!(nearest("databse", &known), Some("database.example"));
        assert_eq!(nearest("mail", &known), None);
        assert_eq!(nearest("x", &["y"]), Some("y"));
    }
}
