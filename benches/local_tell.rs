//! What does a message to an actor on the same thread cost?

use crate::harness::{Budget, Figure, Options, ns_each};
use crate::local_rig::{Add, PATIENCE, PlainAdd, Receivers, on_one_thread};

/// Short enough that a pass is rarely interrupted.
const TELLS: usize = 20_000;

pub(crate) fn run(options: &Options) -> anyhow::Result<Vec<Figure>> {
    let (n_passes, n) = (options.passes(61), options.repeats(TELLS));
    let [ours, actix, raw] = on_one_thread(move |receivers| async move {
        let mut all = [const { Vec::new() }; 3];
        for _ in 0..n_passes {
            for (all, one) in all.iter_mut().zip(pass(&receivers, n).await) {
                all.push(one);
            }
        }
        all
    })?;
    Ok(vec![
        Figure::of_passes("tell, same thread", "ns", &ours, ("plain actix", &actix))
            .budget(Budget::RatioMax(1.3)),
        Figure::of_passes("tell, same thread", "ns", &ours, ("raw tokio mpsc", &raw)),
    ])
}

/// Each ends with an ask, so that all messages were handled.
async fn pass(to: &Receivers, n: usize) -> [f64; 3] {
    let ours = ns_each(n, async {
        for _ in 0..n {
            to.ours.tell(Add(1)).expect("the queue has no bound");
        }
        to.ours.ask(Add(0), PATIENCE).await.expect("it lives");
    });
    let actix = ns_each(n, async {
        for _ in 0..n {
            to.actix.do_send(PlainAdd(1));
        }
        to.actix.send(PlainAdd(0)).await.expect("it lives");
    });
    let raw = ns_each(n, async {
        for _ in 0..n {
            to.raw.send((1, None)).expect("it lives");
        }
        let (reply, sum) = tokio::sync::oneshot::channel();
        to.raw.send((0, Some(reply))).expect("it lives");
        sum.await.expect("it lives");
    });
    [ours.await, actix.await, raw.await]
}
