//! Several models' answers as one: means, votes, and rows that different models answered.

use std::sync::Arc;

use serde_json::Value;

use crate::forms::as_told;
use crate::{Answers, Output, OutputSpec, Values};

/// An answer that cannot be combined with the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misfit {
    /// Whose, by the order of the members.
    pub member: usize,
    /// What is wrong with it.
    pub what: String,
}

impl Misfit {
    fn new(member: usize, what: impl Into<String>) -> Self {
        Self {
            member,
            what: what.into(),
        }
    }
}

/// The weighted mean of numbers, place by place, or key by key where rows have values by key: the probabilities of
/// classes may come in another order from each. Numbers of 32 bits stay such if all are; without weights all count the
/// same.
pub fn mean(members: &[Answers], weights: Option<&[f64]>, output: Option<&str>) -> Result<Answers, Misfit> {
    let outputs = chosen(members, output)?;
    let Some(first) = outputs.first() else {
        return Err(Misfit::new(0, "nobody answers"));
    };
    let mut sums = vec![0.0; first.values.len()];
    let mut total = 0.0;
    for (member, output) in outputs.iter().enumerate() {
        let aligned = aligned(first, output).map_err(|what| Misfit::new(member, what))?;
        let Ok(numbers) = aligned.as_ref().unwrap_or(&output.values).numbers() else {
            return Err(Misfit::new(member, "it answers with words; a mean is of numbers"));
        };
        let weight = weights.and_then(|weights| weights.get(member)).copied();
        total += weight.unwrap_or(1.0);
        for (sum, number) in sums.iter_mut().zip(numbers) {
            // A member that does not count adds nothing, not even what is no number.
            match weight {
                None => *sum += number,
                Some(0.0) => {}
                Some(weight) => *sum += weight * number,
            }
        }
    }
    sums.iter_mut().for_each(|sum| *sum /= total);
    let all_single = outputs
        .iter()
        .all(|output| matches!(output.values, Values::Float(_)));
    let values = match all_single {
        true => Values::Float(sums.into_iter().map(|mean| mean as f32).collect()),
        false => Values::Double(sums),
    };
    Ok(one(first, values))
}

/// The label with the greatest weight behind it, row by row; of those with as much the one that the earliest member
/// says.
pub fn vote(members: &[Answers], weights: Option<&[f64]>, output: Option<&str>) -> Result<Answers, Misfit> {
    let outputs = chosen(members, output)?;
    let Some(first) = outputs.first() else {
        return Err(Misfit::new(0, "nobody answers"));
    };
    let mut labels = Vec::with_capacity(outputs.len());
    for (member, output) in outputs.iter().enumerate() {
        if output.per_row() != 1 {
            let what = format!(
                "it answers with {} values a row; a vote is for one label",
                output.per_row()
            );
            return Err(Misfit::new(member, what));
        }
        if output.rows() != first.rows() {
            return Err(Misfit::new(member, uneven(output, first)));
        }
        labels.push(labels_of(output).ok_or_else(|| {
            Misfit::new(
                member,
                "it answers with what is no label: neither a number nor a word",
            )
        })?);
    }
    let mut from = Vec::with_capacity(first.rows());
    let mut votes: Vec<(usize, f64)> = Vec::new();
    for row in 0..first.rows() {
        votes.clear();
        for (member, said) in labels.iter().enumerate() {
            let weight = weights
                .and_then(|weights| weights.get(member))
                .copied()
                .unwrap_or(1.0);
            match votes
                .iter_mut()
                .find(|(other, _)| labels[*other][row].is(&said[row]))
            {
                Some((_, sum)) => *sum += weight,
                None => votes.push((member, weight)),
            }
        }
        let mut winner = (0, f64::NEG_INFINITY);
        for (member, weight) in &votes {
            if winner.1 < *weight {
                winner = (*member, *weight);
            }
        }
        from.push((winner.0, row));
    }
    let sources: Vec<&Values> = outputs.iter().map(|output| &output.values).collect();
    let values = join(&sources, &from)?;
    let single = Output {
        width: None,
        keys: None,
        ..one_output(first, values)
    };
    Ok(Answers {
        outputs: vec![single],
    })
}

