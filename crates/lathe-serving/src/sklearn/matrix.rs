use crate::error::Fault;
use crate::objects::Ref;

/// Numbers in rows.
#[derive(Debug, Clone)]
pub(super) struct Matrix {
    pub(super) rows: usize,
    pub(super) columns: usize,
    pub(super) values: Vec<f64>,
}

impl Matrix {
    /// A two-dimensional array; a flat one is a row.
    pub(super) fn of(node: Ref<'_>) -> Result<Self, Fault> {
        let values = node.floats()?;
        let (rows, columns) = match node.shape().as_slice() {
            [rows, columns] => (*rows, *columns),
            [columns] => (1, *columns),
            [] => (1, 1),
            _ => return Err("an array has more than two dimensions".into()),
        };
        match rows.checked_mul(columns) == Some(values.len()) && columns != 0 {
            true => Ok(Self {
                rows,
                columns,
                values,
            }),
            false => Err("an array does not fit its shape".into()),
        }
    }

    pub(super) fn row(&self, row: usize) -> &[f64] {
        &self.values[row * self.columns..(row + 1) * self.columns]
    }

    pub(super) fn expect(self, rows: usize, columns: usize, name: &str) -> Result<Self, Fault> {
        match (self.rows, self.columns) == (rows, columns) {
            true => Ok(self),
            false => Err(Fault::Damaged(format!(
                "`{name}` is of {} × {} where {rows} × {columns} is expected",
                self.rows, self.columns
            ))),
        }
    }

    pub(super) fn expect_columns(self, columns: usize, name: &str) -> Result<Self, Fault> {
        let rows = self.rows;
        self.expect(rows, columns, name)
    }
}

/// Numbers, exactly so many.
pub(super) fn floats(node: Ref<'_>, count: usize, name: &str) -> Result<Vec<f64>, Fault> {
    let values = node.floats()?;
    match values.len() == count {
        true => Ok(values),
        false => Err(Fault::Damaged(format!(
            "`{name}` has {} numbers where {count} are expected",
            values.len()
        ))),
    }
}

/// The sum of products; in four lanes, which the processor adds side by side.
#[inline]
pub(super) fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut lanes = [0.0f64; 4];
    let (a_chunks, a_rest) = a.as_chunks::<4>();
    let (b_chunks, b_rest) = b.as_chunks::<4>();
    for (a, b) in a_chunks.iter().zip(b_chunks) {
        for lane in 0..4 {
            lanes[lane] += a[lane] * b[lane];
        }
    }
    let rest: f64 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    (lanes[0] + lanes[1]) + (lanes[2] + lanes[3]) + rest
}

/// The place of the greatest; the first of equals.
pub(super) fn first_greatest(values: &[f64]) -> usize {
    let mut best = 0;
    for (index, value) in values.iter().enumerate() {
        if values[best] < *value {
            best = index;
        }
    }
    best
}

pub(super) fn logistic(x: f64) -> f64 {
    match 0.0 <= x {
        true => 1.0 / (1.0 + (-x).exp()),
        false => {
            let e = x.exp();
            e / (1.0 + e)
        }
    }
}

pub(super) fn softmax(row: &mut [f64]) {
    let greatest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let mut sum = 0.0;
    for x in row.iter_mut() {
        *x = (*x - greatest).exp();
        sum += *x;
    }
    row.iter_mut().for_each(|x| *x /= sum);
}

/// Makes logarithms of shares probabilities.
pub(super) fn normalise_logarithms(row: &mut [f64]) {
    let greatest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = row.iter().map(|x| (x - greatest).exp()).sum();
    let total = greatest + sum.ln();
    row.iter_mut().for_each(|x| *x = (*x - total).exp());
}
