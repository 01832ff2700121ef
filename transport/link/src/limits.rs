//! Every limit of a link, and what breaks when it is lower or higher.

use std::time::Duration;

/// The one constant of liveness: a peer from which nothing came for so long is silent. The
/// keep-alive interval derives from it. Lower than a second and a loaded machine (load 15 on two
/// cores was measured) is called silent while it works; higher and asks to a dead host hang longer.
/// A dead *process* whose host lives is noticed much sooner, when it is started again.
pub const PEER_SILENCE: Duration = Duration::from_millis(2000);

/// Keep-alives per [`PEER_SILENCE`]. Four may be lost or late before anybody is called silent.
/// Fewer make false alarms, more cost packets for every idle pair of nodes.
const KEEP_ALIVES_PER_SILENCE: u32 = 5;

/// How often an idle connection says that it lives.
pub(crate) const KEEP_ALIVE: Duration =
    Duration::from_millis(PEER_SILENCE.as_millis() as u64 / KEEP_ALIVES_PER_SILENCE as u64);

/// Time for one address to answer, hello included. A handshake takes 3 ms on a quiet LAN and three
/// round trips elsewhere. Lower fails over slow lines, higher delays the next address.
pub(crate) const DIAL_TIMEOUT: Duration = Duration::from_secs(2);

/// Time for a peer that reached us to finish handshake and hello. Lower refuses slow lines, higher
/// lets strangers hold half-open connections.
pub(crate) const HELLO_TIMEOUT: Duration = Duration::from_secs(3);

/// First pause between failed dials, doubled up to [`BACKOFF_MAX`]. Lower burns CPU on handshakes,
/// higher delays the first message after a restart.
pub(crate) const BACKOFF_FIRST: Duration = Duration::from_millis(50);

/// Longest pause between failed dials. Higher delays what waits for a node that came back; lower
/// makes a hundred nodes knock on a dead one all the time.
pub(crate) const BACKOFF_MAX: Duration = Duration::from_secs(2);

/// Round-trip time assumed before the first measurement: how long a lost first packet costs (about
/// three of these). Nodes of a cluster are near; a longer guess delays the first contact with a
/// node that is just starting, a shorter one sends needless repeats over slow lines.
pub(crate) const INITIAL_RTT: Duration = Duration::from_millis(50);

/// How long after its deadline a sent ask still waits for a typed outcome of the receiver ("dropped
/// in the queue" says more than "unknown"). Lower loses such answers, higher makes callers wait.
pub(crate) const ASK_GRACE: Duration = Duration::from_millis(200);

/// How often the deadlines of asks that are worked on here are looked at. An asker waits
/// [`ASK_GRACE`] for the word, so this has to be well below. Lower looks for nothing, higher turns
/// "not started" into "unknown".
pub(crate) const DEADLINE_TICK: Duration = Duration::from_millis(50);

/// Looks at an empty table before nobody looks any more until the next ask. Fewer would start and
/// stop the looking with every ask of a slow conversation, more wake an idle process.
pub(crate) const DEADLINE_TICKS_IDLE: u32 = 20;

/// Largest UDP payload. Segmentation offload sends up to ten at once and 64 KiB is the most that
/// UDP takes, so beyond 6400 sends fail and path discovery falls back to 1200 bytes.
pub(crate) const UDP_PAYLOAD_BYTES_MAX: u16 = 6400;

/// Socket buffers asked for. The system's default of 208 KiB holds 250 small packets and loses
/// hundreds per 60 MiB even on loopback; more than the usual system maximum is not granted.
pub(crate) const SOCKET_BUFFER_BYTES: usize = 4 * 1024 * 1024;

/// Streams that a peer may have open: two lanes, the hello, and one being replaced. Lower stalls
/// the replacement of a bad stream, higher is of no use to an honest peer.
pub(crate) const STREAMS_PER_PEER_MAX: u32 = 4;

/// Unread bytes per stream. A lane must hold the product of bandwidth and delay: 10 Gbit/s at 1 ms
/// is 1.25 MB. Lower throttles, higher lets a peer make us hold more.
pub(crate) const STREAM_WINDOW_BYTES: u32 = 4 * 1024 * 1024;

/// Unread bytes per connection: both lanes.
pub(crate) const CONNECTION_WINDOW_BYTES: u32 = 2 * STREAM_WINDOW_BYTES;

/// Bytes written at once where so many are ready. Lower makes more system calls, higher delays what
/// gets ready meanwhile.
pub(crate) const WRITE_BATCH_BYTES: usize = 64 * 1024;

/// Bytes read at once from a stream.
pub(crate) const READ_CHUNK_BYTES: usize = 64 * 1024;

/// Messages waiting for one peer, both lanes. Beyond it `tell` and `ask` refuse, which is how a
/// slow peer slows its senders. Lower refuses bursts (a job fan-out to 1,000 instances of a node),
/// higher only makes the wait longer.
pub(crate) const SEND_QUEUE_MESSAGES_MAX: usize = 8192;

/// Bytes waiting for one peer, both lanes. At least two of the largest frames. Higher lets one dead
/// peer take that much memory from us.
pub(crate) const SEND_QUEUE_BYTES_MAX: usize = 48 * 1024 * 1024;

