//! Running real programs, recording them, and following a script instead.

use std::path::Path;
use std::time::Duration;

use gantry_host::{
    Command, CommandError, CommandRunner, ExitStatus, OUTPUT_BYTES_MAX, Output, ProcessIdentity,
    RealRunner, RecordingRunner, ScriptedRunner, command_line, find_by_arguments, may_execute,
};

fn shell(script: &str) -> Command {
    Command::new("/bin/sh").args(["-c", script])
}

async fn text_of(command: Command) -> String {
    RealRunner.run(command).await.expect("succeeds").text()
}

/// Waits for a condition of the machine.
async fn eventually(what: &str, holds: impl Fn() -> bool) {
    let waiting = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(10), waiting).await;
    waited.unwrap_or_else(|_| panic!("never: {what}"));
}

#[tokio::test]
async fn both_outputs_of_a_success_come_back() {
    let output = RealRunner.run(shell("echo out; echo err >&2")).await.expect("succeeds");
    assert_eq!(output, Output { stdout: b"out\n".to_vec(), stderr: b"err\n".to_vec() });
}

#[tokio::test]
async fn the_environment_is_the_stated_minimum() {
    let text = text_of(Command::new("/usr/bin/env").env("EXTRA", "1")).await;
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["EXTRA=1", "LC_ALL=C", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"]);
}

#[tokio::test]
async fn it_runs_where_it_is_told_and_otherwise_in_the_root() {
    assert_eq!(text_of(Command::new("/bin/pwd")).await, "/\n");
    assert_eq!(text_of(Command::new("/bin/pwd").cwd("/usr")).await, "/usr\n");
}

#[tokio::test]
async fn there_is_nothing_to_read() {
    assert_eq!(text_of(shell("cat; echo end")).await, "end\n");
}

#[tokio::test]
async fn a_failure_tells_everything() {
    let error = RealRunner.run(shell("echo so far; echo why >&2; exit 3")).await.expect_err("3");
    let CommandError::Failed { command_line, status, stdout_tail, stderr_tail } = error else {
        panic!("{error}")
    };
    assert_eq!(command_line, "/bin/sh -c 'echo so far; echo why >&2; exit 3'");
    assert_eq!(status, ExitStatus::Code(3));
    assert_eq!((stdout_tail.as_str(), stderr_tail.as_str()), ("so far", "why"));
}

#[tokio::test]
async fn an_end_by_a_signal_is_told_as_such() {
    let error = RealRunner.run(shell("kill -TERM $$")).await.expect_err("killed");
    assert!(
        matches!(error, CommandError::Failed { status: ExitStatus::Signal(15), .. }),
        "{error}"
    );
}

#[tokio::test]
async fn what_is_not_there_is_told_apart_from_what_cannot_run() {
    let error = RealRunner.run(Command::new("/nonexistent/tool")).await.expect_err("missing");
    assert_eq!(error.to_string(), "program /nonexistent/tool does not exist");
    let error = RealRunner.run(Command::new("/etc/passwd")).await.expect_err("no program");
    assert!(matches!(error, CommandError::CannotStart { .. }), "{error}");
    let error = RealRunner.run(Command::new("/bin/true").cwd("/nonexistent")).await;
    assert!(matches!(error, Err(CommandError::CannotStart { .. })), "{error:?}");
    let error = RealRunner.run(Command::new("true")).await.expect_err("relative");
    assert!(matches!(error, CommandError::NotAbsolute { .. }), "{error}");
}

#[tokio::test]
async fn who_takes_too_long_is_killed_with_its_children() {
    let marker = "gantry-timeout-test-4711";
    // The second shell is a child that the kill of the first alone would not reach.
    let script = format!("echo begun; /bin/sh -c 'sleep 600; : {marker}' & wait");
    let command = shell(&script).timeout(Duration::from_millis(300));
    let error = RealRunner.run(command).await.expect_err("too long");
    let CommandError::TimedOut { stdout_tail, .. } = error else { panic!("{error}") };
    assert_eq!(stdout_tail, "begun");
    let child = format!("sleep 600; : {marker}");
    let is_gone = || find_by_arguments(&["-c", &child]).expect("proc").is_empty();
    eventually("the child was killed too", is_gone).await;
}

#[tokio::test]
async fn a_child_left_behind_does_not_hold_the_result() {
    let command = shell("sleep 30 & echo done; echo $!").timeout(Duration::from_secs(20));
    let text = text_of(command).await;
    let (done, pid) = text.split_once('\n').expect("two lines");
    assert_eq!(done, "done");
    let child = ProcessIdentity::of(pid.trim().parse().expect("a pid")).expect("proc");
    child.expect("lives on").kill().expect("ours");
}

#[tokio::test]
async fn too_much_output_is_refused_and_does_not_block_the_program() {
    let n_bytes = OUTPUT_BYTES_MAX + 1;
    let command = shell(&format!("head -c {n_bytes} /dev/zero; echo $? >&2"));
    let error = RealRunner.run(command).await.expect_err("too much");
    assert!(matches!(error, CommandError::OutputTooLong { .. }), "{error}");
}

#[tokio::test]
async fn dropping_the_future_kills_the_program() {
    let marker = "600.4712";
    let is_gone = || find_by_arguments(&["/bin/sleep", marker]).expect("proc").is_empty();
    tokio::select! {
        biased;
        ended = RealRunner.run(Command::new("/bin/sleep").arg(marker)) => panic!("{ended:?}"),
        () = eventually("it runs", || !is_gone()) => {}
    }
    eventually("it was killed", is_gone).await;
}

#[tokio::test]
async fn a_daemon_writes_to_its_log_and_has_its_own_group() {
    let dir = tempfile::tempdir().expect("tempdir");
    let log = dir.path().join("log");
    let command = shell("echo out; echo err >&2; exec sleep 600.4713");
    let process = RealRunner.spawn_daemon(command, &log).await.expect("starts");
    let is_written = || std::fs::read_to_string(&log).expect("reads") == "out\nerr\n";
    eventually("it wrote both lines", is_written).await;
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", process.pid)).expect("alive");
    let group = stat.rsplit(") ").next().and_then(|rest| rest.split(' ').nth(2));
    assert_eq!(group, Some(process.pid.to_string().as_str()));
    assert!(process.terminate().expect("ours"));
    assert!(process.wait_gone(Duration::from_secs(10)).await.expect("proc"));
    assert!(!process.kill().expect("gone, so nothing is signalled"));
    assert_eq!(command_line(process.pid).expect("proc"), None);
}

#[tokio::test]
async fn waiting_for_one_that_lives_ends_in_time() {
    let me = ProcessIdentity::of(std::process::id()).expect("proc").expect("alive");
    assert!(!me.wait_gone(Duration::from_millis(30)).await.expect("proc"));
}

#[tokio::test]
async fn a_recorder_keeps_what_ran_and_how_it_ended() {
    let runner = RecordingRunner::new(RealRunner);
    let shared = runner.clone();
    shared.run(Command::new("/bin/echo").arg("hi")).await.expect("succeeds");
    shared.run(Command::new("/bin/false")).await.expect_err("fails");
    let recorded = runner.recorded();
    assert_eq!(recorded[0].command.line(), "/bin/echo hi");
    assert_eq!(recorded[0].result.as_ref().map(Output::text).as_deref(), Ok("hi\n"));
    let text = recorded[1].result.as_ref().expect_err("failed");
    assert!(text.contains("/bin/false") && text.contains("exit code 1"), "{text}");
}

#[tokio::test]
async fn a_script_answers_in_its_order_and_names_what_it_did_not_expect() {
    let runner = ScriptedRunner::new().prints("/sbin/lvs --units m", "lv1\n").run_line(
        "/sbin/lvremove lv1",
        Err(CommandError::NotFound { program: "/sbin/lvremove".into() }),
    );
    let error = runner.run(Command::new("/sbin/vgs")).await.expect_err("not next");
    assert_eq!(
        error.to_string(),
        "`/sbin/vgs` is not in the script; next would be: /sbin/lvs --units m"
    );
    let output = runner.run(Command::new("/sbin/lvs").args(["--units", "m"])).await;
    assert_eq!(output.expect("scripted").text(), "lv1\n");
    assert_eq!(runner.remaining(), ["/sbin/lvremove lv1"]);
    runner.run(Command::new("/sbin/lvremove").arg("lv1")).await.expect_err("scripted");
    let error = runner.run(Command::new("/sbin/lvs")).await.expect_err("over");
    assert!(error.to_string().ends_with("next would be: nothing"), "{error}");
}

#[tokio::test]
async fn a_script_tells_daemons_from_programs_that_end() {
    let process = ProcessIdentity { pid: 7, start_ticks: 1, boot_id: "b".into() };
    let runner = ScriptedRunner::new().daemon_line("/bin/d", Ok(process.clone()));
    runner.run(Command::new("/bin/d")).await.expect_err("it is a daemon there");
    let spawned = runner.spawn_daemon(Command::new("/bin/d"), Path::new("/log")).await;
    assert_eq!(spawned.expect("scripted"), process);
}

#[test]
fn only_programs_may_be_executed() {
    assert!(may_execute(Path::new("/bin/sh")));
    for path in ["/etc/passwd", "/bin", "/nonexistent"] {
        assert!(!may_execute(Path::new(path)), "{path}");
    }
}
