//! Wire types of every HTTP face: the JSON that clients see, and the conversions from and to the nouns of
//! `lathe-types`. No rules and no IO: limits are checked by the constructors in `lathe-types`, routes live in
//! `lathe-server`.

pub mod inference;
pub mod mlflow;
pub mod otlp;
pub mod reflection;
pub mod schema;
