/// That there is no such record, in the words that users of the `mlflow` client know and its tests look for.
pub fn does_not_exist(noun: &str, id: &str) -> String {
    match noun {
        "run" => format!("Run with id={id} not found"),
        "experiment" => format!("No Experiment with id={id} exists"),
        "experiment name" => format!("Could not find experiment with name '{id}'"),
        "registered model" => format!("Registered Model with name={id} not found"),
        "model version" => {
            let (name, version) = id.rsplit_once('/').unwrap_or((id, ""));
            format!("Model Version (name={name}, version={version}) not found")
        }
        "Experiment permission" | "Registered model permission" => format!("{noun} with {id} not found"),
        "webhook" => format!("Webhook with ID {id} not found."),
        "user" => format!("User with username={id} not found"),
        "logged model" => format!("Logged model with ID '{id}' not found."),
        _ => format!("{noun} `{id}` does not exist"),
    }
}

/// That a name is taken, in the same words.
pub fn already_exists(noun: &str, id: &str) -> String {
    match noun {
        "experiment" => format!("Experiment(name={id}) already exists."),
        "registered model" => format!("Registered Model (name={id}) already exists."),
        _ => format!("{noun} `{id}` already exists"),
    }
}

/// What a failure means to whoever asked. The server turns it into a status, the command line into an exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The request is wrong and stays wrong until it is changed.
    InvalidInput,
    /// The thing asked for does not exist.
    NotFound,
    /// A thing of that name exists already.
    AlreadyExists,
    /// The change contradicts the present state.
    Conflict,
    /// Nobody is known to have sent this.
    Unauthenticated,
    /// Whoever sent this may not do it.
    PermissionDenied,
    /// A bound (queue, rate, body) is full; later it may work.
    Exhausted,
    /// There is no room left to keep anything.
    Full,
    /// Something this needs is away; later it may work.
    Unavailable,
    /// Understood, and not offered here.
    NotImplemented,
    /// Our fault.
    Internal,
}
