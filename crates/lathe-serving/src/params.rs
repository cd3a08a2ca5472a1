//! Params: what a request may say beside its rows. A model's signature lists them; what is said is checked as MLflow
//! checks it. Defaults are for whoever loads the model in Python to fill in: no engine here looks at params.

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::PredictError;
use crate::signature::ColumnType;

/// The params that a model takes.
#[derive(Debug, Clone, PartialEq)]
pub struct ParamSchema {
    params: Vec<ParamSpec>,
}

/// What a request says of params.
#[derive(Debug, Clone, PartialEq)]
pub struct Given {
    /// Those that the model takes.
    pub params: Map<String, Value>,
    /// Names of others, which are left out.
    pub ignored: Vec<String>,
}

#[derive(Debug, Clone, PartialEq)]
struct ParamSpec {
    name: String,
    kind: Kind,
    is_list: bool,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Scalar(ColumnType),
    /// Its properties are for MLflow to check.
    Object,
}

/// As `MLmodel` tells it. MLflow wrote `dtype` at first.
#[derive(Deserialize)]
struct RawSpec {
    name: String,
    #[serde(alias = "dtype")]
    r#type: String,
    #[serde(default, deserialize_with = "present")]
    default: Option<Value>,
    #[serde(default)]
    shape: Option<Vec<i64>>,
}

/// Tells `null` from nothing.
fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

impl ParamSchema {
    /// Reads the JSON in `signature.params`; none where it lists nothing.
    pub(crate) fn parse(json: &str) -> Result<Option<Self>, String> {
        let raw: Option<Vec<RawSpec>> = serde_json::from_str(json).map_err(|error| error.to_string())?;
        let mut params: Vec<ParamSpec> = Vec::new();
        for raw in raw.into_iter().flatten() {
            let name = raw.name;
            let of_param = |what: &str| format!("param `{name}` {what}");
            if params.iter().any(|before| before.name == name) {
                return Err(of_param("is listed twice"));
            }
            let kind = match raw.r#type.as_str() {
                "object" => Kind::Object,
                other => match serde_json::from_value(Value::from(other)) {
                    Ok(ColumnType::Binary) | Err(_) => {
                        return Err(of_param(&format!(
                            "is of the type `{other}`, which no param can be"
                        )));
                    }
                    Ok(kind) => Kind::Scalar(kind),
                },
            };
            let is_list = match raw.shape.as_deref() {
                None => false,
                Some([-1]) if kind != Kind::Object => true,
                Some(shape) => return Err(of_param(&format!("has the shape {shape:?}"))),
            };
            let Some(default) = raw.default else {
                return Err(of_param("has no default"));
            };
            let spec = ParamSpec { name, kind, is_list };
            if !spec.takes(&default) {
                return Err(format!(
                    "the default of param `{}` is not {}",
                    spec.name,
                    spec.told()
                ));
            }
            params.push(spec);
        }
        Ok((!params.is_empty()).then_some(Self { params }))
    }

    /// The params' names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.params.iter().map(|spec| spec.name.as_str())
    }

    /// Whether there is a param of this name.
    pub fn has(&self, name: &str) -> bool {
        self.names().any(|known| known == name)
    }

    /// Checks what a request says: an object of values that each are of their param's type, or of one that can be it
    /// without loss.
    pub fn check(&self, given: Value) -> Result<Given, PredictError> {
        let given = match given {
            Value::Object(given) => given,
            Value::Null => Map::new(),
            other => {
                return Err(PredictError::Invalid(format!(
                    "`params` must be an object; it is {}",
                    shown(&other)
                )));
            }
        };
        let mut params = Map::new();
        let mut ignored = Vec::new();
        for (name, value) in given {
            match self.params.iter().find(|spec| spec.name == name) {
                None => ignored.push(name),
                Some(spec) if spec.takes(&value) => {
                    params.insert(name, value);
                }
                Some(spec) => {
                    return Err(PredictError::Invalid(format!(
                        "param `{name}`: {} is not {}",
                        shown(&value),
                        spec.told()
                    )));
                }
            }
        }
        Ok(Given { params, ignored })
    }
}

impl ParamSpec {
    fn takes(&self, value: &Value) -> bool {
        match (value, self.kind) {
            (Value::Array(values), Kind::Scalar(kind)) if self.is_list => {
                values.iter().all(|value| is_of(kind, value))
            }
            (value, Kind::Scalar(kind)) => !self.is_list && is_of(kind, value),
            (value, Kind::Object) => value.is_object(),
        }
    }

    fn told(&self) -> String {
        match self.kind {
            Kind::Object => "an object".into(),
            Kind::Scalar(kind) if self.is_list => format!("a list of values of the type {}", kind.name()),
            Kind::Scalar(kind) => format!("of the type {}", kind.name()),
        }
    }
}

