//! Operators that compute each value from the values at the same place.

use std::sync::Arc;

use super::kernel::{Args, Kernel, one};
use super::message::Node;
use super::tensor::{Data, Tensor, zip};

/// The same computation in f32 and in f64.
macro_rules! real {
    ($x:ident => $made:expr) => {
        unary(|$x: f32| $made, |$x: f64| $made)
    };
}

fn unary(
    single: impl Fn(f32) -> f32 + Send + Sync + 'static,
    double: impl Fn(f64) -> f64 + Send + Sync + 'static,
) -> Kernel {
    Box::new(move |args| {
        let x = args.get(0)?;
        let data = match &x.data {
            Data::Float(values) => Data::Float(values.iter().map(|value| single(*value)).collect()),
            Data::Double(values) => Data::Double(values.iter().map(|value| double(*value)).collect()),
            other => return Err(format!("it takes float or double, not {}", other.kind())),
        };
        one(Tensor::new(x.shape.clone(), data)?)
    })
}

/// Whole numbers too.
fn signed(
    float: impl Fn(f64) -> f64 + Send + Sync + 'static,
    whole: impl Fn(i64) -> i64 + Send + Sync + 'static,
) -> Kernel {
    Box::new(move |args| {
        let x = args.get(0)?;
        let data = match &x.data {
            Data::Float(values) => Data::Float(
                values
                    .iter()
                    .map(|value| float(f64::from(*value)) as f32)
                    .collect(),
            ),
            Data::Double(values) => Data::Double(values.iter().map(|value| float(*value)).collect()),
            Data::Int(values) => Data::Int(
                values
                    .iter()
                    .map(|value| whole(i64::from(*value)) as i32)
                    .collect(),
            ),
            Data::Long(values) => Data::Long(values.iter().map(|value| whole(*value)).collect()),
            other => return Err(format!("it takes numbers, not {}", other.kind())),
        };
        one(Tensor::new(x.shape.clone(), data)?)
    })
}

/// Operators of one input; none if it is another.
pub(super) fn single(node: &Node) -> Option<Kernel> {
    let alpha = |default: f32| node.float("alpha", default);
    Some(match node.operator.as_str() {
        "Identity" | "Dropout" => Box::new(|args: &Args<'_>| {
            let x = args.get(0)?.clone();
            Ok(vec![x])
        }),
        "Abs" => signed(f64::abs, i64::wrapping_abs),
        "Neg" => signed(|x| -x, i64::wrapping_neg),
        "Sign" => signed(
            |x| if x == 0.0 || x.is_nan() { x } else { x.signum() },
            i64::signum,
        ),
        "Relu" => signed(|x| if x < 0.0 { 0.0 } else { x }, |x| x.max(0)),
        "Floor" => real!(x => x.floor()),
        "Ceil" => real!(x => x.ceil()),
        "Round" => real!(x => x.round_ties_even()),
        "Sqrt" => real!(x => x.sqrt()),
        "Exp" => real!(x => x.exp()),
        "Log" => real!(x => x.ln()),
        "Sin" => real!(x => x.sin()),
        "Cos" => real!(x => x.cos()),
        "Reciprocal" => real!(x => x.recip()),
        "Tanh" => real!(x => x.tanh()),
        "Sigmoid" => unary(super::ml::scores::logistic, |x| match x < 0.0 {
            true => 1.0 - 1.0 / (1.0 + x.exp()),
            false => 1.0 / (1.0 + (-x).exp()),
        }),
        "Softplus" => real!(x => x.max(0.0) + (-x.abs()).exp().ln_1p()),
        "Softsign" => real!(x => x / (1.0 + x.abs())),
        "Erf" => unary(libm::erff, libm::erf),
        "Gelu" => match node.text("approximate", "none") {
            "tanh" => unary(
                |x| 0.5 * x * (1.0 + (0.797_884_6 * (x + 0.044_715 * x * x * x)).tanh()),
                |x| 0.5 * x * (1.0 + (0.797_884_560_802_865_4 * (x + 0.044_715 * x * x * x)).tanh()),
            ),
            _ => unary(
                |x| 0.5 * x * (1.0 + libm::erff(x * std::f32::consts::FRAC_1_SQRT_2)),
                |x| 0.5 * x * (1.0 + libm::erf(x * std::f64::consts::FRAC_1_SQRT_2)),
            ),
        },
        "LeakyRelu" => {
            let alpha = alpha(0.01);
            unary(
                move |x| if x < 0.0 { alpha * x } else { x },
                move |x| if x < 0.0 { f64::from(alpha) * x } else { x },
            )
        }
        "Elu" => {
            let alpha = alpha(1.0);
            unary(
                move |x| if x < 0.0 { alpha * x.exp_m1() } else { x },
                move |x| if x < 0.0 { f64::from(alpha) * x.exp_m1() } else { x },
            )
        }
        "Selu" => {
            let (alpha, gamma) = (alpha(1.673_263_2), node.float("gamma", 1.050_701));
            unary(
                move |x| gamma * if x <= 0.0 { alpha * x.exp() - alpha } else { x },
                move |x| {
                    let (alpha, gamma) = (f64::from(alpha), f64::from(gamma));
                    gamma * if x <= 0.0 { alpha * x.exp() - alpha } else { x }
                },
            )
        }
        "HardSigmoid" => {
            let (alpha, beta) = (alpha(0.2), node.float("beta", 0.5));
            unary(
                move |x| (alpha * x + beta).clamp(0.0, 1.0),
                move |x| (f64::from(alpha) * x + f64::from(beta)).clamp(0.0, 1.0),
            )
        }
        "HardSwish" => real!(x => x * (x / 6.0 + 0.5).clamp(0.0, 1.0)),
        "Not" => Box::new(|args: &Args<'_>| {
            let x = args.get(0)?;
            let flags = x.bools()?.iter().map(|flag| !flag).collect();
            one(Tensor::new(x.shape.clone(), Data::Bool(flags))?)
        }),
        "IsNaN" => test(f64::is_nan),
        "IsInf" => test(f64::is_infinite),
        _ => return None,
    })
}

