//! The page: the fragment with the figures, its place in index.html, and the policy the page is served with.

use askama::Template;
use base64::{Engine, prelude::BASE64_STANDARD};
use sha2::{Digest, Sha256};

use crate::{
    curve::{Chart, GAP, speeds},
    history::Sample,
};

/// The place in index.html that the fragment takes.
const MARKER: &str = "<!-- dashboard -->";
/// What stands for a number nobody knows.
const UNKNOWN: &str = "–";
/// What is said when readings stopped for no reason given.
const LATE: &str = "The counters are not being read";

#[derive(Template)]
#[template(path = "dashboard.html")]
struct Dashboard<'a> {
    speed: String,
    hashes: String,
    coins: String,
    /// Why there is no fresh reading.
    reason: Option<&'a str>,
    /// How long ago the last reading was.
    age: Option<String>,
    chart: Chart,
}

/// Renders the figures and the curve as of `now`, from readings that go from the oldest to the newest.
pub(crate) fn fragment(
    samples: &[Sample],
    now: f64,
    unavailable: Option<&str>,
) -> askama::Result<String> {
    let last = samples.last();
    let age = last.map(|last| (now - last.now).max(0.0));
    let late = age.is_some_and(|age| age > GAP);
    let speeds = speeds(samples);
    let speed = speeds.last().and_then(|run| run.last());
    let count = |of: fn(&Sample) -> u64| last.map_or(UNKNOWN.into(), |last| group(of(last)));
    let unavailable = unavailable.map(|reason| reason.trim_end_matches('.'));
    let dashboard = Dashboard {
        speed: speed.map_or(UNKNOWN.into(), |speed| rate(speed.1)),
        hashes: count(|sample| sample.hashes),
        coins: count(|sample| sample.coins),
        reason: unavailable.or(late.then_some(LATE)),
        age: age.map(ago),
        chart: Chart::new(&speeds, now),
    };
    dashboard.render()
}

/// Puts the fragment in place of the marker; a file without the marker stays as it is.
pub(crate) fn page(index_html: &str, fragment: &str) -> String {
    index_html.replacen(MARKER, fragment, 1)
}

/// Allows what is on our own host, and each inline style and script of this very page by its hash.
pub(crate) fn content_security_policy(html: &str) -> String {
    // Browsers hash what they parsed, and parsing turns every line end into \n.
    let html = html.replace("\r\n", "\n").replace('\r', "\n");
    let (scripts, styles) = (hashes(&html, "script"), hashes(&html, "style"));
    format!(
        "default-src 'none'; script-src 'self'{scripts}; style-src 'self'{styles}; img-src 'self'; \
         connect-src 'self'; base-uri 'none'; form-action 'none'"
    )
}

/// The hash of the text after each tag of this name; one too many, as from a comment, does no harm.
fn hashes(html: &str, name: &str) -> String {
    // As long as the original, so a place in one is a place in the other.
    let lower = html.to_ascii_lowercase();
    let (open, close) = (format!("<{name}"), format!("</{name}"));
    let hash = |(tag, _)| {
        let start = tag + lower[tag..].find('>')? + 1;
        let end = start + lower[start..].find(&close)?;
        let hash = BASE64_STANDARD.encode(Sha256::digest(&html[start..end]));
        (start < end).then(|| format!(" 'sha256-{hash}'"))
    };
    lower.match_indices(&open).filter_map(hash).collect()
}

fn rate(rate: f64) -> String {
    if rate < 99.95 { format!("{rate:.1}") } else { group(rate.round() as u64) }
}

fn group(number: u64) -> String {
    let digits = number.to_string();
    let threes = digits.as_bytes().rchunks(3).map(String::from_utf8_lossy);
    threes.rev().collect::<Vec<_>>().join(",")
}

