//! Consoles by message.

use std::time::Duration;

use gantry_model::errors::FaultCode;
use gantry_model::messages::{ConsoleChunk, ReadConsole, WriteConsole};
use gantry_model::node_calls::instance_path;
use gantry_model::units::Millis;
use gantry_runtime::simulate;
use tokio::time::Instant;

use crate::bench::{Bench, Node, WEB1, message, start, stop};

async fn read(node: &Node, offset: u64, wait_ms: u64) -> ConsoleChunk {
    let read = ReadConsole { offset, wait: Millis(wait_ms) };
    node.ask(instance_path(WEB1), read).await.expect("readable")
}

/// Reads on from `offset` until the text is there; the next offset.
async fn read_until(node: &Node, mut offset: u64, text: &str) -> u64 {
    let mut seen = String::new();
    while !seen.contains(text) {
        let chunk = read(node, offset, 20_000).await;
        assert!(!chunk.closed && !chunk.bytes.is_empty(), "ended with {seen:?}");
        offset = chunk.offset + chunk.bytes.len() as u64;
        seen.push_str(&String::from_utf8_lossy(&chunk.bytes));
    }
    offset
}

async fn write(node: &Node, keys: &[u8]) -> Result<(), FaultCode> {
    let write = WriteConsole { bytes: keys.to_vec() };
    node.ask(instance_path(WEB1), write).await.map_err(|fault| fault.code)
}

#[test]
fn output_is_read_by_offset_and_input_reaches_the_guest() {
    simulate(async {
        let bench = Bench::new();
        let node = bench.boot().await;
        node.done(&message(1, start(1))).await;
        let offset = read_until(&node, 0, "GANTRY-GUEST UP boot=1").await;
        write(&node, b"r").await.expect("written");
        read_until(&node, offset, "GANTRY-GUEST UP boot=2").await;
    });
}

#[test]
fn a_reader_waits_no_longer_than_it_said() {
    simulate(async {
        let bench = Bench::new();
        let node = bench.boot().await;
        node.done(&message(1, start(1))).await;
        let offset = read_until(&node, 0, "boot=1").await;
        let offset = offset + read(&node, offset, 1_000).await.bytes.len() as u64;
        let begun = Instant::now();
        let nothing = read(&node, offset, 5_000).await;
        assert_eq!(nothing, ConsoleChunk { offset, bytes: Vec::new(), closed: false });
        let took = begun.elapsed();
        assert!(took >= Duration::from_secs(5) && took < Duration::from_secs(6), "{took:?}");
    });
}

#[test]
fn a_waiting_reader_does_not_hold_up_a_call_and_learns_the_end() {
    simulate(async {
        let bench = Bench::new();
        let node = bench.boot().await;
        node.done(&message(1, start(1))).await;
        let mut offset = 0;
        let begun = Instant::now();
        let end = async {
            loop {
                let chunk = read(&node, offset, 30_000).await;
                offset = chunk.offset + chunk.bytes.len() as u64;
                if chunk.closed {
                    return;
                }
            }
        };
        let stop = message(2, stop(0));
        tokio::join!(end, node.done(&stop));
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    });
}

#[test]
fn what_a_guest_said_last_is_read_after_its_end() {
    simulate(async {
        let bench = Bench::new();
        let node = bench.boot().await;
        node.done(&message(1, start(1))).await;
        read_until(&node, 0, "boot=1").await;
        node.done(&message(2, stop(0))).await;
        let chunk = read(&node, 0, 30_000).await;
        assert!(chunk.closed && !chunk.bytes.is_empty(), "{chunk:?}");
    });
}

#[test]
fn the_count_goes_on_over_a_new_start() {
    simulate(async {
        let bench = Bench::new();
        let node = bench.boot().await;
        node.done(&message(1, start(1))).await;
        let offset = read_until(&node, 0, "boot=1").await;
        node.done(&message(2, stop(0))).await;
        node.done(&message(3, start(2))).await;
        assert!(read_until(&node, offset, "boot=2").await > offset);
    });
}

#[test]
fn a_guest_that_does_not_run_has_a_closed_console() {
    simulate(async {
        let bench = Bench::new();
        let node = bench.boot().await;
        let chunk = read(&node, 0, 30_000).await;
        assert_eq!(chunk, ConsoleChunk { offset: 0, bytes: Vec::new(), closed: true });
        assert_eq!(write(&node, b"x").await, Err(FaultCode::WrongState));
    });
}

#[test]
fn too_much_input_at_once_is_refused() {
    simulate(async {
        let bench = Bench::new();
        let node = bench.boot().await;
        node.done(&message(1, start(1))).await;
        assert_eq!(write(&node, &[b'x'; 16 * 1024 + 1]).await, Err(FaultCode::WrongInput));
    });
}
