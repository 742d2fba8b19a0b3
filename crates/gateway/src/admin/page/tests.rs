use super::*;

fn asking(path: &str, accept: &str) -> Request<()> {
    Request::get(path).header(header::ACCEPT, accept).body(()).unwrap()
}

#[test]
fn a_browser_is_shown_the_page_and_a_program_is_not() {
    let browser = "text/html,application/xhtml+xml,*/*;q=0.8";
    assert!(wants_page(&asking("/", browser)));
    for (path, accept) in [("/", "*/*"), ("/", "application/json"), ("/status", browser)] {
        assert!(!wants_page(&asking(path, accept)), "{path} {accept}");
    }
}

#[test]
fn nothing_is_loaded_from_elsewhere_and_no_script_stands_in_a_page() {
    let parts = PARTS.map(|(_, _, text)| text);
    for text in parts.into_iter().chain([PAGE, SIGN_IN]) {
        let text = text.replace("http://www.w3.org/2000/svg", "");
        for loaded in ["http:", "https:", "url(", "@import", "src=\"//", "href=\"//"] {
            assert!(!text.contains(loaded), "{loaded}");
        }
    }
    for page in [PAGE, SIGN_IN] {
        for inline in ["<style", " style=", " onclick", " onload", " onerror", "javascript:"] {
            assert!(!page.contains(inline), "{inline}");
        }
        assert_eq!(page.matches("<script").count(), page.matches("<script src=\"/ui/").count());
        for (_, path) in page.match_indices("\"/ui/") {
            let path = path.trim_matches('"');
            let known = PARTS.iter().any(|(name, ..)| name.starts_with(path));
            assert!(known, "{path}");
        }
    }
}

#[test]
fn the_script_makes_no_markup_of_text() {
    for (name, _, text) in PARTS.iter().filter(|(name, ..)| name.ends_with(".js")) {
        assert!(text.starts_with("\"use strict\";"), "{name}");
        for sink in [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "DOMParser",
            "eval(",
            "new Function",
            "srcdoc",
            "setHTML",
            "localStorage",
        ] {
            assert!(!text.contains(sink), "{name}: {sink}");
        }
        assert!(text.lines().count() <= 400, "{name}");
    }
}

#[test]
fn each_answer_is_for_this_page_alone() {
    let mut headers = HeaderMap::new();
    restrict(&mut headers);
    let policy = headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
    for said in
        ["default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "script-src 'self';"]
    {
        assert!(policy.contains(said), "{policy}");
    }
    assert!(!policy.contains("unsafe") && !policy.contains('*') && !policy.contains("  "));
    assert_eq!(headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
    assert_eq!(headers[header::CACHE_CONTROL], "no-store");
}

#[test]
fn the_form_says_whether_others_can_read_the_token() {
    let form = |host: &str, wrong| {
        let host = HeaderMap::from_iter([(header::HOST, host.parse().unwrap())]);
        let (head, body) = sign_in_form(&host, wrong).into_parts();
        (head.status.as_u16(), format!("{body:?}"))
    };
    let (status, text) = form("localhost:9180", false);
    assert!(status == 200 && text.contains("nobody else reads it") && !text.contains("alert"));
    let (status, text) = form("gw.example.com:9180", true);
    assert!(
        status == 403 && text.contains("whoever is on the way reads") && text.contains("alert")
    );
    assert!(!text.contains("{notice}"));
}
