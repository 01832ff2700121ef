//! Whether this process may make network interfaces.

use std::fs::OpenOptions;

/// The device behind taps.
const TUN: &str = "/dev/net/tun";

/// CAP_NET_ADMIN (capability.h).
const CAP_NET_ADMIN: u32 = 12;

/// Whether taps can be made here and connected.
///
/// # Errors
/// Says why not, for people.
pub fn may_make_taps() -> Result<(), String> {
    let status = std::fs::read_to_string("/proc/self/status")
        .map_err(|error| format!("/proc/self/status: {error}"))?;
    if !has_capability(&status, CAP_NET_ADMIN) {
        return Err("the daemon may not change the node's network (no CAP_NET_ADMIN)".into());
    }
    match OpenOptions::new().read(true).write(true).open(TUN) {
        Ok(_) => Ok(()),
        Err(error) => Err(format!("{TUN}: {error}")),
    }
}

/// What `/proc/<pid>/status` says of a capability that is in effect.
fn has_capability(status: &str, capability: u32) -> bool {
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let bits = effective.and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok());
    bits.is_some_and(|bits| bits >> capability & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_capability_is_one_bit() {
        let status = "Name:\tx\nCapEff:\t0000000000001000\n";
        assert!(has_capability(status, 12) && !has_capability(status, 11));
        assert!(!has_capability("Name:\tx\n", 12));
        assert!(!has_capability("CapEff:\tx\n", 12));
    }
}
