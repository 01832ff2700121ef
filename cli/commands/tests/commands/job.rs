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
        "gnt-job info 3 101",
        "gnt-job info --json 3",
    ];
    Session::new().check("job-info", &lines).await;
}

// covers: C87 C88
#[tokio::test(start_paused = true)]
async fn archive() {
    let lines = [
        "gnt-job archive 7 8",
        "gnt-job archive 7 10",
        "gnt-job archive --json 7 10",
        "gnt-job archive",
        "gnt-job autoarchive 6h",
        "gnt-job autoarchive all",
        "gnt-job autoarchive --json all",
        "gnt-job autoarchive never",
        "gnt-job list --archived",
        "gnt-job list --archived --error -o id,status",
    ];
    Session::new().check("job-archive", &lines).await;
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

// covers: C89 Q34 Q35
#[tokio::test(start_paused = true)]
async fn cancel() {
    let lines = [
        "gnt-job cancel 14",
        "gnt-job cancel 14 12",
        "gnt-job cancel 12 8 14",
        "gnt-job cancel 7",
        "gnt-job cancel 13",
        "gnt-job cancel 12 9 14",
        "gnt-job cancel",
        "gnt-job cancel --pending 12",
        "gnt-job cancel --pending --queued",
        "gnt-job cancel --pending",
        "gnt-job cancel --pending --force",
        "gnt-job cancel --queued -f",
        "gnt-job cancel --waiting -f --json",
        "gnt-job cancel --kill 12",
        "gnt-job cancel --kill --yes-do-it 12",
        "gnt-job cancel --kill --ya-rly 8",
    ];
    Session::new().check("job-cancel", &lines).await;
}

// covers: C89 C216
#[tokio::test(start_paused = true)]
async fn cancel_asks_before_it_takes_all_of_a_state() {
    Session::typing("n\n").check("job-cancel-no", &["gnt-job cancel --pending"]).await;
    Session::typing("y\n").check("job-cancel-yes", &["gnt-job cancel --pending"]).await;
}

// covers: C93 Q31
#[tokio::test(start_paused = true)]
async fn change_priority() {
    let lines = [
        "gnt-job change-priority --priority high 12",
        "gnt-job change-priority --priority low 12 7 8",
        "gnt-job change-priority 12",
        "gnt-job change-priority --priority low",
        "gnt-job change-priority --priority soon 12",
        "gnt-job change-priority --priority normal --pending -f",
    ];
    Session::new().check("job-change-priority", &lines).await;
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
        "gnt-debug delay -i 60",
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
        "gantry debug actors -o path,stalls,stalled_in,stalled_since,stalled_ms,stuck --json",
        "gantry debug actors -n node9",
        "gantry debug flight",
        "gantry debug flight -n node2.example --path /cluster --limit 1",
        "gantry debug flight --path /nowhere",
        "gantry debug flight -n node2.example --path /nowhere",
        "gantry debug flight --limit 0",
        "gantry debug links",
        "gnt-debug links -n node2.example -o peer,rtt,lost --json",
        "gnt-debug links -o peer,colour",
    ];
    Session::new().check("debug-tables", &lines).await;
}

// covers: C214 C215
#[tokio::test(start_paused = true)]
async fn on_a_terminal_a_job_that_takes_its_time_says_so_and_leaves_nothing_behind() {
    let line = "gnt-debug delay -n node1.example 2.5";
    let session = Session { stderr_is_terminal: true, ..Session::new() };
    let ran = session.run(line).await;
    let shown: Vec<&str> = ran.stderr.split("\r\u{1b}[K").collect();
    assert_eq!(shown, ["", "job 101: 1 s, submitted", "job 101: 2 s, submitted", ""]);
    assert_eq!(Session::new().run(line).await.stderr, "", "nobody looks");
    let session = Session { stderr_is_terminal: true, ..Session::new() };
    assert!(!session.run(&format!("{line} --json")).await.stderr.contains('\r'));
}

// covers: C214
#[tokio::test(start_paused = true)]
async fn what_is_printed_takes_the_place_of_the_status() {
    let session = Session { stderr_is_terminal: true, ..Session::new() };
    let _ran = session.run("gnt-debug delay --submit -n node1.example 2.5").await;
    let ran = session.run("gnt-instance shutdown --all --force-multiple").await;
    let shown: Vec<&str> = ran.stderr.split("\r\u{1b}[K").collect();
    assert!(shown.contains(&"[2/3] job 103: 1 s, submitted"), "{shown:?}");
    let last = shown.last().copied().unwrap_or_default();
    assert!(last.starts_with("Job 104 for db1 has failed"), "{shown:?}");
}