fn ago(seconds: f64) -> String {
    if seconds < 120.0 {
        format!("{seconds:.0} s ago")
    } else {
        format!("{:.0} min ago", (seconds / 60.0).floor())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steady() -> Vec<Sample> {
        let sample = |second: u32| Sample {
            now: 1_700_000_000.0 + f64::from(second),
            hashes: 1_234_567 + 10 * u64::from(second),
            coins: 77_160,
        };
        (0..=60).map(sample).collect()
    }

    #[test]
    fn a_fresh_reading_shows_its_numbers() {
        let html = fragment(&steady(), 1_700_000_060.5, None).unwrap();
        assert!(html.contains("<dd>10.0 <small>"), "{html}");
        assert!(html.contains("<dd>1,235,167</dd>"), "{html}");
        assert!(html.contains("<dd>77,160</dd>"), "{html}");
        assert!(html.contains(r#"<p class="notice"></p>"#), "{html}");
        assert!(!html.contains("stale"), "{html}");
    }

    #[test]
    fn without_redis_the_last_numbers_are_marked_stale() {
        let reason = "redis:6379 refused the connection.";
        let html = fragment(&steady(), 1_700_000_072.0, Some(reason)).unwrap();
        assert!(html.contains(r#"<section class="stale">"#), "{html}");
        assert!(html.contains(
            "refused the connection.</strong> The last reading was <span>12 s ago</span>"
        ));
        assert!(html.contains("<dd>1,235,167</dd>"), "{html}");
    }

    #[test]
    fn old_numbers_are_stale_even_without_a_reason() {
        let html = fragment(&steady(), 1_700_000_361.0, None).unwrap();
        assert!(html.contains(LATE) && html.contains("5 min ago"), "{html}");
        assert!(html.contains("No reading"), "{html}");
    }

    #[test]
    fn nothing_read_shows_no_number() {
        for reason in [None, Some("redis:6379 refused the connection")] {
            let html = fragment(&[], 1_700_000_000.0, reason).unwrap();
            assert_eq!(html.matches("<dd>–").count(), 3, "{html}");
            assert_eq!(html.contains("Nothing has been read yet."), reason.is_some());
        }
    }

    #[test]
    fn the_reason_is_escaped() {
        let html = fragment(&[], 0.0, Some("<script>alert(1)</script>")).unwrap();
        assert!(!html.contains("<script"), "{html}");
    }

    #[test]
    fn the_marker_is_replaced_once_and_only_if_there() {
        let html = page("<main><!-- dashboard --></main>", "<p>3.3</p>");
        assert_eq!(html, "<main><p>3.3</p></main>");
        assert_eq!(page("<h1>mine</h1>", "<p>3.3</p>"), "<h1>mine</h1>");
    }

    #[test]
    fn our_page_holds_what_the_course_edits() {
        let index = include_str!("../files/index.html");
        for word in [MARKER, "15px", "steelblue"] {
            assert_eq!(index.matches(word).count(), 1, "{word}");
        }
        assert!(!index.contains("style=") && !index.contains("://"));
        assert_eq!(content_security_policy(index).matches("sha256-").count(), 1);
    }

    #[test]
    fn the_policy_names_each_inline_text_by_its_hash() {
        // printf 'doSomething();' | openssl sha256 -binary | base64
        let script = "'sha256-RFWPLDbv2BY+rCkDzsE+0fr8ylGr2R2faWMhq4lfEQc='";
        let html =
            "<script src=a.js></script><SCRIPT type='text/javascript'>doSomething();</SCRIPT>";
        let policy = content_security_policy(html);
        assert!(
            policy.contains(&format!("script-src 'self' {script}; style-src 'self';")),
            "{policy}"
        );
    }

    #[test]
    fn the_policy_sees_a_page_as_browsers_do() {
        let policy = content_security_policy("<style>\na{}\n</style>");
        let windows = content_security_policy("<style media='all'>\r\na{}\r\n</style>");
        assert_eq!(windows, policy);
        let (_, hash) = policy.split_once("sha256-").unwrap();
        let (hash, _) = hash.split_once('\'').unwrap();
        let commented = content_security_policy("<!-- é<style> --><style>\na{}\n</style>");
        assert!(commented.contains(hash), "{commented}");
        for nothing in ["<script", "<style>é", "<SCRIPT></SCRIPT>", "é</style><>"] {
            assert!(!content_security_policy(nothing).contains("sha256"));
        }
    }

    #[test]
    fn numbers_and_ages_read_well() {
        assert_eq!([0, 999, 1000, 1_234_567].map(group), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([0.0, 99.94, 99.96, 1234.5].map(rate), ["0.0", "99.9", "100", "1,235"]);
        assert_eq!([0.4, 119.0, 120.0].map(ago), ["0 s ago", "119 s ago", "2 min ago"]);
    }
}