/// Asks to one peer without an answer. Lower stalls pipelining (256 in flight saturate a link),
/// higher holds more callers when a peer dies.
pub(crate) const ASKS_PER_PEER_MAX: usize = 8192;

/// Asks of one peer that are being worked on here. The same number: what an honest peer may send,
/// we take. Beyond it they are refused as not delivered.
pub(crate) const INBOUND_ASKS_PER_PEER_MAX: usize = ASKS_PER_PEER_MAX;

/// Bytes of replies waiting to be written to one peer. Beyond it a reply is replaced by "unknown":
/// a peer that asks and does not read must not fill our memory. At least two of the largest frames.
pub(crate) const REPLY_QUEUE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Handshakes begun per second, and the burst. One costs 1.5 ms of CPU, so this bounds strangers to
/// a third of a core. Lower delays the return of a large cluster after a power cut (500 nodes take
/// two and a half seconds), higher lets a flood starve the work.
pub(crate) const HANDSHAKES_PER_SECOND_MAX: u32 = 200;

/// Handshakes and hellos in progress. Lower refuses honest bursts, higher holds more memory for
/// strangers (some 20 KiB each).
pub(crate) const HALF_OPEN_MAX: usize = 256;

/// Connected peers that are not nodes: commands, gateways, joiners. A command at work holds one.
/// Lower refuses scripts that start hundreds at once, higher lets a leaked reader certificate take
/// more memory.
pub(crate) const CLIENTS_MAX: usize = 1024;

/// Connected joiners, which have proven nothing. Part of [`CLIENTS_MAX`], so that strangers cannot
/// keep operators out.
pub(crate) const JOINERS_MAX: usize = 64;

/// How long a joiner may stay connected. Joining takes a few seconds. Lower breaks it on slow
/// disks, higher lets strangers occupy [`JOINERS_MAX`] longer.
pub(crate) const JOINER_SESSION_MAX: Duration = Duration::from_secs(60);

/// Changes in the life of peers that a subscriber may lag behind before it misses some. A thousand
/// nodes going down at once fit.
pub(crate) const EVENTS_BUFFERED: usize = 4096;

/// How often what nobody waits for any more is thrown away. Only memory depends on it.
pub(crate) const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// Pause before a lane whose stream broke gets another one. A peer that breaks every stream at once
/// costs twenty streams a second; longer delays honest traffic after a mishap.
pub(crate) const LANE_REOPEN_PAUSE: Duration = Duration::from_millis(50);

/// Bytes of bulk data taken from a writer at once. Lower costs a call and a look at the rate more
/// often, higher makes the rate bumpy.
pub(crate) const BULK_CHUNK_BYTES: usize = 64 * 1024;

/// How long nothing may move in a bulk transfer. A disk that syncs for long stops it for a while;
/// lower would cut such copies, higher holds the places of dead ones.
pub(crate) const BULK_IDLE: Duration = Duration::from_secs(30);

/// Time for a peer to take or refuse a transfer, per address.
pub(crate) const BULK_OPEN_TIMEOUT: Duration = Duration::from_secs(5);

/// Transfers that peers may have open here. A node takes part in a few migrations at once; lower
/// would refuse a drained node's guests, higher lets peers hold that many windows of
/// [`CONNECTION_WINDOW_BYTES`].
pub(crate) const BULK_OPEN_MAX: usize = 32;

/// Largest header of a transfer. It travels in one frame with the hello; more is data.
pub(crate) const BULK_HEADER_BYTES_MAX: usize = 32 * 1024;

/// How long the receiving side of a transfer waits for the opener to close the connection. Less may
/// lose its last words on a slow line, more holds dead connections.
pub(crate) const BULK_LINGER: Duration = Duration::from_secs(5);

/// Chunks under way in a simulated transfer, per direction: the window of a real one.
pub(crate) const SIM_BULK_CHUNKS_MAX: usize = STREAM_WINDOW_BYTES as usize / BULK_CHUNK_BYTES;

/// Room for everything in a frame but its body. Path and name of the greatest length, an id and all
/// tokens take less than 400 bytes.
pub(crate) const FRAME_OVERHEAD_BYTES_MAX: usize = 512;

const _: () = assert!(SEND_QUEUE_BYTES_MAX >= 2 * gantry_wire::FRAME_BYTES_MAX);
const _: () = assert!(REPLY_QUEUE_BYTES_MAX >= 2 * gantry_wire::FRAME_BYTES_MAX);
const _: () = assert!(
    FRAME_OVERHEAD_BYTES_MAX
        >= gantry_wire::PATH_BYTES_MAX + gantry_wire::WIRE_NAME_BYTES_MAX + 100
);
const _: () = assert!(BULK_HEADER_BYTES_MAX * 2 <= crate::frame::UNPROVEN_FRAME_BYTES_MAX);
const _: () = assert!(JOINERS_MAX < CLIENTS_MAX);
const _: () = assert!(UDP_PAYLOAD_BYTES_MAX as usize * 10 <= 64 * 1024);
