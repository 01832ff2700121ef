//! The clock: whether something keeps it, and how far it is from the master's.

use std::time::Duration;

use gantry_client::Client;
use gantry_commands::machine::Finding;
use gantry_host::Command;
use gantry_wire::ErrorChain;
use tokio::time::Instant;

use super::{Patient, failed, ok, warning};
use crate::doctor::programs::ANSWER_TIME_MAX;

/// Difference to the master from which on it is an error, as in Ganeti's verify (V33). Beyond it
/// lines of two nodes cannot be put in order, and what is valid for a short time is not accepted:
/// join tokens, new certificates. Lower fails nodes that do no harm, higher hides that.
const SKEW_MAX: Duration = Duration::from_secs(150);

/// Difference from which on somebody should look. A clock that is kept is right within some
/// milliseconds; lower would blame a slow answer of a busy master, higher hides for days that no
/// service keeps the clock.
const SKEW_SEEN: Duration = Duration::from_secs(2);

/// How long the master may take to say its time. Half of what it takes is the error of the answer;
/// lower fails over a slow line, higher says nothing about a clock.
const MASTER_TIME_MAX: Duration = Duration::from_secs(3);

/// Whether something keeps the clock.
pub(super) async fn kept(patient: &Patient) -> Finding {
    const CHECK: &str = "clock";
    let install = "install chrony or systemd-timesyncd: times of jobs and the validity of \
                   certificates are compared between machines";
    let command = Command::new("/usr/bin/timedatectl")
        .args(["show", "--property=NTPSynchronized", "--value"])
        .timeout(ANSWER_TIME_MAX);
    match patient.runner.run(command).await {
        Ok(output) if output.text().trim() == "yes" => ok(CHECK, "kept by a time service"),
        Ok(_) => warning(CHECK, "no time service keeps it", install),
        // Without systemd another may keep it; nothing says so.
        Err(_) => warning(CHECK, "nobody says whether it is kept", install),
    }
}

const CHECK: &str = "clock of master";

/// How far the clock is from that of the master. The daemon's check says why there is none to ask.
pub(super) async fn of_master(patient: &Patient, daemon: Option<&Client>) -> Finding {
    let Some(client) = daemon else {
        return match &patient.node {
            None => ok(CHECK, "there is none before this machine is a node"),
            Some(_) => warning(CHECK, "not asked: no daemon answers here", "start the daemon"),
        };
    };
    let answer = tokio::time::timeout(MASTER_TIME_MAX, ask(patient, client)).await;
    match answer {
        Ok(Ok(Reading { master, .. })) if patient.is_node(&master) => {
            ok(CHECK, "this node is the master")
        }
        Ok(Ok(reading)) => judge(&reading),
        Ok(Err(error)) => {
            let advice = "see `gnt-cluster info`, and the log of the daemon";
            warning(CHECK, format!("no answer: {}", ErrorChain(&error)), advice)
        }
        Err(_) => {
            let text = format!("no answer within {} s", MASTER_TIME_MAX.as_secs());
            warning(CHECK, text, "look at the network to the master")
        }
    }
}

/// What the master said, and when.
struct Reading {
    /// Its name.
    master: String,
    /// Its time, since 1970.
    there: Duration,
    /// Ours, when the answer came.
    here: Duration,
    /// How long question and answer took together.
    took: Duration,
}

async fn ask(patient: &Patient, client: &Client) -> Result<Reading, gantry_client::ClientError> {
    let master = client.cluster().await?.master;
    let asked = Instant::now();
    let said = client.links(master.uuid).await?;
    let (took, here) = (asked.elapsed(), (patient.clock)());
    let there = Duration::from_micros(said.now.0);
    Ok(Reading { master: master.name.to_string(), there, here, took })
}

fn judge(reading: &Reading) -> Finding {
    let Reading { master, there, here, took } = reading;
    // The answer was on its way for half of the time, as far as anybody can know.
    let there = *there + *took / 2;
    let (apart, word) = match there.checked_sub(*here) {
        Some(apart) => (apart, "behind"),
        None => (here.saturating_sub(there), "ahead of"),
    };
    let text = match apart.saturating_sub(*took / 2).is_zero() {
        true => format!("no difference to {master} that could be seen"),
        false => format!("{:.3} s {word} {master}", apart.as_secs_f64()),
    };
    let advice = "set the clock that is wrong, and let chrony or systemd-timesyncd keep both";
    match apart.saturating_sub(*took / 2) {
        apart if apart > SKEW_MAX => {
            let limit = SKEW_MAX.as_secs();
            failed(CHECK, format!("{text}, more than the {limit} s that are tolerated"), advice)
        }
        apart if apart > SKEW_SEEN => warning(CHECK, text, advice),
        _ => ok(CHECK, text),
    }
}

#[cfg(test)]
mod tests {
    use gantry_commands::machine::Verdict;

    use super::*;

    fn judged(here_ms: u64, there_ms: u64, took_ms: u64) -> (Verdict, String) {
        let ms = Duration::from_millis;
        let master = "node1.example".to_owned();
        let reading = Reading { master, there: ms(there_ms), here: ms(here_ms), took: ms(took_ms) };
        let finding = judge(&reading);
        assert_eq!(finding.advice.is_none(), finding.verdict == Verdict::Ok, "{finding:?}");
        (finding.verdict, finding.found)
    }

    // covers: V33
    #[test]
    fn a_clock_far_from_the_masters_fails_and_a_near_one_does_not() {
        let (verdict, text) = judged(1_000_000, 1_000_050, 10);
        assert_eq!((verdict, text.as_str()), (Verdict::Ok, "0.055 s behind node1.example"));
        assert_eq!(judged(1_003_000, 1_000_000, 10).0, Verdict::Warning);
        assert_eq!(judged(1_000_000, 1_149_000, 10).0, Verdict::Warning);
        let (verdict, text) = judged(1_160_000, 1_000_000, 10);
        assert_eq!(verdict, Verdict::Failed);
        assert!(
            text.starts_with("159.995 s ahead of node1.example, more than the 150 s"),
            "{text}"
        );
        assert_eq!(judged(1_000_000, 1_160_000, 10).0, Verdict::Failed);
    }

    #[test]
    fn a_slow_answer_is_not_taken_for_a_wrong_clock() {
        let (verdict, text) = judged(1_003_000, 1_000_500, 5_000);
        assert_eq!(verdict, Verdict::Ok, "{text}");
        assert!(text.starts_with("no difference"), "{text}");
    }
}
