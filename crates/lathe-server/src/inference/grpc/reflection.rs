//! `grpc.reflection`: tells clients such as `grpcurl` which services there are and what their messages look like.

use std::sync::OnceLock;

use lathe_api::inference::Message;
use lathe_api::reflection::{
    Asked, ErrorResponse, ExtensionNumberResponse, FileDescriptorResponse, ListServiceResponse,
    ServerReflectionRequest, ServerReflectionResponse, ServiceResponse, Told,
};
use lathe_api::schema::{FILES, Schema, parse};
use tonic::{Code, Status};

/// The packages of the protocol; the older one has the same messages.
const PACKAGE: &str = "grpc.reflection.v1.";
const OLDER: &str = "grpc.reflection.v1alpha.";

fn schemas() -> Result<&'static [Schema], Status> {
    static SCHEMAS: OnceLock<Result<Vec<Schema>, String>> = OnceLock::new();
    SCHEMAS
        .get_or_init(read)
        .as_deref()
        .map_err(|fault| Status::internal(fault.clone()))
}

fn read() -> Result<Vec<Schema>, String> {
    let mut schemas = Vec::new();
    for (name, text) in FILES {
        schemas.push(parse(name, text)?);
        if text.contains("package grpc.reflection.v1;") {
            let older = text.replace("package grpc.reflection.v1;", "package grpc.reflection.v1alpha;");
            schemas.push(parse("reflection_v1alpha.proto", &older)?);
        }
    }
    Ok(schemas)
}

/// Answers one question.
pub(super) fn tell(request: ServerReflectionRequest) -> Result<ServerReflectionResponse, Status> {
    let schemas = schemas()?;
    let file = |found: Option<&Schema>, what: &str| match found {
        Some(schema) => Told::Files(FileDescriptorResponse {
            file_descriptor_proto: vec![schema.file.encode_to_vec()],
        }),
        None => unknown(format!("`{what}` is not known here")),
    };
    let told = match &request.asked {
        Some(Asked::ListServices(_)) => {
            let services = schemas.iter().flat_map(|schema| {
                let package = &schema.file.package;
                let services = schema.file.service.iter();
                services.map(move |service| ServiceResponse {
                    name: format!("{package}.{}", service.name),
                })
            });
            Told::Services(ListServiceResponse {
                service: services.collect(),
            })
        }
        Some(Asked::FileByFilename(name)) => {
            file(schemas.iter().find(|schema| schema.file.name == *name), name)
        }
        Some(Asked::FileContainingSymbol(symbol)) => {
            let bare = symbol.trim_start_matches('.');
            file(
                schemas.iter().find(|schema| schema.symbols.contains(bare)),
                symbol,
            )
        }
        Some(Asked::AllExtensionNumbersOfType(kind)) => {
            let bare = kind.trim_start_matches('.');
            match schemas.iter().any(|schema| schema.symbols.contains(bare)) {
                true => Told::ExtensionNumbers(ExtensionNumberResponse {
                    base_type_name: kind.clone(),
                    extension_number: Vec::new(),
                }),
                false => unknown(format!("`{kind}` is not known here")),
            }
        }
        Some(Asked::FileContainingExtension(asked)) => {
            unknown(format!("`{}` has no extensions", asked.containing_type))
        }
        None => Told::Error(ErrorResponse {
            error_code: Code::InvalidArgument as i32,
            error_message: "nothing is asked".into(),
        }),
    };
    Ok(ServerReflectionResponse {
        valid_host: request.host.clone(),
        original_request: Some(request),
        told: Some(told),
    })
}

fn unknown(error_message: String) -> Told {
    Told::Error(ErrorResponse {
        error_code: Code::NotFound as i32,
        error_message,
    })
}

/// Whether a path is one of reflection's.
pub(super) fn is(path: &str) -> bool {
    let service = path.strip_prefix('/').unwrap_or(path);
    let of = |package: &str| service.strip_prefix(package) == Some("ServerReflection/ServerReflectionInfo");
    of(PACKAGE) || of(OLDER)
}
