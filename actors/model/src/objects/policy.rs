//! The instance policy: what instances may be like (rows P1–P8).
//!
//! Owns the values, what makes them sensible together, and what of an instance they do not allow.
//! Used by whoever makes a policy (`cluster init`) and by logical units that make instances.
//! Deliberately absent: policies of groups, which come with groups, and what the ratios mean, which
//! comes with placement.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::objects::DiskTemplate;

/// One number for each thing that a policy counts; sizes in MiB (P2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct InstanceSpec {
    /// Virtual CPUs.
    pub cpu_count: u64,
    /// Disks.
    pub disk_count: u64,
    /// Size of each disk.
    pub disk_size: u64,
    /// Memory.
    pub memory_size: u64,
    /// Interfaces.
    pub nic_count: u64,
    /// Spindles.
    pub spindle_use: u64,
}

/// Names of the numbers in a spec, sorted as Ganeti prints them.
pub const SPEC_NAMES: [&str; 6] =
    ["cpu-count", "disk-count", "disk-size", "memory-size", "nic-count", "spindle-use"];

impl InstanceSpec {
    /// All with their names, in the order of [`SPEC_NAMES`].
    #[must_use]
    pub fn values(&self) -> [(&'static str, u64); 6] {
        let values = [
            self.cpu_count,
            self.disk_count,
            self.disk_size,
            self.memory_size,
            self.nic_count,
            self.spindle_use,
        ];
        std::array::from_fn(|idx| (SPEC_NAMES[idx], values[idx]))
    }

    /// The number of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<u64> {
        self.values().into_iter().find_map(|(known, value)| (known == name).then_some(value))
    }

    /// Sets the number of this name. Says whether there is one.
    #[must_use]
    pub fn set(&mut self, name: &str, value: u64) -> bool {
        let field = match name {
            "cpu-count" => &mut self.cpu_count,
            "disk-count" => &mut self.disk_count,
            "disk-size" => &mut self.disk_size,
            "memory-size" => &mut self.memory_size,
            "nic-count" => &mut self.nic_count,
            "spindle-use" => &mut self.spindle_use,
            _ => return false,
        };
        *field = value;
        true
    }
}

/// A pair of bounds, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct SpecBounds {
    /// No less.
    pub min: InstanceSpec,
    /// No more.
    pub max: InstanceSpec,
}

impl Default for SpecBounds {
    fn default() -> Self {
        Self {
            min: STANDARD,
            max: InstanceSpec {
                cpu_count: 8,
                disk_count: 16,
                disk_size: 1024 * 1024,
                memory_size: 32 * 1024,
                nic_count: 8,
                spindle_use: 12,
            },
        }
    }
}

/// Ganeti's smallest and its usual instance.
const STANDARD: InstanceSpec = InstanceSpec {
    cpu_count: 1,
    disk_count: 1,
    disk_size: 1024,
    memory_size: 128,
    nic_count: 1,
    spindle_use: 1,
};

/// A ratio in thousandths: configurations are compared and hashed, so they have no floats.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub struct Ratio(pub u64);

impl Ratio {
    /// Reads a number such as `4` or `1.5`, of at most three decimals.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
        let plain = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        if !plain(whole) || !plain(decimals) || decimals.len() > 3 {
            return None;
        }
        let decimals = format!("{decimals:0<3}").parse::<u64>().ok()?;
        whole.parse::<u64>().ok()?.checked_mul(1000)?.checked_add(decimals).map(Self)
    }
}

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, decimals) = (self.0 / 1000, format!("{:03}", self.0 % 1000));
        match decimals.trim_end_matches('0') {
            "" => write!(f, "{whole}"),
            decimals => write!(f, "{whole}.{decimals}"),
        }
    }
}

/// What instances may be like.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct InstancePolicy {
    /// An instance is within at least one pair; at least one pair.
    pub bounds: Vec<SpecBounds>,
    /// What an instance usually has.
    pub std: InstanceSpec,
    /// Templates that its disks may have; at least one.
    pub disk_templates: Vec<DiskTemplate>,
    /// Most virtual CPUs for each of a node.
    pub vcpu_ratio: Ratio,
    /// Most instances for each spindle.
    pub spindle_ratio: Ratio,
}

