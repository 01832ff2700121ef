//! A program beside a running cluster: submits two jobs at once, follows both, lists the nodes.
//!
//! ```text
//! cargo run -p gantry-client --example submit_and_watch -- /var/lib/gantry
//! cargo run -p gantry-client --example submit_and_watch -- /var/lib/gantry node2.example:1811
//! ```
//!
//! The directory has the credentials and says where the daemon listens; with an address any other
//! node of the cluster is asked, which makes no difference.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

use futures_util::TryStreamExt as _;
use futures_util::future::try_join_all;
use gantry_client::{Client, ClientConfig};
use gantry_model::ids::JobId;
use gantry_model::jobs::JobStatus;
use gantry_model::messages::NewJob;
use gantry_model::opcodes::{OpRequest, TestDelay};
use gantry_model::query::{Cell, Resource};
use gantry_model::units::Millis;

/// How long the goodbye may take.
const GRACE: Duration = Duration::from_secs(1);

#[tokio::main(flavor = "current_thread")]
#[cfg_attr(test, expect(dead_code, reason = "a test calls run"))]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let state_dir = PathBuf::from(args.next().ok_or("which state directory?")?);
    let config = ClientConfig::discover(&state_dir, args.next().as_deref()).await?;
    for line in run(config).await? {
        println!("{line}");
    }
    Ok(())
}

/// Everything; gives what it has to say.
pub(crate) async fn run(config: ClientConfig) -> Result<Vec<String>, Box<dyn Error>> {
    let client = Client::connect(config).await?;
    let delay = TestDelay { duration: Millis(20), ..TestDelay::default() };
    let job = NewJob { ops: vec![OpRequest::from(delay)] };
    // One message, one flush of the log for both; if the answer is lost it is asked for again
    // under the same request id, so that no job is made twice.
    let answers = client.submit(vec![job.clone(), job]).await?;
    let jobs = answers.into_iter().collect::<Result<Vec<JobId>, _>>()?;
    let ended = try_join_all(jobs.iter().map(|job| end_of(&client, *job))).await?;
    let mut lines: Vec<String> =
        jobs.iter().zip(ended).map(|(job, status)| format!("job {job}: {status}")).collect();
    let nodes = client.query(Resource::Node, &["name", "master"], &[]).await?;
    for row in nodes.rows {
        if let [Cell::Value(name), Cell::Value(master)] = row.as_slice() {
            lines.push(format!("node {name}, master: {master}"));
        }
    }
    client.close(GRACE).await;
    Ok(lines)
}

/// Follows a job to its end. The stream survives a change of the master.
async fn end_of(client: &Client, job: JobId) -> Result<JobStatus, Box<dyn Error>> {
    let changes = client.watch(job).into_stream();
    let last = changes.try_fold(None, |_, change| async move { Ok(Some(change.status)) }).await?;
    Ok(last.ok_or("a job without any state")?)
}
