//! The client against a scripted cluster in the same process, on a paused clock.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{FutureExt as _, StreamExt as _};
use gantry_client::{
    ATTEMPT_TIMEOUT, BACKOFF_FIRST, Client, ClientConfig, ClientError, InProcess, SUBMIT_PATIENCE,
    WATCH_PATIENCE,
};
use gantry_model::errors::{Fault, FaultCode};
use gantry_model::ids::JobId;
use gantry_model::jobs::{JobStatus, LogKind, LogLine};
use gantry_model::messages::{JobChange, NewJob, SubmitJobs, WaitJob};
use gantry_model::opcodes::TestDelay;
use gantry_model::query::{Cell, Resource, Table};
use gantry_model::units::Timestamp;
use gantry_wire::{AskError, Envelope, Message, NotDelivered, decode, encode};

type Answer = Result<Bytes, AskError>;

/// Answers one envelope after the other; what was asked is kept.
#[derive(Clone, Default)]
struct Script {
    answers: Arc<Mutex<VecDeque<Answer>>>,
    asked: Arc<Mutex<Vec<Envelope>>>,
}

impl Script {
    fn new(answers: Vec<Answer>) -> Self {
        Self { answers: Arc::new(Mutex::new(answers.into())), ..Self::default() }
    }

    fn client(&self) -> Client {
        let script = self.clone();
        let transport = InProcess::new("script", move |envelope| {
            script.asked.lock().expect("not poisoned").push(envelope);
            let answer = script.answers.lock().expect("not poisoned").pop_front();
            async move {
                match answer {
                    Some(answer) => answer,
                    None => std::future::pending().await,
                }
            }
            .boxed()
        });
        Client::over(Arc::new(transport))
    }

    fn asked<M: Message>(&self) -> Vec<M> {
        let asked = self.asked.lock().expect("not poisoned");
        asked.iter().map(|envelope| decode(&envelope.body).expect("decodes")).collect()
    }

    fn left(&self) -> usize {
        self.answers.lock().expect("not poisoned").len()
    }
}

fn done<M: Message>(reply: &M::Reply) -> Answer {
    Ok(encode(reply).expect("encodes").into())
}

fn unreachable() -> Answer {
    let reason = "silent".to_owned();
    Err(NotDelivered::Unreachable { node: "node1".into(), reason }.into())
}

fn one_job() -> Vec<NewJob> {
    vec![NewJob { ops: vec![TestDelay::default().into()] }]
}

fn change(status: JobStatus, serials: &[u64]) -> JobChange {
    let line = |serial: &u64| LogLine {
        serial: *serial,
        at: Timestamp(*serial),
        kind: LogKind::Message,
        text: format!("line {serial}"),
    };
    JobChange {
        status,
        log: serials.iter().map(line).collect(),
        fault: None,
        results: Vec::new(),
        waits_for: None,
    }
}

#[tokio::test(start_paused = true)]
async fn a_submission_is_repeated_under_its_request_id_until_it_is_answered() {
    let not_master = Fault::new(FaultCode::NotMaster, "no leader");
    let script = Script::new(vec![
        unreachable(),
        Err(AskError::Unknown("connection lost".into())),
        done::<SubmitJobs>(&Err(not_master)),
        done::<SubmitJobs>(&Ok(vec![Ok(JobId(7))])),
    ]);
    let ids = script.client().submit(one_job()).await.expect("submitted");
    assert_eq!(ids, [Ok(JobId(7))]);
    let asked = script.asked::<SubmitJobs>();
    assert_eq!(asked.len(), 4);
    assert!(asked.iter().all(|message| message.request == asked[0].request));
    let envelopes = script.asked.lock().expect("not poisoned");
    assert!(envelopes.iter().all(|envelope| envelope.request == Some(asked[0].request)));
}