impl InstancePolicy {
    /// Ganeti's, for these templates.
    #[must_use]
    pub fn new(disk_templates: Vec<DiskTemplate>) -> Self {
        Self {
            bounds: vec![SpecBounds::default()],
            std: STANDARD,
            disk_templates,
            vcpu_ratio: Ratio(4_000),
            spindle_ratio: Ratio(32_000),
        }
    }

    /// Whether it can be a policy (P4).
    ///
    /// # Errors
    /// When bounds contradict each other or the usual instance is within none.
    pub fn check(&self) -> Result<(), PolicyError> {
        for SpecBounds { min, max } in &self.bounds {
            for ((name, min), (_, max)) in min.values().into_iter().zip(max.values()) {
                if min > max {
                    return Err(PolicyError::Bounds { name, min, max });
                }
            }
        }
        if self.disk_templates.is_empty() {
            return Err(PolicyError::NoTemplate);
        }
        let holds = |bounds: &SpecBounds| {
            self.std.values().into_iter().all(|(name, value)| bounds.refusal(name, value).is_none())
        };
        match self.bounds.as_slice() {
            [] => Err(PolicyError::NoBounds),
            bounds if bounds.iter().any(holds) => Ok(()),
            _ => Err(PolicyError::Standard),
        }
    }

    /// What of an instance it does not allow, in Ganeti's words; nothing if it allows all.
    #[must_use]
    pub fn violations(&self, instance: &Measured) -> Vec<String> {
        let mut found = Vec::new();
        if !self.disk_templates.contains(&instance.template) {
            let names: Vec<&str> = self.disk_templates.iter().map(|t| t.as_str()).collect();
            // Ganeti has a colon in one of the two.
            let colon = if instance.disk_sizes.is_empty() { "" } else { ":" };
            found.push(format!(
                "Disk template {} is not allowed (allowed templates{colon} {})",
                instance.template,
                names.join(", ")
            ));
        }
        let of_each = self.bounds.iter().map(|bounds| bounds.violations(instance));
        found.extend(of_each.min_by_key(Vec::len).unwrap_or_default());
        found
    }
}

impl SpecBounds {
    fn violations(&self, instance: &Measured) -> Vec<String> {
        let Measured { memory_size, cpu_count, nic_count, spindle_use, disk_sizes, .. } = instance;
        let mut checked: Vec<Option<String>> = vec![
            self.refusal("memory-size", *memory_size),
            self.refusal("cpu-count", *cpu_count),
            self.refusal("nic-count", *nic_count),
            self.refusal("spindle-use", *spindle_use),
        ];
        for (idx, size) in disk_sizes.iter().enumerate() {
            checked.push(self.refusal_of("disk-size", &format!("disk-size/{idx}"), *size));
        }
        if !disk_sizes.is_empty() {
            checked.push(self.refusal("disk-count", disk_sizes.len() as u64));
        }
        checked.into_iter().flatten().collect()
    }

    fn refusal(&self, name: &str, value: u64) -> Option<String> {
        self.refusal_of(name, name, value)
    }

    fn refusal_of(&self, name: &str, shown: &str, value: u64) -> Option<String> {
        let (min, max) = (self.min.get(name)?, self.max.get(name)?);
        let outside = value < min || value > max;
        outside.then(|| format!("{shown} value {value} is not in range [{min}, {max}]"))
    }
}

/// What a policy looks at of an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Measured {
    /// Most memory that it may have, in MiB.
    pub memory_size: u64,
    /// Virtual CPUs.
    pub cpu_count: u64,
    /// Interfaces.
    pub nic_count: u64,
    /// Spindles.
    pub spindle_use: u64,
    /// Each of its disks, in MiB.
    pub disk_sizes: Vec<u64>,
    /// How they are stored.
    pub template: DiskTemplate,
}

