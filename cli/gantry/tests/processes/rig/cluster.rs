//! A cluster of real daemons, and the questions that tests ask of it.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use gantry_host::{ProcessIdentity, find_by_arguments};
use gantry_hv::guest::TINY_GUEST_IMAGE;
use serde_json::Value;

use super::place::Place;
use super::program::{Finished, GANTRY, Program};
use super::waiting::eventually;

/// How long a command may take: the client's own patience is longer, a test's is not.
const COMMAND_WAIT: Duration = Duration::from_secs(60);

/// How long a daemon may take to stop.
const STOP_WAIT: Duration = Duration::from_secs(30);

/// Where the guest keeps how often it was booted: in the second sector of its disk.
const BOOT_COUNTER_AT: usize = 512;

/// How a daemon is started.
#[derive(Clone, Debug, Default)]
pub(crate) struct Launch {
    /// Programs that start it, such as `prlimit --fsize=1`.
    pub(crate) through: Vec<String>,
    /// More arguments of the daemon.
    pub(crate) args: Vec<String>,
    /// More environment.
    pub(crate) env: Vec<(&'static str, String)>,
}

impl Launch {
    /// It kills itself at this point of this node call.
    pub(crate) fn crash_at(call: &str, at: &str) -> Self {
        Self { env: vec![("GANTRY_CRASH_AT", format!("{call}:{at}"))], ..Self::default() }
    }
}

pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) state_dir: PathBuf,
    pub(crate) address: String,
    pub(crate) daemon: Option<Program>,
}

/// Nodes are counted from 1, as in their names.
pub(crate) struct Cluster {
    pub(crate) nodes: Vec<Node>,
    /// How many of them are to hold the log.
    pub(crate) pool: usize,
    /// The last to go: ends what is left.
    pub(crate) place: Place,
}

impl Cluster {
    /// A cluster of one node; its daemon does not run yet.
    pub(crate) fn made() -> Self {
        Self::made_in(Place::new())
    }

    pub(crate) fn made_in(place: Place) -> Self {
        Self::made_with(place, 1)
    }

    fn made_with(place: Place, pool: usize) -> Self {
        let mut cluster = Self { nodes: Vec::new(), place, pool };
        cluster.add_place_for_node();
        cluster.init().success();
        cluster
    }

    /// A cluster of so many nodes, all of which vote; running.
    pub(crate) fn of_voters(n_nodes: usize) -> Self {
        let mut cluster = Self::made_with(Place::new(), n_nodes);
        cluster.start(1);
        cluster.add_nodes(n_nodes);
        eventually("all nodes vote", || {
            let info = cluster.json(&["cluster", "info"]);
            let voters = info["holders"]["voters"].as_array().expect("a list");
            (voters.len() == n_nodes).then_some(())
        });
        cluster
    }

    /// A cluster of one node, running.
    pub(crate) fn of_one() -> Self {
        let mut cluster = Self::made();
        cluster.start(1);
        cluster
    }

    /// A cluster of so many nodes, running.
    pub(crate) fn of(n_nodes: usize) -> Self {
        let mut cluster = Self::of_one();
        cluster.add_nodes(n_nodes);
        cluster
    }

    /// Until there are so many.
    fn add_nodes(&mut self, n_nodes: usize) {
        for node in 2..=n_nodes {
            self.add_place_for_node();
            let token = self.token_for(node);
            self.join(node, &token).success();
            self.start(node);
        }
        self.wait_for_reports();
    }

    /// The directory and the address of one more node.
    pub(crate) fn add_place_for_node(&mut self) -> usize {
        let number = self.nodes.len() + 1;
        self.nodes.push(Node {
            name: format!("node{number}.t"),
            state_dir: self.place.join(&format!("n{number}")),
            address: self.place.address(),
            daemon: None,
        });
        number
    }

