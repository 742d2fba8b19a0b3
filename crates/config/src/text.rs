//! Values that are written as text: durations, sizes, addresses, names.

use std::{borrow::Cow, fmt, net::SocketAddr, path::PathBuf, time::Duration};

use gateway_n8n::audit::Hours;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::{Deserialize, Deserializer, Error, Visitor};

use crate::settings::Backend;

/// A visitor that reads a text and parses it.
pub(crate) fn visit_text<'de, T>(
    expected: &'static str,
    parse: impl Fn(&str) -> Result<T, String>,
) -> impl Visitor<'de, Value = T> {
    struct Text<P>(&'static str, P);

    impl<T, P: Fn(&str) -> Result<T, String>> Visitor<'_> for Text<P> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
            (self.1)(text).map_err(|why| E::custom(format_args!("`{text}` {why}")))
        }
    }

    Text(expected, parse)
}

macro_rules! text_type {
    ($(#[$doc:meta])* $name:ident($inner:ty), $expected:literal, $schema:tt, $parse:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub(crate) struct $name(pub(crate) $inner);

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_str(visit_text($expected, |text| $parse(text).map($name)))
            }
        }

        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                schemars::json_schema!($schema)
            }
        }
    };
}

text_type!(
    /// A length of time: `30s`, `5m`, `1h`, `1w`.
    Span(Duration), "a length of time such as `5m`",
    {
        "type": ["string", "integer"],
        "pattern": "^([0-9]+ ?[a-z]+ ?)+$|^[0-9]+$",
        "minimum": 0,
        "examples": ["30s", "5m", "1h"]
    },
    span
);

text_type!(
    /// How often: a number, and what it is counted by; `off` for as often as anybody likes.
    Rate(Option<(u32, Duration)>), "a rate such as `10/min`",
    { "type": "string", "pattern": "^[1-9][0-9]*/[0-9]*[a-z]+$|^off$", "examples": ["10/min", "50/s"] },
    rate
);

text_type!(
    /// A size in bytes: `512KiB`, `16MiB`, `1GiB`.
    Size(u64), "a size such as `16MiB`",
    { "type": "string", "pattern": "^[0-9]+ ?(B|KiB|MiB|GiB)$", "examples": ["16MiB"] },
    size
);

text_type!(
    /// A DNS name or an address, without a port.
    HostName(String), "a host name",
    { "type": "string", "examples": ["n8n.example.com"] },
    host_name
);

text_type!(
    /// Where n8n listens: `http://host:port`.
    BackendUrl(Backend), "a URL such as `http://127.0.0.1:5678`",
    { "type": "string", "pattern": "^http://[^/]+/?$" },
    backend
);

text_type!(
    /// An address and a port to listen on.
    ListenAddress(SocketAddr), "an address and a port such as `[::]:443`",
    { "type": "string", "examples": ["[::]:443", "127.0.0.1:8443"] },
    |text: &str| text.parse()
        .map_err(|_| "is not an address and a port such as `[::]:443` or `0.0.0.0:443`".to_owned())
);

text_type!(
    /// A Unix socket (`unix:/path`) or an address and a port.
    AdminAddress(AdminSocket), "`unix:/path` or an address and a port",
    { "type": "string", "examples": ["unix:/run/n8n-gateway/admin.sock", "127.0.0.1:9180"] },
    admin_socket
);

text_type!(
    /// A span of each day in UTC: `06:00-20:00`.
    DayHours(Hours), "a span of the day such as `06:00-20:00`",
    { "type": "string", "pattern": "^[0-9]{2}:[0-9]{2}-[0-9]{2}:[0-9]{2}$", "examples": ["06:00-20:00"] },
    day_hours
);

/// Where the admin listener stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum AdminSocket {
    Unix(PathBuf),
    Tcp(SocketAddr),
}

/// As humantime reads it; a bare number is seconds, as in fail2ban's files.
fn span(text: &str) -> Result<Duration, String> {
    if let Ok(seconds) = text.parse() {
        return Ok(Duration::from_secs(seconds));
    }
    let wrong = |_| "is not a length of time such as `30s`, `5m` or `1h`".to_owned();
    humantime::parse_duration(text).map_err(wrong)
}

fn rate(text: &str) -> Result<Option<(u32, Duration)>, String> {
    if text == "off" {
        return Ok(None);
    }
    let wrong = || "is not a rate such as `10/min`, `50/s` or `20/5m`".to_owned();
    let (number, period) = text.split_once('/').ok_or_else(wrong)?;
    let number: u32 = number.trim().parse().map_err(|_| wrong())?;
    let period = period.trim();
    let one = if period.starts_with(|c: char| c.is_ascii_digit()) { "" } else { "1" };
    let period = humantime::parse_duration(&format!("{one}{period}")).map_err(|_| wrong())?;
    if number == 0 || period.is_zero() || period > Duration::from_hours(24 * 366) {
        return Err(wrong());
    }
    Ok(Some((number, period)))
}

