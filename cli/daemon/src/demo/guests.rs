//! The guests of the demo: made, listened to, removed, and left alone by a dying daemon.

use std::time::Duration;

use gantry_client::{Client, ClientConfig};
use gantry_model::ids::InstanceUuid;
use gantry_model::messages::{QueryTable, ReadConsole, cluster_path};
use gantry_model::node_calls::instance_path;
use gantry_model::params::HypervisorKind;
use gantry_model::query::{Cell, Resource};
use gantry_model::units::Millis;
use tokio::time::Instant;

use super::Say;
use super::stage::Stage;
use crate::error::DaemonError;

/// How long a guest may take to say that it is up: half a second here, more on a busy machine.
const BOOT_WAIT: Duration = Duration::from_secs(30);

/// How long a restarted node may take to find its guests again.
const ADOPT_WAIT: Duration = Duration::from_secs(20);

/// How long one question may take.
const ANSWER: Duration = Duration::from_secs(5);

/// What the guest says when it is up.
const UP: &str = "GANTRY-GUEST UP";

pub(super) struct Guests {
    hypervisor: HypervisorKind,
}

impl Guests {
    pub(super) fn new(hypervisor: HypervisorKind) -> Self {
        Self { hypervisor }
    }

    fn real(&self) -> bool {
        self.hypervisor == HypervisorKind::Kvm
    }

    pub(super) async fn create(&mut self, stage: &Stage, say: Say<'_>) -> Result<(), DaemonError> {
        stage.headline("Two instances, started", say);
        let image = format!("os-image={}", stage.guest_image()?.display());
        for (name, node) in [("web1.demo", "node2.demo"), ("web2.demo", "node3.demo")] {
            let mut command = vec!["instance", "add", "-n", node, "--no-nics"];
            command.extend(["-B", "maxmem=32,minmem=32"]);
            if self.real() {
                command.extend(["-t", "file", "-s", "2M", "-O", &image]);
            } else {
                command.extend(["-t", "fake", "-s", "2M", "-o", "noop"]);
            }
            command.push(name);
            stage.gantry(1, &command, say).await?;
        }
        if !self.real() {
            return Ok(());
        }
        for name in ["web1.demo", "web2.demo"] {
            // Asked of another node than the guest's: any node takes any command.
            let line = hear(stage, name, UP, 0).await?;
            say(&format!("{name} says on its serial console: {}", line.text));
        }
        Ok(())
    }

    pub(super) async fn remove_one(
        &mut self,
        stage: &Stage,
        say: Say<'_>,
    ) -> Result<(), DaemonError> {
        stage.headline("One instance is stopped and removed", say);
        stage.gantry(3, &["instance", "shutdown", "web2.demo"], say).await?;
        stage.gantry(3, &["instance", "remove", "-f", "web2.demo"], say).await?;
        stage.gantry(3, &["instance", "list"], say).await
    }

    pub(super) async fn survive(
        &mut self,
        stage: &mut Stage,
        say: Say<'_>,
    ) -> Result<(), DaemonError> {
        stage.headline("The daemon of node2 is killed; its guest does not notice", say);
        let before = status(stage, "web1.demo").await?;
        stage.kill_daemon(2, say).await?;
        wait_for_status(stage, "web1.demo", "ERROR_nodedown").await?;
        stage.gantry(1, &["instance", "list"], say).await?;
        stage.start_daemon(2, say).await?;
        wait_for_status(stage, "web1.demo", &before).await?;
        stage.gantry(1, &["instance", "list"], say).await?;
        if self.real() {
            // What it says now was not said to the old daemon: consoles begin anew with each.
            let line = hear(stage, "web1.demo", "TICK ", 0).await?;
            say(&format!("web1.demo says: {}", line.text));
            let booted_again = line.seen.contains(UP);
            if booted_again {
                return Err(DaemonError::Input("web1.demo was booted again".into()));
            }
            say("It was adopted, not booted again: no second boot on its console.");
        }
        stage.gantry(2, &["instance", "shutdown", "web1.demo"], say).await?;
        stage.gantry(2, &["instance", "remove", "-f", "web1.demo"], say).await
    }
}

/// A line of a console, and everything read before it.
struct Heard {
    text: String,
    seen: String,
}

async fn client(stage: &Stage) -> Result<Client, DaemonError> {
    let config = ClientConfig::discover(stage.state_dir(1), None)
        .await
        .map_err(DaemonError::part("find the daemon of node1"))?;
    Client::connect(config).await.map_err(DaemonError::part("connect to the daemon of node1"))
}

/// One row of the instance list.
async fn row(stage: &Stage, name: &str) -> Result<(InstanceUuid, String), DaemonError> {
    let query = QueryTable {
        resource: Resource::Instance,
        fields: vec!["uuid".into(), "status".into()],
        names: vec![name.into()],
        archived: false,
        filter: None,
    };
    let table = client(stage)
        .await?
        .ask(&cluster_path(), &query, ANSWER)
        .await
        .map_err(DaemonError::part("ask for the instance"))?
        .map_err(|fault| DaemonError::Refused { attempted: "list the instance", fault })?;
    let text = |idx: usize| match table.rows.first().and_then(|row| row.get(idx)) {
        Some(Cell::Value(value)) => value.as_str().unwrap_or_default().to_owned(),
        _ => String::new(),
    };
    let uuid = text(0).parse().map_err(DaemonError::part("read the id of the instance"))?;
    Ok((uuid, text(1)))
}

async fn status(stage: &Stage, name: &str) -> Result<String, DaemonError> {
    Ok(row(stage, name).await?.1)
}

async fn wait_for_status(stage: &Stage, name: &str, wanted: &str) -> Result<(), DaemonError> {
    let deadline = Instant::now() + ADOPT_WAIT;
    loop {
        let now = status(stage, name).await?;
        if now == wanted {
            return Ok(());
        }
        if Instant::now() > deadline {
            let text = format!("{name} is {now} after {ADOPT_WAIT:?}, expected {wanted}");
            return Err(DaemonError::Input(text));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Reads the console of a guest until a line contains `wanted`.
async fn hear(
    stage: &Stage,
    name: &str,
    wanted: &str,
    mut offset: u64,
) -> Result<Heard, DaemonError> {
    let (uuid, _) = row(stage, name).await?;
    let client = client(stage).await?;
    let deadline = Instant::now() + BOOT_WAIT;
    let mut seen = String::new();
    while Instant::now() < deadline {
        let read = ReadConsole { offset, wait: Millis(1_000) };
        let chunk = client
            .ask(&instance_path(uuid), &read, ANSWER)
            .await
            .map_err(DaemonError::part("read the console"))?
            .map_err(|fault| DaemonError::Refused { attempted: "read the console", fault })?;
        offset = chunk.offset + chunk.bytes.len() as u64;
        seen.push_str(&String::from_utf8_lossy(&chunk.bytes));
        // Only whole lines: the last may be cut.
        let whole = seen.rfind('\n').map_or("", |end| &seen[..end]);
        if let Some(line) = whole.lines().find(|line| line.contains(wanted)) {
            return Ok(Heard { text: line.trim().to_owned(), seen });
        }
    }
    let text = format!("{name} did not say {wanted:?} within {BOOT_WAIT:?}; it said {seen:?}");
    Err(DaemonError::Input(text))
}
