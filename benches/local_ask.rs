//! What does a question to an actor on the same thread cost?

use crate::harness::{Budget, Figure, Options, ns_each};
use crate::local_rig::{Add, PATIENCE, PlainAdd, Receivers, on_one_thread};

/// Short enough that a pass is rarely interrupted.
const ASKS: usize = 5_000;

pub(crate) fn run(options: &Options) -> anyhow::Result<Vec<Figure>> {
    let (n_passes, n) = (options.passes(61), options.repeats(ASKS));
    let [ours, actix, raw] = on_one_thread(move |receivers| async move {
        let mut all = [const { Vec::new() }; 3];
        for _ in 0..n_passes {
            for (all, one) in all.iter_mut().zip(pass(&receivers, n).await) {
                all.push(one);
            }
        }
        all
    })?;
    let what = "ask one by one, same thread";
    Ok(vec![
        Figure::of_passes(what, "ns", &ours, ("plain actix", &actix)).budget(Budget::RatioMax(1.3)),
        Figure::of_passes(what, "ns", &ours, ("raw tokio mpsc+oneshot", &raw)),
    ])
}

async fn pass(to: &Receivers, n: usize) -> [f64; 3] {
    let ours = ns_each(n, async {
        for _ in 0..n {
            to.ours.ask(Add(1), PATIENCE).await.expect("it lives");
        }
    });
    let actix = ns_each(n, async {
        for _ in 0..n {
            to.actix.send(PlainAdd(1)).await.expect("it lives");
        }
    });
    let raw = ns_each(n, async {
        for _ in 0..n {
            let (reply, sum) = tokio::sync::oneshot::channel();
            to.raw.send((1, Some(reply))).expect("it lives");
            sum.await.expect("it lives");
        }
    });
    [ours.await, actix.await, raw.await]
}
