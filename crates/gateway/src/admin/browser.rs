//! What a browser may ask of the operator's listener. A page of somebody else's in the operator's
//! browser has no business here, token or not; nor has one whose name was made to point at this
//! machine (DNS rebinding). Programs send none of what is looked at here.

use std::net::IpAddr;

use gateway_policy::Authority;
use http::{HeaderMap, Method, Request, header};

/// By which names the listener is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Names {
    /// A Unix socket, which SSH may forward to a browser, or loopback: `localhost` or an address.
    /// Any other name, one of a single label too, may be somebody else's who points it here.
    Local,
    /// Any name: strangers have to show a token, and no other site has its cookie.
    Any,
}

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Foreign {
    /// It is for a name of somebody else's.
    Name,
    /// Another site makes the browser ask.
    Site,
}

impl Foreign {
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Name => "not for browsers by this name: ask for localhost, or an address\n",
            Self::Site => "not for browsers on behalf of other sites\n",
        }
    }
}

/// Whether a request may be looked at. `signed_in` is whether it shows the cookie of the page.
pub(super) fn judge<B>(request: &Request<B>, names: Names, signed_in: bool) -> Result<(), Foreign> {
    let host = host(request.headers());
    if !is_own(names, host) {
        return Err(Foreign::Name);
    }
    let site = field(request.headers(), "sec-fetch-site");
    let origin = field(request.headers(), header::ORIGIN.as_str());
    let from_here = origin.map(|it| is_origin_of(it, host.unwrap_or_default()));
    if from_here == Some(false) {
        return Err(Foreign::Site);
    }
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    // A link to the page is followed from anywhere: it shows nothing to whoever has it followed.
    let follows = reads
        && request.uri().path() == "/"
        && field(request.headers(), "sec-fetch-mode") == Some("navigate")
        && field(request.headers(), "sec-fetch-dest") == Some("document");
    match site {
        Some("same-origin" | "none") => {}
        Some(_) if follows => {}
        Some(_) => return Err(Foreign::Site),
        None => {}
    }
    // Whoever has the cookie is a browser, and says from where it changes something.
    let says = from_here.is_some() || site == Some("same-origin");
    if reads || !signed_in || says { Ok(()) } else { Err(Foreign::Site) }
}

/// The host and the port that a request is for.
pub(super) fn host(headers: &HeaderMap) -> Option<&str> {
    field(headers, header::HOST.as_str())
}

/// Whether it is for this machine, as far as its name tells.
pub(super) fn is_loopback(host: Option<&str>) -> bool {
    let host = host.and_then(|host| Authority::parse(host).ok());
    host.is_some_and(|it| {
        let address = it.host.trim_matches(['[', ']']).parse::<IpAddr>();
        it.host == "localhost" || address.is_ok_and(|it| it.is_loopback())
    })
}

fn is_own(names: Names, host: Option<&str>) -> bool {
    if names == Names::Any {
        return true;
    }
    host.and_then(|host| Authority::parse(host).ok()).is_some_and(|it| {
        let address = it.host.starts_with('[') || it.host.parse::<IpAddr>().is_ok();
        address || it.host == "localhost"
    })
}

/// Whether `origin` is that of pages from `host`, by whichever way it came here.
fn is_origin_of(origin: &str, host: &str) -> bool {
    let of = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
    of.is_some_and(|of| of.eq_ignore_ascii_case(host))
}

fn field<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    // What is no text says nothing that would let it in.
    headers.get(name).map(|it| it.to_str().unwrap_or("?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Who asks; by which names the listener is asked for; whether the page's cookie is shown; the
    /// request's line; its fields; and what becomes of it.
    const TABLE: &str = "
        a program            | local  | no  | POST /reload  | host: localhost                                | in
        elsewhere            | any    | no  | GET /status   | host: gw.example.com:9180                      | in
        no host              | local  | no  | GET /status   | accept: x                                      | name
        an address           | local  | no  | GET /status   | host: 127.0.0.1:9180                           | in
        one of IPv6          | local  | no  | GET /status   | host: [::1]:9180                               | in
        a rebound name       | local  | no  | GET /status   | host: evil.example                             | name
        the same, the page   | local  | no  | GET /         | host: evil.example:9180                        | name
        begins like ours     | local  | no  | GET /         | host: localhost.evil.example                   | name
        of one label         | local  | no  | GET /status   | host: admin                                    | name
        typed                | local  | no  | GET /         | host: localhost; NAVIGATES; SITE: none         | in
        a link               | local  | no  | GET /         | host: localhost; NAVIGATES; SITE: cross-site   | in
        a link to data       | local  | no  | GET /status   | host: localhost; NAVIGATES; SITE: cross-site   | site
        a frame              | local  | no  | GET /         | host: localhost; SITE: cross-site              | site
        our page             | local  | yes | GET /overview | host: localhost; SITE: same-origin             | in
        another's script     | local  | no  | GET /overview | host: localhost; SITE: cross-site              | site
        another port         | local  | yes | GET /overview | host: localhost; SITE: same-site               | site
        another site         | local  | no  | GET /overview | host: localhost; origin: https://evil.example  | site
        nobody's page        | local  | no  | GET /overview | host: localhost; origin: null                  | site
        our page, acting     | local  | yes | DELETE /bans  | host: localhost:9; origin: http://localhost:9  | in
        behind TLS           | local  | yes | DELETE /bans  | host: localhost:9; origin: https://localhost:9 | in
        another port, acting | local  | yes | DELETE /bans  | host: localhost:9; origin: http://localhost:8  | site
        by another name      | local  | yes | DELETE /bans  | host: localhost:9; origin: http://127.0.0.1:9  | site
        one that says so     | local  | yes | DELETE /bans  | host: localhost; SITE: same-origin             | in
        one that is silent   | local  | yes | DELETE /bans  | host: localhost                                | site
        another, acting      | local  | no  | DELETE /bans  | host: localhost; SITE: cross-site              | site
        what is no text      | local  | yes | DELETE /bans  | host: localhost; origin: \u{fc}                 | site";

    #[test]
    fn other_sites_and_other_names_stay_out() {
        for row in TABLE.lines().skip(1) {
            let mut cells = row.split('|').map(str::trim);
            let mut cell = || cells.next().unwrap();
            let (who, names) = (cell(), cell());
            let names = match names {
                "local" => Names::Local,
                _ => Names::Any,
            };
            let signed_in = cell() == "yes";
            let (method, path) = cell().split_once(' ').unwrap();
            let mut request = Request::builder().method(method).uri(path);
            let navigates = "sec-fetch-mode: navigate; sec-fetch-dest: document";
            let fields = cell().replace("NAVIGATES", navigates).replace("SITE", "sec-fetch-site");
            for (name, value) in fields.split("; ").filter_map(|it| it.split_once(": ")) {
                request = request.header(name, value);
            }
            let expected = match cell() {
                "in" => Ok(()),
                "name" => Err(Foreign::Name),
                _ => Err(Foreign::Site),
            };
            assert_eq!(judge(&request.body(()).unwrap(), names, signed_in), expected, "{who}");
        }
    }

    #[test]
    fn this_machine_is_known_by_its_names() {
        for (host, expected) in [
            ("localhost:9180", true),
            ("127.0.0.1", true),
            ("[::1]:9180", true),
            ("10.0.0.5:9180", false),
            ("gw.example.com", false),
        ] {
            assert_eq!(is_loopback(Some(host)), expected, "{host}");
        }
    }
}
