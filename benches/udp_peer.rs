//! The floor of everything remote: an echo over UDP with blocking sockets.

use std::net::{Ipv4Addr, UdpSocket};
use std::time::Duration;

use anyhow::Context as _;

use crate::child::{Served, tell_parent, wait_for_parent};
use crate::harness::us_of;

/// On loopback nothing is lost; a lost packet would mean that the far side has died.
const PATIENCE: Duration = Duration::from_secs(5);

const BYTES: usize = 128;

pub(crate) fn serve() -> anyhow::Result<()> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    tell_parent(&socket.local_addr()?.to_string())?;
    std::thread::spawn(move || {
        let mut buffer = [0; BYTES];
        while let Ok((n, from)) = socket.recv_from(&mut buffer) {
            if socket.send_to(&buffer[..n], from).is_err() {
                return;
            }
        }
    });
    wait_for_parent();
    Ok(())
}

pub(crate) struct UdpPeer {
    socket: UdpSocket,
    _far: Served,
}

impl UdpPeer {
    pub(crate) fn start() -> anyhow::Result<Self> {
        let far = Served::start(&["udp"])?;
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket.connect(&far.line).with_context(|| format!("connect to {}", far.line))?;
        socket.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { socket, _far: far })
    }

    /// Round trips one by one.
    pub(crate) fn round_trips_us(&self, n: usize) -> anyhow::Result<Vec<f64>> {
        let mut buffer = [0; BYTES];
        let mut all = Vec::with_capacity(n);
        for _ in 0..n {
            let (us, echoed) =
                us_of(|| self.socket.send(&buffer).and_then(|_| self.socket.recv(&mut [0; BYTES])));
            buffer[0] = buffer[0].wrapping_add(u8::try_from(echoed? % 2)?);
            all.push(us);
        }
        Ok(all)
    }
}
