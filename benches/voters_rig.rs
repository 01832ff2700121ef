//! Several daemons that vote: the `gantry` binary beside the harness, on a real disk, on loopback.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail};
use gantry_client::{Client, ClientConfig};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;
use tokio::time::Instant;

use crate::child::command;
use crate::daemon_rig::{free_address, gantry, place};
use crate::harness::read;

/// A daemon on a slow disk starts within this, and the log is with all within this; else something
/// is wrong.
const START_WAIT: Duration = Duration::from_secs(60);
/// Between looks for a daemon that starts.
const LOOK_PAUSE: Duration = Duration::from_millis(20);

struct Member {
    name: String,
    state: PathBuf,
    address: String,
    daemon: Option<Child>,
}

/// The cluster; its daemons end with this value. Members are counted from 0.
pub(crate) struct Voters {
    members: Vec<Member>,
    binary: PathBuf,
    /// Last: it is removed when the daemons have ended.
    dir: TempDir,
}

impl Voters {
    /// Makes a cluster in which so many vote.
    pub(crate) async fn start(n: usize) -> anyhow::Result<Self> {
        let mut rig = Self { members: Vec::new(), binary: gantry()?, dir: place()? };
        for number in 0..n {
            let name = format!("node{number}.bench");
            let state = rig.dir.path().join(&name);
            rig.members.push(Member { name, state, address: free_address()?, daemon: None });
            rig.make(number)?;
            rig.restart(number).await?;
        }
        let client = rig.client_at(0).await?;
        rig.until_all_vote(&client).await?;
        Ok(rig)
    }

    /// On the disk that the daemons write to.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    fn gantry(&self, of: usize, words: &[&str]) -> anyhow::Result<String> {
        let state = &self.members[of].state;
        let output = command(&self.binary).args(words).arg("--state-dir").arg(state).output()?;
        if !output.status.success() {
            bail!("gantry {words:?} failed: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(String::from_utf8(output.stdout)?)
    }

    /// Makes the state of a member: a cluster, or one more node of it.
    fn make(&self, number: usize) -> anyhow::Result<()> {
        let Member { name, address, .. } = &self.members[number];
        if number == 0 {
            let words = ["cluster", "init", "--node-name", name, "--address", address];
            let words = [&words[..], &["--enabled-hypervisors", "fake"]].concat();
            let more = ["--enabled-disk-templates", "diskless", "cluster.bench"];
            return self.gantry(0, &[&words[..], &more].concat()).map(drop);
        }
        let issued = self.gantry(0, &["node", "add", "--json", name])?;
        let issued: Value = serde_json::from_str(&issued)?;
        let token = issued["token"].as_str().context("no token in the answer")?;
        self.gantry(number, &["join", "--address", address, token]).map(drop)
    }

    /// Starts the daemon of a member and waits until it answers.
    pub(crate) async fn restart(&mut self, number: usize) -> anyhow::Result<()> {
        let log = self.dir.path().join(format!("{number}.log"));
        let member = &mut self.members[number];
        // Of a daemon that was killed.
        let endpoint = member.state.join(gantry_client::ENDPOINT_FILE);
        if endpoint.exists() {
            std::fs::remove_file(&endpoint)?;
        }
        let daemon = command(&self.binary)
            .args(["daemon", "--state-dir"])
            .arg(&member.state)
            .env("MALLOC_ARENA_MAX", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::options().create(true).append(true).open(&log)?)
            .spawn()
            .context("start gantry daemon")?;
        member.daemon = Some(daemon);
        let until = Instant::now() + START_WAIT;
        while !endpoint.exists() {
            if Instant::now() > until {
                bail!("the daemon did not start: {}", read(&log)?);
            }
            tokio::time::sleep(LOOK_PAUSE).await;
        }
        self.client_at(number).await.map(drop)
    }

    /// A client that asks this member, with the operator's certificate.
    pub(crate) async fn client_at(&self, number: usize) -> anyhow::Result<Client> {
        let address = &self.members[number].address;
        let config = ClientConfig::discover(&self.members[0].state, Some(address)).await?;
        Client::connect(config).await.context("connect to the daemon")
    }

    /// Which member leads.
    pub(crate) async fn master(&self, client: &Client) -> anyhow::Result<usize> {
        let name = client.cluster().await?.master.name.to_string();
        let found = self.members.iter().position(|member| member.name == name);
        found.with_context(|| format!("{name} is no member"))
    }

    pub(crate) fn name(&self, number: usize) -> &str {
        &self.members[number].name
    }

    /// Some member but this one.
    pub(crate) fn another(&self, than: usize) -> usize {
        (than + 1) % self.members.len()
    }

    /// Waits until everybody votes.
    pub(crate) async fn until_all_vote(&self, client: &Client) -> anyhow::Result<()> {
        let until = Instant::now() + START_WAIT;
        while client.cluster().await?.holders.voters.len() != self.members.len() {
            if Instant::now() > until {
                bail!("not all members vote");
            }
            tokio::time::sleep(LOOK_PAUSE).await;
        }
        Ok(())
    }

    /// Sends a signal to the daemon of a member.
    pub(crate) fn signal(&self, number: usize, signal: Signal) -> anyhow::Result<()> {
        let daemon = self.members[number].daemon.as_ref().context("it has no daemon")?;
        Ok(kill(Pid::from_raw(i32::try_from(daemon.id())?), signal)?)
    }

    /// Kills the daemon of a member without a word.
    pub(crate) fn kill(&mut self, number: usize) -> anyhow::Result<()> {
        let mut daemon = self.members[number].daemon.take().context("it has no daemon")?;
        daemon.kill()?;
        daemon.wait()?;
        Ok(())
    }
}

impl Drop for Voters {
    fn drop(&mut self) {
        for number in 0..self.members.len() {
            if self.members[number].daemon.is_some() && self.kill(number).is_err() {
                debug_assert!(false, "the daemon of {number} cannot be ended");
            }
        }
    }
}
