//! The socket and the settings of QUIC on it.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;

use quinn::{EndpointConfig, IdleTimeout, MtuDiscoveryConfig, TransportConfig, VarInt};
use quinn_proto::HashedConnectionIdGenerator;
use socket2::{Domain, Protocol, Socket, Type};

use crate::identity::EndpointKeys;
use crate::limits::{
    CONNECTION_WINDOW_BYTES, INITIAL_RTT, KEEP_ALIVE, PEER_SILENCE, SOCKET_BUFFER_BYTES,
    STREAM_WINDOW_BYTES, STREAMS_PER_PEER_MAX, UDP_PAYLOAD_BYTES_MAX,
};

/// Binds a UDP socket with large buffers.
pub(super) fn bind(addr: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(addr), Type::DGRAM, Some(Protocol::UDP))?;
    if addr.is_ipv6() {
        // One socket for both families, where the address says "any".
        socket.set_only_v6(false)?;
    }
    socket.set_recv_buffer_size(SOCKET_BUFFER_BYTES)?;
    socket.set_send_buffer_size(SOCKET_BUFFER_BYTES)?;
    // The system grants less silently; Linux reports twice what it grants.
    let granted = socket.recv_buffer_size()?;
    if granted < SOCKET_BUFFER_BYTES {
        tracing::info!(
            granted,
            wanted = SOCKET_BUFFER_BYTES,
            "receive buffer is limited by the system"
        );
    }
    socket.bind(&addr.into())?;
    Ok(socket.into())
}

/// Settings of the endpoint. With the keys of an earlier run its peers notice the restart at once.
pub(super) fn endpoint_config(keys: &EndpointKeys) -> EndpointConfig {
    let reset = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &keys.reset);
    let connection_id = u64::from_be_bytes(keys.connection_id);
    let mut config = EndpointConfig::new(Arc::new(reset));
    config.cid_generator(move || Box::new(HashedConnectionIdGenerator::from_key(connection_id)));
    config
        .max_udp_payload_size(UDP_PAYLOAD_BYTES_MAX)
        .expect("the constant lies between 1200 and 65527");
    config
}

/// Settings of every connection, whoever dialed.
pub(super) fn transport_config() -> Arc<TransportConfig> {
    let mut config = TransportConfig::default();
    let mut discovery = MtuDiscoveryConfig::default();
    discovery.upper_bound(UDP_PAYLOAD_BYTES_MAX);
    let idle = IdleTimeout::try_from(PEER_SILENCE).expect("two seconds fit into a VarInt");
    config
        .max_idle_timeout(Some(idle))
        .keep_alive_interval(Some(KEEP_ALIVE))
        .initial_rtt(INITIAL_RTT)
        .mtu_discovery_config(Some(discovery))
        .max_concurrent_bidi_streams(VarInt::from_u32(STREAMS_PER_PEER_MAX))
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .datagram_receive_buffer_size(None)
        .stream_receive_window(VarInt::from_u32(STREAM_WINDOW_BYTES))
        .receive_window(VarInt::from_u32(CONNECTION_WINDOW_BYTES))
        .send_window(u64::from(CONNECTION_WINDOW_BYTES));
    Arc::new(config)
}
