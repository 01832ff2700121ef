//! The QUIC link keeps the promises of every link.

#[tokio::test]
async fn the_quic_link_passes_the_suite() {
    gantry_link::conformance::check(&crate::rig::QuicRig::new()).await;
}