/// Why something is no policy. Ganeti's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// The least is more than the most.
    #[error("Invalid specification of min/max values for {name}: {min}/{max}")]
    Bounds {
        /// Of what.
        name: &'static str,
        /// The least.
        min: u64,
        /// The most.
        max: u64,
    },
    /// No pair of bounds.
    #[error("Empty minmax specifications")]
    NoBounds,
    /// No template.
    #[error("Instance policy must contain at least one disk template")]
    NoTemplate,
    /// The usual instance is not allowed.
    #[error("Invalid std specifications")]
    Standard,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> InstancePolicy {
        InstancePolicy::new(vec![DiskTemplate::File, DiskTemplate::Diskless])
    }

    fn usual() -> Measured {
        Measured {
            memory_size: 128,
            cpu_count: 1,
            nic_count: 1,
            spindle_use: 1,
            disk_sizes: vec![1024],
            template: DiskTemplate::File,
        }
    }

    // covers: P2
    #[test]
    fn ganetis_policy_allows_the_usual_instance_and_one_without_disks() {
        assert_eq!(policy().check(), Ok(()));
        assert_eq!(policy().violations(&usual()), Vec::<String>::new());
        let without = Measured { disk_sizes: vec![], template: DiskTemplate::Diskless, ..usual() };
        assert_eq!(policy().violations(&without), Vec::<String>::new());
    }

    // covers: P2 P6
    #[test]
    fn everything_that_is_not_allowed_is_named() {
        let greedy = Measured {
            memory_size: 65_536,
            cpu_count: 9,
            nic_count: 0,
            spindle_use: 13,
            disk_sizes: vec![2048, 8],
            template: DiskTemplate::SharedFile,
        };
        assert_eq!(
            policy().violations(&greedy),
            [
                "Disk template sharedfile is not allowed (allowed templates: file, diskless)",
                "memory-size value 65536 is not in range [128, 32768]",
                "cpu-count value 9 is not in range [1, 8]",
                "nic-count value 0 is not in range [1, 8]",
                "spindle-use value 13 is not in range [1, 12]",
                "disk-size/1 value 8 is not in range [1024, 1048576]",
            ]
        );
    }

    // covers: P1
    #[test]
    fn the_pair_of_bounds_counts_that_has_the_least_against_it() {
        let mut policy = policy();
        let mut large = SpecBounds::default();
        large.min.memory_size = 40_000;
        large.max.memory_size = 80_000;
        policy.bounds.push(large);
        let fits_second = Measured { memory_size: 65_536, ..usual() };
        assert_eq!(policy.violations(&fits_second), Vec::<String>::new());
        let fits_none = Measured { memory_size: 36_000, cpu_count: 9, ..usual() };
        assert_eq!(policy.violations(&fits_none).len(), 2);
    }

    // covers: P4
    #[test]
    fn bounds_do_not_contradict_each_other_and_hold_the_usual_instance() {
        let mut upside_down = policy();
        upside_down.bounds[0].max.disk_size = 5;
        let text = upside_down.check().expect_err("no range").to_string();
        assert_eq!(text, "Invalid specification of min/max values for disk-size: 1024/5");
        let mut outside = policy();
        outside.std.cpu_count = 9;
        assert_eq!(outside.check(), Err(PolicyError::Standard));
        let none = InstancePolicy { bounds: Vec::new(), ..policy() };
        assert_eq!(none.check(), Err(PolicyError::NoBounds));
        let none = InstancePolicy { disk_templates: Vec::new(), ..policy() };
        assert_eq!(none.check(), Err(PolicyError::NoTemplate));
    }

    #[test]
    fn numbers_are_set_by_name() {
        let mut spec = STANDARD;
        for (idx, name) in SPEC_NAMES.into_iter().enumerate() {
            assert!(spec.set(name, idx as u64 + 10), "{name}");
            assert_eq!(spec.get(name), Some(idx as u64 + 10), "{name}");
        }
        assert!(!spec.set("colour", 1));
    }

    // covers: P5
    #[test]
    fn ratios_have_decimals_and_no_float() {
        for (text, ratio, shown) in
            [("4", 4000, "4"), ("4.0", 4000, "4"), ("1.5", 1500, "1.5"), ("0.125", 125, "0.125")]
        {
            assert_eq!(Ratio::read(text), Some(Ratio(ratio)), "{text}");
            assert_eq!(Ratio(ratio).to_string(), shown);
        }
        for bad in ["", ".", "1.", ".5", "-1", "1.2345", "x", "99999999999999999999"] {
            assert_eq!(Ratio::read(bad), None, "{bad}");
        }
    }
}