/// Rows that different members answered, in the order of the request: each part has the numbers of its rows. All answer
/// with the same outputs; `rows` is how many there are in all. Whoever was asked, the answers have the form that is
/// `told` of them before: see [`crate::gathered`].
pub fn gather(parts: &[(Vec<usize>, Answers)], rows: usize, told: &[OutputSpec]) -> Result<Answers, Misfit> {
    let Some((_, first)) = parts.first() else {
        return Err(Misfit::new(0, "nobody answers"));
    };
    let mut whence = vec![(0, 0); rows];
    for (part, (numbers, answers)) in parts.iter().enumerate() {
        let names = |answers: &Answers| {
            answers
                .outputs
                .iter()
                .map(|output| output.name.clone())
                .collect::<Vec<_>>()
        };
        if names(answers) != names(first) {
            let what = format!(
                "it answers with {}; another case with {}",
                names(answers).join(", "),
                names(first).join(", ")
            );
            return Err(Misfit::new(part, what));
        }
        for (index, number) in numbers.iter().enumerate() {
            whence[*number] = (part, index);
        }
    }
    let mut outputs = Vec::with_capacity(first.outputs.len());
    for (at, model) in first.outputs.iter().enumerate() {
        let width = model.per_row();
        let mut sources = Vec::with_capacity(parts.len());
        for (part, (numbers, answers)) in parts.iter().enumerate() {
            let output = &answers.outputs[at];
            let fit = match output.rows() == numbers.len() {
                true => by_key(model, output),
                false => Err(format!(
                    "it answers with {} rows for {}",
                    output.rows(),
                    numbers.len()
                )),
            };
            sources.push(
                fit.map_err(|what| Misfit::new(part, what))?
                    .unwrap_or_else(|| output.values.clone()),
            );
        }
        let from: Vec<(usize, usize)> = whence
            .iter()
            .flat_map(|(part, index)| (0..width).map(move |place| (*part, index * width + place)))
            .collect();
        let sources: Vec<&Values> = sources.iter().collect();
        outputs.push(as_told(one_output(model, join(&sources, &from)?), told.get(at)));
    }
    Ok(Answers { outputs })
}

/// The output of each member that counts: the only one, or the one of this name.
fn chosen<'a>(members: &'a [Answers], name: Option<&str>) -> Result<Vec<&'a Output>, Misfit> {
    let choose = |(member, answers): (usize, &'a Answers)| {
        if let [only] = answers.outputs.as_slice() {
            return Ok(only);
        }
        let known: Vec<&str> = answers.outputs.iter().map(|output| &*output.name).collect();
        let known = known.join(", ");
        let Some(name) = name else {
            let what = format!("it answers with {known}; `output` says which of them counts");
            return Err(Misfit::new(member, what));
        };
        let found = answers.outputs.iter().find(|output| &*output.name == name);
        found.ok_or_else(|| Misfit::new(member, format!("it has no output `{name}`; it has {known}")))
    };
    members.iter().enumerate().map(choose).collect()
}

/// The values in the places of the model's; none if they are there already.
fn aligned(model: &Output, output: &Output) -> Result<Option<Values>, String> {
    if output.rows() != model.rows() {
        return Err(uneven(output, model));
    }
    by_key(model, output)
}

