//! A cluster of one node: the `gantry` binary beside the harness, on a real disk, on loopback.

use std::fs::File;
use std::net::{Ipv4Addr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail};
use gantry_client::{Client, ClientConfig};
use gantry_model::ids::JobId;
use gantry_model::jobs::JobStatus;
use gantry_model::messages::NewJob;
use gantry_model::names::{InstanceName, NodeName};
use gantry_model::objects::DiskTemplate;
use gantry_model::opcodes::{
    InstanceCreate, InstanceShutdown, InstanceStartup, OpRequest, TestDelay,
};
use gantry_model::params::{BackendOverrides, PrivateParams, SecretParams};
use gantry_model::units::Millis;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;
use tokio::time::Instant;

use crate::child::{children_cpu_us, command, resident_kib};
use crate::harness::read;

const NODE: &str = "node1.bench";
/// Names the directory below which the state is kept, and so the disk that is measured.
const DIR_VARIABLE: &str = "GANTRY_BENCH_DIR";
/// A daemon on a slow disk starts within this; else something is wrong.
const START_WAIT: Duration = Duration::from_secs(30);
/// Between looks for a daemon that starts.
const LOOK_PAUSE: Duration = Duration::from_millis(20);
/// One job of a batch is looked at for so long before its state is believed.
const WATCH_WAIT: Duration = Duration::from_secs(30);
/// Jobs in one message; a reply with more of them would not fit into a frame.
const JOBS_ASKED: usize = 500;

/// What a client process has cost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    pub(crate) cpu_ms: f64,
    pub(crate) wall_ms: f64,
}

/// The cluster; its daemon ends with this value.
pub(crate) struct Rig {
    pub(crate) client: Client,
    daemon: Child,
    binary: PathBuf,
    /// Last: it is removed when the daemon has ended.
    dir: TempDir,
}

