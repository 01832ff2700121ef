//! The demo, as whoever runs it.

use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use crate::rig::{GANTRY, Place, Program};

/// It takes some seconds; with everything else on two cores, more.
const DEMO_WAIT: Duration = Duration::from_secs(120);

#[test]
fn the_demo_runs_to_its_end_as_an_ordinary_user() {
    let place = Place::new();
    let everybody = std::fs::Permissions::from_mode(0o777);
    std::fs::set_permissions(place.path(), everybody).expect("our directory");
    let mut words: Vec<OsString> = Vec::new();
    let mut program = OsString::from(GANTRY);
    if nix::unistd::geteuid().is_root() {
        // The build directory may be closed to others.
        let copy = place.join("gantry");
        std::fs::copy(GANTRY, &copy).expect("a copy of the program");
        program = copy.into();
        let user = ["/usr/bin/setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"];
        words.extend(user.map(OsString::from));
    }
    words.extend([program, "demo".into(), "--directory".into(), place.join("d").into()]);
    let shown = Program::start(&place, &words, &[], None).finish(DEMO_WAIT);
    let said = shown.success();
    assert!(said.contains("== Done"), "{shown}");
    assert_eq!(place.processes(), [], "it leaves processes behind");
}
