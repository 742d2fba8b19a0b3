//! `audit`: what is looked at of n8n's own installation.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use gateway_n8n::audit::{Bounds, Level, checks};

use crate::{
    Audit, BackupSource,
    at::{At, OneOrMany},
    compile::taken,
    de::Session,
    problem::did_you_mean,
    raw,
    text::Span,
    world::{Purpose, START_ANEW, beside},
};

/// The findings of yesterday are not those of today.
const EVERY: Duration = Duration::from_hours(24);

/// More often would be a load on n8n.
const OFTEN: Duration = Duration::from_secs(10);

impl Default for Audit {
    fn default() -> Self {
        Self {
            every: EVERY,
            level: Level::Medium,
            api_key: None,
            data: None,
            env_files: Vec::new(),
            backup: None,
            bounds: Bounds::default(),
            accept: Vec::new(),
        }
    }
}

pub(crate) fn audit(raw: Option<At<raw::Audit>>, session: &Session<'_>) -> Option<Audit> {
    let raw::Audit {
        every,
        level,
        api_key,
        data,
        env_files,
        backup,
        hours,
        max_admins,
        unused,
        accept,
    } = raw?.value.unwrap_or_default();
    let mut bounds = Bounds::default();
    let raw::Backup { path, command, max_age } = {
        check_backup(backup.as_ref(), session);
        taken(backup)
    };
    if let Some(admins) = max_admins.and_then(|it| it.value) {
        bounds.admins = admins;
    }
    bounds.unused = seconds(unused).unwrap_or(bounds.unused);
    bounds.backup = seconds(max_age).unwrap_or(bounds.backup);
    bounds.hours = hours.and_then(|it| it.value).map(|it| it.0);
    let command = command.and_then(|it| {
        let program = beside(session.file, Path::new(&it.value?));
        if session.world.is_out_of_reach(&program, Purpose::Run) {
            let message = format!("the running gateway may not run {}", program.display());
            session.error(it.place, message, Some(START_ANEW.to_owned()));
        }
        Some(BackupSource::Command(program))
    });
    let env_files = listed(env_files).filter_map(|it| readable(it, session)).collect();
    let path = path.and_then(|it| readable(it, session)).map(BackupSource::Path);
    Some(Audit {
        every: often(every, session),
        level: level.and_then(|it| it.value).map_or(Level::Medium, level_of),
        api_key: api_key.and_then(|it| it.value),
        data: data.and_then(|it| it.value).map(|it| beside(session.file, Path::new(&it))),
        env_files,
        backup: path.or(command),
        bounds,
        accept: listed(accept).filter_map(|it| known(it, session)).collect(),
    })
}

fn often(raw: Option<At<Span>>, session: &Session<'_>) -> Duration {
    match raw {
        Some(At { place, value: Some(Span(span)) }) if span < OFTEN => {
            session.error(place, "`10s` is the least", None);
            EVERY
        }
        other => other.and_then(|it| it.value).map_or(EVERY, |it| it.0),
    }
}

fn check_backup(raw: Option<&At<raw::Backup>>, session: &Session<'_>) {
    let Some(At { place, value: Some(raw) }) = raw else { return };
    if raw.path.is_some() == raw.command.is_some() {
        let hint = "backup: { path: /var/backups/n8n }";
        session.error(*place, "`backup` has one of `path` and `command`", Some(hint.to_owned()));
    }
}

fn listed<T>(raw: Option<At<OneOrMany<T>>>) -> impl Iterator<Item = At<T>> {
    raw.and_then(|it| it.value).map(|it| it.0).unwrap_or_default().into_iter()
}

fn readable(raw: At<String>, session: &Session<'_>) -> Option<PathBuf> {
    let path = beside(session.file, Path::new(&raw.value?));
    if session.world.is_out_of_reach(&path, Purpose::Read) {
        let message = format!("{}: out of the running gateway's reach", path.display());
        session.error(raw.place, message, Some(START_ANEW.to_owned()));
    }
    Some(path)
}

fn known(raw: At<String>, session: &Session<'_>) -> Option<String> {
    let id = raw.value?;
    let ids = || checks().iter().map(|it| it.id);
    if !ids().any(|it| it == id) {
        let hint = did_you_mean(&id, ids())
            .unwrap_or_else(|| "`n8n-gateway audit --json` names all checks".to_owned());
        session.error(raw.place, format!("there is no check `{id}`"), Some(hint));
        return None;
    }
    Some(id)
}

fn seconds(raw: Option<At<Span>>) -> Option<i64> {
    i64::try_from(raw?.value?.0.as_secs()).ok()
}

fn level_of(raw: raw::AuditLevel) -> Level {
    match raw {
        raw::AuditLevel::Info => Level::Info,
        raw::AuditLevel::Low => Level::Low,
        raw::AuditLevel::Medium => Level::Medium,
        raw::AuditLevel::High => Level::High,
        raw::AuditLevel::Critical => Level::Critical,
    }
}