    pub(crate) fn init(&self) -> Finished {
        let node = self.node(1);
        let (disks, shared) = (self.disks(), self.shared_disks());
        let pool = self.pool.to_string();
        let words = [
            "cluster",
            "init",
            "--candidate-pool-size",
            &pool,
            "--state-dir",
            path(&node.state_dir),
            "--node-name",
            &node.name,
            "--address",
            &node.address,
            "--enabled-hypervisors",
            "kvm,fake",
            "--enabled-disk-templates",
            "file,sharedfile,diskless,fake",
            "--file-storage-dir",
            path(&disks),
            // Small guests with small disks and no interfaces.
            "--ipolicy-bounds-specs",
            "min:cpu-count=1,disk-count=0,disk-size=0,memory-size=4,nic-count=0,spindle-use=0/\
             max:cpu-count=8,disk-count=16,disk-size=1T,memory-size=32G,nic-count=8,spindle-use=12",
            // A guest that ends by itself is not a failed one.
            "--user-shutdown",
            "yes",
            "--shared-file-storage-dir",
            path(&shared),
            "cluster.t",
        ];
        self.run(&words)
    }

    pub(crate) fn node(&self, node: usize) -> &Node {
        &self.nodes[node - 1]
    }

    /// Where the disks of template file are.
    pub(crate) fn disks(&self) -> PathBuf {
        self.place.join("disks")
    }

    /// Where the disks of template sharedfile are.
    pub(crate) fn shared_disks(&self) -> PathBuf {
        self.place.join("shared")
    }

    /// Starts a daemon and waits until it answers.
    pub(crate) fn start(&mut self, node: usize) {
        self.start_as(node, &Launch::default());
    }

    pub(crate) fn start_as(&mut self, node: usize, launch: &Launch) {
        let endpoint = self.node(node).state_dir.join("endpoint");
        // The old daemon's is no sign of the new one.
        drop(std::fs::remove_file(&endpoint));
        let mut daemon = self.launch(node, launch);
        eventually(&format!("daemon of node {node} answers"), || {
            if let Some(ended) = daemon.ended() {
                panic!("the daemon ended: {ended}");
            }
            endpoint.exists().then_some(())
        });
        self.nodes[node - 1].daemon = Some(daemon);
    }

    /// Starts a daemon, and no more.
    pub(crate) fn launch(&self, node: usize, launch: &Launch) -> Program {
        let state_dir = &self.node(node).state_dir;
        let mut words: Vec<OsString> = launch.through.iter().map(OsString::from).collect();
        words.extend([GANTRY, "daemon", "--state-dir", path(state_dir)].map(OsString::from));
        words.extend(launch.args.iter().map(OsString::from));
        Program::start(&self.place, &words, &launch.env, None)
    }

    fn daemon(&mut self, node: usize) -> &mut Program {
        self.nodes[node - 1].daemon.as_mut().expect("its daemon runs")
    }

    pub(crate) fn daemon_pid(&self, node: usize) -> u32 {
        self.node(node).daemon.as_ref().expect("its daemon runs").pid()
    }

    /// `kill -9` of a daemon.
    pub(crate) fn kill(&mut self, node: usize) {
        self.nodes[node - 1].daemon.take().expect("its daemon runs").kill();
    }

    /// Stops a daemon in order.
    pub(crate) fn stop(&mut self, node: usize) -> Finished {
        self.nodes[node - 1].daemon.take().expect("its daemon runs").terminate(STOP_WAIT)
    }

    /// Whether a daemon has ended by itself.
    pub(crate) fn has_ended(&mut self, node: usize) -> bool {
        self.daemon(node).ended().is_some()
    }

    /// Waits until a daemon ends by itself.
    pub(crate) fn wait_end(&mut self, node: usize) -> Finished {
        let what = format!("the end of the daemon of node {node}");
        let ended = eventually(&what, || self.daemon(node).ended());
        self.nodes[node - 1].daemon = None;
        ended
    }

    /// Waits until every node has told what it has.
    pub(crate) fn wait_for_reports(&self) {
        let n_nodes = self.nodes.len();
        eventually("all nodes have reported", || {
            let list = self.gantry(&["node", "list", "--no-headers", "-o", "mtotal"]);
            let words: Vec<&str> = list.success().split_whitespace().collect();
            (words.len() == n_nodes && !words.contains(&"?")).then_some(())
        });
    }

    /// Runs a command that needs no cluster.
    pub(crate) fn run(&self, words: &[&str]) -> Finished {
        let words: Vec<OsString> =
            std::iter::once(GANTRY).chain(words.iter().copied()).map(OsString::from).collect();
        Program::start(&self.place, &words, &[], None).finish(COMMAND_WAIT)
    }

