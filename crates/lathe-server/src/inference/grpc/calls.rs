//! What each method does.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use lathe_api::inference::{
    Empty, HealthCheckRequest, HealthCheckResponse, InferParameter, ModelConfig, ModelConfigResponse,
    ModelIndex, ModelInferRequest, ModelInferResponse, ModelInput, ModelMetadataResponse, ModelOutput,
    ModelRequest, ModelStatisticsResponse, ParameterChoice, ReadyResponse, RepositoryIndexRequest,
    RepositoryIndexResponse, RepositoryModelRequest, ServerLiveResponse, ServerMetadataResponse,
    ServingStatus, TensorMetadata,
};
use lathe_serving::Facts;
use tonic::{Request, Status};

use super::super::answer::{self, Refusal};
use super::super::deployments::{Deployments, Live};
use super::super::{oip, statistics, tensors};
use super::convert;

/// The header in which gRPC clients say how long they wait.
const GRPC_TIMEOUT: &str = "grpc-timeout";

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Self {
        Status::new(code(&refusal), refusal.message())
    }
}

fn code(refusal: &Refusal) -> tonic::Code {
    match refusal {
        Refusal::Unknown(_) => tonic::Code::NotFound,
        Refusal::Request(_) => tonic::Code::InvalidArgument,
        Refusal::NotReady(_) => tonic::Code::Unavailable,
        Refusal::Failed(_) | Refusal::Raised(_) => tonic::Code::Internal,
        Refusal::Busy { .. } => tonic::Code::ResourceExhausted,
        Refusal::TooLate => tonic::Code::DeadlineExceeded,
        Refusal::Member { refusal, .. } => code(refusal),
    }
}

pub(super) async fn server_live(_: Deployments, _: Request<Empty>) -> Result<ServerLiveResponse, Status> {
    Ok(ServerLiveResponse { live: true })
}

pub(super) async fn server_ready(all: Deployments, _: Request<Empty>) -> Result<ReadyResponse, Status> {
    Ok(ReadyResponse {
        ready: all.is_ready(),
    })
}

pub(super) async fn server_metadata(
    _: Deployments,
    _: Request<Empty>,
) -> Result<ServerMetadataResponse, Status> {
    Ok(ServerMetadataResponse {
        name: "lathe".into(),
        version: env!("CARGO_PKG_VERSION").into(),
        extensions: oip::EXTENSIONS.map(str::to_owned).to_vec(),
    })
}

pub(super) async fn model_ready(
    all: Deployments,
    asked: Request<ModelRequest>,
) -> Result<ReadyResponse, Status> {
    let asked = asked.into_inner();
    let ready = match all.find(&asked.name) {
        Err(_) => false,
        Ok(live) if asked.version.is_empty() => live.stable_model().is_some(),
        Ok(live) => live
            .known_version(&asked.version)
            .ok()
            .and_then(|version| live.of_version(version))
            .is_some_and(|target| target.model.is_ok()),
    };
    Ok(ReadyResponse { ready })
}

/// The deployment that is asked for, and the version that is named.
fn named(all: &Deployments, asked: &ModelRequest) -> Result<(Arc<Live>, Option<u32>), Refusal> {
    let live = all.find(&asked.name)?;
    let version = match asked.version.as_str() {
        "" => None,
        version => Some(live.known_version(version)?),
    };
    Ok((live, version))
}

pub(super) async fn model_metadata(
    all: Deployments,
    asked: Request<ModelRequest>,
) -> Result<ModelMetadataResponse, Status> {
    let asked = asked.into_inner();
    let (live, version) = named(&all, &asked)?;
    let model = live.model_of(version)?;
    let inputs = model.inputs().iter().map(|input| TensorMetadata {
        name: input.name.clone(),
        datatype: input.datatype.into(),
        shape: input.shape.clone(),
    });
    let outputs = model.outputs().into_iter().map(|output| TensorMetadata {
        name: output.name.to_string(),
        datatype: output.datatype.into(),
        shape: oip::output_shape(&output),
    });
    Ok(ModelMetadataResponse {
        name: live.name.clone(),
        versions: live.versions(),
        platform: oip::platform(model),
        inputs: inputs.collect(),
        outputs: outputs.collect(),
    })
}

pub(super) async fn model_config(
    all: Deployments,
    asked: Request<ModelRequest>,
) -> Result<ModelConfigResponse, Status> {
    let asked = asked.into_inner();
    let (live, version) = named(&all, &asked)?;
    let model = live.model_of(version)?;
    let input = model.inputs().iter().map(|input| ModelInput {
        name: input.name.clone(),
        data_type: convert::config_type(input.datatype),
        dims: input.shape.clone(),
    });
    let output = model.outputs().into_iter().map(|output| ModelOutput {
        name: output.name.to_string(),
        data_type: convert::config_type(output.datatype),
        dims: oip::output_shape(&output),
    });
    Ok(ModelConfigResponse {
        config: Some(ModelConfig {
            name: live.name.clone(),
            platform: oip::platform(model),
            backend: "lathe".into(),
            input: input.collect(),
            output: output.collect(),
        }),
    })
}