fn test(holds: fn(f64) -> bool) -> Kernel {
    Box::new(move |args| {
        let x = args.get(0)?;
        let flags = x.as_doubles()?.into_iter().map(holds).collect();
        one(Tensor::new(x.shape.clone(), Data::Bool(flags))?)
    })
}

/// Two tensors of the same type of numbers, joined in that type.
macro_rules! join {
    ($a:expr, $b:expr, ($x:ident, $y:ident) => $float:expr, $whole:expr) => {{
        let (a, b) = ($a, $b);
        let (shape, data) = match (&a.data, &b.data) {
            (Data::Float(p), Data::Float(q)) => {
                let (shape, made) = zip((p, &a.shape), (q, &b.shape), |$x: f32, $y: f32| $float)?;
                (shape, Data::Float(made))
            }
            (Data::Double(p), Data::Double(q)) => {
                let (shape, made) = zip((p, &a.shape), (q, &b.shape), |$x: f64, $y: f64| $float)?;
                (shape, Data::Double(made))
            }
            (Data::Int(p), Data::Int(q)) => {
                let (shape, made) = zip((p, &a.shape), (q, &b.shape), |$x: i32, $y: i32| $whole)?;
                (shape, Data::Int(made))
            }
            (Data::Long(p), Data::Long(q)) => {
                let (shape, made) = zip((p, &a.shape), (q, &b.shape), |$x: i64, $y: i64| $whole)?;
                (shape, Data::Long(made))
            }
            (a, b) => {
                return Err(format!(
                    "it takes numbers of one type, not {} and {}",
                    a.kind(),
                    b.kind()
                ));
            }
        };
        Tensor::new(shape, data)
    }};
}

fn add(a: &Tensor, b: &Tensor) -> Result<Tensor, String> {
    join!(a, b, (x, y) => x + y, x.wrapping_add(y))
}

fn subtract(a: &Tensor, b: &Tensor) -> Result<Tensor, String> {
    join!(a, b, (x, y) => x - y, x.wrapping_sub(y))
}

fn multiply(a: &Tensor, b: &Tensor) -> Result<Tensor, String> {
    join!(a, b, (x, y) => x * y, x.wrapping_mul(y))
}

