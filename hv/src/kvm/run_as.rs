//! As which user a guest runs (rows H45, H46).
//!
//! QEMU opens disks, sockets and devices as the daemon's user, and becomes the other one before the
//! guest executes; so nothing has to belong to that user, and a guest that breaks out of its
//! emulator finds nothing of the node's that is not open to everybody.

use std::path::Path;
use std::time::Duration;

use gantry_host::{Command, accounts};
use gantry_model::params::KvmParams;

use crate::error::HvError;
use crate::kvm::hypervisor::KvmHypervisor;
use crate::kvm::run_dir::{RunDir, io_error};

/// From this version on the user is a property of `-run-with`; `-runas` is on its way out.
const RUN_WITH_USER_SINCE: (u32, u32) = (9, 1);

/// How long QEMU may take to say its version; it only loads its libraries.
const VERSION_TIME_MAX: Duration = Duration::from_secs(10);

fn refused(field: &'static str, value: &str, accepted: &str) -> HvError {
    HvError::Invalid { field, value: value.to_owned(), accepted: accepted.to_owned() }
}

impl KvmHypervisor {
    /// The options by which QEMU becomes the user that the parameters want.
    pub(super) async fn run_as(
        &self,
        dir: &RunDir,
        params: &KvmParams,
    ) -> Result<Vec<String>, HvError> {
        let user = params.security_domain.as_str();
        match params.security_model.as_str() {
            "none" => return Ok(Vec::new()),
            "user" => {}
            other => {
                let accepted = "none or user; a cluster has no pool of user ids yet";
                return Err(refused("security_model", other, accepted));
            }
        }
        if accounts::own_uid() != 0 {
            let accepted = "none: the daemon does not run as root";
            return Err(refused("security_model", "user", accepted));
        }
        let wanted = user.to_owned();
        let found = self.on_disk(dir, move |_| Ok(accounts::account_named(&wanted))).await?;
        if found.map_err(io_error("look up the user", Path::new(user)))?.is_none() {
            return Err(refused("security_domain", user, "a user of the node"));
        }
        let ask = Command::new(&params.kvm_path).args(["--version"]).timeout(VERSION_TIME_MAX);
        let version = match self.config.runner.run(ask).await {
            Ok(output) => version_in(&output.text()),
            // The older form is understood by far more of them.
            Err(_) => None,
        };
        Ok(options(user, version))
    }
}

fn options(user: &str, version: Option<(u32, u32)>) -> Vec<String> {
    let is_new = version.is_some_and(|version| version >= RUN_WITH_USER_SINCE);
    match is_new {
        true => vec!["-run-with".to_owned(), format!("user={}", user.replace(',', ",,"))],
        false => vec!["-runas".to_owned(), user.to_owned()],
    }
}

/// Major and minor number out of `QEMU emulator version 7.2.15 (Debian …)`.
fn version_in(text: &str) -> Option<(u32, u32)> {
    let (_, rest) = text.split_once("version ")?;
    let mut numbers = rest.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    // covers: H45 H46
    #[test]
    fn the_version_decides_which_option_names_the_user() {
        for (text, expected) in [
            ("QEMU emulator version 7.2.15 (Debian 1:7.2+dfsg-7)", "-runas guests"),
            ("QEMU emulator version 9.0.4", "-runas guests"),
            ("QEMU emulator version 9.1.0", "-run-with user=guests"),
            ("QEMU emulator version 10.0.2 (v10.0.2)", "-run-with user=guests"),
            ("something else", "-runas guests"),
        ] {
            assert_eq!(options("guests", version_in(text)).join(" "), expected, "{text}");
        }
    }
}
