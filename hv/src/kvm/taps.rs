//! Taps: made before a guest starts, connected by a script or by us, removed after it.
//!
//! A tap is persistent and made by `ip`, not handed to QEMU as an open file: QEMU opens it by its
//! name before it becomes another user, and what a crash leaves behind has that name, which derives
//! from the interface. Where taps cannot be made, the guest gets a network of QEMU's own,
//! and the job's log says so.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use gantry_host::{Command, CommandError, CommandRunner, may_execute, may_make_taps};
use gantry_model::objects::{GuestSpec, Nic, NicMode};
use gantry_model::params::KvmParams;

use super::command_line::invalid;
use super::network::{Cable, n_queues, script_environment, tap_name};
use crate::error::HvError;

/// Where network scripts are looked for: the first that is there connects every interface.
pub const SCRIPTS: [&str; 2] = ["/etc/gantry/kvm-vif-bridge", "/etc/ganeti/kvm-vif-bridge"];

/// Places of iproute2.
const IP_PROGRAMS: [&str; 4] = ["/usr/sbin/ip", "/sbin/ip", "/usr/bin/ip", "/bin/ip"];

/// Places of Open vSwitch.
const OVS_PROGRAMS: [&str; 2] = ["/usr/bin/ovs-vsctl", "/bin/ovs-vsctl"];

/// How long a network script or tool may take: they talk to the kernel, scripts perhaps to a
/// controller. Lower fails starts behind a slow one; higher delays noticing one that hangs.
const NETWORK_TIME_MAX: Duration = Duration::from_secs(30);

/// The device through which the kernel serves virtio interfaces.
const VHOST: &str = "/dev/vhost-net";

/// The interfaces of a guest, ready for its start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Cables {
    /// How each is connected.
    pub(super) cables: Vec<Cable>,
    /// What the job's log should say.
    pub(super) notes: Vec<String>,
}

/// Connects taps of guests.
#[derive(Clone, Copy)]
pub(super) struct Taps<'a> {
    pub(super) runner: &'a dyn CommandRunner,
    /// A script that connects, instead of us.
    pub(super) script: Option<&'a Path>,
}

/// The script to use on this node, if there is one.
pub(super) fn script() -> Option<PathBuf> {
    SCRIPTS.iter().map(PathBuf::from).find(|path| may_execute(path))
}

fn program(places: &[&str], package: &'static str) -> Result<PathBuf, HvError> {
    let found = places.iter().map(PathBuf::from).find(|path| may_execute(path));
    found.ok_or_else(|| HvError::ProgramMissing { program: places[0].into(), package })
}

fn failed(attempt: &'static str, nic: &Nic) -> impl FnOnce(CommandError) -> HvError {
    let tap = tap_name(nic);
    move |source| HvError::Network { attempt, tap, source: Box::new(source) }
}

