//! `/v1/traces`: spans from any exporter of OpenTelemetry, in protocol buffers or JSON.

use std::collections::BTreeSet;
use std::io::Read;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Extension, Router};
use bytes::Bytes;
use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use lathe_api::otlp::{ExportTraceServiceRequest, new_spans};
use lathe_types::traces::NewSpan;
use lathe_types::{ErrorKind, ExperimentId, RunId};

use crate::access::{Identity, may_add_spans};
use crate::{ApiError, AppState};

/// As much as a body may grow to when it is unpacked.
const UNPACKED_BYTES_MAX: u64 = 128 << 20;

pub(super) fn routes() -> Router<AppState> {
    Router::new().route("/v1/traces", post(export))
}

/// All of the spans are kept, or none.
async fn export(
    State(state): State<AppState>,
    identity: Option<Extension<Identity>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, ApiError> {
    let text = |name: &str| {
        headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .map(str::trim)
    };
    let Some(experiment) = text("x-mlflow-experiment-id").filter(|id| !id.is_empty()) else {
        return Err(ApiError::unprocessable(
            "the header `x-mlflow-experiment-id` must say in which experiment the traces belong",
        ));
    };
    let experiment = ExperimentId::parse(experiment)?;
    let run = text("x-mlflow-run-id")
        .filter(|id| !id.is_empty())
        .map(RunId::parse);
    let media_type = text(header::CONTENT_TYPE.as_str()).unwrap_or_default();
    let form = match media_type.split(';').next().map(str::trim) {
        Some("application/x-protobuf") => Form::Protobuf,
        Some("application/json") => Form::Json,
        _ => {
            return Err(ApiError::invalid(format!(
                "Invalid Content-Type: {media_type}. Expected: application/x-protobuf or application/json"
            )));
        }
    };
    let packing = text(header::CONTENT_ENCODING.as_str())
        .unwrap_or_default()
        .to_ascii_lowercase();
    // Reading many spans takes its time, which is not the other connections'.
    let read = tokio::task::spawn_blocking(move || spans(&unpack(body, &packing)?, form));
    let spans = read
        .await
        .map_err(|_| ApiError::new(ErrorKind::Internal, "the spans could not be read"))??;
    let traces: BTreeSet<&str> = spans.iter().map(|span| span.trace.as_str()).collect();
    let identity = identity.as_ref().map(|Extension(identity)| identity);
    may_add_spans(&state, identity, traces.into_iter()).await?;
    let root = state.options.default_artifact_root.clone();
    state
        .store
        .log_spans(experiment, spans, run.transpose()?, root)
        .await?;
    // An empty message is no bytes at all.
    Ok(match form {
        Form::Protobuf => (
            StatusCode::OK,
            [(header::CONTENT_TYPE, "application/x-protobuf")],
            Bytes::new(),
        )
            .into_response(),
        Form::Json => (StatusCode::OK, [(header::CONTENT_TYPE, "application/json")], "{}").into_response(),
    })
}

#[derive(Clone, Copy)]
enum Form {
    Protobuf,
    Json,
}

fn spans(body: &[u8], form: Form) -> Result<Vec<NewSpan>, ApiError> {
    let request = match form {
        Form::Protobuf => ExportTraceServiceRequest::from_protobuf(body),
        Form::Json => ExportTraceServiceRequest::from_json(body),
    };
    let request =
        request.map_err(|reason| ApiError::invalid(format!("Invalid OpenTelemetry format: {reason}")))?;
    if request.resource_spans.is_empty() {
        return Err(ApiError::invalid("Invalid OpenTelemetry format - no spans found"));
    }
    new_spans(request).map_err(|reason| {
        ApiError::unprocessable(format!(
            "Cannot convert OpenTelemetry span to MLflow span: {reason}"
        ))
    })
}

fn unpack(body: Bytes, packing: &str) -> Result<Bytes, ApiError> {
    match packing {
        "" | "identity" => Ok(body),
        "gzip" => read_bounded(MultiGzDecoder::new(&body[..]), "gzip"),
        // The standard means zlib; some clients send the bare stream.
        "deflate" => match read_bounded(ZlibDecoder::new(&body[..]), "deflate") {
            Err(error) if error.status() == StatusCode::BAD_REQUEST => {
                read_bounded(DeflateDecoder::new(&body[..]), "deflate")
            }
            done => done,
        },
        other => Err(ApiError::invalid(format!(
            "Unsupported Content-Encoding: {other}. Expected: gzip or deflate"
        ))),
    }
}

fn read_bounded(from: impl Read, packing: &str) -> Result<Bytes, ApiError> {
    let mut unpacked = Vec::new();
    from.take(UNPACKED_BYTES_MAX + 1)
        .read_to_end(&mut unpacked)
        .map_err(|_| ApiError::invalid(format!("Failed to decompress {packing} payload")))?;
    if UNPACKED_BYTES_MAX < unpacked.len() as u64 {
        return Err(ApiError::too_large(format!(
            "the body unpacks to more than {} MiB; send fewer spans at once",
            UNPACKED_BYTES_MAX >> 20
        )));
    }
    Ok(unpacked.into())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn packed_bodies_are_unpacked_and_bombs_are_not() {
        let text = b"spans ".repeat(1_000);
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&text).unwrap();
        let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        zlib.write_all(&text).unwrap();
        let mut bare = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
        bare.write_all(&text).unwrap();
        for (packed, packing) in [
            (gzip.finish().unwrap(), "gzip"),
            (zlib.finish().unwrap(), "deflate"),
            (bare.finish().unwrap(), "deflate"),
        ] {
            assert_eq!(unpack(packed.into(), packing).unwrap(), text, "{packing}");
        }
        assert_eq!(
            unpack(Bytes::from_static(b"x"), "gzip").unwrap_err().status(),
            400
        );
        assert_eq!(unpack(Bytes::from_static(b"x"), "br").unwrap_err().status(), 400);
        let mut bomb = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        let zeros = vec![0; 1 << 20];
        for _ in 0..200 {
            bomb.write_all(&zeros).unwrap();
        }
        let bomb = bomb.finish().unwrap();
        assert!(bomb.len() < 1 << 20);
        assert_eq!(unpack(bomb.into(), "gzip").unwrap_err().status(), 413);
    }
}