    /// Runs a command with the first node's credentials, asked of the first node.
    pub(crate) fn gantry(&self, words: &[&str]) -> Finished {
        self.spawn(1, words).finish(COMMAND_WAIT)
    }

    /// The same, asked of another node.
    pub(crate) fn gantry_at(&self, node: usize, words: &[&str]) -> Finished {
        self.spawn(node, words).finish(COMMAND_WAIT)
    }

    /// Runs a command on another node, with what that node has.
    pub(crate) fn gantry_on(&self, node: usize, words: &[&str]) -> Finished {
        let state_dir = ["--state-dir", path(&self.node(node).state_dir)];
        self.run(&[words, &state_dir].concat())
    }

    /// Starts a command.
    pub(crate) fn spawn(&self, node: usize, words: &[&str]) -> Program {
        self.spawn_with(node, words, None)
    }

    /// Starts a command that reads its input from a file.
    pub(crate) fn spawn_with(&self, node: usize, words: &[&str], stdin: Option<&Path>) -> Program {
        let mut all = vec![GANTRY];
        all.extend(words);
        all.extend(["--state-dir", path(&self.node(1).state_dir)]);
        if node != 1 {
            all.extend(["--endpoint", &self.node(node).address]);
        }
        let all: Vec<OsString> = all.into_iter().map(OsString::from).collect();
        Program::start(&self.place, &all, &[], stdin)
    }

    /// Runs a command as another user, which only root can do.
    pub(crate) fn gantry_as(&self, uid: u32, words: &[&str]) -> Finished {
        let (user, group) = (format!("--reuid={uid}"), format!("--regid={uid}"));
        let mut all = vec!["setpriv", &user, &group, "--clear-groups", GANTRY];
        all.extend(words);
        all.extend(["--state-dir", path(&self.node(1).state_dir)]);
        let all: Vec<OsString> = all.into_iter().map(OsString::from).collect();
        Program::start(&self.place, &all, &[], None).finish(COMMAND_WAIT)
    }

    /// The document that a command prints, which must succeed.
    pub(crate) fn json(&self, words: &[&str]) -> Value {
        let mut all = words.to_vec();
        all.push("--json");
        let finished = self.gantry(&all);
        serde_json::from_str(finished.success()).unwrap_or_else(|error| {
            panic!("no document, {error}: {finished}");
        })
    }

    pub(crate) fn token_for(&self, node: usize) -> String {
        self.token_for_name(&self.node(node).name)
    }

    pub(crate) fn token_for_name(&self, name: &str) -> String {
        let issued = self.json(&["node", "add", name]);
        issued["token"].as_str().expect("a token").to_owned()
    }

    pub(crate) fn join(&self, node: usize, token: &str) -> Finished {
        let Node { state_dir, address, .. } = self.node(node);
        self.run(&["join", "--state-dir", path(state_dir), "--address", address, token])
    }

    /// The image of the tiny guest, as a file.
    pub(crate) fn image(&self) -> String {
        let image = self.place.join("tiny.img");
        if !image.exists() {
            std::fs::write(&image, TINY_GUEST_IMAGE).expect("the image of the guest");
        }
        path(&image).to_owned()
    }

    /// The words that create a real instance with one file disk.
    pub(crate) fn add_words(&self, node: usize, name: &str, more: &[&str]) -> Vec<String> {
        self.sized_words(node, name, "4M", more)
    }

    fn sized_words(&self, node: usize, name: &str, size: &str, more: &[&str]) -> Vec<String> {
        let image = format!("os-image={}", self.image());
        let node = self.node(node).name.clone();
        let mut words = vec!["instance", "add", "-n", &node, "--no-nics", "-t", "file"];
        words.extend(["-s", size, "-B", "maxmem=32,minmem=32", "-O", &image]);
        words.extend(more);
        words.push(name);
        words.into_iter().map(str::to_owned).collect()
    }

    /// The words that create a fake instance with one fake disk on the first node of a cluster of
    /// one.
    pub(crate) fn fake_words(name: &str) -> Vec<&str> {
        let place = ["instance", "add", "-n", "node1.t", "--no-nics"];
        let parts = ["-H", "fake", "-t", "fake", "-s", "4M", "-o", "noop", name];
        place.into_iter().chain(parts).collect()
    }

