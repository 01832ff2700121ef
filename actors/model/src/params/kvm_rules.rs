//! Which parameters of kvm go together. Pure: asked before anything is stored, and again by the
//! node before a guest is started, because a state can be older than a rule.

use std::net::IpAddr;

use super::cpu_mask::CpuMask;
use super::kvm::KvmParams;
use super::set::ParameterSet;
use super::value::ParamError;

fn conflict(name: &'static str, value: &str, conflict: impl Into<String>) -> ParamError {
    ParamError::Conflict { name, value: value.to_owned(), conflict: conflict.into() }
}

impl KvmParams {
    /// Checks each value by itself and all of them together; `vcpus` where it is known.
    ///
    /// # Errors
    /// Names the first parameter that is wrong, its value, and what would be right.
    pub fn check(&self, vcpus: Option<u32>) -> Result<(), ParamError> {
        self.check_values()?;
        self.check_boot()?;
        self.check_displays()?;
        self.check_spice()?;
        self.check_disks()?;
        self.check_cpus(vcpus)?;
        self.check_security()
    }

    fn check_boot(&self) -> Result<(), ParamError> {
        if self.kernel_path.is_empty() {
            if !self.initrd_path.is_empty() {
                let why = "is only used beside kernel_path, which is not set";
                return Err(conflict("initrd_path", &self.initrd_path, why));
            }
            let (order, needs, path) = match self.boot_order.as_str() {
                "cdrom" => ("cdrom", "cdrom_image_path", &self.cdrom_image_path),
                "floppy" => ("floppy", "floppy_image_path", &self.floppy_image_path),
                _ => return Ok(()),
            };
            if path.is_empty() {
                return Err(conflict("boot_order", order, format!("needs {needs}")));
            }
        } else if self.root_path.is_empty() {
            return Err(conflict("kernel_path", &self.kernel_path, "needs root_path"));
        }
        Ok(())
    }

    fn check_displays(&self) -> Result<(), ParamError> {
        if !self.vnc_bind_address.is_empty() && !self.spice_bind.is_empty() {
            let why = "excludes vnc_bind_address: a guest has one display";
            return Err(conflict("spice_bind", &self.spice_bind, why));
        }
        if self.vnc_x509_verify && self.vnc_x509_path.is_empty() {
            return Err(conflict("vnc_x509_verify", "True", "needs vnc_x509_path"));
        }
        Ok(())
    }

    fn check_spice(&self) -> Result<(), ParamError> {
        if self.spice_bind.is_empty() {
            let set = [
                ("spice_ip_version", self.spice_ip_version != 0),
                ("spice_password_file", !self.spice_password_file.is_empty()),
                ("spice_image_compression", !self.spice_image_compression.is_empty()),
                ("spice_jpeg_wan_compression", !self.spice_jpeg_wan_compression.is_empty()),
                ("spice_zlib_glz_wan_compression", !self.spice_zlib_glz_wan_compression.is_empty()),
                ("spice_streaming_video", !self.spice_streaming_video.is_empty()),
                ("spice_use_tls", self.spice_use_tls),
            ];
            return match set.into_iter().find(|(_, set)| *set) {
                Some((name, _)) => {
                    let value = self.rows().into_iter().find(|(known, _)| *known == name);
                    let value = value.map(|(_, value)| value).unwrap_or_default();
                    Err(conflict(name, &value, "needs spice_bind"))
                }
                None => Ok(()),
            };
        }
        let family = match self.spice_bind.parse::<IpAddr>() {
            Ok(IpAddr::V4(_)) => 4,
            Ok(IpAddr::V6(_)) => 6,
            Err(_) => return Ok(()),
        };
        if self.spice_ip_version != 0 && self.spice_ip_version != family {
            let why = format!("is not the family of spice_bind {}", self.spice_bind);
            return Err(conflict("spice_ip_version", &self.spice_ip_version.to_string(), why));
        }
        Ok(())
    }

    fn check_disks(&self) -> Result<(), ParamError> {
        if self.disk_aio == "native" && self.disk_cache != "none" {
            let why = format!("needs disk_cache none, not {}", self.disk_cache);
            return Err(conflict("disk_aio", "native", why));
        }
        Ok(())
    }

