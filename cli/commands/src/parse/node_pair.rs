//! Node pairs (C205): `-n primary:secondary`.

use gantry_model::names::NodeName;

use super::ParseError;

/// Where an instance runs, and where the mirror of its disks is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodePair {
    /// Where it runs.
    pub primary: NodeName,
    /// The other one.
    pub secondary: Option<NodeName>,
}

/// Reads a node, or two with a colon between them.
///
/// # Errors
/// When one is no name, or both are the same.
pub fn parse_node_pair(text: &str) -> Result<NodePair, ParseError> {
    let refuse = |given: &str, expected| ParseError::new("node", given, expected).in_command();
    let name = |given: &str| {
        let expected = "the name of a node, or two of them as primary:secondary";
        NodeName::new(given).map_err(|_| refuse(given, expected))
    };
    let (primary, secondary) = match text.split_once(':') {
        // Nothing after a colon was to be something: a variable of a script is empty.
        Some((primary, secondary)) => (name(primary)?, Some(name(secondary)?)),
        None => (name(text)?, None),
    };
    if secondary.as_ref() == Some(&primary) {
        return Err(refuse(text, "two different nodes"));
    }
    Ok(NodePair { primary, secondary })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<(String, Option<String>)> {
        let pair = parse_node_pair(text).ok()?;
        Some((pair.primary.to_string(), pair.secondary.map(|name| name.to_string())))
    }

    // covers: C205
    #[test]
    fn a_colon_stands_before_the_secondary() {
        let (one, two) = ("node1.example".to_owned(), "node2".to_owned());
        assert_eq!(read("node1.example"), Some((one.clone(), None)));
        assert_eq!(read("node1.example:node2"), Some((one, Some(two))));
    }

    // covers: C205
    #[test]
    fn what_is_no_pair_is_refused() {
        for text in ["", ":", "node1:", ":node2", "a:b:c", "a:b c", "a b", "node1:NODE1"] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
