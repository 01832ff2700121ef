//! The checked-in image of the tiny guest is what its source says.

use gantry_host::{Command, CommandRunner, RealRunner};
use gantry_hv::guest::TINY_GUEST_IMAGE;

#[test]
fn it_is_a_boot_sector() {
    assert_eq!(TINY_GUEST_IMAGE.len(), 512);
    assert_eq!(TINY_GUEST_IMAGE[510..], [0x55, 0xaa]);
}

#[tokio::test]
async fn the_image_equals_its_source() {
    if let Some(missing) = ["/usr/bin/as", "/usr/bin/ld"]
        .iter()
        .find(|program| !gantry_host::may_execute(program.as_ref()))
    {
        eprintln!("SKIPPED: {missing} is not installed (package binutils)");
        return;
    }
    let dir = tempfile::tempdir().expect("tempdir");
    let built = dir.path().join("built.img");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/guest/build.sh");
    let command = Command::new("/bin/sh").arg(script).arg(&built);
    RealRunner.run(command).await.expect("builds");
    let built = std::fs::read(built).expect("was built");
    assert!(built == TINY_GUEST_IMAGE, "tiny.img is stale: run hv/guest/build.sh");
}
