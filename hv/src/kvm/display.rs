//! The display of a guest: VNC, graphics card, keyboard.

use std::net::IpAddr;
use std::path::PathBuf;

use gantry_host::Command;
use gantry_model::params::KvmParams;

use super::command_line::{LaunchPlan, escaped, invalid};
use crate::error::HvError;

/// The port of VNC's display 0.
const VNC_BASE_PORT: u16 = 5_900;

/// Where the display of a guest is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Display {
    /// There is none.
    None,
    /// VNC on this address and port.
    Vnc(IpAddr, u16),
    /// VNC on a socket.
    VncSocket(PathBuf),
}

/// What the parameters say of the display before an interface has become an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wanted<'a> {
    /// As it is.
    Known(Display),
    /// VNC on the address of this interface.
    Interface(&'a str, u16),
}

/// Where the display shall be.
pub(super) fn wanted<'a>(
    params: &'a KvmParams,
    guest: &str,
    port: Option<u16>,
) -> Result<Wanted<'a>, HvError> {
    let bind = params.vnc_bind_address.as_str();
    if bind.is_empty() {
        return Ok(Wanted::Known(Display::None));
    }
    if bind.starts_with('/') {
        let socket = PathBuf::from(bind).join(format!("{guest}.vnc"));
        return Ok(Wanted::Known(Display::VncSocket(socket)));
    }
    let Some(port) = port.filter(|port| *port >= VNC_BASE_PORT) else {
        let accepted = "nothing: no network port is reserved for this instance";
        return Err(invalid("vnc_bind_address", bind, accepted));
    };
    Ok(match bind.parse() {
        Ok(address) => Wanted::Known(Display::Vnc(address, port)),
        Err(_) => Wanted::Interface(bind, port),
    })
}

/// Adds the display.
pub(super) fn with_display(mut command: Command, plan: &LaunchPlan<'_>) -> Command {
    let params = plan.params;
    let at = match plan.display {
        Display::None => None,
        Display::Vnc(IpAddr::V4(address), port) => {
            Some(format!("{address}:{}", port.saturating_sub(VNC_BASE_PORT)))
        }
        Display::Vnc(IpAddr::V6(address), port) => {
            Some(format!("[{address}]:{}", port.saturating_sub(VNC_BASE_PORT)))
        }
        Display::VncSocket(path) => Some(format!("unix:{}", escaped(&path.to_string_lossy()))),
    };
    if let Some(at) = at {
        let mut vnc = at;
        if !params.vnc_password_file.is_empty() {
            vnc.push_str(",password=on");
        }
        if params.vnc_tls {
            command = command.args(["-object", &vnc_credentials(params)]);
            vnc.push_str(",tls-creds=vnctls0");
        }
        command = command.args(["-vnc", &vnc]);
    }
    match (params.vga.as_str(), plan.display) {
        ("", Display::None) => {}
        // A display without a card shows nothing.
        ("", _) => command = command.args(["-vga", "std"]),
        (card, _) => command = command.args(["-vga", card]),
    }
    if params.keymap.is_empty() { command } else { command.args(["-k", &params.keymap]) }
}

fn vnc_credentials(params: &KvmParams) -> String {
    if params.vnc_x509_path.is_empty() {
        return "tls-creds-anon,id=vnctls0,endpoint=server".to_owned();
    }
    let verify = if params.vnc_x509_verify { "on" } else { "off" };
    let dir = escaped(&params.vnc_x509_path);
    format!("tls-creds-x509,id=vnctls0,endpoint=server,verify-peer={verify},dir={dir}")
}