fn divide(a: &Tensor, b: &Tensor) -> Result<Tensor, String> {
    let by_zero = match &b.data {
        Data::Int(values) => values.contains(&0),
        Data::Long(values) => values.contains(&0),
        _ => false,
    };
    if by_zero {
        return Err("a whole number is divided by zero".into());
    }
    join!(a, b, (x, y) => x / y, x.wrapping_div(y))
}

// NaN stays NaN, as in onnxruntime.
fn least(a: &Tensor, b: &Tensor) -> Result<Tensor, String> {
    join!(a, b, (x, y) => if x.is_nan() || x < y { x } else { y }, x.min(y))
}

fn greatest(a: &Tensor, b: &Tensor) -> Result<Tensor, String> {
    join!(a, b, (x, y) => if x.is_nan() || y < x { x } else { y }, x.max(y))
}

fn parametric(a: &Tensor, b: &Tensor) -> Result<Tensor, String> {
    join!(a, b, (x, y) => if x < 0.0 { y * x } else { x }, if x < 0 { x.wrapping_mul(y) } else { x })
}

/// Powers take an exponent of another type, and stay of the base's type.
fn power(a: &Tensor, b: &Tensor) -> Result<Tensor, String> {
    let exponents = b.as_doubles()?;
    let exponents = (exponents.as_slice(), b.shape.as_slice());
    let (shape, data) = match &a.data {
        Data::Float(values) => {
            let (shape, made) = zip((values, &a.shape), exponents, |x: f32, y: f64| match y {
                2.0 => x * x,
                3.0 => x * x * x,
                _ => x.powf(y as f32),
            })?;
            (shape, Data::Float(made))
        }
        Data::Double(values) => {
            let (shape, made) = zip((values, &a.shape), exponents, |x: f64, y: f64| match y {
                2.0 => x * x,
                3.0 => x * x * x,
                _ => x.powf(y),
            })?;
            (shape, Data::Double(made))
        }
        Data::Int(values) => {
            let (shape, made) = zip((values, &a.shape), exponents, |x: i32, y: f64| {
                f64::from(x).powf(y) as i32
            })?;
            (shape, Data::Int(made))
        }
        Data::Long(values) => {
            let (shape, made) = zip((values, &a.shape), exponents, |x: i64, y: f64| {
                (x as f64).powf(y) as i64
            })?;
            (shape, Data::Long(made))
        }
        other => return Err(format!("it takes numbers, not {}", other.kind())),
    };
    Tensor::new(shape, data)
}

fn remainder(a: &Tensor, b: &Tensor, as_c: bool) -> Result<Tensor, String> {
    if divide(a, b).is_err() {
        return Err("a whole number is divided by zero".into());
    }
    match as_c {
        true => join!(a, b, (x, y) => x % y, x.wrapping_rem(y)),
        false => join!(a, b, (x, y) => x - (x / y).floor() * y, {
            let rest = x.wrapping_rem(y);
            if rest != 0 && (rest < 0) != (y < 0) { rest + y } else { rest }
        }),
    }
}

fn compare(a: &Tensor, b: &Tensor, holds: fn(Option<std::cmp::Ordering>) -> bool) -> Result<Tensor, String> {
    fn pairs<T: Clone + PartialOrd>(
        (p, a): (&[T], &Tensor),
        (q, b): (&[T], &Tensor),
        holds: fn(Option<std::cmp::Ordering>) -> bool,
    ) -> Result<Tensor, String> {
        let (shape, made) = zip((p, &a.shape), (q, &b.shape), |x, y| holds(x.partial_cmp(&y)))?;
        Tensor::new(shape, Data::Bool(made))
    }
    match (&a.data, &b.data) {
        (Data::Float(p), Data::Float(q)) => pairs((p, a), (q, b), holds),
        (Data::Double(p), Data::Double(q)) => pairs((p, a), (q, b), holds),
        (Data::Int(p), Data::Int(q)) => pairs((p, a), (q, b), holds),
        (Data::Long(p), Data::Long(q)) => pairs((p, a), (q, b), holds),
        (Data::Bool(p), Data::Bool(q)) => pairs((p, a), (q, b), holds),
        (Data::Text(p), Data::Text(q)) => pairs((p, a), (q, b), holds),
        (a, b) => Err(format!(
            "it compares values of one type, not {} and {}",
            a.kind(),
            b.kind()
        )),
    }
}

