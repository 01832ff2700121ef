//! The instance policy of a new cluster (P1–P8): `--ipolicy-…`, and `--specs-…` of older scripts.

use gantry_model::objects::{DiskTemplate, InstancePolicy, InstanceSpec, Ratio, SpecBounds};

use crate::error::CommandError;
use crate::parse::ParseError;
use crate::parse::keyval::{KeyValue, KeyValues, parse_key_values};
use crate::parse::size::parse_size;
use crate::parse::template::parse_template;

/// What instances may be like.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct PolicyArgs {
    /// Let instances have from min:KEY=VALUE,... to max:KEY=VALUE,... with / between the two
    ///
    /// The keys are cpu-count, disk-count, disk-size, memory-size, nic-count and spindle-use, and
    /// each has to be there. Several pairs are separated by //; an instance has to be within one of
    /// them.
    #[arg(long, value_name = "BOUNDS")]
    ipolicy_bounds_specs: Option<String>,
    /// Say what an instance usually has, in the same way
    #[arg(long, value_name = "KEY=VALUE,...")]
    ipolicy_std_specs: Option<String>,
    /// Let instances have these disk templates; the default is all that are enabled
    #[arg(long, value_name = "NAMES", value_delimiter = ',', value_parser = parse_template)]
    ipolicy_disk_templates: Vec<DiskTemplate>,
    /// Let a node have so many virtual CPUs for each of its own (not acted on yet)
    #[arg(long, value_name = "RATIO", value_parser = ratio_argument)]
    ipolicy_vcpu_ratio: Option<Ratio>,
    /// Let a node have so many instances for each of its spindles (not acted on yet)
    #[arg(long, value_name = "RATIO", value_parser = ratio_argument)]
    ipolicy_spindle_ratio: Option<Ratio>,
    /// Set min, max and std of the number of virtual CPUs
    #[arg(long, value_name = "KEY=VALUE,...")]
    specs_cpu_count: Option<String>,
    /// Set min, max and std of the number of disks
    #[arg(long, value_name = "KEY=VALUE,...")]
    specs_disk_count: Option<String>,
    /// Set min, max and std of the size of each disk
    #[arg(long, value_name = "KEY=VALUE,...")]
    specs_disk_size: Option<String>,
    /// Set min, max and std of the memory
    #[arg(long, value_name = "KEY=VALUE,...")]
    specs_mem_size: Option<String>,
    /// Set min, max and std of the number of interfaces
    #[arg(long, value_name = "KEY=VALUE,...")]
    specs_nic_count: Option<String>,
}

fn ratio_argument(text: &str) -> Result<Ratio, ParseError> {
    let expected = "a number with at most three decimals";
    Ratio::read(text).ok_or_else(|| ParseError::new("ratio", text, expected))
}

impl PolicyArgs {
    /// The policy of a cluster with these templates.
    pub(super) fn policy(&self, enabled: &[DiskTemplate]) -> Result<InstancePolicy, CommandError> {
        let mut policy = InstancePolicy::new(enabled.to_vec());
        let one_by_one = self.one_by_one();
        let at_once = self.ipolicy_bounds_specs.is_some() || self.ipolicy_std_specs.is_some();
        if at_once && !one_by_one.is_empty() {
            let text = "A --specs-xxx option cannot be specified together with any \
                        --ipolicy-xxx-specs option";
            return Err(CommandError::argument(text));
        }
        for (name, given) in one_by_one {
            set_one(&mut policy, name, given)?;
        }
        if let Some(given) = &self.ipolicy_bounds_specs {
            policy.bounds = bounds(given)?;
        }
        if let Some(given) = &self.ipolicy_std_specs {
            spec(&mut policy.std, "std", &pairs(given)?)?;
        }
        if !self.ipolicy_disk_templates.is_empty() {
            policy.disk_templates = self.ipolicy_disk_templates.clone();
        }
        let off: Vec<&str> = (policy.disk_templates.iter())
            .filter(|template| !enabled.contains(template))
            .map(|template| template.as_str())
            .collect();
        if !off.is_empty() {
            return Err(CommandError::argument(format!(
                "The following disk templates are allowed by the ipolicy, but not enabled on the \
                 cluster: {}",
                off.join(", ")
            )));
        }
        policy.vcpu_ratio = self.ipolicy_vcpu_ratio.unwrap_or(policy.vcpu_ratio);
        policy.spindle_ratio = self.ipolicy_spindle_ratio.unwrap_or(policy.spindle_ratio);
        policy.check().map_err(|error| CommandError::argument(error.to_string()))?;
        Ok(policy)
    }