#[tokio::test(start_paused = true)]
async fn two_submissions_have_two_request_ids() {
    let ok = || done::<SubmitJobs>(&Ok(vec![Ok(JobId(1))]));
    let script = Script::new(vec![ok(), ok()]);
    let client = script.client();
    client.submit(one_job()).await.expect("submitted");
    client.submit(one_job()).await.expect("submitted");
    let asked = script.asked::<SubmitJobs>();
    assert_ne!(asked[0].request, asked[1].request);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_an_answer_and_not_repeated() {
    let full = Fault::new(FaultCode::QueueFull, "the queue is full");
    let script = Script::new(vec![done::<SubmitJobs>(&Err(full.clone())), unreachable()]);
    let error = script.client().submit(one_job()).await.expect_err("refused");
    assert_eq!(error.fault(), Some(&full));
    assert_eq!(script.left(), 1, "the second answer was not asked for");
}

#[tokio::test(start_paused = true)]
async fn a_forbidden_message_is_not_repeated() {
    let forbidden =
        NotDelivered::Forbidden { role: "reader".into(), message: "cluster.submit-jobs".into() };
    let script = Script::new(vec![Err(forbidden.clone().into()), unreachable()]);
    let error = script.client().submit(one_job()).await.expect_err("forbidden");
    assert_eq!(error.ask_error(), Some(&AskError::NotDelivered(forbidden)));
    assert_eq!(script.left(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_submission_gives_up_when_its_patience_is_over_and_keeps_the_last_cause() {
    let script = Script::new(Vec::new());
    let begun = tokio::time::Instant::now();
    let error = script.client().submit(one_job()).await.expect_err("no answer");
    assert!(matches!(error, ClientError::GaveUp { .. }), "{error}");
    assert!(matches!(error.ask_error(), Some(AskError::Unknown(_))), "{error}");
    assert!(begun.elapsed() <= SUBMIT_PATIENCE);
    assert!(begun.elapsed() + ATTEMPT_TIMEOUT >= SUBMIT_PATIENCE);
}

#[tokio::test(start_paused = true)]
async fn an_answer_for_another_number_of_jobs_is_no_answer() {
    let script = Script::new(vec![done::<SubmitJobs>(&Ok(Vec::new()))]);
    let error = script.client().submit(one_job()).await.expect_err("protocol");
    assert!(matches!(error, ClientError::Protocol { .. }), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_watch_goes_on_after_lost_connections_and_tells_each_line_once() {
    let script = Script::new(vec![
        done::<WaitJob>(&Ok(change(JobStatus::Running, &[1, 2]))),
        unreachable(),
        Err(AskError::Unknown("connection lost".into())),
        // The next leader sends a line again that was told already.
        done::<WaitJob>(&Ok(change(JobStatus::Running, &[2, 3]))),
        done::<WaitJob>(&Ok(change(JobStatus::Success, &[4]))),
    ]);
    let changes: Vec<_> = script.client().watch(JobId(3)).into_stream().collect().await;
    let changes: Vec<JobChange> = changes.into_iter().map(|c| c.expect("answered")).collect();
    let serials: Vec<u64> = changes.iter().flat_map(|c| &c.log).map(|line| line.serial).collect();
    assert_eq!(serials, [1, 2, 3, 4]);
    assert_eq!(changes.last().map(|c| c.status), Some(JobStatus::Success));
    let known: Vec<_> =
        script.asked::<WaitJob>().into_iter().map(|w| (w.known, w.log_after)).collect();
    let running = Some(JobStatus::Running);
    assert_eq!(known, [(None, 0), (running, 2), (running, 2), (running, 2), (running, 3)]);
}

#[tokio::test(start_paused = true)]
async fn a_watch_of_an_unknown_job_ends_with_the_fault() {
    let unknown = Fault::new(FaultCode::UnknownEntity, "job 9 does not exist");
    let script = Script::new(vec![done::<WaitJob>(&Err(unknown.clone()))]);
    let changes: Vec<_> = script.client().watch(JobId(9)).into_stream().collect().await;
    assert_eq!(changes.len(), 1);
    let error = changes.into_iter().next().and_then(Result::err).expect("refused");
    assert_eq!(error.fault(), Some(&unknown));
}

#[tokio::test(start_paused = true)]
async fn a_watch_gives_up_when_nobody_answers_for_long() {
    let script = Script::new(Vec::new());
    let begun = tokio::time::Instant::now();
    let error = script.client().watch(JobId(1)).next(Duration::ZERO).await.expect_err("silence");
    assert!(matches!(error, ClientError::GaveUp { .. }), "{error}");
    assert!(begun.elapsed() + BACKOFF_FIRST >= WATCH_PATIENCE);
}

#[tokio::test(start_paused = true)]
async fn a_table_with_ragged_rows_is_refused() {
    let table = Table { rows: vec![vec![Cell::NoData]], ..Table::default() };
    let script = Script::new(vec![done::<gantry_model::messages::QueryTable>(&Ok(table))]);
    let error = script.client().query(Resource::Node, &["name"], &[]).await.expect_err("ragged");
    assert!(matches!(error, ClientError::Protocol { .. }), "{error}");
}

#[tokio::test(start_paused = true)]
async fn typed_characters_are_never_sent_twice() {
    let script = Script::new(vec![
        Err(AskError::Unknown("connection lost".into())),
        done::<gantry_model::messages::WriteConsole>(&Ok(())),
    ]);
    let instance = gantry_model::ids::InstanceUuid(uuid::Uuid::nil());
    let error = script.client().write_console(instance, b"x".to_vec()).await.expect_err("lost");
    assert!(matches!(error.ask_error(), Some(AskError::Unknown(_))), "{error}");
    assert_eq!(script.left(), 1);
}

#[tokio::test]
async fn a_directory_without_credentials_is_not_a_cluster() {
    let dir = tempfile::tempdir().expect("temporary directory");
    for path in [dir.path().join("missing"), dir.path().to_owned()] {
        let error = ClientConfig::discover(&path, None).await.expect_err("nothing there");
        assert!(matches!(error, ClientError::NotACluster { .. }), "{error}");
    }
    assert!(!dir.path().join("missing").exists(), "looking must not make it");
}

#[tokio::test(start_paused = true)]
async fn reading_a_console_survives_a_lost_connection() {
    let chunk = gantry_model::messages::ConsoleChunk {
        offset: 5,
        bytes: b"login: ".to_vec(),
        closed: false,
    };
    let script = Script::new(vec![
        Err(AskError::Unknown("connection lost".into())),
        done::<gantry_model::messages::ReadConsole>(&Ok(chunk.clone())),
    ]);
    let instance = gantry_model::ids::InstanceUuid(uuid::Uuid::nil());
    let read = script.client().read_console(instance, 5, Duration::from_secs(20)).await;
    assert_eq!(read.expect("answered"), chunk);
    let asked = script.asked::<gantry_model::messages::ReadConsole>();
    assert_eq!(asked.iter().map(|read| read.offset).collect::<Vec<_>>(), [5, 5]);
}
