//! YAML as DVC reads and writes it: YAML 1.2 scalars, values that know the line they came from, and text byte for
//! byte as ruamel's dumper lays it out. What the values mean is not known here.

mod emit;
mod json;
mod python_text;
mod read;
mod scalar;
mod update;
mod value;

pub use emit::{emit, emit_scalar};
pub use json::to_python_json;
pub use python_text::python_json_string;
pub use read::{SyntaxError, read};
pub use scalar::python_float;
pub use update::{in_order_of, updated};
pub use value::{Node, Span, Value};