    fn check_cpus(&self, vcpus: Option<u32>) -> Result<(), ParamError> {
        let Some(vcpus) = vcpus else { return Ok(()) };
        let mask = CpuMask::parse(&self.cpu_mask).ok();
        if let Some(n_sets) = mask.as_ref().and_then(CpuMask::n_sets)
            && u32::try_from(n_sets).ok() != Some(vcpus)
        {
            let why = format!("has {n_sets} sets, the guest has {vcpus} virtual CPUs");
            return Err(conflict("cpu_mask", &self.cpu_mask, why));
        }
        let topology = [self.cpu_sockets, self.cpu_cores, self.cpu_threads];
        if topology.contains(&0) {
            return Ok(());
        }
        let [sockets, cores, threads] = topology.map(u64::from);
        if sockets * cores * threads != u64::from(vcpus) {
            let why = format!(
                "with {cores} cores and {threads} threads makes {} CPUs, the guest has {vcpus}",
                sockets * cores * threads
            );
            return Err(conflict("cpu_sockets", &self.cpu_sockets.to_string(), why));
        }
        Ok(())
    }

    fn check_security(&self) -> Result<(), ParamError> {
        match (self.security_model.as_str(), self.security_domain.is_empty()) {
            ("user", true) => {
                Err(conflict("security_model", "user", "needs security_domain, the user's name"))
            }
            ("user", false) | (_, true) => Ok(()),
            (model, false) => {
                let why = format!("is only used with security_model user, not {model}");
                Err(conflict("security_domain", &self.security_domain, why))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(change: impl FnOnce(&mut KvmParams)) -> String {
        let mut params = KvmParams::default();
        change(&mut params);
        params.check(Some(2)).expect_err("refused").to_string()
    }

    #[test]
    fn the_defaults_go_together() {
        assert_eq!(KvmParams::default().check(Some(1)), Ok(()));
    }

    // covers: H2 H3 H9 H12 H16 H28 H34 H46
    #[test]
    fn what_does_not_go_together_is_named_with_what_would() {
        assert_eq!(
            refused(|p| p.disk_aio = "native".into()),
            "parameter disk_aio: \"native\" needs disk_cache none, not default"
        );
        assert!(refused(|p| p.initrd_path = "/i".into()).contains("kernel_path"));
        assert!(refused(|p| p.boot_order = "cdrom".into()).contains("needs cdrom_image_path"));
        assert!(refused(|p| p.boot_order = "floppy".into()).contains("needs floppy_image_path"));
        assert!(refused(|p| p.vnc_x509_verify = true).contains("needs vnc_x509_path"));
        assert!(refused(|p| p.security_model = "user".into()).contains("needs security_domain"));
        assert!(refused(|p| p.security_domain = "nobody".into()).contains("security_model user"));
        assert!(refused(|p| p.spice_use_tls = true).contains("needs spice_bind"));
        let both = refused(|p| {
            p.spice_bind = "127.0.0.1".into();
            p.vnc_bind_address = "127.0.0.1".into();
        });
        assert!(both.contains("excludes vnc_bind_address"), "{both}");
        let family = refused(|p| {
            p.spice_bind = "::1".into();
            p.spice_ip_version = 4;
        });
        assert!(family.contains("is not the family"), "{family}");
        let rootless = refused(|p| {
            p.kernel_path = "/k".into();
            p.root_path = String::new();
        });
        assert!(rootless.contains("needs root_path"), "{rootless}");
    }

    // covers: H54 H56 H57 H58
    #[test]
    fn masks_and_topologies_fit_the_number_of_cpus() {
        assert!(refused(|p| p.cpu_mask = "0:1:2".into()).contains("has 3 sets"));
        let topology = |sockets, cores, threads| {
            let params = KvmParams {
                cpu_sockets: sockets,
                cpu_cores: cores,
                cpu_threads: threads,
                ..KvmParams::default()
            };
            params.check(Some(4)).is_ok()
        };
        assert!(topology(2, 2, 1) && topology(0, 2, 0) && !topology(2, 2, 2));
        let masked = KvmParams { cpu_mask: "0:all".into(), ..KvmParams::default() };
        assert!(masked.check(Some(2)).is_ok() && masked.check(None).is_ok());
    }

    #[test]
    fn a_value_that_was_sent_and_not_typed_is_checked_too() {
        assert!(refused(|p| p.disk_type = "floppy".into()).starts_with("'disk_type'"));
        assert!(refused(|p| p.virtio_net_queues = 9).contains("from 1 to 8"));
    }
}
