#![no_main]

use lathe_serving::{ColumnSpec, ColumnType, InputSpec, Signature};
use libfuzzer_sys::fuzz_target;

// The crate that they belong to brings a whole server along.
#[expect(dead_code, reason = "answers are written elsewhere")]
#[path = "../../crates/lathe-server/src/inference/tensor.rs"]
mod tensor;
#[expect(dead_code, reason = "answers are chosen elsewhere")]
#[path = "../../crates/lathe-server/src/inference/tensors.rs"]
mod tensors;

#[path = "."]
mod oip {
    #[expect(dead_code, reason = "answers are written elsewhere")]
    #[path = "../../crates/lathe-server/src/inference/oip/request.rs"]
    mod request;

    use super::{InputSpec, Signature, tensors};

    /// The first two bytes tell how long the JSON is; more than there is: all of it.
    pub fn check(signature: &Signature, inputs: &[InputSpec], bytes: &[u8]) {
        let Some((length, body)) = bytes.split_first_chunk() else {
            return;
        };
        let length = usize::from(u16::from_le_bytes(*length)).min(body.len());
        if let Ok((request, tensors)) = request::read(length, body, &signature.names()) {
            let _ = (request.wants_raw("predictions"), request.timeout_us());
            if let Ok(table) = tensors::table(tensors, signature, inputs) {
                assert_eq!(table.names().len(), 3);
            }
        }
    }
}

fuzz_target!(|bytes: &[u8]| {
    let column = |name: &str, kind| ColumnSpec {
        name: name.into(),
        kind,
        required: true,
    };
    let columns = Signature::new(vec![
        column("a", ColumnType::Double),
        column("b", ColumnType::Long),
        column("c", ColumnType::String),
    ]);
    oip::check(&columns, &[], bytes);
    let image = Signature::new(
        ["x_0", "x_1", "x_2"]
            .map(|name| column(name, ColumnType::Float))
            .to_vec(),
    );
    let pixels = InputSpec {
        name: "x".into(),
        datatype: "FP32",
        shape: vec![-1, 1, 3],
    };
    oip::check(&image, &[pixels], bytes);
});
