//! What closed windows mean for a deployment: alerts open, and resolve by themselves.

use lathe_monitor::{Profile, Reference, Standing, diagnose, judge};
use lathe_store::{Result, Store};
use lathe_types::alerts::{Alert, AlertKind, AlertState};
use lathe_types::project::MonitorSpec;
use lathe_types::windows::Window;
use lathe_types::{Millis, Span};

/// Windows that are looked back on: enough for "since when".
pub(crate) const LOOK_BACK: usize = 60;

/// Judges the newest closed windows; opens an alert for each limit that is breached, resolves those that are kept.
pub(crate) async fn examine(
    store: &Store,
    deployment: &str,
    reference: &Reference,
    spec: &MonitorSpec,
    error_before: Option<f64>,
    now: Millis,
) -> Result<()> {
    let mut windows = store.list_windows(deployment, LOOK_BACK).await?;
    windows.retain(|window| window.closed);
    windows.reverse();
    let judgement = judge(&windows, spec);
    for (kind, standing) in [
        (AlertKind::Drift, judgement.drift),
        (AlertKind::Performance, judgement.performance),
    ] {
        match standing {
            Standing::Breached => {
                if let Some(alert) = alert(kind, reference, &windows, spec, error_before, now) {
                    store.open_alert(alert).await?;
                }
            }
            Standing::Kept => drop(store.resolve_alerts(deployment, Some(kind), now).await?),
            Standing::Wavering | Standing::Unknown => {}
        }
    }
    Ok(())
}

/// The alert of a breach. None if the windows' profiles cannot be read.
fn alert(
    kind: AlertKind,
    reference: &Reference,
    windows: &[Window],
    spec: &MonitorSpec,
    error_before: Option<f64>,
    now: Millis,
) -> Option<Alert> {
    let last = windows.iter().rposition(|window| match kind {
        AlertKind::Drift => window.drift.is_some(),
        AlertKind::Performance => window.performance.is_some(),
    })?;
    let newest = &windows[last];
    let first = windows[..last]
        .iter()
        .rposition(|window| window.version != newest.version)
        .map_or(0, |at| at + 1);
    let profile: Profile = match serde_json::from_value(newest.profile.clone()) {
        Ok(profile) => profile,
        Err(error) => {
            tracing::error!(%error, window = %newest.start, "a window's profile cannot be read");
            return None;
        }
    };
    let diagnosis = diagnose(
        kind,
        reference,
        &windows[first..=last],
        &profile,
        spec,
        error_before,
    );
    Some(Alert {
        id: 0,
        deployment: newest.deployment.clone(),
        version: newest.version,
        kind,
        state: AlertState::Open,
        at: newest.end,
        opened_at: now,
        resolved_at: None,
        window_start: newest.start,
        summary: diagnosis.summary.clone(),
        diagnosis,
    })
}

/// How far back labels may arrive and still count.
pub(crate) fn lateness(spec: &MonitorSpec) -> Span {
    Span(spec.window.0.saturating_mul(LOOK_BACK as i64))
}
