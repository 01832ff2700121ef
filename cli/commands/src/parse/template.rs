//! Words of Ganeti for disk templates and hypervisors that come with later work.
//!
//! A word that Ganeti knows is no slip: whoever types it is told that it is not there yet. What
//! a cluster has enabled is not known here.

use gantry_model::objects::DiskTemplate;

/// Ganeti's disk templates that come later.
const LATER_TEMPLATES: [&str; 6] = ["blockdev", "drbd", "ext", "gluster", "plain", "rbd"];

/// Ganeti's hypervisors that come later.
const LATER_HYPERVISORS: [&str; 4] = ["chroot", "lxc", "xen-hvm", "xen-pvm"];

/// A disk template as typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TemplateWord {
    /// One that instances can have.
    Known(DiskTemplate),
    /// One that comes later.
    Later(&'static str),
}

/// Why a word is no disk template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// Nobody's.
    #[error("unknown disk template, known are: {}", known())]
    Unknown,
    /// Ganeti's.
    #[error("this disk template is not available yet, there are: {}", known())]
    Later,
}

fn known() -> String {
    DiskTemplate::ALL.map(DiskTemplate::as_str).join(", ")
}

/// Reads a disk template, also one that comes later.
///
/// # Errors
/// When it is neither.
pub fn parse_template_word(text: &str) -> Result<TemplateWord, TemplateError> {
    let later = || LATER_TEMPLATES.into_iter().find(|word| *word == text).map(TemplateWord::Later);
    let known = DiskTemplate::from_word(text).map(TemplateWord::Known);
    known.or_else(later).ok_or(TemplateError::Unknown)
}

/// Reads a disk template that there is.
///
/// # Errors
/// When there is none of this name yet.
pub fn parse_template(text: &str) -> Result<DiskTemplate, TemplateError> {
    match parse_template_word(text)? {
        TemplateWord::Known(template) => Ok(template),
        TemplateWord::Later(_) => Err(TemplateError::Later),
    }
}

/// Whether it is the name of a hypervisor that comes later.
pub(crate) fn is_later_hypervisor(name: &str) -> bool {
    LATER_HYPERVISORS.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use gantry_model::params::HypervisorKind;

    // covers: C200
    #[test]
    fn words_of_ganeti_are_not_unknown() {
        assert_eq!(parse_template("file"), Ok(DiskTemplate::File));
        assert_eq!(parse_template_word("drbd"), Ok(TemplateWord::Later("drbd")));
        assert_eq!(parse_template("drbd"), Err(TemplateError::Later));
        assert_eq!(parse_template_word("nosuch"), Err(TemplateError::Unknown));
    }

    #[test]
    fn what_is_there_does_not_come_later() {
        assert!(LATER_TEMPLATES.iter().all(|word| DiskTemplate::from_word(word).is_none()));
        assert!(LATER_HYPERVISORS.iter().all(|word| HypervisorKind::from_word(word).is_none()));
    }
}
