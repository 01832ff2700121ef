//! Disks of a new instance (C202, C220): `-s SIZE`, or `--disk N:size=…,mode=…,name=…`.

use std::collections::BTreeMap;

use gantry_model::names::{DEVICE_NAME, is_device_name};
use gantry_model::objects::{DiskMode, DiskTemplate};
use gantry_model::opcodes::DiskRequest;
use gantry_model::units::MiB;

use super::ParseError;
use super::keyval::{KeyValue, parse_named_key_values};
use super::size::parse_size;

/// Most disks of an instance: Ganeti's limit (constant MAX_DISKS), on which names such as
/// `disk.size/15` rely. More would be refused by guests' buses anyway.
pub const DISKS_MAX: u32 = 16;

/// One `--disk` option.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskOption {
    /// Its place.
    pub index: u32,
    /// The rest.
    pub request: DiskRequest,
}

/// What is wrong with the disks taken together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DisksError {
    /// Both ways to say it.
    #[error("Please use either the '--disk' or '-s' option")]
    BothForms,
    /// Disks where there are none.
    #[error("Diskless instance but disk information passed")]
    Diskless,
    /// None where there should be some.
    #[error("No disk information specified")]
    None(DiskTemplate),
    /// A place given twice.
    #[error("disk {0} is given twice")]
    Twice(u32),
    /// A place left out.
    #[error("disk {0} is missing: disks are numbered from 0 without gaps")]
    Gap(u32),
}

/// Reads one `--disk` option.
///
/// # Errors
/// When the index, a key or a value is none that disks have.
pub fn parse_disk(text: &str) -> Result<DiskOption, ParseError> {
    read_disk(text).map_err(ParseError::in_command)
}

fn read_disk(text: &str) -> Result<DiskOption, ParseError> {
    let (index, pairs) = parse_named_key_values(text)?;
    let index: u32 = match index.parse() {
        Ok(index) if index < DISKS_MAX => index,
        _ => return Err(ParseError::new("disk index", &index, "a number from 0 to 15")),
    };
    let mut size = None;
    let mut mode = DiskMode::Rw;
    let mut name = None;
    for (key, value) in pairs {
        let KeyValue::Text(value) = value else {
            return Err(ParseError::new(format!("disk {index}"), &key, "of the form key=value"));
        };
        match key.as_str() {
            "size" => size = Some(disk_size(&value)?),
            "mode" => mode = disk_mode(&value)?,
            "name" => name = disk_name(&value)?,
            _ => {
                let what = format!("disk {index}");
                return Err(ParseError::unknown_key(what, &key, "size, mode, name"));
            }
        }
    }
    let size = size.ok_or_else(|| {
        ParseError::new(format!("disk {index}"), text, "complete: size=SIZE is missing")
    })?;
    Ok(DiskOption { index, request: DiskRequest { size, mode, name } })
}

/// Reads a size of more than 0.
///
/// # Errors
/// When it is none.
pub fn disk_size(text: &str) -> Result<MiB, ParseError> {
    match parse_size(text)? {
        MiB(0) => Err(ParseError::new("disk size", text, "more than 0").in_command()),
        size => Ok(size),
    }
}

fn disk_mode(text: &str) -> Result<DiskMode, ParseError> {
    match text {
        "rw" => Ok(DiskMode::Rw),
        "ro" => Ok(DiskMode::Ro),
        _ => Err(ParseError::new("disk mode", text, "rw or ro")),
    }
}

fn disk_name(text: &str) -> Result<Option<String>, ParseError> {
    match text {
        "none" => Ok(None),
        name if is_device_name(name) => Ok(Some(name.to_owned())),
        _ => Err(ParseError::new("disk name", text, DEVICE_NAME)),
    }
}

