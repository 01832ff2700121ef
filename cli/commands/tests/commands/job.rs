//! `gantry job`, and waiting for jobs.

use crate::harness::Session;

// covers: C85 C206 C200
#[tokio::test(start_paused = true)]
async fn list() {
    let lines = [
        "gnt-job list",
        "gnt-job list -o +received_ts 10",
        "gnt-job list -o +all",
        "gnt-job list --running --error",
        "gnt-job list --finished -o id --no-headers",
        "gnt-job list --pending",
        "gnt-job list --running -o all",
        "gnt-job list 9",
        "gnt-job list --json --error",
    ];
    Session::new().check("job-list", &lines).await;
}

// covers: C90 C218 Q22 Q48
#[tokio::test(start_paused = true)]
async fn info() {
    let lines = [
        "gnt-debug delay --submit --reason test -n node1.example 0.3",
        "gnt-job info 101",
        "gnt-job info 3",
        "gnt-job info",
        "gnt-job info --json 101",
    ];
    Session::new().check("job-info", &lines).await;
}

// covers: C91 C92
#[tokio::test(start_paused = true)]
async fn watch_and_wait() {
    let lines = [
        "gnt-job watch 7",
        "gnt-job wait 7",
        "gnt-instance reboot --submit web1",
        "gnt-job watch 101",
        "gnt-instance reboot --submit web1",
        "gnt-job wait 102",
        "gnt-job watch 5",
        "gnt-job watch --json 7",
    ];
    Session::new().check("job-watch", &lines).await;
}

// covers: C33 C215
#[tokio::test(start_paused = true)]
async fn delay() {
    let lines = [
        "gnt-debug delay 0.001",
        "gnt-debug delay --print-jobid 1",
        "gnt-debug delay --submit 1",
        "gnt-debug delay --submit --print-jobid 1",
        "gnt-debug delay --priority low 1",
    ];
    Session::new().check("debug-delay", &lines).await;
}

// covers: C224
#[tokio::test(start_paused = true)]
async fn an_interrupted_command_says_that_jobs_go_on() {
    let session = Session { interrupted: true, ..Session::new() };
    let ran = session.run("gnt-debug delay 9000").await;
    assert_eq!(ran.code.0, 1);
    assert!(ran.stderr.contains("will continue to run"), "{}", ran.stderr);
}

// covers: C38 L23 L74
#[tokio::test(start_paused = true)]
async fn debug_tables() {
    let lines = [
        "gnt-debug locks",
        "gnt-debug locks -o name,owner --no-headers --separator=,",
        "gnt-debug locks -o name,colour",
        "gnt-debug locks --json",
        "gantry debug actors",
        "gantry debug actors -n node2.example -o path,slowest",
        "gantry debug actors -n node9",
    ];
    Session::new().check("debug-tables", &lines).await;
}