/// Whether a value is of a type, or goes up to it: whole numbers to fractions, never flags to numbers. What is missing is
/// of every type, and which texts are dates is for MLflow to say.
fn is_of(kind: ColumnType, value: &Value) -> bool {
    match kind {
        _ if value.is_null() => true,
        ColumnType::Boolean => value.is_boolean(),
        ColumnType::Integer | ColumnType::Long => value.is_i64() || value.is_u64(),
        ColumnType::Float | ColumnType::Double => value.is_number(),
        ColumnType::String | ColumnType::Datetime => value.is_string(),
        ColumnType::Binary => false,
    }
}

fn shown(value: &Value) -> String {
    let text = value.to_string();
    match 60 < text.len() {
        true => text.chars().take(60).chain("…".chars()).collect(),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn schema(params: Value) -> Result<Option<ParamSchema>, String> {
        ParamSchema::parse(&params.to_string())
    }

    fn one(kind: &str, shape: Value, default: Value) -> ParamSchema {
        let spec = json!([{ "name": "p", "type": kind, "shape": shape, "default": default }]);
        schema(spec).unwrap().unwrap()
    }

    #[test]
    fn a_schema_is_read_as_any_mlflow_wrote_it_and_a_wrong_one_is_told() {
        assert_eq!(schema(json!(null)), Ok(None));
        assert_eq!(schema(json!([])), Ok(None));
        let old = schema(json!([{ "name": "p", "dtype": "double", "default": 1, "shape": null }]));
        assert_eq!(
            old.unwrap().unwrap(),
            one("double", json!(null), json!(0.5)),
            "`dtype` is what `type` was called"
        );
        let spec = |more: Value| {
            let mut spec = json!({ "name": "p", "type": "long", "default": 1 });
            spec.as_object_mut()
                .unwrap()
                .extend(more.as_object().unwrap().clone());
            spec
        };
        for (wrong, told) in [
            (json!([{ "name": "p", "type": "long" }]), "has no default"),
            (json!([spec(json!({})), spec(json!({}))]), "listed twice"),
            (json!([spec(json!({ "type": "binary" }))]), "the type `binary`"),
            (json!([spec(json!({ "type": "tensor" }))]), "the type `tensor`"),
            (json!([spec(json!({ "shape": [-1, 2] }))]), "the shape [-1, 2]"),
            (
                json!([spec(json!({ "default": "x" }))]),
                "is not of the type long",
            ),
            (
                json!([spec(json!({ "type": "object", "default": null }))]),
                "is not an object",
            ),
        ] {
            let error = schema(wrong).unwrap_err();
            assert!(error.contains(told), "{error}");
        }
    }

    #[test]
    fn values_are_of_their_type_or_go_up_to_it() {
        let none = json!(null);
        let cases = [
            (
                "boolean",
                json!(true),
                vec![json!(false)],
                vec![json!(1), json!("true")],
            ),
            (
                "integer",
                json!(1),
                vec![json!(-2)],
                vec![json!(1.0), json!(true)],
            ),
            (
                "long",
                json!(1),
                vec![json!(u64::MAX)],
                vec![json!(1.0), json!("1")],
            ),
            ("float", json!(1), vec![json!(1.5), json!(2)], vec![json!(true)]),
            ("double", json!(1), vec![json!(1.5), json!(2)], vec![json!("1")]),
            ("string", json!("a"), vec![json!("")], vec![json!(1), json!([])]),
            (
                "datetime",
                json!("2020-01-01"),
                vec![json!("soon")],
                vec![json!(5)],
            ),
            (
                "object",
                json!({}),
                vec![json!({ "a": 1 })],
                vec![json!([]), json!(null)],
            ),
        ];
        for (kind, default, right, wrong) in cases {
            let schema = one(kind, none.clone(), default);
            for value in right {
                let given = schema.check(json!({ "p": value })).unwrap();
                assert_eq!(given.params["p"], value, "{kind}");
            }
            for value in wrong {
                let error = schema.check(json!({ "p": value })).unwrap_err();
                assert!(matches!(error, PredictError::Invalid(_)), "{kind} {value}");
            }
        }
        assert!(one("long", none, json!(1)).check(json!({ "p": null })).is_ok());
    }

    #[test]
    fn lists_hold_values_of_their_type() {
        let schema = one("double", json!([-1]), json!([0.5]));
        for right in [json!([]), json!([1, 2.5, null])] {
            assert!(schema.check(json!({ "p": right })).is_ok());
        }
        for wrong in [json!(1), json!(null), json!([[1]]), json!(["a"])] {
            let error = schema.check(json!({ "p": wrong })).unwrap_err().to_string();
            assert!(error.contains("a list of values of the type double"), "{error}");
        }
    }

    #[test]
    fn other_names_are_left_out_and_told_and_only_objects_hold_params() {
        let schema = one("long", json!(null), json!(1));
        let given = schema.check(json!({ "q": 1, "p": 2 })).unwrap();
        assert_eq!(Value::from(given.params), json!({ "p": 2 }));
        assert_eq!(given.ignored, ["q"]);
        assert!(schema.check(json!(null)).unwrap().params.is_empty());
        assert!(schema.check(json!([1])).is_err());
    }
}