fn logical(a: &Tensor, b: &Tensor, join: fn(bool, bool) -> bool) -> Result<Tensor, String> {
    let (shape, made) = zip((a.bools()?, &a.shape), (b.bools()?, &b.shape), join)?;
    Tensor::new(shape, Data::Bool(made))
}

type Join = fn(&Tensor, &Tensor) -> Result<Tensor, String>;

/// Operators of two inputs, or of as many as there are; none if it is another.
pub(super) fn joined(node: &Node) -> Option<Kernel> {
    let join: Join = match node.operator.as_str() {
        "Add" | "Sum" => add,
        "Sub" => subtract,
        "Mul" => multiply,
        "Div" => divide,
        "Pow" => power,
        "Min" => least,
        "Max" => greatest,
        "PRelu" => parametric,
        "Mod" if node.number("fmod", 0) == 1 => |a, b| remainder(a, b, true),
        "Mod" => |a, b| remainder(a, b, false),
        "Equal" => |a, b| compare(a, b, |order| order.is_some_and(|order| order.is_eq())),
        "Less" => |a, b| compare(a, b, |order| order.is_some_and(|order| order.is_lt())),
        "LessOrEqual" => |a, b| compare(a, b, |order| order.is_some_and(|order| order.is_le())),
        "Greater" => |a, b| compare(a, b, |order| order.is_some_and(|order| order.is_gt())),
        "GreaterOrEqual" => |a, b| compare(a, b, |order| order.is_some_and(|order| order.is_ge())),
        "And" => |a, b| logical(a, b, |a, b| a & b),
        "Or" => |a, b| logical(a, b, |a, b| a | b),
        "Xor" => |a, b| logical(a, b, |a, b| a ^ b),
        _ => return None,
    };
    let many = matches!(node.operator.as_str(), "Sum" | "Min" | "Max");
    Some(Box::new(move |args| {
        let first = args.get(0)?;
        if !many {
            return one(join(first, args.get(1)?)?);
        }
        let mut made = first.clone();
        for index in 1..args.len() {
            made = join(&made, args.get(index)?)?;
        }
        one(made)
    }))
}

/// `Clip`: its bounds are attributes in old models and inputs in new ones.
pub(super) fn clip(node: &Node) -> Kernel {
    let old = node.version < 11;
    let bound = |name: &str| (old && node.has(name)).then(|| node.float(name, 0.0));
    let (low, high) = (bound("min"), bound("max"));
    Box::new(move |args| {
        let mut made = args.get(0)?.clone();
        let scalar = |value: f32| Tensor::new(vec![], Data::Float(vec![value]));
        if let Some(low) = low.map(scalar).transpose()? {
            made = greatest(&made, &low)?;
        } else if let Some(low) = args.find(1) {
            made = greatest(&made, low)?;
        }
        if let Some(high) = high.map(scalar).transpose()? {
            made = least(&made, &high)?;
        } else if let Some(high) = args.find(2) {
            made = least(&made, high)?;
        }
        one(made)
    })
}

/// `Where`: values of one tensor where a flag is set, of another elsewhere.
pub(super) fn choose() -> Kernel {
    Box::new(|args| {
        let (flags, yes, no) = (args.get(0)?, args.get(1)?, args.get(2)?);
        fn chosen<T: Clone>(
            flags: &Tensor,
            (p, yes): (&[T], &Tensor),
            (q, no): (&[T], &Tensor),
        ) -> Result<(Vec<usize>, Vec<T>), String> {
            let (shape, pairs) = zip((p, &yes.shape), (q, &no.shape), |yes, no| (yes, no))?;
            zip(
                (flags.bools()?, &flags.shape),
                (&pairs, &shape),
                |flag, (yes, no)| if flag { yes } else { no },
            )
        }
        let (shape, data) = match (&yes.data, &no.data) {
            (Data::Float(p), Data::Float(q)) => {
                chosen(flags, (p, yes), (q, no)).map(|(s, v)| (s, Data::Float(v)))?
            }
            (Data::Double(p), Data::Double(q)) => {
                chosen(flags, (p, yes), (q, no)).map(|(s, v)| (s, Data::Double(v)))?
            }
            (Data::Int(p), Data::Int(q)) => {
                chosen(flags, (p, yes), (q, no)).map(|(s, v)| (s, Data::Int(v)))?
            }
            (Data::Long(p), Data::Long(q)) => {
                chosen(flags, (p, yes), (q, no)).map(|(s, v)| (s, Data::Long(v)))?
            }
            (Data::Bool(p), Data::Bool(q)) => {
                chosen(flags, (p, yes), (q, no)).map(|(s, v)| (s, Data::Bool(v)))?
            }
            (Data::Text(p), Data::Text(q)) => {
                chosen(flags, (p, yes), (q, no)).map(|(s, v)| (s, Data::Text(v)))?
            }
            (a, b) => {
                return Err(format!(
                    "it chooses among values of one type, not {} and {}",
                    a.kind(),
                    b.kind()
                ));
            }
        };
        one(Tensor::new(shape, data)?)
    })
}