impl Taps<'_> {
    /// How the interfaces of a guest will be connected, and whether they can be.
    pub(super) fn plan(&self, spec: &GuestSpec, params: &KvmParams) -> Result<Cables, HvError> {
        let wanted = spec.nics.iter().any(|nic| nic.nicparams.mode.is_some());
        let denied = if wanted { may_make_taps().err() } else { None };
        let vhost =
            params.nic_type == "paravirtual" && params.vhost_net && Path::new(VHOST).exists();
        let mut planned = Cables::default();
        for (nic_idx, nic) in spec.nics.iter().enumerate() {
            planned.cables.push(match (nic.nicparams.mode, &denied) {
                (None, _) => {
                    let mac = &nic.mac;
                    let note = format!("interface {nic_idx} ({mac}) is not connected to anything");
                    planned.notes.push(note);
                    Cable::Nowhere
                }
                (Some(mode), Some(why)) => {
                    planned.notes.push(format!(
                        "interface {nic_idx} has user mode networking instead of {mode}: {why}; \
                         the guest reaches others, nobody reaches the guest"
                    ));
                    Cable::User
                }
                (Some(mode), None) => {
                    self.check_link(nic_idx, nic, mode)?;
                    Cable::Tap { vhost }
                }
            });
        }
        Ok(planned)
    }

    /// A link that is not there is refused before anything is made; a script knows its own.
    fn check_link(&self, nic_idx: usize, nic: &Nic, mode: NicMode) -> Result<(), HvError> {
        if self.script.is_some() {
            return Ok(());
        }
        let link = nic.nicparams.link.as_deref().unwrap_or_default();
        let class = Path::new("/sys/class/net").join(link);
        match mode {
            NicMode::Bridged if !class.join("bridge").is_dir() => Err(invalid(
                "link",
                link,
                &format!(
                    "a bridge of this node, for interface {nic_idx}; make it, or name another"
                ),
            )),
            NicMode::Routed if nic.ip.is_none() => {
                Err(invalid("ip", "none", &format!("an address: interface {nic_idx} is routed")))
            }
            NicMode::Openvswitch => program(&OVS_PROGRAMS, "openvswitch-switch").map(|_| ()),
            NicMode::Bridged | NicMode::Routed => Ok(()),
        }
    }

    /// Makes and connects the taps of a guest that is to be started. What an earlier start of it
    /// has left goes first.
    pub(super) async fn make(
        &self,
        spec: &GuestSpec,
        params: &KvmParams,
        cables: &[Cable],
    ) -> Result<(), HvError> {
        for (nic_idx, (nic, cable)) in spec.nics.iter().zip(cables).enumerate() {
            if !matches!(cable, Cable::Tap { .. }) {
                continue;
            }
            self.remove_one(nic).await?;
            self.add(nic, params).await?;
            match self.script {
                Some(script) => self.run_script(script, spec, nic_idx, nic).await?,
                None => self.connect(nic).await?,
            }
        }
        Ok(())
    }

    /// Removes the taps of a guest that has ended. Those that are not there are removed.
    pub(super) async fn remove(&self, nics: &[Nic]) -> Result<(), HvError> {
        for nic in nics {
            self.remove_one(nic).await?;
        }
        Ok(())
    }

    async fn remove_one(&self, nic: &Nic) -> Result<(), HvError> {
        let tap = tap_name(nic);
        if !Path::new("/sys/class/net").join(&tap).exists() {
            return Ok(());
        }
        self.ip(["link", "del", "dev", &tap]).await?.map_err(failed("remove", nic))
    }

    async fn add(&self, nic: &Nic, params: &KvmParams) -> Result<(), HvError> {
        let tap = tap_name(nic);
        let mut words = vec!["tuntap", "add", "dev", &tap, "mode", "tap"];
        if n_queues(params) > 1 {
            words.push("multi_queue");
        }
        if params.vnet_hdr {
            words.push("vnet_hdr");
        }
        self.ip(words).await?.map_err(failed("make", nic))
    }

    async fn connect(&self, nic: &Nic) -> Result<(), HvError> {
        let tap = tap_name(nic);
        let link = nic.nicparams.link.as_deref().unwrap_or_default();
        let vlan = nic.nicparams.vlan.as_deref().unwrap_or_default();
        self.ip(["link", "set", "dev", &tap, "up"]).await?.map_err(failed("switch on", nic))?;
        match nic.nicparams.mode {
            Some(NicMode::Bridged) => {
                let joined = self.ip(["link", "set", "dev", &tap, "master", link]).await?;
                joined.map_err(failed("put on its bridge", nic))
            }
            Some(NicMode::Routed) => {
                let Some(ip) = nic.ip else { return Ok(()) };
                let to = match ip {
                    IpAddr::V4(_) => format!("{ip}/32"),
                    IpAddr::V6(_) => format!("{ip}/128"),
                };
                let mut words = vec!["route", "replace", &to, "dev", &tap];
                // As in Ganeti, the link of a routed interface is a table of routes.
                if !link.is_empty() {
                    words.extend(["table", link]);
                }
                self.ip(words).await?.map_err(failed("route to", nic))
            }
            Some(NicMode::Openvswitch) => {
                let mut command = Command::new(program(&OVS_PROGRAMS, "openvswitch-switch")?)
                    .args(["--may-exist", "add-port", link, &tap])
                    .timeout(NETWORK_TIME_MAX);
                command = command.args(ovs_vlan(vlan));
                let added = self.runner.run(command).await;
                added.map(|_| ()).map_err(failed("put on its switch", nic))
            }
            None => Ok(()),
        }
    }

    async fn run_script(
        &self,
        script: &Path,
        spec: &GuestSpec,
        nic_idx: usize,
        nic: &Nic,
    ) -> Result<(), HvError> {
        let mut command = Command::new(script).arg(tap_name(nic)).timeout(NETWORK_TIME_MAX);
        for (name, value) in script_environment(spec.name.as_str(), &spec.tags, nic_idx, nic) {
            command = command.env(name, value);
        }
        let ran = self.runner.run(command).await;
        ran.map(|_| ()).map_err(failed("connect", nic))
    }

    /// Runs `ip`; the outer error is that it is not there.
    async fn ip<'w>(
        &self,
        words: impl IntoIterator<Item = &'w str>,
    ) -> Result<Result<(), CommandError>, HvError> {
        let command =
            Command::new(program(&IP_PROGRAMS, "iproute2")?).args(words).timeout(NETWORK_TIME_MAX);
        Ok(self.runner.run(command).await.map(|_| ()))
    }

    /// The first address of an interface of this node.
    pub(super) async fn address_of(&self, interface: &str) -> Result<IpAddr, HvError> {
        let refuse = || {
            let accepted = "an IP address, a directory, or an interface that has an address";
            invalid("vnc_bind_address", interface, accepted)
        };
        let command = Command::new(program(&IP_PROGRAMS, "iproute2")?)
            .args(["-o", "addr", "show", "dev", interface])
            .timeout(NETWORK_TIME_MAX);
        let output = self.runner.run(command).await.map_err(|_| refuse())?;
        first_address(&output.text()).ok_or_else(refuse)
    }
}

