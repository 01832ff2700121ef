//! Two processes whose actors talk; one is killed and comes back.

use gantry_runtime::{Actor, Context, Handler, Protocol, QuickNode, Reply, SpawnOptions};
use gantry_wire::{Access, ActorPath, Message};
use std::{env, process, time::Duration};

/// Asks for a greeting. To greet nobody is a mistake that the greeter does not survive.
#[derive(serde::Serialize, serde::Deserialize)]
struct Greet(String);

impl Message for Greet {
    const WIRE_NAME: &'static str = "greet";
    const ACCESS: Access = Access::Peer;
    type Reply = String;
}

struct Greeter;
impl Actor for Greeter {
    const KIND: &'static str = "greeter";
    fn protocol() -> Protocol<Self> {
        Protocol::new().on::<Greet>()
    }
}

impl Handler<Greet> for Greeter {
    fn handle(&mut self, Greet(name): Greet, reply: Reply<String>, _: &mut Context<Self>) {
        assert!(!name.is_empty(), "nobody to greet");
        reply.send(format!("hello {name}, this is process {}", process::id()));
    }
}

#[expect(clippy::print_stdout, clippy::disallowed_methods, reason = "it shows, and starts itself")]
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (args, patience) = (env::args().skip(1).collect::<Vec<_>>(), Duration::from_secs(20));
    let scratch = env::temp_dir().join(format!("gantry-two-processes-{}", process::id()));
    let dir = args.first().map_or(scratch, Into::into);
    let (this, other) = if args.is_empty() { (1, 2) } else { (2, 1) };
    let node = QuickNode::start(&dir, this)?;
    node.system.spawn(ActorPath::new("/greeter")?, SpawnOptions::default(), || Greeter)?;
    let there = node.system.remote::<Greet>(QuickNode::node_id(other), ActorPath::new("/greeter")?);
    if let Some(addr) = args.get(1) {
        node.know(other, addr.parse()?);
        println!("2 hears: {}", there.ask(Greet("two".into()), patience).await?);
        std::future::pending::<()>().await;
    }
    let mut nodes = node.system.watch_nodes();
    for name in ["one", "one again"] {
        let mut command = process::Command::new(env::current_exe()?);
        let mut child = command.arg(&dir).arg(node.addr.to_string()).spawn()?;
        while !matches!(nodes.recv().await?, gantry_link::PeerEvent::Up(_)) {}
        for name in [name, "", "after the panic"] {
            println!("1 hears: {:?}", there.ask(Greet(name.into()), patience).await);
        }
        child.kill()?;
        println!("process {} killed: {}", child.id(), child.wait()?);
    }
    Ok(std::fs::remove_dir_all(dir)?)
}
