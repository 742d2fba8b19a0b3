//! Lines of the log as OpenTelemetry's log records. What is exported is what was written, so that
//! there is one place where secrets are taken out.

mod message;

use std::time::UNIX_EPOCH;

use message::{
    AnyValue, ArrayValue, ExportLogsServiceRequest, ExportLogsServiceResponse, KeyValue, LogRecord,
    PartialSuccess, Resource, ResourceLogs, Scope, ScopeLogs, Value,
};
use prost::Message;
use serde_json::{Map, Value as Json};

use crate::names::{attribute, event};

/// Who speaks: the same for all records of a process.
#[derive(Clone, Debug)]
pub struct Speaker {
    /// The program's version.
    pub version: &'static str,
    /// The machine's name.
    pub host: String,
    /// The process's number.
    pub process: u32,
}

/// The body of a request that hands `lines` over to a collector.
#[must_use]
pub fn export_request<'l>(lines: impl Iterator<Item = &'l [u8]>, speaker: &Speaker) -> Vec<u8> {
    let resource = Resource {
        attributes: vec![
            text(attribute::SERVICE_NAME, attribute::SERVICE),
            text(attribute::SERVICE_VERSION, speaker.version),
            text(attribute::HOST_NAME, &speaker.host),
            pair(attribute::PROCESS_ID, Value::Whole(speaker.process.into())),
        ],
    };
    let scope = Scope { name: attribute::SERVICE.to_owned(), version: speaker.version.to_owned() };
    let scope_logs =
        ScopeLogs { scope: Some(scope), log_records: lines.filter_map(record).collect() };
    let logs = ResourceLogs { resource: Some(resource), scope_logs: vec![scope_logs] };
    ExportLogsServiceRequest { resource_logs: vec![logs] }.encode_to_vec()
}

/// How many records a collector did not take although it took the request, and why.
#[must_use]
pub fn rejected(answer: &[u8]) -> (u64, String) {
    let answer = ExportLogsServiceResponse::decode(answer).unwrap_or_default();
    let PartialSuccess { rejected_log_records, error_message } =
        answer.partial_success.unwrap_or_default();
    (rejected_log_records.try_into().unwrap_or_default(), error_message)
}

fn record(line: &[u8]) -> Option<LogRecord> {
    let Ok(Json::Object(mut fields)) = serde_json::from_slice(line) else { return None };
    let mut take = |name| match fields.shift_remove(name) {
        Some(Json::String(text)) => text,
        Some(_) | None => String::new(),
    };
    let (time, level, name) = (take("timestamp"), take("level"), take("event"));
    let time = humantime::parse_rfc3339(&time).ok()?.duration_since(UNIX_EPOCH).ok()?;
    let time = u64::try_from(time.as_nanos()).ok()?;
    let body = if name == event::ACCESS { summary(&fields) } else { said(&name, &fields) };
    Some(LogRecord {
        time_unix_nano: time,
        observed_time_unix_nano: time,
        severity_number: severity(&level),
        severity_text: level,
        body: Some(AnyValue { value: Some(Value::Text(body)) }),
        event_name: format!("{}{name}", attribute::OWN),
        attributes: attributes(&name, fields),
    })
}

/// Source: OpenTelemetry's data model of logs, "Field: SeverityNumber".
fn severity(level: &str) -> i32 {
    match level {
        "ERROR" => 17,
        "WARN" => 13,
        "INFO" => 9,
        _ => 5,
    }
}

/// What a person reads of an access record first.
fn summary(fields: &Map<String, Json>) -> String {
    let shown = ["method", "path", "status", "reason"].iter().filter_map(|it| fields.get(*it));
    shown.map(bare).collect::<Vec<_>>().join(" ")
}

/// What a person reads of an event.
fn said(name: &str, fields: &Map<String, Json>) -> String {
    fields.iter().fold(name.to_owned(), |all, (name, value)| {
        let bare = bare(value);
        if bare.is_empty() || bare.contains([' ', '"', '=']) {
            format!("{all} {name}={bare:?}")
        } else {
            format!("{all} {name}={bare}")
        }
    })
}

