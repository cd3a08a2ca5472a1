//! What combined answers look like, as far as it is known before anybody is asked.

use crate::{Output, OutputSpec, Values};

/// What [`crate::mean`] answers with, as far as it is known what its members do.
pub fn mean_of(members: &[Vec<OutputSpec>], output: Option<&str>) -> Vec<OutputSpec> {
    let Some(mut spec) = spec_of(members, output) else {
        return Vec::new();
    };
    if spec.datatype != "FP32" {
        spec.datatype = "FP64";
    }
    vec![spec]
}

/// What [`crate::vote`] answers with, as far as it is known what its members do.
pub fn vote_of(members: &[Vec<OutputSpec>], output: Option<&str>) -> Vec<OutputSpec> {
    let spec = spec_of(members, output).map(|spec| OutputSpec { width: None, ..spec });
    spec.into_iter().collect()
}

/// What [`crate::gather`] answers with, as far as it is known what its members do.
pub fn gathered(members: &[Vec<OutputSpec>]) -> Vec<OutputSpec> {
    let known: Vec<&Vec<OutputSpec>> = members.iter().filter(|outputs| !outputs.is_empty()).collect();
    let Some(first) = known.first() else {
        return Vec::new();
    };
    let merged = first.iter().enumerate().map(|(at, output)| OutputSpec {
        datatype: datatype_of(known.iter().filter_map(|outputs| Some(outputs.get(at)?.datatype))),
        ..output.clone()
    });
    merged.collect()
}

fn spec_of(members: &[Vec<OutputSpec>], output: Option<&str>) -> Option<OutputSpec> {
    let spec = |outputs: &Vec<OutputSpec>| match outputs.as_slice() {
        [only] => Some(only.clone()),
        several => several.iter().find(|known| Some(&*known.name) == output).cloned(),
    };
    let specs: Vec<OutputSpec> = members.iter().filter_map(spec).collect();
    Some(OutputSpec {
        datatype: datatype_of(specs.iter().map(|spec| spec.datatype)),
        ..specs.first()?.clone()
    })
}

/// The type of values that come in several.
fn datatype_of(mut datatypes: impl Iterator<Item = &'static str>) -> &'static str {
    let Some(first) = datatypes.next() else {
        return "FP64";
    };
    match datatypes.all(|datatype| datatype == first) {
        true => first,
        false => "FP64",
    }
}

/// An output whose type and form may depend on who was asked, in those that are told of it.
pub(crate) fn as_told(output: Output, told: Option<&OutputSpec>) -> Output {
    let Some(told) = told else { return output };
    let values = match (told.datatype, output.values.numbers()) {
        ("FP64", Ok(numbers)) => Values::Double(numbers),
        _ => output.values,
    };
    let width = match output.width.unwrap_or(1) {
        1 => told.width.filter(|width| *width == 1),
        _ => output.width,
    };
    let keys = output.keys.filter(|_| width.is_some());
    Output {
        width,
        keys,
        values,
        ..output
    }
}