pub(super) async fn model_statistics(
    all: Deployments,
    asked: Request<ModelRequest>,
) -> Result<ModelStatisticsResponse, Status> {
    let asked = asked.into_inner();
    let lives = match asked.name.as_str() {
        "" => all.all(),
        name => vec![all.find(name)?],
    };
    let mut model_stats = Vec::new();
    for live in lives {
        let version = match asked.version.as_str() {
            "" => None,
            version => Some(live.known_version(version)?),
        };
        model_stats.extend(statistics::of(&live, version).iter().map(convert::statistics));
    }
    Ok(ModelStatisticsResponse { model_stats })
}

pub(super) async fn infer(
    all: Deployments,
    request: Request<ModelInferRequest>,
) -> Result<ModelInferResponse, Status> {
    let headers = request.metadata().clone().into_headers();
    let asked = request.into_inner();
    let live = all.find(&asked.model_name)?;
    let mut call = answer::Request::of_headers(&headers).map_err(Status::invalid_argument)?;
    if !asked.model_version.is_empty() {
        call.version = Some(live.known_version(&asked.model_version)?);
    }
    let timeout = headers
        .get(GRPC_TIMEOUT)
        .and_then(|value| convert::timeout(value.to_str().ok()?));
    call.limit(timeout.map(|timeout: Duration| timeout.as_micros() as u64));
    call.limit(timeout_us(&asked));
    let inputs =
        convert::tensors(asked.inputs, &asked.raw_input_contents).map_err(Status::invalid_argument)?;
    let mut given = live.for_each_version(inputs);
    let read = |model: &Facts| {
        let table =
            tensors::table(given(), model.signature(), model.inputs()).map_err(Status::invalid_argument)?;
        let params = convert::params(&asked.parameters, model.params());
        tensors::with_params(table, params, model).map_err(Status::invalid_argument)
    };
    let answered = answer::answer(&all, &live, call, read).await?;
    let names: Vec<&str> = asked.outputs.iter().map(|output| output.name.as_str()).collect();
    let wanted = tensors::wanted(&answered.answers.outputs, &names).map_err(Status::invalid_argument)?;
    // Answers come as their requests do: raw, or as typed contents.
    let raw = !asked.raw_input_contents.is_empty();
    let (outputs, raw_output_contents) = convert::outputs(&wanted, raw);
    let text = |text: String| InferParameter {
        choice: Some(ParameterChoice::String(text)),
    };
    let mut parameters = HashMap::from([("prediction_id".to_owned(), text(answered.id.to_string()))]);
    if let Some(members) = &answered.members {
        parameters.insert("members".to_owned(), text(members.told()));
    }
    Ok(ModelInferResponse {
        model_name: live.name.clone(),
        model_version: answered.version.to_string(),
        id: match asked.id.is_empty() {
            true => answered.id.to_string(),
            false => asked.id,
        },
        parameters,
        outputs,
        raw_output_contents,
    })
}

/// Triton's `timeout`, in microseconds.
fn timeout_us(asked: &ModelInferRequest) -> Option<u64> {
    match asked.parameters.get("timeout")?.choice.as_ref()? {
        ParameterChoice::Int64(timeout) => u64::try_from(*timeout).ok(),
        ParameterChoice::Uint64(timeout) => Some(*timeout),
        _ => None,
    }
}

pub(super) async fn index(
    all: Deployments,
    asked: Request<RepositoryIndexRequest>,
) -> Result<RepositoryIndexResponse, Status> {
    let models = all
        .index(asked.get_ref().ready)
        .into_iter()
        .map(|entry| ModelIndex {
            name: entry.name,
            version: entry.version,
            state: entry.state.into(),
            reason: entry.reason,
        });
    Ok(RepositoryIndexResponse {
        models: models.collect(),
    })
}

pub(super) async fn load(all: Deployments, asked: Request<RepositoryModelRequest>) -> Result<Empty, Status> {
    let asked = asked.into_inner();
    if !asked.parameters.is_empty() {
        return Err(Status::invalid_argument(
            "models are loaded as the registry has them; parameters of a load are not taken",
        ));
    }
    all.load(&asked.model_name).await?;
    Ok(Empty {})
}

pub(super) async fn unload(
    all: Deployments,
    asked: Request<RepositoryModelRequest>,
) -> Result<Empty, Status> {
    all.unload(&asked.get_ref().model_name)?;
    Ok(Empty {})
}

/// The process as a whole, or one model by name.
pub(super) async fn health(
    all: Deployments,
    asked: Request<HealthCheckRequest>,
) -> Result<HealthCheckResponse, Status> {
    let ready = match asked.get_ref().service.as_str() {
        "" | "inference.GRPCInferenceService" => all.is_ready(),
        name => all.find(name)?.stable_model().is_some(),
    };
    let status = if ready {
        ServingStatus::Serving
    } else {
        ServingStatus::NotServing
    };
    Ok(HealthCheckResponse {
        status: status.into(),
    })
}
