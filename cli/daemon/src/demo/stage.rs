//! The stage of the demo: its directory, its daemons, its commands.

use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::time::Duration;

use gantry_host::{Command, CommandRunner, ProcessIdentity, RealRunner};
use gantry_hv::guest::TINY_GUEST_IMAGE;
use gantry_model::params::HypervisorKind;
use tempfile::TempDir;
use tokio::time::Instant;

use super::Say;
use crate::error::DaemonError;

const N_NODES: usize = 3;

/// How long a daemon may take to answer after its start.
const START_WAIT: Duration = Duration::from_secs(20);

/// How long a daemon may take to end after it is told to.
const STOP_WAIT: Duration = Duration::from_secs(15);

/// How long a command may take.
const COMMAND_WAIT: Duration = Duration::from_secs(60);

struct Actor {
    state_dir: PathBuf,
    address: String,
    daemon: Option<ProcessIdentity>,
}

pub(super) struct Stage {
    program: PathBuf,
    directory: PathBuf,
    /// Removed with everything in it, unless kept.
    temporary: Option<TempDir>,
    nodes: Vec<Actor>,
}

impl Stage {
    pub(super) fn set_up(directory: Option<&Path>) -> Result<Self, DaemonError> {
        let program = std::env::current_exe().map_err(DaemonError::part("find this program"))?;
        let (directory, temporary) = match directory {
            Some(directory) => {
                std::fs::create_dir_all(directory)
                    .map_err(DaemonError::part("make the directory of the demo"))?;
                let whole = directory
                    .canonicalize()
                    .map_err(DaemonError::part("find the directory of the demo"))?;
                (whole, None)
            }
            None => {
                let made = tempfile::Builder::new()
                    .prefix("gantry-demo-")
                    .tempdir()
                    .map_err(DaemonError::part("make a temporary directory"))?;
                (made.path().to_owned(), Some(made))
            }
        };
        // Bound all at once, so that they differ; free again when the daemons bind them.
        let sockets: Vec<UdpSocket> = (0..N_NODES)
            .map(|_| UdpSocket::bind("127.0.0.1:0"))
            .collect::<Result<_, _>>()
            .map_err(DaemonError::part("find free ports on 127.0.0.1"))?;
        let mut nodes = Vec::new();
        for (idx, socket) in sockets.iter().enumerate() {
            let addr = socket.local_addr().map_err(DaemonError::part("find a free port"))?;
            nodes.push(Actor {
                state_dir: directory.join(format!("n{}", idx + 1)),
                address: addr.to_string(),
                daemon: None,
            });
        }
        Ok(Self { program, directory, temporary, nodes })
    }

    pub(super) fn headline(&self, text: &str, say: Say<'_>) {
        say("");
        say(&format!("== {text}"));
    }

    /// Nodes are counted from 1, as in their names.
    pub(super) fn state_dir(&self, node: usize) -> &Path {
        &self.nodes[node - 1].state_dir
    }

    /// Writes the guest's image where the nodes find it.
    pub(super) fn guest_image(&self) -> Result<PathBuf, DaemonError> {
        let path = self.directory.join("tiny.img");
        std::fs::write(&path, TINY_GUEST_IMAGE)
            .map_err(DaemonError::part("write the image of the guest"))?;
        Ok(path)
    }

