use std::sync::Arc;

use lathe_types::graphs::VersionName;

/// Which versions answered a request together: the same ones all rows, or others each.
#[derive(Debug, Clone, PartialEq)]
pub(in super::super) enum Members {
    All(Vec<Arc<VersionName>>),
    Rows(Vec<Vec<Arc<VersionName>>>),
}

impl Members {
    pub(super) fn one(version: Arc<VersionName>) -> Self {
        Self::All(vec![version])
    }

    /// Members that all rows went through.
    pub(super) fn together(all: Vec<Self>) -> Self {
        let rows = all.iter().find_map(|members| match members {
            Self::All(_) => None,
            Self::Rows(rows) => Some(rows.len()),
        });
        let of_row = |row| {
            all.iter()
                .flat_map(|members| members.of_row(row))
                .cloned()
                .collect()
        };
        match rows {
            None => Self::All(of_row(0)),
            Some(rows) => Self::Rows((0..rows).map(of_row).collect()),
        }
    }

    /// Members of which each was asked for some of the rows; `rows` is how many there are in all.
    pub(super) fn of_rows(parts: Vec<(&[usize], Self)>, rows: usize) -> Self {
        if let [(_, only)] = parts.as_slice() {
            return only.clone();
        }
        let mut all = vec![Vec::new(); rows];
        for (numbers, members) in &parts {
            for (index, number) in numbers.iter().enumerate() {
                all[*number] = members.of_row(index).to_vec();
            }
        }
        Self::Rows(all)
    }

    /// Who answered one row, in the order in which they were asked.
    pub(in super::super) fn of_row(&self, row: usize) -> &[Arc<VersionName>] {
        match self {
            Self::All(all) => all,
            Self::Rows(rows) => rows.get(row).map_or(&[], Vec::as_slice),
        }
    }

    /// Everybody who answered a row, each once: `scale/3, score/7`.
    pub(in super::super) fn told(&self) -> String {
        let rows = match self {
            Self::All(_) => 1,
            Self::Rows(rows) => rows.len(),
        };
        let mut told: Vec<String> = Vec::new();
        for version in (0..rows).flat_map(|row| self.of_row(row)) {
            let version = version.to_string();
            if !told.contains(&version) {
                told.push(version);
            }
        }
        told.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(model: &str) -> Members {
        Members::one(Arc::new(VersionName {
            model: model.into(),
            version: 1,
        }))
    }

    #[test]
    fn each_row_knows_who_answered_it() {
        let chosen = Members::of_rows(vec![(&[0, 2], one("a")), (&[1], one("b"))], 3);
        let all = Members::together(vec![one("scale"), chosen]);
        let told = |row| {
            all.of_row(row)
                .iter()
                .map(|v| v.to_string())
                .collect::<Vec<_>>()
                .join(" ")
        };
        assert_eq!(
            [told(0), told(1), told(2)],
            ["scale/1 a/1", "scale/1 b/1", "scale/1 a/1"]
        );
        assert_eq!(all.told(), "scale/1, a/1, b/1");
        let same = Members::together(vec![one("scale"), Members::of_rows(vec![(&[0, 1], one("a"))], 2)]);
        assert!(matches!(&same, Members::All(_)) && same.told() == "scale/1, a/1");
    }
}