/// `Cast` to a type by ONNX's number.
pub(super) fn cast(x: &Tensor, to: i64) -> Result<Tensor, String> {
    let data = match to {
        _ if same(&x.data, to) => x.data.clone(),
        1 => match &x.data {
            Data::Text(words) => Data::Float(
                words
                    .iter()
                    .map(|word| number(word).map(|n| n as f32))
                    .collect::<Result<_, _>>()?,
            ),
            _ => Data::Float(x.as_floats()?.into_owned()),
        },
        11 => match &x.data {
            Data::Text(words) => {
                Data::Double(words.iter().map(|word| number(word)).collect::<Result<_, _>>()?)
            }
            _ => Data::Double(x.as_doubles()?),
        },
        6 => Data::Int(whole(x)?.into_iter().map(|value| value as i32).collect()),
        7 => Data::Long(whole(x)?),
        9 => Data::Bool(match &x.data {
            Data::Text(_) => return Err("words are no bool".into()),
            _ => x.as_doubles()?.into_iter().map(|value| value != 0.0).collect(),
        }),
        8 => Data::Text(words(&x.data)),
        other => {
            return Err(format!(
                "the native engine does not cast to {}",
                super::message::kind_name(other)
            ));
        }
    };
    Tensor::new(x.shape.clone(), data)
}

fn same(data: &Data, kind: i64) -> bool {
    matches!(
        (data, kind),
        (Data::Float(_), 1)
            | (Data::Double(_), 11)
            | (Data::Int(_), 6)
            | (Data::Long(_), 7)
            | (Data::Bool(_), 9)
            | (Data::Text(_), 8)
    )
}

fn number(word: &str) -> Result<f64, String> {
    word.trim()
        .parse()
        .map_err(|_| format!("the word {word:?} is no number"))
}

fn whole(x: &Tensor) -> Result<Vec<i64>, String> {
    match &x.data {
        Data::Long(values) => Ok(values.clone()),
        Data::Int(values) => Ok(values.iter().map(|value| i64::from(*value)).collect()),
        Data::Text(words) => words
            .iter()
            .map(|word| {
                word.trim()
                    .parse()
                    .map_err(|_| format!("the word {word:?} is no whole number"))
            })
            .collect(),
        _ => Ok(x.as_doubles()?.into_iter().map(|value| value as i64).collect()),
    }
}

fn words(data: &Data) -> Vec<Arc<str>> {
    match data {
        Data::Float(values) => values
            .iter()
            .map(|value| real_word(f64::from(*value), value.to_string()))
            .collect(),
        Data::Double(values) => values
            .iter()
            .map(|value| real_word(*value, value.to_string()))
            .collect(),
        Data::Int(values) => values.iter().map(|value| value.to_string().into()).collect(),
        Data::Long(values) => values.iter().map(|value| value.to_string().into()).collect(),
        Data::Bool(values) => values
            .iter()
            .map(|value| u8::from(*value).to_string().into())
            .collect(),
        Data::Text(values) => values.clone(),
    }
}

fn real_word(value: f64, shown: String) -> Arc<str> {
    match value {
        f64::INFINITY => "INF".into(),
        f64::NEG_INFINITY => "-INF".into(),
        _ => shown.into(),
    }
}