    pub(super) async fn make_cluster(
        &mut self,
        hypervisor: HypervisorKind,
        say: Say<'_>,
    ) -> Result<(), DaemonError> {
        let (state, address) = self.of(1);
        let hypervisors = match hypervisor {
            HypervisorKind::Kvm => "kvm,fake",
            HypervisorKind::Fake => "fake",
        };
        let disks = self.directory.join("disks").display().to_string();
        let init = [
            "cluster",
            "init",
            "--state-dir",
            &state,
            "--node-name",
            "node1.demo",
            "--address",
            &address,
            "--enabled-hypervisors",
            hypervisors,
            "--enabled-disk-templates",
            "file,diskless,fake",
            "--file-storage-dir",
            &disks,
            // Its guests are smaller than Ganeti's policy wants them.
            "--ipolicy-bounds-specs",
            "min:cpu-count=1,disk-count=0,disk-size=0,memory-size=4,nic-count=0,spindle-use=0/\
             max:cpu-count=8,disk-count=16,disk-size=1T,memory-size=32G,nic-count=8,spindle-use=12",
            "--user-shutdown",
            "yes",
            "demo.cluster",
        ];
        self.run(&init, say).await?;
        self.start_daemon(1, say).await?;
        for node in 2..=N_NODES {
            let (state, address) = self.of(node);
            let name = format!("node{node}.demo");
            let added = self.quietly(&self.on(1, &["node", "add", "--json", &name])).await?;
            let token = token_of(&added)?;
            say(&format!("$ gantry node add {name}"));
            say("  (prints a one-time token)");
            let join = ["join", "--state-dir", &state, "--address", &address, &token];
            self.quietly(&join.map(str::to_owned)).await?;
            say("$ gantry join --state-dir … TOKEN");
            self.start_daemon(node, say).await?;
        }
        self.wait_for_nodes().await
    }

    fn of(&self, node: usize) -> (String, String) {
        let actor = &self.nodes[node - 1];
        (actor.state_dir.display().to_string(), actor.address.clone())
    }

    fn on(&self, node: usize, command: &[&str]) -> Vec<String> {
        let mut args: Vec<String> = command.iter().map(|&arg| arg.to_owned()).collect();
        args.push("--state-dir".into());
        args.push(self.of(1).0);
        if node != 1 {
            args.push("--endpoint".into());
            args.push(self.of(node).1);
        }
        args
    }

    /// Runs a command against a node and shows it.
    pub(super) async fn gantry(
        &self,
        node: usize,
        command: &[&str],
        say: Say<'_>,
    ) -> Result<(), DaemonError> {
        let at = if node == 1 { String::new() } else { format!("   (asked of node{node})") };
        say(&format!("$ gantry {}{at}", command.join(" ")));
        let output = self.quietly(&self.on(node, command)).await?;
        output.lines().for_each(|line| say(&format!("  {line}")));
        Ok(())
    }

    async fn run(&self, args: &[&str], say: Say<'_>) -> Result<(), DaemonError> {
        say(&format!("$ gantry {}", args.join(" ")));
        let args: Vec<String> = args.iter().map(|&arg| arg.to_owned()).collect();
        let output = self.quietly(&args).await?;
        output.lines().for_each(|line| say(&format!("  {line}")));
        Ok(())
    }

    async fn quietly(&self, args: &[String]) -> Result<String, DaemonError> {
        let command = Command::new(&self.program).args(args.iter().cloned()).timeout(COMMAND_WAIT);
        let output = RealRunner.run(command).await.map_err(DaemonError::part("run a command"))?;
        let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.push_str(&String::from_utf8_lossy(&output.stderr));
        Ok(text)
    }

