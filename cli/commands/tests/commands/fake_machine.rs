//! A machine on which nothing happens: it keeps what it was asked to do.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use gantry_commands::machine::{
    DaemonArgs, DemoArgs, Finding, InitArgs, Initialised, JoinArgs, Joined, Machine, MachineError,
    MachineErrorKind, Verdict,
};
use gantry_model::ids::ClusterUuid;
use gantry_model::names::NodeName;
use uuid::Uuid;

/// Keeps what it was asked to do.
#[derive(Default)]
pub(crate) struct FakeMachine {
    pub(crate) asked: Mutex<Vec<String>>,
    pub(crate) logged: Mutex<String>,
    pub(crate) fail: Mutex<Option<MachineErrorKind>>,
}

impl FakeMachine {
    fn note<T: Send + 'static>(
        &self,
        asked: String,
        done: T,
    ) -> BoxFuture<'static, Result<T, MachineError>> {
        self.asked.lock().expect("not poisoned").push(asked);
        let result = match self.fail.lock().expect("not poisoned").take() {
            None => Ok(done),
            Some(kind) => Err(MachineError {
                kind,
                message: "use /srv/state".to_owned(),
                source: Some("it is full of eels".into()),
                hints: vec!["empty it".to_owned()],
            }),
        };
        std::future::ready(result).boxed()
    }

    pub(crate) fn last(&self) -> String {
        self.asked.lock().expect("not poisoned").last().cloned().unwrap_or_default()
    }
}

fn cluster() -> ClusterUuid {
    ClusterUuid(Uuid::from_u128(0xc1))
}

impl Machine for FakeMachine {
    fn run_daemon(&self, args: DaemonArgs) -> BoxFuture<'_, Result<(), MachineError>> {
        self.note(format!("{args:#?}"), ())
    }

    fn init_cluster(&self, args: InitArgs) -> BoxFuture<'_, Result<Initialised, MachineError>> {
        let node_name = NodeName::new("node1.example").expect("valid");
        let address = "192.0.2.1:1811".to_owned();
        self.note(format!("{args:#?}"), Initialised { cluster: cluster(), node_name, address })
    }

    fn join(&self, args: JoinArgs) -> BoxFuture<'_, Result<Joined, MachineError>> {
        let node_name = NodeName::new("node2.example").expect("valid");
        let address = "192.0.2.2:1811".to_owned();
        self.note(format!("{args:#?}"), Joined { cluster: cluster(), node_name, address })
    }

    fn doctor<'a>(
        &'a self,
        state_dir: PathBuf,
        say: &'a mut (dyn FnMut(Finding) + Send),
    ) -> BoxFuture<'a, Result<(), MachineError>> {
        let found = |check, verdict, found: &str, advice: Option<&str>| Finding {
            check,
            verdict,
            found: found.to_owned(),
            advice: advice.map(str::to_owned),
        };
        say(found("qemu", Verdict::Ok, "QEMU emulator version 7.2.15", None));
        let load = "load the kernel module with `modprobe kvm_intel`";
        say(found("kvm", Verdict::Warning, "/dev/kvm cannot be used", Some(load)));
        if state_dir.ends_with("broken") {
            let start = "`systemctl start gantry`";
            say(found("daemon", Verdict::Failed, "does not run", Some(start)));
        }
        self.note(format!("doctor {}", state_dir.display()), ())
    }

    fn node_name(&self, _state_dir: &Path) -> Option<NodeName> {
        Some(NodeName::new("node2.example").expect("valid"))
    }

    fn log_command(&self, _state_dir: &Path, line: &str) -> io::Result<bool> {
        self.logged.lock().expect("not poisoned").push_str(line);
        Ok(true)
    }

    fn demo<'a>(
        &'a self,
        args: DemoArgs,
        say: &'a mut (dyn FnMut(&str) + Send),
    ) -> BoxFuture<'a, Result<(), MachineError>> {
        say("3 nodes run");
        self.note(format!("{args:#?}"), ())
    }
}