/// As [`aligned`], of other rows.
fn by_key(model: &Output, output: &Output) -> Result<Option<Values>, String> {
    let width = model.per_row();
    if output.per_row() != width {
        return Err(format!(
            "it answers with {} values a row; another member with {width}",
            output.per_row()
        ));
    }
    let (Some(keys), Some(own)) = (&model.keys, &output.keys) else {
        return Ok(None);
    };
    if keys == own {
        return Ok(None);
    }
    let places: Option<Vec<usize>> = keys
        .iter()
        .map(|key| own.iter().position(|other| other == key))
        .collect();
    let Some(places) = places else {
        let told = |keys: &Arc<[Value]>| keys.iter().map(Value::to_string).collect::<Vec<_>>().join(", ");
        return Err(format!(
            "its classes are {}; another member's {}",
            told(own),
            told(keys)
        ));
    };
    let from: Vec<(usize, usize)> = (0..output.rows())
        .flat_map(|row| places.iter().map(move |place| (0, row * width + place)))
        .collect();
    join(&[&output.values], &from)
        .map(Some)
        .map_err(|misfit| misfit.what)
}

fn uneven(output: &Output, first: &Output) -> String {
    format!(
        "it answers with {} rows; another member with {}",
        output.rows(),
        first.rows()
    )
}

/// What somebody votes for.
enum Label<'a> {
    Number(f64),
    Word(&'a str),
}

impl Label<'_> {
    fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Number(a), Self::Number(b)) => a == b || a.is_nan() && b.is_nan(),
            (Self::Word(a), Self::Word(b)) => a == b,
            _ => false,
        }
    }
}

fn labels_of(output: &Output) -> Option<Vec<Label<'_>>> {
    match &output.values {
        Values::Json(_) | Values::Whole(_) => None,
        Values::Text(words) => Some(words.iter().map(|word| Label::Word(word)).collect()),
        numbers => Some(numbers.numbers().ok()?.into_iter().map(Label::Number).collect()),
    }
}

fn one_output(model: &Output, values: Values) -> Output {
    Output {
        name: model.name.clone(),
        width: model.width,
        keys: model.keys.clone(),
        values,
    }
}

fn one(model: &Output, values: Values) -> Answers {
    Answers {
        outputs: vec![one_output(model, values)],
    }
}

