//! A target, classified and decided: nothing panics, and however a path is spelled it is one.

use std::{net::Ipv4Addr, path::Path, sync::OnceLock};

use gateway_config::{Answers, load};
use gateway_n8n::{Ambiguity, Endpoints, Located, Root, Surface, Surfaces};
use gateway_policy::{Login, Policy, Question, Shown, Windows};
use http::{Request, Uri};

use super::policy_file::Memory;

const POLICY: &str = "\
version: 1
site: { host: n8n.test, webhook_host: hooks.test }
listen: { https: [\"127.0.0.1:8443\"], http: [] }
tls: { self_signed: true }
n8n: { endpoints: { credentials-overwrite: preset } }
networks: { team: [192.0.2.0/24] }
access:
  editor: anyone
  webhook/orders: nobody
  rest/settings: nobody
";

struct Known {
    surfaces: [Surfaces; 2],
    policy: Policy,
}

fn known() -> &'static Known {
    static KNOWN: OnceLock<Known> = OnceLock::new();
    KNOWN.get_or_init(|| {
        let mut renamed = Endpoints::default();
        for (key, segment) in [("webhook", "hooks/in"), ("rest", "internal"), ("form", "webhook")] {
            renamed.rename(key, segment).unwrap();
        }
        let world = Memory { policy: POLICY.as_bytes() };
        let config = load(Path::new("policy.yaml"), &world, &Answers::new()).unwrap();
        Known {
            surfaces: [Surfaces::new(&Endpoints::default()), Surfaces::new(&renamed)],
            policy: config.policy,
        }
    })
}

pub(super) fn run(bytes: &[u8]) {
    let Ok(target) = std::str::from_utf8(bytes) else { return };
    let path = target.split('?').next().unwrap_or_default();
    for surfaces in &known().surfaces {
        for upgrade in [false, true] {
            spellings(surfaces, path, upgrade);
        }
    }
    if let Ok(uri) = Uri::try_from(bytes) {
        decide(&uri);
    }
}

/// Case and a last slash say nothing, and no encoding leads to another surface.
fn spellings(surfaces: &Surfaces, path: &str, upgrade: bool) {
    let surface = |path: &str| surfaces.locate(path, upgrade).map(|it| it.surface);
    let Ok(Located { surface: found, tail, upgrade: answered }) = surfaces.locate(path, upgrade)
    else {
        return;
    };
    assert!(path.contains(tail), "{tail:?} is no part of {path:?}");
    assert!(!path.split('/').any(|it| it == ".." || it == "."), "{path:?}");
    if !upgrade {
        assert!(!answered || found == Surface::Push, "{path:?}");
        let upper = surface(&path.to_ascii_uppercase());
        assert!(upper == Ok(found) || upper == Err(Ambiguity::Case), "{path:?}");
        let other = path.strip_suffix('/').map_or_else(|| format!("{path}/"), str::to_owned);
        assert!(path == "/" || surface(&other) == Ok(found), "{path:?}");
    }
    if let Ok(decoded) = surface(&letters_decoded(path)) {
        assert_eq!(decoded, found, "{path:?}");
    }
}

/// With letters and digits as they are, which nobody has to encode.
fn letters_decoded(path: &str) -> String {
    let mut parts = path.split('%');
    let mut decoded = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let byte = part.get(..2).and_then(|it| u8::from_str_radix(it, 16).ok());
        match byte.filter(u8::is_ascii_alphanumeric) {
            Some(byte) => {
                decoded.push(char::from(byte));
                decoded.push_str(part.get(2..).unwrap_or_default());
            }
            None => {
                decoded.push('%');
                decoded.push_str(part);
            }
        }
    }
    decoded
}

fn decide(uri: &Uri) {
    let Known { policy, surfaces } = known();
    let mut request = Request::builder().uri(uri.clone());
    if uri.authority().is_none() {
        request = request.header("host", "n8n.test");
    }
    let Ok(request) = request.body(()) else { return };
    let head = request.into_parts().0;
    let client = policy.clients.client(Ipv4Addr::LOCALHOST.into());
    let question = Question {
        head: &head,
        sni: None,
        client,
        shown: Shown::Nothing,
        login: Login::default(),
        windows: Windows::NONE,
    };
    let Ok(permit) = policy.decide(question) else { return };
    let located = surfaces[0].locate(uri.path(), false).unwrap();
    // The one endpoint that is renamed there.
    let preset = uri.path().trim_start_matches('/').to_ascii_lowercase().starts_with("preset");
    assert!(preset || permit.surface() == located.surface, "{uri}");
    let closed = match located.surface {
        Surface::Webhook => percent_decoded(located.tail).starts_with("orders"),
        Surface::Rest if uri.path().len() > Endpoints::default().segment(Root::Rest).len() => {
            located.tail.eq_ignore_ascii_case("settings")
        }
        _ => false,
    };
    let longer = percent_decoded(located.tail).starts_with("orders")
        && !matches!(percent_decoded(located.tail).get(6..7), None | Some("/"));
    assert!(!closed || longer, "{uri} is closed");
}

fn percent_decoded(text: &str) -> String {
    percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned()
}
