//! `gantry instance console`

use crate::harness::Session;

// covers: C62
#[tokio::test(start_paused = true)]
async fn at_a_terminal_keys_go_to_the_guest_until_the_escape_key() {
    let session = Session::typing("ls\r\u{1d}never sent");
    session.cluster.console_says(0, "login: ", false);
    let ran = session.run("gnt-instance console web1").await;
    assert_eq!(ran.code.0, 0, "{}", ran.stderr);
    assert_eq!(ran.stdout, "login: ");
    assert_eq!(session.cluster.typed(), "ls\r");
    assert!(ran.stderr.contains("Ctrl-]") && ran.stderr.contains("Disconnected"), "{}", ran.stderr);
    assert_eq!(*session.raw.lock().expect("not poisoned"), (1, 1), "raw and back");
}

// covers: C62
#[tokio::test(start_paused = true)]
async fn without_a_terminal_output_goes_on_after_the_end_of_the_input() {
    let session = Session { stdin: b"poweroff\n".to_vec(), ..Session::new() };
    session.cluster.console_says(0, "# ", false);
    session.cluster.console_says(2, "bye\r\n", true);
    let ran = session.run("gnt-instance console web1").await;
    assert_eq!(ran.code.0, 0, "{}", ran.stderr);
    assert_eq!(ran.stdout, "# bye\r\n");
    assert_eq!(*session.raw.lock().expect("not poisoned"), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn lost_output_is_said() {
    let session = Session::new();
    session.cluster.console_says(0, "begin", false);
    session.cluster.console_says(4101, "end", true);
    let ran = session.run("gnt-instance console web1").await;
    assert_eq!(ran.stdout, "beginend");
    assert!(ran.stderr.contains("4096 bytes"), "{}", ran.stderr);
}

// covers: C62
#[tokio::test(start_paused = true)]
async fn texts() {
    let session = Session::new();
    let lines = [
        "gnt-instance console --show-cmd web1",
        "gnt-instance console --show-cmd nosuch",
        "gantry instance console --show-cmd --state-dir '/srv/my state' web1",
        "gnt-instance console web2",
        "gnt-instance console wep1",
        "gnt-instance console --json web1",
    ];
    session.check("instance-console", &lines).await;
}