/// The first address in what `ip -o addr show` says.
fn first_address(said: &str) -> Option<IpAddr> {
    let mut words = said.split_whitespace();
    while let Some(word) = words.next() {
        if matches!(word, "inet" | "inet6") {
            let (address, _) = words.next()?.split_once('/')?;
            return address.parse().ok();
        }
    }
    None
}

/// What `ovs-vsctl add-port` is told of a VLAN: `.n` untagged, `:a:b` trunks, `.n:a` both.
fn ovs_vlan(vlan: &str) -> Vec<String> {
    let (tag, trunks) = match vlan.split_once(':') {
        Some((tag, trunks)) => (tag, trunks),
        None => (vlan, ""),
    };
    let tag = tag.strip_prefix('.').unwrap_or(tag);
    let mut words = Vec::new();
    if !tag.is_empty() {
        words.push(format!("tag={tag}"));
    }
    if !trunks.is_empty() {
        words.push(format!("trunks={}", trunks.replace(':', ",")));
    }
    if !tag.is_empty() && !trunks.is_empty() {
        words.push("vlan_mode=native-untagged".to_owned());
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interfaces_first_address_is_taken() {
        let said = "1: lo    inet 127.0.0.1/8 scope host lo\\       valid_lft forever\n\
                    1: lo    inet6 ::1/128 scope host";
        assert_eq!(first_address(said), "127.0.0.1".parse().ok());
        assert_eq!(first_address("2: eth0    inet6 fe80::1/64 scope link"), "fe80::1".parse().ok());
        assert_eq!(first_address("3: eth1"), None);
    }

    // covers: C221
    #[test]
    fn vlans_become_tags_and_trunks() {
        let words = |vlan| ovs_vlan(vlan).join(" ");
        assert_eq!(words(""), "");
        assert_eq!(words(".10"), "tag=10");
        assert_eq!(words("10"), "tag=10");
        assert_eq!(words(":20:30"), "trunks=20,30");
        assert_eq!(words(".10:20"), "tag=10 trunks=20 vlan_mode=native-untagged");
    }
}
