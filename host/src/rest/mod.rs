//! The REST surface: Kafka Connect's shapes (KIP-26, KIP-1017), so that its tools and dashboards keep working.
//!
//! What is here so far: liveness, names, status and metrics. The whole route table is [`router`].

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::get;
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::error::{Error, Kind, Result};
use crate::limits::REST_CLOSE_MAX;
use crate::metrics::Metrics;
use crate::task::status::TaskStatus;
use crate::worker::swap::Life;
use crate::worker::{PipelineStatus, SharedWorker};

/// The version of Kafka Connect whose API this is: clients read features from it.
const CONNECT_VERSION: &str = "4.3.1";

/// What the handlers see.
#[derive(Debug, Clone)]
pub struct Surface {
    /// The pipelines.
    pub worker: SharedWorker,
    /// The metrics.
    pub metrics: Arc<Metrics>,
    /// Whether start-up is complete.
    pub ready: watch::Receiver<bool>,
}

/// Every route.
pub fn router(surface: Surface) -> Router {
    Router::new()
        .route("/", get(root))
        .route("/health", get(health))
        .route("/connectors", get(connectors))
        .route("/connectors/", get(connectors))
        .route("/connectors/{name}", get(connector))
        .route("/connectors/{name}/config", get(connector_config))
        .route("/connectors/{name}/status", get(connector_status))
        .route("/metrics", get(metrics))
        .fallback(not_found)
        .with_state(surface)
}

/// Only the metrics, for a listener of their own.
pub fn metrics_router(surface: Surface) -> Router {
    Router::new().route("/metrics", get(metrics)).fallback(not_found).with_state(surface)
}

/// Binds a listener; [`Kind::Config`] names an address that cannot be had.
pub async fn bind(address: SocketAddr) -> Result<TcpListener> {
    let bound = TcpListener::bind(address).await;
    bound.map_err(|e| Error::caused(Kind::Config, format!("listen on {address}"), e))
}

/// Serves until `stop` turns true, and then no longer than [`REST_CLOSE_MAX`], whatever clients do.
pub async fn serve(listener: TcpListener, router: Router, stop: watch::Receiver<bool>) -> Result<()> {
    let served = axum::serve(listener, router).with_graceful_shutdown(stopped(stop.clone()));
    tokio::select! {
        served = served.into_future() => served.map_err(|e| Error::caused(Kind::Internal, "serve REST", e)),
        () = async { stopped(stop).await; tokio::time::sleep(REST_CLOSE_MAX).await } => Ok(()),
    }
}

async fn stopped(mut stop: watch::Receiver<bool>) {
    // A sender that is gone means the same.
    let _ = stop.wait_for(|stop| *stop).await;
}

async fn root() -> Json<Value> {
    let commit = concat!("weir-", env!("CARGO_PKG_VERSION"));
    Json(json!({ "version": CONNECT_VERSION, "commit": commit, "kafka_cluster_id": "" }))
}

async fn health(State(surface): State<Surface>) -> Response {
    if *surface.ready.borrow() {
        let message = "Worker has completed startup and is ready to handle requests.";
        Json(json!({ "status": "healthy", "message": message })).into_response()
    } else {
        let body = json!({ "status": "starting", "message": "Worker is still starting up." });
        (StatusCode::SERVICE_UNAVAILABLE, Json(body)).into_response()
    }
}

async fn connectors(State(surface): State<Surface>, Query(query): Query<Vec<(String, String)>>) -> Json<Value> {
    let names = surface.worker.names();
    let wants = |what: &str| query.iter().any(|(key, value)| key == "expand" && value == what);
    if !wants("status") && !wants("info") {
        return Json(json!(names));
    }
    let mut expanded = Map::new();
    for name in names {
        let Some(status) = surface.worker.status(&name) else { continue };
        let mut entry = Map::new();
        if wants("status") {
            entry.insert("status".into(), status_body(&surface, &status));
        }
        if wants("info") {
            entry.insert("info".into(), info_body(&surface, &status));
        }
        expanded.insert(name, Value::Object(entry));
    }
    Json(Value::Object(expanded))
}