fn bare(value: &Json) -> String {
    match value {
        Json::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn attributes(event: &str, fields: Map<String, Json>) -> Vec<KeyValue> {
    let mut all = Vec::with_capacity(fields.len() + 2);
    let access = event == event::ACCESS;
    if access {
        let scheme = if fields.contains_key("tls") { "https" } else { "http" };
        all.push(text(attribute::SCHEME, scheme));
    }
    for (field, value) in fields {
        match (field.as_str(), &value) {
            ("method", Json::String(method)) if access => {
                let known = attribute::METHODS.contains(&method.as_str());
                let shown = if known { method } else { attribute::OTHER_METHOD };
                all.push(text(attribute::METHOD, shown));
                if !known {
                    all.push(text(attribute::METHOD_ORIGINAL, method));
                }
            }
            ("path", Json::String(target)) if access => {
                let (path, query) = target.split_once('?').unwrap_or((target, ""));
                all.push(text(attribute::PATH, path));
                if !query.is_empty() {
                    all.push(text(attribute::QUERY, query));
                }
            }
            // The client left before it got one.
            ("status", Json::Number(none)) if access && none.as_u64() == Some(0) => {}
            _ => all.extend(value_of(value).map(|it| pair(&called(&field, access), it))),
        }
    }
    all
}

fn called(field: &str, access: bool) -> String {
    let of_access: &[(&str, &str)] = if access { &attribute::OF_ACCESS } else { &[] };
    let mut table = attribute::COMMON.iter().chain(of_access);
    let found = table.find(|(name, _)| *name == field);
    found.map_or_else(|| format!("{}{field}", attribute::OWN), |(_, name)| (*name).to_owned())
}

fn value_of(value: Json) -> Option<Value> {
    Some(match value {
        Json::Null => return None,
        Json::Bool(truth) => Value::Truth(truth),
        Json::Number(number) => match number.as_i64() {
            Some(whole) => Value::Whole(whole),
            None => Value::Real(number.as_f64()?),
        },
        Json::String(text) => Value::Text(text),
        Json::Array(all) => Value::List(ArrayValue {
            values: all.into_iter().map(|it| AnyValue { value: value_of(it) }).collect(),
        }),
        // No event has a map in it; if one had, its text would do.
        Json::Object(map) => Value::Text(Json::Object(map).to_string()),
    })
}

fn text(key: &str, text: &str) -> KeyValue {
    pair(key, Value::Text(text.to_owned()))
}

fn pair(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(line: &str) -> (LogRecord, Vec<(String, Value)>) {
        let speaker = Speaker { version: "1", host: "edge".to_owned(), process: 7 };
        let body = export_request([line.as_bytes()].into_iter(), &speaker);
        let mut request = ExportLogsServiceRequest::decode(body.as_slice()).unwrap();
        let mut logs = request.resource_logs.remove(0);
        assert_eq!(logs.resource.unwrap().attributes.len(), 4);
        let record = logs.scope_logs.remove(0).log_records.remove(0);
        let attributes = record.attributes.iter();
        let attributes =
            attributes.map(|it| (it.key.clone(), it.value.clone().unwrap().value.unwrap()));
        (record.clone(), attributes.collect())
    }

    #[test]
    fn an_access_record_speaks_the_semantic_conventions() {
        let (record, attributes) = decoded(
            r#"{"timestamp":"2026-11-22T10:00:00.250Z","level":"INFO","event":"access",
            "request_id":"00000000000000ff","client":"203.0.113.9","surface":"webhook","method":"POST",
            "path":"/webhook/*?token=*","http":"2","tls":"1.3","status":404,"reason":"closed",
            "revision":1,"received":5,"sent":7,"duration_ms":1.5}"#,
        );
        assert_eq!(record.time_unix_nano, 1_795_341_600_250_000_000);
        assert_eq!(record.event_name, "n8n_gateway.access");
        let body = record.body.unwrap().value.unwrap();
        assert_eq!(body, Value::Text("POST /webhook/*?token=* 404 closed".to_owned()));
        let text = |it: &str| Value::Text(it.to_owned());
        for (key, value) in [
            ("http.request.method", text("POST")),
            ("url.scheme", text("https")),
            ("url.path", text("/webhook/*")),
            ("url.query", text("token=*")),
            ("http.response.status_code", Value::Whole(404)),
            ("client.address", text("203.0.113.9")),
            ("network.protocol.version", text("2")),
            ("tls.protocol.version", text("1.3")),
            ("http.request.body.size", Value::Whole(5)),
            ("http.response.body.size", Value::Whole(7)),
            ("n8n_gateway.request_id", text("00000000000000ff")),
            ("n8n_gateway.surface", text("webhook")),
            ("n8n_gateway.reason", text("closed")),
            ("n8n_gateway.duration_ms", Value::Real(1.5)),
        ] {
            assert!(attributes.contains(&(key.to_owned(), value)), "{key}: {attributes:?}");
        }
    }

    #[test]
    fn an_event_has_its_level_and_its_words() {
        let (record, attributes) = decoded(
            r#"{"timestamp":"2026-11-22T10:00:00.250Z","level":"ERROR","event":"reload",
            "outcome":"invalid","problems":["a b","c"],"revision":3,"error":"x"}"#,
        );
        assert_eq!((record.severity_number, record.severity_text.as_str()), (17, "ERROR"));
        let body = record.body.unwrap().value.unwrap();
        let expected = r#"reload outcome=invalid problems="[\"a b\",\"c\"]" revision=3 error=x"#;
        assert_eq!(body, Value::Text(expected.to_owned()));
        let keys: Vec<_> = attributes.iter().map(|(key, _)| key.as_str()).collect();
        let own = |it: &str| format!("n8n_gateway.{it}");
        assert_eq!(keys, [&own("outcome"), &own("problems"), &own("revision"), "error.message"]);
    }

    #[test]
    fn what_has_no_word_is_left_out_or_put_plainly() {
        let (record, attributes) = decoded(
            r#"{"timestamp":"2026-11-22T10:00:00Z","level":"INFO","event":"access","method":"BREW",
            "path":"/","status":0}"#,
        );
        assert_eq!(record.severity_number, 9);
        let keys: Vec<_> = attributes.iter().map(|(key, _)| key.as_str()).collect();
        let expected = ["url.scheme", attribute::METHOD, attribute::METHOD_ORIGINAL, "url.path"];
        assert_eq!(keys, expected);
        assert_eq!(attributes[1].1, Value::Text("_OTHER".to_owned()));
    }

    #[test]
    fn what_a_collector_did_not_take_is_read() {
        let partial_success =
            Some(PartialSuccess { rejected_log_records: 3, error_message: "old".to_owned() });
        let answer = ExportLogsServiceResponse { partial_success }.encode_to_vec();
        assert_eq!(rejected(&answer), (3, "old".to_owned()));
        assert_eq!(rejected(b""), (0, String::new()));
        assert_eq!(rejected(b"<html>"), (0, String::new()), "what is no answer of OTLP's");
    }
}