fn size(text: &str) -> Result<u64, String> {
    let wrong = || "is not a size such as `512KiB`, `16MiB` or `1GiB`".to_owned();
    let digits = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
    let (number, unit) = text.split_at_checked(digits).ok_or_else(wrong)?;
    let shift = match unit.trim() {
        "B" => 0,
        "KiB" => 10,
        "MiB" => 20,
        "GiB" => 30,
        _ => return Err(wrong()),
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    number.checked_mul(1 << shift).ok_or_else(wrong)
}

fn day_hours(text: &str) -> Result<Hours, String> {
    let minute = |text: &str| {
        let (hour, minute) = text.trim().split_once(':')?;
        let (hour, minute): (u16, u16) = (hour.parse().ok()?, minute.parse().ok()?);
        let of_a_day = minute < 60 && (hour < 24 || (hour, minute) == (24, 0));
        of_a_day.then(|| hour * 60 + minute)
    };
    let read = || {
        let (from, to) = text.split_once('-')?;
        Some(Hours { from: minute(from).filter(|it| *it < 1440)?, to: minute(to)? })
    };
    read().ok_or_else(|| "is not a span of the day such as `06:00-20:00`, in UTC".to_owned())
}

fn host_name(text: &str) -> Result<String, String> {
    if text.contains("://") || text.contains('/') {
        return Err("is a URL: write the host alone".to_owned());
    }
    match gateway_policy::Authority::parse(text) {
        Ok(authority) if authority.port.is_none() => Ok(canonical(text)),
        Ok(_) => Err("has a port: write the host alone, ports stand under `listen`".to_owned()),
        Err(_) => Err("is not a host name".to_owned()),
    }
}

/// A host in lower case, an IPv6 address in its one spelling (RFC 5952).
fn canonical(host: &str) -> String {
    let inner = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    match inner.and_then(|inner| inner.parse::<std::net::Ipv6Addr>().ok()) {
        Some(address) => format!("[{address}]"),
        None => host.to_ascii_lowercase(),
    }
}

fn backend(text: &str) -> Result<Backend, String> {
    let wrong = || "is not a URL such as `http://127.0.0.1:5678`".to_owned();
    let uri: http::Uri = text.parse().map_err(|_| wrong())?;
    if uri.scheme_str() == Some("https") {
        return Err(
            "is https: n8n is reached in clear, over loopback or a private network".to_owned()
        );
    }
    let plain =
        uri.scheme_str() == Some("http") && matches!(uri.path(), "" | "/") && uri.query().is_none();
    let host = uri.host().filter(|host| plain && !host.is_empty()).ok_or_else(wrong)?;
    Ok(Backend { host: host.to_owned(), port: uri.port_u16().unwrap_or(80) })
}

fn admin_socket(text: &str) -> Result<AdminSocket, String> {
    if let Some(path) = text.strip_prefix("unix:") {
        let absolute = path.starts_with('/');
        return absolute
            .then(|| AdminSocket::Unix(path.into()))
            .ok_or_else(|| "is not an absolute path after `unix:`".to_owned());
    }
    let tcp = text.parse().map(AdminSocket::Tcp);
    tcp.map_err(|_| "is neither `unix:/path` nor an address and a port".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_hosts_and_backends() {
        assert_eq!(size("16MiB"), Ok(16 << 20));
        assert_eq!(size("5 GiB"), Ok(5 << 30));
        assert!(size("16").is_err() && size("16MB").is_err() && size("MiB").is_err());
        assert!(size("99999999999999999999GiB").is_err());
        assert_eq!(day_hours("06:30-20:00"), Ok(Hours { from: 390, to: 1200 }));
        assert!(day_hours("6-20").is_err() && day_hours("24:00-06:00").is_err());
        assert!(day_hours("06:60-20:00").is_err() && day_hours("999:00-20:00").is_err());
        assert_eq!(host_name("N8N.example.com"), Ok("n8n.example.com".to_owned()));
        assert!(host_name("https://a").is_err() && host_name("a:1").is_err());
        assert_eq!(backend("http://n8n:5678/"), Ok(Backend { host: "n8n".to_owned(), port: 5678 }));
        assert!(backend("https://n8n").is_err() && backend("http://n8n/x").is_err());
        assert!(backend("n8n:5678").is_err());
    }
}