    pub(super) async fn start_daemon(
        &mut self,
        node: usize,
        say: Say<'_>,
    ) -> Result<(), DaemonError> {
        let (state, _) = self.of(node);
        let endpoint = self.state_dir(node).join(gantry_client::ENDPOINT_FILE);
        // Written by the daemon when it answers; the old one's is no sign of the new one.
        let _absent = std::fs::remove_file(&endpoint);
        let log = self.directory.join(format!("node{node}.log"));
        let command = Command::new(&self.program)
            .args(["daemon", "--state-dir", &state])
            .env("GANTRY_LOG", std::env::var("GANTRY_LOG").unwrap_or_else(|_| "info".into()));
        let daemon = RealRunner
            .spawn_daemon(command, &log)
            .await
            .map_err(DaemonError::part("start a daemon"))?;
        let pid = daemon.pid;
        self.nodes[node - 1].daemon = Some(daemon);
        say(&format!("$ gantry daemon --state-dir {state} &   (process {pid})"));
        let deadline = Instant::now() + START_WAIT;
        while !endpoint.exists() {
            let alive =
                self.nodes[node - 1].daemon.as_ref().is_some_and(|d| d.is_alive().unwrap_or(true));
            if !alive || Instant::now() > deadline {
                let log = std::fs::read_to_string(&log).unwrap_or_default();
                let text = format!("the daemon of node{node} did not come up; its log:\n{log}");
                return Err(DaemonError::Input(text));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    pub(super) async fn kill_daemon(
        &mut self,
        node: usize,
        say: Say<'_>,
    ) -> Result<(), DaemonError> {
        let Some(daemon) = self.nodes[node - 1].daemon.take() else { return Ok(()) };
        say(&format!("$ kill -9 {}", daemon.pid));
        daemon.kill().map_err(DaemonError::part("kill the daemon"))?;
        daemon
            .wait_gone(STOP_WAIT)
            .await
            .map_err(DaemonError::part("wait for the daemon's end"))?;
        Ok(())
    }

    /// Waits until every node has reported.
    async fn wait_for_nodes(&self) -> Result<(), DaemonError> {
        let deadline = Instant::now() + START_WAIT;
        loop {
            let list = self
                .quietly(&self.on(1, &["node", "list", "--no-headers", "-o", "mtotal"]))
                .await?;
            let values: Vec<&str> = list.split_whitespace().collect();
            if values.len() == N_NODES && !values.contains(&"?") {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(DaemonError::Input(format!("not all nodes have reported:\n{list}")));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Leaves everything running.
    pub(super) fn keep(&mut self, say: Say<'_>) {
        if let Some(temporary) = self.temporary.take() {
            self.directory = temporary.keep();
        }
        let (state, _) = self.of(1);
        let pids: Vec<String> = self
            .nodes
            .iter()
            .filter_map(|node| node.daemon.as_ref())
            .map(|daemon| daemon.pid.to_string())
            .collect();
        say(&format!("The cluster goes on running in {}.", self.directory.display()));
        say(&format!("Talk to it:   export GANTRY_STATE_DIR={state}; gantry node list"));
        say(&format!("End it:       kill {}; rm -r {}", pids.join(" "), self.directory.display()));
        say("Remove instances before that: guests outlive their daemons.");
    }

    /// Stops what is left, guests too, and removes the directory.
    pub(super) async fn tear_down(mut self, say: Say<'_>) -> Result<(), DaemonError> {
        let listed = self
            .quietly(&self.on(1, &["instance", "list", "--no-headers", "-o", "name"]))
            .await
            .unwrap_or_default();
        for name in listed.split_whitespace() {
            let args = ["instance", "remove", "-f", "--shutdown-timeout", "0", name];
            if let Err(error) = self.quietly(&self.on(1, &args)).await {
                say(&format!("instance {name} could not be removed: {error}"));
            }
        }
        let daemons: Vec<ProcessIdentity> =
            self.nodes.iter_mut().filter_map(|node| node.daemon.take()).collect();
        for daemon in &daemons {
            daemon.terminate().map_err(DaemonError::part("stop a daemon"))?;
        }
        for daemon in &daemons {
            let gone = daemon.wait_gone(STOP_WAIT).await;
            if !gone.map_err(DaemonError::part("wait for a daemon's end"))? {
                say(&format!("daemon {} did not stop in time and is killed", daemon.pid));
                daemon.kill().map_err(DaemonError::part("kill a daemon"))?;
            }
        }
        if let Some(temporary) = self.temporary.take() {
            temporary.close().map_err(DaemonError::part("remove the directory of the demo"))?;
        }
        Ok(())
    }
}

fn token_of(json: &str) -> Result<String, DaemonError> {
    let value: serde_json::Value =
        serde_json::from_str(json).map_err(DaemonError::part("read the join token"))?;
    value
        .get("token")
        .and_then(serde_json::Value::as_str)
        .map(str::to_owned)
        .ok_or_else(|| DaemonError::Input(format!("no token in {json}")))
}