/// Values by source and place. Of several types of numbers they are numbers of 64 bits.
fn join(sources: &[&Values], from: &[(usize, usize)]) -> Result<Values, Misfit> {
    fn picked<T: Clone>(sources: &[&[T]], from: &[(usize, usize)]) -> Vec<T> {
        from.iter()
            .map(|(source, place)| sources[*source][*place].clone())
            .collect()
    }
    macro_rules! of_one_type {
        ($($kind:ident),*) => {
            $(
                let same: Option<Vec<_>> = sources
                    .iter()
                    .map(|values| match values {
                        Values::$kind(values) => Some(values.as_slice()),
                        _ => None,
                    })
                    .collect();
                if let Some(same) = same {
                    return Ok(Values::$kind(picked(&same, from)));
                }
            )*
        };
    }
    of_one_type!(Float, Double, Integer, Long, Boolean, Text, Json);
    let first_is_numbers = sources.first().is_some_and(|values| values.numbers().is_ok());
    let mut numbers = Vec::with_capacity(sources.len());
    for (member, values) in sources.iter().enumerate() {
        match values.numbers() {
            Ok(all) if first_is_numbers => numbers.push(all),
            _ => {
                return Err(Misfit::new(
                    member,
                    "it answers with another kind of values than the others",
                ));
            }
        }
    }
    let numbers: Vec<&[f64]> = numbers.iter().map(Vec::as_slice).collect();
    Ok(Values::Double(picked(&numbers, from)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::gathered;

    fn one_of(values: Values) -> Answers {
        keyed(None, None, values)
    }

    fn keyed(width: Option<usize>, keys: Option<Value>, values: Values) -> Answers {
        let keys = keys.map(|keys| keys.as_array().unwrap().clone().into());
        let name = "predictions".into();
        Answers {
            outputs: vec![Output {
                name,
                width,
                keys,
                values,
            }],
        }
    }

    fn doubles(values: &[f64]) -> Answers {
        one_of(Values::Double(values.to_vec()))
    }

    fn words(words: &[&str]) -> Answers {
        one_of(Values::Text(
            words.iter().map(|word| (*word).to_owned()).collect(),
        ))
    }

    #[test]
    fn a_mean_is_of_each_row_by_weight_and_in_the_members_type() {
        let members = [doubles(&[1.0, 10.0]), doubles(&[2.0, 20.0]), doubles(&[6.0, 0.0])];
        assert_eq!(mean(&members, None, None), Ok(doubles(&[3.0, 10.0])));
        assert_eq!(
            mean(&members, Some(&[1.0, 1.0, 0.0]), None),
            Ok(doubles(&[1.5, 15.0]))
        );
        let with_nan = [doubles(&[1.0]), doubles(&[f64::NAN])];
        assert_eq!(mean(&with_nan, Some(&[2.0, 0.0]), None), Ok(doubles(&[1.0])));
        let single = one_of(Values::Float(vec![1.0, 2.0]));
        assert_eq!(
            mean(&[single.clone(), single.clone()], None, None),
            Ok(single.clone())
        );
        let mixed = [single, one_of(Values::Long(vec![2, 3]))];
        assert_eq!(mean(&mixed, None, None), Ok(doubles(&[1.5, 2.5])));
    }

    #[test]
    fn probabilities_are_averaged_class_by_class() {
        let first = keyed(
            Some(2),
            Some(json!(["no", "yes"])),
            Values::Double(vec![0.25, 0.75, 1.0, 0.0]),
        );
        let second = keyed(
            Some(2),
            Some(json!(["yes", "no"])),
            Values::Double(vec![0.25, 0.75, 1.0, 0.0]),
        );
        let both = mean(&[first.clone(), second], None, None).unwrap();
        assert_eq!(
            both,
            keyed(
                Some(2),
                Some(json!(["no", "yes"])),
                Values::Double(vec![0.5, 0.5, 0.5, 0.5])
            )
        );
        let other = keyed(
            Some(2),
            Some(json!(["no", "maybe"])),
            Values::Double(vec![0.0; 4]),
        );
        let misfit = mean(&[first.clone(), other], None, None).unwrap_err();
        assert_eq!(
            misfit,
            Misfit::new(
                1,
                "its classes are \"no\", \"maybe\"; another member's \"no\", \"yes\""
            )
        );
        let misfit = mean(&[first, doubles(&[1.0, 2.0])], None, None).unwrap_err();
        assert_eq!(
            misfit,
            Misfit::new(1, "it answers with 1 values a row; another member with 2")
        );
    }

    #[test]
    fn most_votes_win_and_of_as_many_the_first_in_the_members_order() {
        let members = [
            words(&["a", "a", "a"]),
            words(&["b", "b", "b"]),
            words(&["b", "c", "a"]),
        ];
        assert_eq!(vote(&members, None, None), Ok(words(&["b", "a", "a"])));
        assert_eq!(
            vote(&members, Some(&[1.0, 1.0, 3.0]), None),
            Ok(words(&["b", "c", "a"]))
        );
        assert_eq!(
            vote(&members[..2], Some(&[1.0, 2.0]), None),
            Ok(words(&["b", "b", "b"]))
        );
        let numbers = [
            one_of(Values::Long(vec![1, 2])),
            one_of(Values::Integer(vec![0, 2])),
            doubles(&[0.0, 1.0]),
        ];
        assert_eq!(vote(&numbers, None, None), Ok(doubles(&[0.0, 2.0])));
        let longs = [one_of(Values::Long(vec![7])), one_of(Values::Long(vec![8]))];
        assert_eq!(vote(&longs, None, None), Ok(one_of(Values::Long(vec![7]))));
        let nobody = [doubles(&[1.0]), doubles(&[f64::NAN]), doubles(&[f64::NAN])];
        assert!(
            matches!(&vote(&nobody, None, None).unwrap().outputs[0].values, Values::Double(v) if v[0].is_nan())
        );
    }

    #[test]
    fn what_cannot_be_combined_is_told_of_whoever_said_it() {
        let told = |answers: Result<Answers, Misfit>| {
            let misfit = answers.unwrap_err();
            (misfit.member, misfit.what)
        };
        let (member, what) = told(mean(&[doubles(&[1.0]), words(&["a"])], None, None));
        assert!(member == 1 && what.contains("answers with words"), "{what}");
        let (member, what) = told(vote(&[doubles(&[1.0]), words(&["a"])], None, None));
        assert!(member == 1 && what.contains("another kind of values"), "{what}");
        let (member, what) = told(vote(&[doubles(&[1.0]), doubles(&[1.0, 2.0])], None, None));
        assert!(
            member == 1 && what.contains("2 rows; another member with 1"),
            "{what}"
        );
        let (_, what) = told(vote(
            &[keyed(Some(2), None, Values::Double(vec![0.0; 4]))],
            None,
            None,
        ));
        assert!(what.contains("2 values a row"), "{what}");
        let (_, what) = told(vote(&[one_of(Values::Json(vec![json!([1])]))], None, None));
        assert!(what.contains("neither a number nor a word"), "{what}");
    }

    #[test]
    fn of_several_outputs_the_one_that_is_named_counts() {
        let mut several = doubles(&[1.0]);
        several.outputs[0].name = "label".into();
        several.outputs.extend(doubles(&[0.25]).outputs);
        several.outputs[1].name = "score".into();
        let members = [several, doubles(&[0.75])];
        let misfit = mean(&members, None, None).unwrap_err();
        assert_eq!(
            misfit.what,
            "it answers with label, score; `output` says which of them counts"
        );
        let found = mean(&members, None, Some("score")).unwrap();
        assert_eq!(
            (&*found.outputs[0].name, found.numbers()),
            ("score", Ok(vec![0.5]))
        );
        let misfit = mean(&members, None, Some("other")).unwrap_err();
        assert_eq!(
            misfit,
            Misfit::new(0, "it has no output `other`; it has label, score")
        );
    }

    #[test]
    fn rows_of_several_models_come_in_the_order_of_the_request() {
        let pairs = |keys: Value, values: &[f64]| keyed(Some(2), Some(keys), Values::Double(values.to_vec()));
        let parts = [
            (vec![2, 0], pairs(json!(["a", "b"]), &[1.0, 2.0, 3.0, 4.0])),
            (vec![1], pairs(json!(["b", "a"]), &[5.0, 6.0])),
        ];
        let expected = pairs(json!(["a", "b"]), &[3.0, 4.0, 6.0, 5.0, 1.0, 2.0]);
        assert_eq!(gather(&parts, 3, &[]), Ok(expected));
        let parts = [(vec![0], doubles(&[1.0])), (vec![1], words(&["a"]))];
        assert_eq!(gather(&parts, 2, &[]).unwrap_err().member, 1);
        let mut named = doubles(&[1.0]);
        named.outputs[0].name = "other".into();
        let misfit = gather(&[(vec![0], doubles(&[1.0])), (vec![1], named)], 2, &[]).unwrap_err();
        assert_eq!(
            misfit,
            Misfit::new(1, "it answers with other; another case with predictions")
        );
    }

    #[test]
    fn the_form_of_gathered_answers_does_not_hang_on_who_was_asked() {
        let spec = |datatype, width| OutputSpec {
            name: "predictions".into(),
            datatype,
            width,
        };
        let told = gathered(&[vec![spec("FP64", None)], vec![spec("INT64", Some(1))], Vec::new()]);
        assert_eq!(told, [spec("FP64", None)]);
        let whole = keyed(Some(1), None, Values::Long(vec![3]));
        assert_eq!(gather(&[(vec![0], whole.clone())], 1, &told), Ok(doubles(&[3.0])));
        assert_eq!(
            gather(
                &[(vec![0], whole.clone())],
                1,
                &gathered(&[vec![spec("INT64", Some(1))]])
            ),
            Ok(whole)
        );
    }
}
