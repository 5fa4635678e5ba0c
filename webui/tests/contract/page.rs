//! The page and its files.

use std::fs;

use base64::{Engine, prelude::BASE64_STANDARD};
use sha2::{Digest, Sha256};
use testkit::{Client, TIMEOUT, eventually};

use crate::{add, get, memory, start, start_with_files};

#[test]
fn the_root_redirects_to_a_relative_url() {
    let response = get(&start(memory()), "/");
    assert_eq!((response.status, response.header("location")), (302, Some("index.html")));
}

#[test]
fn every_url_is_relative_and_exists() {
    let folder = tempfile::tempdir().unwrap();
    let service = start_with_files(folder.path());
    let page = get(&service, "/index.html").text();
    let script = get(&service, "/dashboard.js").text();
    let fragment = get(&service, "/fragment").text();

    let mut urls = Vec::new();
    for text in [&page, &script, &fragment] {
        for absolute in ["://", "=\"/", "='/", "=/", "(\"/", "('/", "(/", "`/", "url("] {
            assert!(!text.contains(absolute), "{absolute} in {text}");
        }
        for before in ["href=\"", "src=\"", "fetch(\"", "request(\"", "EventSource(\""] {
            let after = text.split(before).skip(1);
            urls.extend(after.map(|text| text.split('"').next().unwrap()));
        }
    }
    urls.sort();
    urls.dedup();
    assert_eq!(urls, ["dashboard.js", "events", "favicon.svg", "fragment", "json"]);
    for url in urls {
        // HEAD, because /events never ends.
        let response = Client::request(service.address, "HEAD", &format!("/{url}"));
        assert_eq!(response.status, 200, "{url}");
    }
}

#[test]
fn the_page_shows_the_counters() {
    let store = memory();
    add(&store, 4242);
    let service = start(store);
    eventually(TIMEOUT, "the count", || {
        get(&service, "/fragment").text().contains(r#"<dd id="hashes">4,242</dd>"#)
    });
    let page = get(&service, "/index.html");
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    assert!(page.text().contains(r#"<dd id="hashes">4,242</dd>"#));
    assert!(!page.text().contains("<!-- dashboard -->"));
    let head = Client::request(service.address, "HEAD", "/index.html");
    assert_eq!((head.status, head.body.len()), (200, 0));
}

#[test]
fn every_response_has_safe_headers() {
    let folder = tempfile::tempdir().unwrap();
    let service = start_with_files(folder.path());
    for (path, content_type) in [
        ("/index.html", "text/html; charset=utf-8"),
        ("/fragment", "text/html; charset=utf-8"),
        ("/json", "application/json"),
        ("/dashboard.js", "text/javascript"),
        ("/favicon.svg", "image/svg+xml"),
    ] {
        let response = get(&service, path);
        assert_eq!(response.status, 200, "{path}");
        assert_eq!(response.header("content-type"), Some(content_type), "{path}");
        assert_eq!(response.header("x-content-type-options"), Some("nosniff"), "{path}");
        assert_eq!(response.header("cache-control"), Some("no-cache"), "{path}");
    }
    assert_eq!(get(&service, "/nowhere").status, 404);
}

#[test]
fn the_policy_allows_the_style_of_the_served_page() {
    let folder = tempfile::tempdir().unwrap();
    let service = start_with_files(folder.path());
    let mut policies = Vec::new();
    for label in ["15px", "50px"] {
        let page = include_str!("../../files/index.html").replace("15px", label);
        fs::write(folder.path().join("index.html"), page).unwrap();
        let page = get(&service, "/index.html");
        let text = page.text();
        let style = text.split_once("<style>").unwrap().1.split_once("</style>").unwrap().0;
        assert!(style.contains(label));
        let hash = BASE64_STANDARD.encode(Sha256::digest(style));
        let policy = page.header("content-security-policy").unwrap();
        assert!(policy.contains(&format!("style-src 'self' 'sha256-{hash}'")), "{policy}");
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        policies.push(policy.to_owned());
    }
    assert_ne!(policies[0], policies[1]);
}

#[test]
fn a_change_in_the_folder_shows_on_reload() {
    let folder = tempfile::tempdir().unwrap();
    let service = start_with_files(folder.path());
    let file = |name: &str| folder.path().join(name);
    let built_in = get(&service, "/index.html").text();
    assert!(built_in.contains("15px") && built_in.contains("steelblue"));

    fs::write(file("index.html"), "<h1>mine</h1><!-- dashboard -->").unwrap();
    let mine = get(&service, "/index.html").text();
    assert!(mine.starts_with("<h1>mine</h1>") && mine.contains("Hashes"), "{mine}");
    fs::write(file("index.html"), "<h1>yours</h1>").unwrap();
    assert_eq!(get(&service, "/index.html").text(), "<h1>yours</h1>");

    fs::write(file("favicon.svg"), "<svg/>").unwrap();
    assert_eq!(get(&service, "/favicon.svg").text(), "<svg/>");
    fs::write(file("extra.css"), "a{}").unwrap();
    let extra = get(&service, "/extra.css");
    assert_eq!((extra.text().as_str(), extra.header("content-type")), ("a{}", Some("text/css")));
    // Files that the folder lacks are served from the binary.
    assert!(get(&service, "/dashboard.js").text().contains("fetch("));

    fs::remove_file(file("index.html")).unwrap();
    assert!(get(&service, "/index.html").text().contains("15px"));
}

#[test]
fn files_outside_the_folder_are_not_served() {
    let parent = tempfile::tempdir().unwrap();
    fs::write(parent.path().join("secret"), "secret").unwrap();
    let folder = parent.path().join("files");
    fs::create_dir(&folder).unwrap();
    let service = start_with_files(&folder);
    let absolute = format!("/{}", parent.path().join("secret").display());
    for path in ["/../secret", "/%2e%2e/secret", "/..%2fsecret", "/x/../../secret", &absolute] {
        let response = get(&service, path);
        assert_eq!((response.status, response.text().contains("secret")), (404, false), "{path}");
    }
}

#[test]
fn the_error_for_an_unreadable_folder_names_the_setting() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let _entered = runtime.enter();
    let settings = webui::Settings { files: Some(missing.clone()) };
    let error = webui::router(&settings, memory(), Default::default(), Default::default())
        .unwrap_err()
        .to_string();
    assert!(error.contains("FILES") && error.contains(missing.to_str().unwrap()), "{error}");
    assert!(error.contains("right would be") && !error.contains('\n'), "{error}");
}
