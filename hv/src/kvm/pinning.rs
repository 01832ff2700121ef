//! Which processors of the node a guest runs on (H54), set before its first instruction.

use std::path::PathBuf;
use std::time::Duration;

use gantry_host::{Command, CommandError, may_execute};
use gantry_model::params::{CpuMask, CpuSet, KvmParams};
use serde_json::Value;

use super::watch::Attached;
use crate::error::HvError;
use crate::kvm::hypervisor::KvmHypervisor;

/// Debian's place of taskset.
const TASKSET: &str = "/usr/bin/taskset";

/// How long it may take: it makes one call to the kernel.
const TASKSET_TIME_MAX: Duration = Duration::from_secs(10);

impl KvmHypervisor {
    /// Binds the threads of a guest to the processors that its mask names.
    pub(super) async fn pin(&self, attached: &Attached, params: &KvmParams) -> Result<(), HvError> {
        match CpuMask::parse(&params.cpu_mask) {
            Ok(CpuMask::Guest(set)) => {
                self.bind(attached, &set, attached.process().pid, true).await
            }
            Ok(CpuMask::PerCpu(sets)) => {
                if sets.iter().all(|set| *set == CpuSet::All) {
                    return Ok(());
                }
                let threads = cpu_threads(&attached.ask("query-cpus-fast").await?);
                for (cpu_idx, set) in sets.iter().enumerate() {
                    if let Some(thread) = threads.get(cpu_idx) {
                        self.bind(attached, set, *thread, false).await?;
                    }
                }
                Ok(())
            }
            // Checked before anything was started.
            Err(_) => Ok(()),
        }
    }

    async fn bind(
        &self,
        attached: &Attached,
        set: &CpuSet,
        thread: u32,
        whole: bool,
    ) -> Result<(), HvError> {
        let Some(cpus) = set.list() else { return Ok(()) };
        let program = PathBuf::from(TASKSET);
        if !may_execute(&program) {
            return Err(HvError::ProgramMissing { program, package: "util-linux" });
        }
        let mut command = Command::new(program).timeout(TASKSET_TIME_MAX);
        if whole {
            command = command.arg("-a");
        }
        command = command.args(["-c", "-p", &cpus, &thread.to_string()]);
        let failed = |source: CommandError| HvError::Pinning {
            instance: attached.instance(),
            cpus: cpus.clone(),
            source: Box::new(source),
        };
        self.config.runner.run(command).await.map(|_| ()).map_err(failed)
    }
}

/// The threads of the virtual CPUs, by index, as `query-cpus-fast` tells them.
fn cpu_threads(answer: &Value) -> Vec<u32> {
    let number = |cpu: &Value, field: &str| cpu.get(field).and_then(Value::as_u64);
    let mut threads: Vec<(u64, u32)> = answer
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|cpu| {
            let thread = u32::try_from(number(cpu, "thread-id")?).ok()?;
            Some((number(cpu, "cpu-index")?, thread))
        })
        .collect();
    threads.sort_unstable();
    threads.into_iter().map(|(_, thread)| thread).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn threads_are_in_the_order_of_the_cpus() {
        let answer = json!([
            {"cpu-index": 1, "thread-id": 71, "qom-path": "/x"},
            {"cpu-index": 0, "thread-id": 70},
            {"cpu-index": 2},
        ]);
        assert_eq!(cpu_threads(&answer), [70, 71]);
        assert_eq!(cpu_threads(&Value::Null), Vec::<u32>::new());
    }
}