/// Puts the options together.
///
/// # Errors
/// When they contradict each other or the template.
pub fn collect_disks(
    template: DiskTemplate,
    os_size: Option<MiB>,
    disks: &[DiskOption],
) -> Result<Vec<DiskRequest>, DisksError> {
    if os_size.is_some() && !disks.is_empty() {
        return Err(DisksError::BothForms);
    }
    let given = os_size.is_some() || !disks.is_empty();
    match (template, given) {
        (DiskTemplate::Diskless, true) => return Err(DisksError::Diskless),
        (DiskTemplate::Diskless, false) => return Ok(Vec::new()),
        (template, false) => return Err(DisksError::None(template)),
        (_, true) => {}
    }
    if let Some(size) = os_size {
        return Ok(vec![DiskRequest { size, mode: DiskMode::Rw, name: None }]);
    }
    let mut by_index = BTreeMap::new();
    for disk in disks {
        if by_index.insert(disk.index, disk.request.clone()).is_some() {
            return Err(DisksError::Twice(disk.index));
        }
    }
    match (0..).zip(by_index.keys()).find(|(expected, index)| expected != *index) {
        Some((expected, _)) => Err(DisksError::Gap(expected)),
        None => Ok(by_index.into_values().collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk(text: &str) -> DiskOption {
        parse_disk(text).expect("parses")
    }

    // covers: C202 C220
    #[test]
    fn a_disk_has_a_size_a_mode_and_a_name() {
        let parsed = disk("1:size=1.5G,mode=ro,name=logs");
        let request =
            DiskRequest { size: MiB(1536), mode: DiskMode::Ro, name: Some("logs".into()) };
        assert_eq!(parsed, DiskOption { index: 1, request });
    }

    #[test]
    fn what_disks_do_not_have_is_refused() {
        for bad in [
            "0",
            "0:",
            "size=1G",
            "x:size=1G",
            "16:size=1G",
            "-1:size=1G",
            "0:size=0",
            "0:size=x",
            "0:size=1G,mode=rx",
            "0:size=1G,vg=x",
            "0:size",
            "0:size=1G,name=",
        ] {
            assert!(parse_disk(bad).is_err(), "{bad}");
        }
    }

    // covers: C220
    #[test]
    fn the_short_form_is_one_disk_and_excludes_the_long_one() {
        let one = collect_disks(DiskTemplate::File, Some(MiB(64)), &[]).expect("one disk");
        assert_eq!(one.iter().map(|d| d.size).collect::<Vec<_>>(), [MiB(64)]);
        let both = collect_disks(DiskTemplate::File, Some(MiB(64)), &[disk("0:size=1G")]);
        assert_eq!(both, Err(DisksError::BothForms));
    }

    // covers: C220
    #[test]
    fn diskless_forbids_disks_and_others_need_one() {
        let disks = [disk("0:size=1G")];
        let diskless = DiskTemplate::Diskless;
        assert_eq!(collect_disks(diskless, None, &disks), Err(DisksError::Diskless));
        assert_eq!(collect_disks(diskless, Some(MiB(4)), &[]), Err(DisksError::Diskless));
        assert_eq!(collect_disks(diskless, None, &[]), Ok(Vec::new()));
        let none = collect_disks(DiskTemplate::File, None, &[]);
        assert_eq!(none, Err(DisksError::None(DiskTemplate::File)));
    }

    #[test]
    fn disks_are_put_in_order_without_gaps() {
        let (zero, one, two) = (disk("0:size=4"), disk("1:size=8"), disk("2:size=12"));
        let sizes = |disks: &[DiskOption]| {
            collect_disks(DiskTemplate::File, None, disks)
                .map(|disks| disks.iter().map(|d| d.size.0).collect::<Vec<_>>())
        };
        assert_eq!(sizes(&[two.clone(), zero.clone(), one.clone()]), Ok(vec![4, 8, 12]));
        assert_eq!(sizes(&[zero.clone(), two]), Err(DisksError::Gap(1)));
        assert_eq!(sizes(&[one]), Err(DisksError::Gap(0)));
        assert_eq!(sizes(&[zero.clone(), zero]), Err(DisksError::Twice(0)));
    }
}
