//! Windows: what was seen of each period of a deployment.

use lathe_types::Millis;
use lathe_types::drift::Outcome;
use lathe_types::windows::Window;
use serde_json::json;

use crate::{Result, Store, Tx, events, json};

impl Store {
    /// Keeps the window as it stands; tells when it closes and when its labels are in.
    pub async fn put_window(&self, window: Window, now: Millis) -> Result<()> {
        self.write(move |tx| put(tx, &window, now)).await
    }

    /// The newest windows of a deployment, newest first.
    pub async fn list_windows(&self, deployment: &str, limit: usize) -> Result<Vec<Window>> {
        let deployment = deployment.to_owned();
        self.read(move |tx| {
            tx.query(
                "SELECT body FROM windows WHERE deployment = ?1 ORDER BY start DESC LIMIT ?2",
                &[deployment.into(), (limit as i64).into()],
                |row| json::column(row, 0, "window"),
            )
        })
        .await
    }

    /// The window of a deployment that starts then, if it is there.
    pub async fn find_window(&self, deployment: &str, start: Millis) -> Result<Option<Window>> {
        let deployment = deployment.to_owned();
        self.read(move |tx| find(tx, &deployment, start)).await
    }
}

fn find(tx: &Tx<'_>, deployment: &str, start: Millis) -> Result<Option<Window>> {
    tx.query_opt(
        "SELECT body FROM windows WHERE deployment = ?1 AND start = ?2",
        &[deployment.into(), start.0.into()],
        |row| json::column(row, 0, "window"),
    )
}

fn put(tx: &Tx<'_>, window: &Window, now: Millis) -> Result<()> {
    let before = find(tx, &window.deployment, window.start)?;
    tx.execute(
        "INSERT INTO windows (deployment, start, body) VALUES (?1, ?2, ?3)
         ON CONFLICT (deployment, start) DO UPDATE SET body = excluded.body",
        &[
            (&window.deployment).into(),
            window.start.0.into(),
            json::text(window),
        ],
    )?;
    let subject = format!("deployment/{}", window.deployment);
    let data = json!({ "start": window.start, "end": window.end });
    if window.closed && before.as_ref().is_none_or(|before| !before.closed) {
        let summary = format!(
            "window {} closed: {} rows, {}",
            window.start,
            window.rows,
            drift_in_words(window)
        );
        events::append(tx, now, "window.closed", &subject, &summary, &data)?;
    }
    let labelled = window.performance.as_ref();
    if let Some(found) = labelled
        && before.is_none_or(|before| before.performance.is_none())
    {
        let summary = format!(
            "window {}: {} {:.2} on {} labels",
            window.start, found.metric, found.value, found.labelled
        );
        events::append(tx, now, "window.labelled", &subject, &summary, &data)?;
    }
    Ok(())
}

fn drift_in_words(window: &Window) -> String {
    let Some(report) = &window.drift else {
        return "not compared".into();
    };
    let drifted = report
        .columns
        .iter()
        .filter(|column| column.outcome == Outcome::Drift)
        .count();
    format!("{drifted} of {} columns drifted", report.columns.len())
}