    /// Creates a real instance.
    pub(crate) fn add(&self, name: &str, more: &[&str]) -> Finished {
        self.add_sized(name, "4M", more)
    }

    /// The same with a disk of this size.
    pub(crate) fn add_sized(&self, name: &str, size: &str, more: &[&str]) -> Finished {
        let words = self.sized_words(1, name, size, more);
        self.gantry(&words.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// Names and states of all instances.
    pub(crate) fn instances(&self) -> Vec<(String, String)> {
        let words = ["instance", "list", "--no-headers", "--separator", ",", "-o", "name,status"];
        let listed = self.gantry(&words);
        let rows = listed.success().lines().map(|line| line.split_once(',').expect("two fields"));
        rows.map(|(name, status)| (name.to_owned(), status.to_owned())).collect()
    }

    /// Waits until the only instance has this state.
    pub(crate) fn wait_status(&self, name: &str, status: &str) {
        let wanted = vec![(name.to_owned(), status.to_owned())];
        eventually(&format!("{name} is {status}"), || (self.instances() == wanted).then_some(()));
    }

    /// Numbers and states of all jobs, in order.
    pub(crate) fn jobs(&self) -> Vec<(u64, String)> {
        let words = ["job", "list", "--no-headers", "--separator", ",", "-o", "id,status"];
        let listed = self.gantry(&words);
        let rows = listed.success().lines().map(|line| line.split_once(',').expect("two fields"));
        rows.map(|(id, status)| (id.parse().expect("a number"), status.to_owned())).collect()
    }

    /// Everything about a job.
    pub(crate) fn job(&self, id: u64) -> Value {
        let jobs = self.json(&["job", "info", &id.to_string()]);
        jobs[0].clone()
    }

    /// Waits until nobody holds a lock.
    pub(crate) fn wait_no_locks(&self) {
        eventually("no lock is held", || {
            let locks = self.gantry(&["debug", "locks", "--no-headers"]);
            locks.success().trim().is_empty().then_some(())
        });
    }

    /// Every QEMU of a node's guests. While one daemonizes itself it is several.
    pub(crate) fn qemus(&self, node: usize) -> Vec<ProcessIdentity> {
        let run = self.node(node).state_dir.join("run").join("kvm");
        let mut found = Vec::new();
        for entry in std::fs::read_dir(run).into_iter().flatten().flatten() {
            let pid_file = entry.path().join("pid");
            found.extend(find_by_arguments(&["-pidfile", path(&pid_file)]).expect("/proc"));
        }
        found
    }

    /// The QEMU of the only guest of a node.
    pub(crate) fn one_qemu(&self, node: usize) -> ProcessIdentity {
        let what = format!("one qemu on node {node}");
        eventually(&what, || match self.qemus(node).as_slice() {
            [one] => Some(one.clone()),
            _ => None,
        })
    }

    /// Every file below the directory of disks.
    pub(crate) fn disk_files(&self) -> BTreeSet<PathBuf> {
        let mut open = vec![self.disks()];
        let mut files = BTreeSet::new();
        while let Some(directory) = open.pop() {
            for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
                let path = entry.path();
                if path.is_dir() {
                    open.push(path);
                } else {
                    files.insert(path);
                }
            }
        }
        files
    }

    /// How often the guest on the only disk was booted.
    pub(crate) fn n_boots(&self) -> u32 {
        let files = self.disk_files();
        let disk = files.first().expect("a disk");
        let bytes = std::fs::read(disk).expect("the disk");
        let counter = &bytes[BOOT_COUNTER_AT..BOOT_COUNTER_AT + 4];
        u32::from_le_bytes(counter.try_into().expect("four bytes"))
    }

    /// Nothing of an instance is left: not in the configuration, on disk, or as a process.
    pub(crate) fn assert_nothing_left(&self) {
        assert_eq!(self.instances(), []);
        assert_eq!(self.disk_files(), BTreeSet::new());
        assert_eq!(self.qemus(1), []);
        self.wait_no_locks();
    }
}

/// A path of ours as text.
pub(crate) fn path(path: &Path) -> &str {
    path.to_str().expect("our paths are text")
}