    fn one_by_one(&self) -> Vec<(&'static str, &str)> {
        [
            ("cpu-count", &self.specs_cpu_count),
            ("disk-count", &self.specs_disk_count),
            ("disk-size", &self.specs_disk_size),
            ("memory-size", &self.specs_mem_size),
            ("nic-count", &self.specs_nic_count),
        ]
        .into_iter()
        .filter_map(|(name, given)| Some((name, given.as_deref()?)))
        .collect()
    }
}

fn pairs(text: &str) -> Result<KeyValues, CommandError> {
    parse_key_values(text).map_err(|error| CommandError::argument(error.to_string()))
}

/// `min=1,max=8,std=2` of one thing.
fn set_one(policy: &mut InstancePolicy, name: &str, given: &str) -> Result<(), CommandError> {
    for (which, value) in pairs(given)? {
        let value = number(name, &which, &value)?;
        let SpecBounds { min, max } = &mut policy.bounds[0];
        let spec = match which.as_str() {
            "min" => min,
            "max" => max,
            "std" => &mut policy.std,
            _ => {
                let text =
                    format!("Unknown parameter '{which}' of {name}, known are: max, min, std");
                return Err(CommandError::argument(text));
            }
        };
        put(spec, name, value);
    }
    Ok(())
}

/// Names are checked before, or are our own.
fn put(spec: &mut InstanceSpec, name: &str, value: u64) {
    let known = spec.set(name, value);
    debug_assert!(known, "{name} is no name of a spec");
}

fn bounds(given: &str) -> Result<Vec<SpecBounds>, CommandError> {
    given.split("//").map(pair).collect()
}

fn pair(given: &str) -> Result<SpecBounds, CommandError> {
    let mut bounds = SpecBounds::default();
    let mut missing = vec!["max", "min"];
    for part in given.split('/') {
        let (key, values) = part.split_once(':').unwrap_or((part, ""));
        let half = match key {
            "min" => &mut bounds.min,
            "max" => &mut bounds.max,
            _ => {
                let text = format!("Invalid key in bounds instance specifications: {key}");
                return Err(CommandError::argument(text));
            }
        };
        let values = pairs(values)?;
        let absent: Vec<&str> = (half.values().into_iter())
            .map(|(name, _)| name)
            .filter(|name| !values.iter().any(|(given, _)| given == name))
            .collect();
        spec(half, key, &values)?;
        if !absent.is_empty() {
            let text = format!("Missing parameters in ipolicy spec {key}: {}", absent.join(", "));
            return Err(CommandError::argument(text));
        }
        missing.retain(|name| *name != key);
    }
    if missing.is_empty() {
        return Ok(bounds);
    }
    let text = format!("Missing instance specification: {}", missing.join(", "));
    Err(CommandError::argument(text))
}

fn spec(spec: &mut InstanceSpec, which: &str, given: &KeyValues) -> Result<(), CommandError> {
    for (name, value) in given {
        if spec.get(name).is_none() {
            let text = format!("Unknown parameter '{name}' in ipolicy spec {which}");
            return Err(CommandError::argument(text));
        }
        put(spec, name, number(name, which, value)?);
    }
    Ok(())
}

fn number(name: &str, which: &str, value: &KeyValue) -> Result<u64, CommandError> {
    let refuse = |given: &str, why: &str| {
        let text = format!("Invalid parameter {name} ({given}) in {which} instance specs: {why}");
        CommandError::argument(text)
    };
    let KeyValue::Text(text) = value else {
        return Err(refuse("", "it needs a value"));
    };
    if matches!(name, "disk-size" | "memory-size") {
        let size = parse_size(text).map_err(|_| refuse(text, "not a size such as 512M or 2G"))?;
        return Ok(size.0);
    }
    text.parse().map_err(|_| refuse(text, "not a whole number from 0 on"))
}
