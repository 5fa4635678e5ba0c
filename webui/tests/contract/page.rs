//! The page and its files.

use std::{fs, path::Path};

use base64::{Engine, prelude::BASE64_STANDARD};
use sha2::{Digest, Sha256};
use store::Heartbeat;
use testkit::{Client, TIMEOUT, eventually};

use crate::{add, get, memory, start, start_with_files, start_with_store_and_files};

#[test]
fn the_root_redirects_to_a_relative_url() {
    let service = start(memory());
    for path in ["/", "//"] {
        let response = get(&service, path);
        assert_eq!((response.status, response.header("location")), (302, Some("index.html")));
        assert_eq!(response.text(), "Found. Redirecting to index.html");
        assert_eq!(response.header("content-type"), Some("text/plain; charset=utf-8"));
    }
}

#[test]
fn other_methods_get_the_responses_of_the_original() {
    let service = start(memory());
    for path in ["/", "/json", "/json/"] {
        let options = Client::request(service.address, "OPTIONS", path);
        assert_eq!((options.status, options.header("allow")), (200, Some("GET,HEAD")), "{path}");
        assert_eq!(options.text(), "GET,HEAD");
        for method in ["POST", "PUT", "DELETE", "BREW"] {
            let response = Client::request(service.address, method, path);
            assert_eq!((response.status, response.header("allow")), (404, None), "{method} {path}");
            assert_eq!(response.text(), format!("Cannot {method} {path}\n"));
        }
    }
    for path in ["/index.html", "/dashboard.js", "/nowhere"] {
        for method in ["OPTIONS", "POST"] {
            let response = Client::request(service.address, method, path);
            assert_eq!(response.status, 404, "{method} {path}");
            assert_eq!(response.text(), format!("Cannot {method} {path}\n"));
        }
    }
    assert_eq!(get(&service, "/nowhere?x=1").text(), "Cannot GET /nowhere\n");
}