impl Rig {
    /// Makes a cluster and starts its daemon.
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let (binary, dir) = (gantry()?, place()?);
        let state = dir.path().join("state");
        let address = free_address()?;
        let made = command(&binary)
            .args(["cluster", "init", "--state-dir"])
            .arg(&state)
            .args(["--node-name", NODE, "--address", &address])
            .args(["--enabled-hypervisors", "fake"])
            .args(["--enabled-disk-templates", "diskless", "cluster.bench"])
            .output()
            .context("run gantry cluster init")?;
        if !made.status.success() {
            bail!("gantry cluster init failed: {}", String::from_utf8_lossy(&made.stderr));
        }
        let log = dir.path().join("daemon.log");
        let mut daemon = command(&binary)
            .args(["daemon", "--state-dir"])
            .arg(&state)
            // As its unit for systemd does (`gantry install-units`).
            .env("MALLOC_ARENA_MAX", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log)?)
            .spawn()
            .context("start gantry daemon")?;
        match connect(&state, &log, &mut daemon).await {
            Ok(client) => Ok(Self { client, daemon, binary, dir }),
            Err(error) => {
                daemon.kill()?;
                daemon.wait()?;
                Err(error)
            }
        }
    }

    fn state(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    /// On the disk that the daemon writes to.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Resident memory of the daemon.
    pub(crate) fn resident_mib(&self) -> anyhow::Result<f64> {
        Ok(resident_kib(self.daemon.id())? as f64 / 1024.0)
    }

    /// What the daemon has used of the processors.
    pub(crate) fn daemon_cpu_us(&self) -> anyhow::Result<f64> {
        crate::child::cpu_us(self.daemon.id())
    }

    /// Runs a command of the binary to its end and says what the process cost.
    pub(crate) fn cost_of(&self, words: &[&str]) -> anyhow::Result<Cost> {
        let (start, before) = (Instant::now(), children_cpu_us()?);
        let mut command = command(&self.binary);
        command.args(words).stdin(Stdio::null());
        if words != ["--version"] {
            command.arg("--state-dir").arg(self.state());
        }
        let output = command.output().with_context(|| format!("run gantry {words:?}"))?;
        let wall_ms = start.elapsed().as_secs_f64() * 1e3;
        if !output.status.success() {
            bail!("gantry {words:?} failed: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(Cost { cpu_ms: (children_cpu_us()? - before) / 1e3, wall_ms })
    }

    /// Submits one job and waits for its success; milliseconds from submit to done.
    pub(crate) async fn one_job_ms(&self, op: OpRequest) -> anyhow::Result<f64> {
        let start = Instant::now();
        let ids = self.client.submit(vec![NewJob { ops: vec![op] }]).await?;
        let [Ok(id)] = ids.as_slice() else { bail!("the job was refused: {ids:?}") };
        let mut watch = self.client.watch(*id);
        while let Some(change) = watch.next(WATCH_WAIT).await? {
            if change.status.is_final() {
                let ms = start.elapsed().as_secs_f64() * 1e3;
                if change.status != JobStatus::Success {
                    bail!("job {id:?} ended with {:?}", change.fault);
                }
                return Ok(ms);
            }
        }
        bail!("job {id:?} has no end")
    }

    /// Submits all in one message and waits until all have succeeded.
    pub(crate) async fn many_jobs_ms(&self, ops: Vec<OpRequest>) -> anyhow::Result<f64> {
        let start = Instant::now();
        let jobs = ops.into_iter().map(|op| NewJob { ops: vec![op] }).collect();
        let mut ids: Vec<JobId> = Vec::new();
        for answer in self.client.submit(jobs).await? {
            ids.push(answer.map_err(|fault| anyhow::anyhow!("a job was refused: {fault:?}"))?);
        }
        // The last submitted ends about last; those that end later are waited for in turn.
        while let Some(id) = ids.last() {
            let mut watch = self.client.watch(*id);
            while watch.next(WATCH_WAIT).await?.is_some() {}
            let mut open = Vec::new();
            for some in ids.chunks(JOBS_ASKED) {
                for job in self.client.jobs(some.to_vec()).await? {
                    match job.status() {
                        JobStatus::Success => {}
                        status if status.is_final() => bail!("job {:?} ended: {job:?}", job.id),
                        _ => open.push(job.id),
                    }
                }
            }
            ids = open;
        }
        Ok(start.elapsed().as_secs_f64() * 1e3)
    }

    /// Makes fake diskless instances that run, numbered from `from`.
    pub(crate) async fn add_instances(&self, from: usize, n: usize) -> anyhow::Result<f64> {
        let ops = (from..from + n).map(create).collect::<anyhow::Result<_>>()?;
        self.many_jobs_ms(ops).await
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        let pid = i32::try_from(self.daemon.id()).expect("process ids fit");
        let told = kill(Pid::from_raw(pid), Signal::SIGTERM);
        if told.is_err() || self.daemon.wait().is_err() {
            debug_assert!(false, "the daemon cannot be ended");
        }
    }
}

/// The binary beside the harness.
pub(crate) fn gantry() -> anyhow::Result<PathBuf> {
    let harness = std::env::current_exe().context("find the harness")?;
    let binary = harness.with_file_name("gantry");
    if !binary.exists() {
        bail!("{} is missing: cargo build --release -p gantry", binary.display());
    }
    Ok(binary)
}

/// A directory on the disk that is to be measured.
pub(crate) fn place() -> anyhow::Result<TempDir> {
    Ok(match std::env::var_os(DIR_VARIABLE) {
        Some(parent) => tempfile::tempdir_in(parent)?,
        None => tempfile::tempdir()?,
    })
}

/// An address on loopback.
pub(crate) fn free_address() -> anyhow::Result<String> {
    // Free a moment ago; nobody else on this machine takes ports from this range in order.
    Ok(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.to_string())
}

async fn connect(state: &Path, log: &Path, daemon: &mut Child) -> anyhow::Result<Client> {
    let until = Instant::now() + START_WAIT;
    while !state.join(gantry_client::ENDPOINT_FILE).exists() {
        if Instant::now() > until || daemon.try_wait()?.is_some() {
            bail!("the daemon did not start: {}", read(log)?);
        }
        tokio::time::sleep(LOOK_PAUSE).await;
    }
    let config = ClientConfig::discover(state, None).await?;
    Client::connect(config).await.context("connect to the daemon")
}

/// The name of a fake instance.
pub(crate) fn instance_name(number: usize) -> anyhow::Result<InstanceName> {
    Ok(InstanceName::new(&format!("instance{number:05}.bench"))?)
}

fn create(number: usize) -> anyhow::Result<OpRequest> {
    let small = Some(1);
    Ok(OpRequest::from(InstanceCreate {
        instance_name: instance_name(number)?,
        primary_node: Some(NodeName::new(NODE)?),
        disk_template: DiskTemplate::Diskless,
        disks: Vec::new(),
        hvparams: None,
        beparams: BackendOverrides { maxmem: small, minmem: small, ..BackendOverrides::default() },
        os: "noop".to_owned(),
        osparams: std::collections::BTreeMap::new(),
        osparams_private: PrivateParams::default(),
        osparams_secret: SecretParams::default(),
        no_install: false,
        start: true,
        tags: Vec::new(),
        nics: Vec::new(),
        no_conflicts_check: false,
        file_storage_dir: None,
        // A mebibyte each, so that 20,000 fit; the least that a policy can ask for is four.
        ignore_ipolicy: true,
    }))
}

/// The job that stops a fake instance, which marks it as down in the configuration.
pub(crate) fn stop(number: usize) -> anyhow::Result<OpRequest> {
    Ok(OpRequest::from(InstanceShutdown {
        instance_name: instance_name(number)?,
        shutdown_timeout: Millis(1_000),
        no_remember: false,
        force: false,
        ignore_offline_nodes: false,
    }))
}

/// The job that starts it.
pub(crate) fn start(number: usize) -> anyhow::Result<OpRequest> {
    Ok(OpRequest::from(InstanceStartup::new(instance_name(number)?)))
}

/// The job that does nothing for a millisecond, and takes no lock.
pub(crate) fn no_op() -> OpRequest {
    OpRequest::from(TestDelay { duration: Millis(1), ..TestDelay::default() })
}

/// A runtime like that of a client process.
pub(crate) fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}
