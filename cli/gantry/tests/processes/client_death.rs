//! A command that dies while it waits: its job does not care.

use crate::rig::{Cluster, eventually, has_qemu};

#[test]
fn a_job_goes_on_without_the_command_that_asked_for_it() {
    if !has_qemu() {
        return;
    }
    let cluster = Cluster::of_one();
    let words = cluster.add_words(1, "web1.t", &["--print-jobid"]);
    let mut client = cluster.spawn(1, &words.iter().map(String::as_str).collect::<Vec<_>>());
    let job = eventually("the number of the job", || {
        let said = client.stdout();
        said.split_once('\n').map(|(line, _)| line.parse::<u64>().expect("a number"))
    });
    client.kill();
    cluster.gantry(&["job", "wait", &job.to_string()]).success();
    assert_eq!(cluster.jobs(), [(job, "success".to_owned())]);
    cluster.wait_status("web1.t", "running");
    cluster.wait_no_locks();
}