#[test]
fn files_answer_conditional_and_range_requests() {
    let folder = tempfile::tempdir().unwrap();
    let service = start_with_files(folder.path());
    fs::write(folder.path().join("mounted.txt"), "0123456789").unwrap();
    let send = |path: &str, header: &str| {
        let mut client = Client::connect(service.address);
        client.send(format!("GET {path} HTTP/1.1\r\nHost: webui\r\n{header}\r\n\r\n"));
        client
    };
    for path in ["/index.html", "/dashboard.js", "/favicon.svg", "/mounted.txt"] {
        let part = send(path, "Range: bytes=2-5").response();
        let whole = get(&service, path);
        assert_eq!((part.status, &part.body[..]), (206, &whole.body[2..6]), "{path}");
        assert_eq!(whole.header("accept-ranges"), Some("bytes"), "{path}");
        let condition = match whole.header("etag") {
            Some(etag) => format!("If-None-Match: {etag}"),
            None => format!("If-Modified-Since: {}", whole.header("last-modified").unwrap()),
        };
        if path != "/index.html" {
            let known = send(path, &condition).head();
            assert_eq!(known.status, 304, "{path}");
        }
    }
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
    assert_eq!(
        urls,
        [
            "dashboard.js",
            "events",
            "favicon.svg",
            "fragment",
            "index.html?present",
            "index.html?window=1",
            "index.html?window=30",
            "index.html?window=5",
        ]
    );
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
        ("/json", "application/json; charset=utf-8"),
        ("/json/", "application/json; charset=utf-8"),
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
fn the_policy_of_the_built_in_page_is_constant_and_strict() {
    let folder = tempfile::tempdir().unwrap();
    let store = memory();
    let service = start_with_store_and_files(store.clone(), folder.path());
    let page = get(&service, "/index.html");
    let policy = page.header("content-security-policy").unwrap().to_owned();
    let text = page.text();
    let style = text.split_once("<style>").unwrap().1.split_once("</style>").unwrap().0;
    let hash = BASE64_STANDARD.encode(Sha256::digest(style));
    assert!(policy.contains(&format!("style-src 'self' 'sha256-{hash}'")), "{policy}");
    assert!(policy.contains("script-src 'self';"), "{policy}");
    assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    assert_eq!(policy.matches("sha256").count(), 1);
    // What comes from the store adds nothing.
    let evil = "<style>a{}</style><script>alert(1)</script>".to_owned();
    let heartbeat = Heartbeat { host: evil.clone(), version: evil, ..Heartbeat::default() };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(store.heartbeat("run", &heartbeat)).unwrap();
    eventually(TIMEOUT, "the worker", || get(&service, "/fragment").text().contains("alert(1)"));
    let page = get(&service, "/index.html");
    assert_eq!(page.header("content-security-policy"), Some(policy.as_str()));
    assert!(page.text().contains("alert(1)") && !page.text().contains("<script>alert"));
}

#[test]
fn the_policy_of_a_mounted_page_allows_what_its_author_writes() {
    let folder = tempfile::tempdir().unwrap();
    let service = start_with_files(folder.path());
    let index = include_str!("../../files/index.html").replace("15px", "50px");
    fs::write(folder.path().join("index.html"), index).unwrap();
    let page = get(&service, "/index.html");
    let policy = page.header("content-security-policy").unwrap();
    assert!(page.text().contains("50px"));
    assert!(policy.contains("default-src * ") && policy.contains("'unsafe-inline'"), "{policy}");
    assert!(policy.contains("base-uri 'none'") && policy.contains("object-src 'none'"), "{policy}");
}

#[test]
fn a_mounted_file_that_cannot_be_used_is_named_on_the_built_in_page() {
    let folder = tempfile::tempdir().unwrap();
    let service = start_with_files(folder.path());
    let index = folder.path().join("index.html");
    let shown = || get(&service, "/index.html");
    let script = folder.path().join("dashboard.js");
    fs::create_dir(&script).unwrap();
    let text = shown().text();
    assert!(text.contains("dashboard.js is not used: Is a directory"), "{text}");
    fs::remove_dir(&script).unwrap();
    fs::write(folder.path().join("favicon.svg"), b"\xff").unwrap();
    assert!(!shown().text().contains("is not used"));
    for (reason, make) in [
        (
            "valid UTF-8",
            Box::new(|path: &Path| fs::write(path, b"<h1>\xff</h1>").unwrap())
                as Box<dyn Fn(&Path)>,
        ),
        ("directory", Box::new(|path| fs::create_dir(path).unwrap())),
    ] {
        make(&index);
        let page = shown();
        let text = page.text();
        let notice =
            text.split_once("<p class=\"notice\">").unwrap().1.split_once("</p>").unwrap().0;
        assert!(notice.contains("index.html is not used") && notice.contains(reason), "{notice}");
        assert!(text.contains("15px") && text.contains("id=\"hashes\""), "{text}");
        assert!(page.header("content-security-policy").unwrap().starts_with("default-src 'none'"));
        let _ = fs::remove_file(&index).or_else(|_| fs::remove_dir(&index));
        assert!(!shown().text().contains("<p class=\"notice\">"));
    }
}

#[test]
fn a_path_that_cannot_be_a_file_is_not_found() {
    let folder = tempfile::tempdir().unwrap();
    let service = start_with_files(folder.path());
    let long = "a".repeat(5000);
    let deep = "a/".repeat(2500);
    for path in
        [&long[..], &long[..300], &deep, "index.html/x", "%00", "..", "coins/", "%ff", "json/x"]
    {
        let status = get(&service, &format!("/{path}")).status;
        assert_eq!(status, 404, "{path}");
    }
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
    fs::write(parent.path().join("secret"), "hidden").unwrap();
    let folder = parent.path().join("files");
    fs::create_dir(&folder).unwrap();
    let service = start_with_files(&folder);
    let absolute = format!("/{}", parent.path().join("secret").display());
    for path in ["/../secret", "/%2e%2e/secret", "/..%2fsecret", "/x/../../secret", &absolute] {
        let response = get(&service, path);
        assert_eq!((response.status, response.text().contains("hidden")), (404, false), "{path}");
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
