//! As what this program was called: `gantry`, or a link with the name of a Ganeti command.

use std::ffi::OsStr;
use std::path::Path;

/// The name of the program itself.
pub const GANTRY: &str = "gantry";

/// One command line language.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// Everything.
    Gantry,
    /// `gnt-cluster`.
    Cluster,
    /// `gnt-node`.
    Node,
    /// `gnt-instance`.
    Instance,
    /// `gnt-job`.
    Job,
    /// `gnt-debug`.
    Debug,
}

impl Program {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Gantry, Self::Cluster, Self::Node, Self::Instance, Self::Job, Self::Debug];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Gantry => GANTRY,
            Self::Cluster => "gnt-cluster",
            Self::Node => "gnt-node",
            Self::Instance => "gnt-instance",
            Self::Job => "gnt-job",
            Self::Debug => "gnt-debug",
        }
    }

    /// The program that a path names; what is none of the links is `gantry`.
    #[must_use]
    pub fn of_path(path: &OsStr) -> Self {
        let name = Path::new(path).file_name();
        let found = Self::ALL.into_iter().find(|program| name == Some(OsStr::new(program.name())));
        found.unwrap_or(Self::Gantry)
    }

    /// A text for people in which commands stand as `gantry <noun> <verb>`, with the links in
    /// their place for whoever uses one.
    #[must_use]
    pub(crate) fn in_words_of(self, text: &str) -> String {
        let mut text = text.to_owned();
        if self == Self::Gantry {
            return text;
        }
        for link in Self::ALL {
            if let Some(noun) = link.name().strip_prefix("gnt-") {
                text = text.replace(&format!("{GANTRY} {noun} "), &format!("gnt-{noun} "));
            }
        }
        text
    }

    /// What `--version` prints (C224). The links print it in the form that Ganeti's tools have,
    /// because scripts cut it apart.
    #[must_use]
    pub fn version_line(self) -> String {
        let version = env!("CARGO_PKG_VERSION");
        match self {
            Self::Gantry => format!("{GANTRY} {version}"),
            _ => format!("{} (ganeti gantry-v{version}) {version}", self.name()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_part_of_the_path_decides() {
        for (path, program) in [
            ("gantry", Program::Gantry),
            ("/usr/sbin/gnt-instance", Program::Instance),
            ("./gnt-job", Program::Job),
            ("/gnt-job/gantry", Program::Gantry),
            ("gnt-unheard-of", Program::Gantry),
            ("", Program::Gantry),
        ] {
            assert_eq!(Program::of_path(OsStr::new(path)), program, "{path}");
        }
    }

    #[test]
    fn whoever_uses_a_link_reads_of_links() {
        let text = "see `gantry job info 7`, then `gantry daemon`; gantry instance-like";
        assert_eq!(Program::Gantry.in_words_of(text), text);
        let expected = "see `gnt-job info 7`, then `gantry daemon`; gantry instance-like";
        assert_eq!(Program::Instance.in_words_of(text), expected);
    }

    // covers: C224
    #[test]
    fn the_version_line_has_ganetis_form_under_ganetis_names() {
        let version = env!("CARGO_PKG_VERSION");
        let line = Program::Instance.version_line();
        assert_eq!(line, format!("gnt-instance (ganeti gantry-v{version}) {version}"));
    }
}
