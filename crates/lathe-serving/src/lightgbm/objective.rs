use crate::error::Fault;

/// What becomes of the sums of the leaves.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Objective {
    Identity,
    /// `sign(x) x²`, of a regression on roots.
    Square,
    Exponential,
    Sigmoid {
        scale: f64,
        binary: bool,
    },
    Softmax,
    /// `ln(1 + eˣ)`.
    Softplus,
}

impl Objective {
    /// The line of the file, `binary sigmoid:1` say.
    pub(super) fn parse(line: &str) -> Result<Self, Fault> {
        let mut words = line.split_whitespace();
        let name = words.next().unwrap_or_default();
        let parameters: Vec<&str> = words.collect();
        let scale = parameters
            .iter()
            .find_map(|word| word.strip_prefix("sigmoid:"))
            .map_or(Ok(1.0), str::parse)
            .map_err(|_| "the objective's `sigmoid` is not a number")?;
        Ok(match name {
            "regression" | "regression_l2" | "huber" | "fair" if parameters.contains(&"sqrt") => Self::Square,
            "" | "custom" | "none" | "regression" | "regression_l2" | "regression_l1" | "huber" | "fair"
            | "quantile" | "mape" | "lambdarank" | "rank_xendcg" => Self::Identity,
            "poisson" | "gamma" | "tweedie" => Self::Exponential,
            "binary" => Self::Sigmoid { scale, binary: true },
            "multiclassova" => Self::Sigmoid { scale, binary: false },
            "multiclass" => Self::Softmax,
            "cross_entropy" | "xentropy" => Self::Sigmoid {
                scale: 1.0,
                binary: false,
            },
            "cross_entropy_lambda" | "xentlambda" => Self::Softplus,
            other => {
                return Err(Fault::Unsupported(format!(
                    "the native engine does not know LightGBM's objective `{other}`"
                )));
            }
        })
    }

    pub(super) fn is_binary(self) -> bool {
        matches!(self, Self::Sigmoid { binary: true, .. })
    }

    /// Makes a row's sums its answer.
    #[inline]
    pub(super) fn convert(self, row: &mut [f64]) {
        match self {
            Self::Identity => {}
            Self::Square => row.iter_mut().for_each(|x| *x = x.signum() * *x * *x),
            Self::Exponential => row.iter_mut().for_each(|x| *x = x.exp()),
            Self::Sigmoid { scale, .. } => row
                .iter_mut()
                .for_each(|x| *x = 1.0 / (1.0 + (-scale * *x).exp())),
            Self::Softplus => row.iter_mut().for_each(|x| *x = x.exp().ln_1p()),
            Self::Softmax => {
                let greatest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let mut sum = 0.0;
                for x in row.iter_mut() {
                    *x = (*x - greatest).exp();
                    sum += *x;
                }
                row.iter_mut().for_each(|x| *x /= sum);
            }
        }
    }
}