async fn connector(State(surface): State<Surface>, Path(name): Path<String>) -> Response {
    match surface.worker.status(&name) {
        Some(status) => Json(info_body(&surface, &status)).into_response(),
        None => failure(StatusCode::NOT_FOUND, &format!("Connector {name} not found")),
    }
}

async fn connector_config(State(surface): State<Surface>, Path(name): Path<String>) -> Response {
    match surface.worker.config(&name) {
        Some(config) => Json(json!(config)).into_response(),
        None => failure(StatusCode::NOT_FOUND, &format!("Connector {name} not found")),
    }
}

async fn connector_status(State(surface): State<Surface>, Path(name): Path<String>) -> Response {
    match surface.worker.status(&name) {
        Some(status) => Json(status_body(&surface, &status)).into_response(),
        None => failure(StatusCode::NOT_FOUND, &format!("No status found for connector {name}")),
    }
}

async fn metrics(State(surface): State<Surface>) -> Response {
    match surface.metrics.page() {
        Ok(page) => ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], page).into_response(),
        Err(error) => failure(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

async fn not_found() -> Response {
    failure(StatusCode::NOT_FOUND, "HTTP 404 Not Found")
}

/// Connect's error body.
fn failure(code: StatusCode, message: &str) -> Response {
    (code, Json(json!({ "error_code": code.as_u16(), "message": message }))).into_response()
}

fn info_body(surface: &Surface, status: &PipelineStatus) -> Value {
    let tasks: Vec<Value> =
        (0..status.tasks.len()).map(|task| json!({ "connector": status.name, "task": task })).collect();
    let config = surface.worker.config(&status.name).unwrap_or_default();
    json!({ "name": status.name, "config": config, "tasks": tasks, "type": "sink" })
}

/// ConnectorStateInfo, with what weir adds: the plugins that speak, what became of chains that were to take over, and
/// `waiting` and `lanes` of each task.
fn status_body(surface: &Surface, status: &PipelineStatus) -> Value {
    let worker = surface.worker.name();
    let mut connector = json!({ "state": status.state.name(), "worker_id": worker });
    add(&mut connector, "trace", status.trace.as_ref());
    add(&mut connector, "edit_refused", status.edit.as_ref());
    add(&mut connector, "plugins", status.plugins.as_ref().map(|(name, _)| name));
    let tasks: Vec<Value> = status.tasks.iter().enumerate().map(|(id, task)| task_body(id, worker, task)).collect();
    let swap = |life: &Life| {
        let generation = life.generation.to_string();
        json!({ "plugins": life.name, "generation": generation, "state": life.stage.name(), "detail": life.detail })
    };
    let swaps: Vec<Value> = status.swaps.iter().map(swap).collect();
    json!({ "name": status.name, "connector": connector, "tasks": tasks, "swaps": swaps, "type": "sink" })
}

fn task_body(id: usize, worker: &str, task: &TaskStatus) -> Value {
    let lanes: Vec<Value> = task
        .lanes
        .iter()
        .map(|(lane, at)| {
            json!({
                "topic": &*lane.topic,
                "partition": lane.partition,
                "doing": at.doing,
                "next_offset": at.next_offset,
                "processed_offset": at.processed,
                "end_offset": at.end,
                "lag": at.end.zip(at.next_offset).map(|(end, next_offset)| (end - next_offset).max(0)),
                "replay_until": at.replay_until,
                "epoch": at.epoch,
                "checkpoint_offset": at.checkpoint,
                "decisions": at.decisions,
                "fences": at.fences,
            })
        })
        .collect();
    let mut body = json!({ "id": id, "state": task.state.name(), "worker_id": worker, "lanes": lanes });
    add(&mut body, "trace", task.trace.as_ref());
    add(&mut body, "waiting", task.waiting().as_ref());
    body
}

/// Connect leaves empty fields out.
fn add(body: &mut Value, key: &str, value: Option<&String>) {
    if let (Some(body), Some(value)) = (body.as_object_mut(), value) {
        body.insert(key.to_owned(), Value::String(value.clone()));
    }
}
