//! The smallest web server that Prometheus can ask.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use gantry_runtime::{BlockingClass, TaskHandle};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::CONTENT_TYPE;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use super::page::page;
use super::{Sources, check_address};
use crate::error::DaemonError;

/// Connections at once. One collector has one; more than a few is a mistake that shall not cost the
/// daemon its file descriptors.
const CONNECTIONS_MAX: usize = 16;

/// How long a request may take to arrive, and a page to be made. Lower cuts a collector on a busy
/// machine, higher keeps the place of one that is stuck.
const REQUEST_TIME_MAX: Duration = Duration::from_secs(10);

/// Pause after a connection could not be accepted, which is when file descriptors are short.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

const TEXT: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Answers until it is dropped.
pub(crate) struct MetricsServer {
    address: SocketAddr,
    task: TaskHandle,
}

impl MetricsServer {
    /// Begins to listen.
    ///
    /// # Errors
    /// When the address is not local, or is taken.
    pub(crate) fn start(address: SocketAddr, sources: Sources) -> Result<Self, DaemonError> {
        check_address(address)?;
        let failed = DaemonError::part("listen on the metrics address");
        let listener = std::net::TcpListener::bind(address).map_err(failed)?;
        let address = listener.local_addr().map_err(DaemonError::part("know the address"))?;
        listener.set_nonblocking(true).map_err(DaemonError::part("listen without blocking"))?;
        let task = sources.system.clone().spawn_task(serve(listener, Arc::new(sources)));
        tracing::info!(%address, "metrics are answered");
        Ok(Self { address, task })
    }

    /// Where.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for MetricsServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(listener: std::net::TcpListener, sources: Arc<Sources>) {
    let listener = match TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, "metrics cannot be answered"),
    };
    let seats = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection for metrics");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Ok(seat) = seats.clone().try_acquire_owned() else { continue };
        let sources = sources.clone();
        drop(sources.system.clone().spawn_task(async move {
            answer(stream, sources).await;
            drop(seat);
        }));
    }
}

async fn answer(stream: TcpStream, sources: Arc<Sources>) {
    let service = service_fn(move |request| respond(request, sources.clone()));
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(REQUEST_TIME_MAX)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "a connection for metrics ended");
    }
}

async fn respond(
    request: Request<Incoming>,
    sources: Arc<Sources>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    if request.uri().path() != "/metrics" {
        return Ok(plain(StatusCode::NOT_FOUND, "see /metrics\n"));
    }
    if request.method() != Method::GET {
        return Ok(plain(StatusCode::METHOD_NOT_ALLOWED, "only GET\n"));
    }
    let platform = sources.system.platform().clone();
    let until = platform.clock().now() + REQUEST_TIME_MAX;
    let made = platform
        .blocking(BlockingClass::Quick, "metrics", "the collector", until, move || page(&sources))
        .await;
    Ok(match made {
        Ok(Ok(text)) => {
            let mut response = Response::new(Full::new(Bytes::from(text)));
            response.headers_mut().insert(CONTENT_TYPE, TEXT.parse().expect("a plain text"));
            response
        }
        Ok(Err(error)) => {
            tracing::error!(%error, "the metrics could not be written");
            plain(StatusCode::INTERNAL_SERVER_ERROR, "the numbers could not be written\n")
        }
        Err(error) => {
            tracing::warn!(%error, "the metrics could not be made");
            plain(StatusCode::SERVICE_UNAVAILABLE, "too busy\n")
        }
    })
}

fn plain(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from_static(text.as_bytes())));
    *response.status_mut() = status;
    response
}
