//! The page: the fragment with the numbers, its place in index.html, and the content security
//! policy.

use askama::Template;
use base64::{Engine, prelude::BASE64_STANDARD};
use sha2::{Digest, Sha256};

use store::{Heartbeat, StageTimes};

use crate::{
    coin::is_hash,
    curve::{Chart, GAP, versions},
    history::{History, Sample},
    workers::{Ceiling, Run, SLEEPING, STAGES, UNKNOWN, WAITING, WORKING, Workers, total},
};

/// The text in index.html that the fragment replaces.
const MARKER: &str = "<!-- dashboard -->";
/// Shown instead of an unknown number.
const NO_NUMBER: &str = "–";
/// Shown when readings have stopped for an unknown reason.
const LATE: &str = "The counters are not being read";

/// The number of workers in the table.
const MAX_ROWS: usize = 20;
/// The number of rngs that are listed for a worker.
const MAX_RNGS: usize = 3;
/// The length of a number that fits beside the speed, e.g. `99,999`.
const MAX_NUMBER_CHARS: usize = 6;
/// The maximum length of a name and of a sentence from the store; longer ones are cut.
pub(crate) const MAX_NAME_CHARS: usize = 64;
const MAX_SENTENCE_CHARS: usize = 200;

#[derive(Template)]
#[template(path = "dashboard.html")]
struct Dashboard<'a> {
    now: f64,
    speed: String,
    instant: String,
    hashes: String,
    coins: String,
    ceiling: String,
    /// Whether one of these numbers is too long to fit beside the speed.
    long: bool,
    /// How the speed compares with the ceiling.
    reached: String,
    /// Why there is no recent reading.
    reason: Option<&'a str>,
    /// The age of the last reading.
    age: Option<String>,
    chart: Chart,
    /// The highest speed in the chart.
    highest: Option<String>,
    /// Class, version and speed from top to bottom, if the chart has several bands.
    legend: Vec<(usize, String, String)>,
    bottleneck: String,
    stages: Vec<StageRow>,
    /// Class, name and share of the time in percent of each kind of stage.
    kinds: Vec<(&'static str, &'static str, f64)>,
    alive: usize,
    rows: Vec<Row>,
    /// The number of workers that are not in the table, and their speed.
    more: Option<(usize, String)>,
    /// The newest coins: hash and age.
    recent_coins: Vec<(&'a str, String)>,
}

struct StageRow {
    name: &'static str,
    kind: &'static str,
    ms: String,
    /// The start and the width of its part of the bar, in percent.
    left: f64,
    width: f64,
}

/// A worker.
struct Row {
    run: String,
    host: String,
    version: String,
    /// The colour of its version, if the chart has several bands.
    band: Option<usize>,
    loops: u16,
    speed: String,
    rngs: String,
    error: Option<String>,
}

/// Renders the state of the dashboard at `now`.
pub(crate) fn fragment(history: &History, now: f64) -> askama::Result<String> {
    let History { samples, workers, snapshot, unavailable } = history;
    let last = samples.last();
    let age = last.map(|last| (now - last.now).max(0.0));
    let late = age.is_some_and(|age| age > GAP);
    let speeds = history.speeds();
    let latest = speeds.last().and_then(|segment| segment.last());
    let speed = latest.map(|speed| speed.total);
    let count = |of: fn(&Sample) -> u64| last.map_or(NO_NUMBER.into(), |last| group(of(last)));
    let unavailable = unavailable.as_deref().map(|reason| reason.trim_end_matches('.'));
    let stages = workers.unit().map(stages).unwrap_or_default();
    let kinds = kinds(&stages);
    let ceiling = history.ceiling(latest);
    let max_speed = ceiling.map(|ceiling| ceiling.speed);
    let chart = Chart::new(&speeds, now, &versions(samples), max_speed);
    let several = chart.bands.iter().rev().filter(|_| chart.bands.len() > 1);
    let legend = several.map(|band| (band.class, band.name.clone(), rate(band.speed)));
    let (alive, rows, more) = rows(workers, &chart);
    let recent_coins = snapshot.iter().flat_map(|snapshot| {
        // The age at the reading is by the clock of the store, the time since then by ours.
        let ago = |at: f64| ago((snapshot.now - at + age.unwrap_or_default()).max(0.0));
        let coins = snapshot.recent_coins.iter().filter(|coin| is_hash(&coin.hash));
        coins.map(move |coin| (coin.hash.as_str(), ago(coin.at)))
    });
    let (hashes, coins) = (count(|sample| sample.hashes), count(|sample| sample.coins));
    let [speed_now, instant] =
        [speed, instant(samples)].map(|speed| speed.map_or(NO_NUMBER.into(), rate));
    let dashboard = Dashboard {
        now,
        long: [&speed_now, &instant, &hashes, &coins]
            .iter()
            .any(|number| number.len() > MAX_NUMBER_CHARS)
            || max_speed.is_some_and(|speed| rate(speed).len() > MAX_NUMBER_CHARS),
        speed: speed_now,
        instant,
        hashes,
        coins,
        ceiling: max_speed.map_or("unknown".into(), rate),
        reached: reached(speed, max_speed),
        reason: unavailable.or(late.then_some(LATE)),
        age: age.map(ago),
        highest: chart.high.map(rate),
        legend: legend.collect(),
        chart,
        bottleneck: bottleneck(&kinds, ceiling, alive),
        stages,
        kinds,
        alive,
        rows,
        more,
        recent_coins: recent_coins.collect(),
    };
    dashboard.render()
}

/// Compares the speed with the ceiling; a few percent are jitter.
fn reached(speed: Option<f64>, ceiling: Option<f64>) -> String {
    let percent = speed.zip(ceiling).map(|(speed, ceiling)| speed / ceiling * 100.0);
    match percent {
        Some(percent @ ..97.0) => format!("predicted; {percent:.0} % of it reached"),
        Some(_) => "predicted, and reached".to_owned(),
        None => "predicted from delays and lanes".to_owned(),
    }
}

/// The speed as the course computes it: the difference of the last two readings.
fn instant(samples: &[Sample]) -> Option<f64> {
    let [.., before, last] = samples else { return None };
    let elapsed = last.now - before.now;
    let known = before.continues(last) && elapsed > 0.0;
    known.then(|| last.hashes.saturating_sub(before.hashes) as f64 / elapsed)
}

/// Explains what limits the speed.
fn bottleneck(kinds: &[(&str, &str, f64)], ceiling: Option<Ceiling>, alive: usize) -> String {
    let percent = |class| kinds.iter().find(|kind| kind.0 == class).map_or(0.0, |kind| kind.2);
    let waits = format!("Workers wait {:.0} % of their time for a lane of rng", percent(WAITING));
    match ceiling {
        _ if alive == 0 => {
            "No worker reports where its time goes; the original workers never do.".to_owned()
        }
        _ if kinds.is_empty() => "No unit of work has been measured yet.".to_owned(),
        None if percent(UNKNOWN) >= 0.5 => format!(
            "{:.0} % of the time is spent in responses without timings, e.g. those of the original \
             services.",
            percent(UNKNOWN)
        ),
        Some(Ceiling { rng_ratio: ..0.97, .. }) => {
            format!("{waits}: another rng would help, another worker would not.")
        }
        // The unused capacity of rng is less than a quarter of a worker.
        Some(Ceiling { rng_ratio, .. }) if rng_ratio < 1.0 + 0.25 / alive as f64 => {
            "rng is almost fully used: another worker would help little.".to_owned()
        }
        None if percent(WAITING) >= 0.5 => {
            format!("{waits}; the data is not sufficient for a prediction.")
        }
        _ if percent(WAITING) >= 0.5 => format!("{waits}; another worker would still help."),
        _ => "Workers do not wait for rng: another worker would help.".to_owned(),
    }
}

/// The stages of a unit of work with their parts of the bar.
fn stages(unit: StageTimes) -> Vec<StageRow> {
    let mut left = 0.0;
    let row = |(stage, name, kind)| {
        let width = unit[stage] / total(&unit) * 100.0;
        left += width;
        StageRow { name, kind, ms: ms(unit[stage]), left: left - width, width }
    };
    STAGES.into_iter().map(row).collect()
}

fn kinds(stages: &[StageRow]) -> Vec<(&'static str, &'static str, f64)> {
    let kinds = [
        (WAITING, "Waiting"),
        (SLEEPING, "Sleeping on purpose"),
        (WORKING, "Working"),
        (UNKNOWN, "Unknown"),
    ];
    let share = |(class, name)| {
        let stages = stages.iter().filter(|stage| stage.kind == class);
        (class, name, stages.map(|stage| stage.width).sum())
    };
    let shown =
        |kind: &(&str, &str, f64)| !stages.is_empty() && (kind.0 != UNKNOWN || kind.2 > 0.0);
    kinds.into_iter().map(share).filter(shown).collect()
}

/// The number of workers, the rows of the table with failing workers first, and the number and
/// speed of the remaining workers.
fn rows(workers: &Workers, chart: &Chart) -> (usize, Vec<Row>, Option<(usize, String)>) {
    let mut alive: Vec<_> = workers.alive().collect();
    alive.sort_by_key(|(run, Run { heartbeat, .. })| {
        (heartbeat.last_error.is_none(), &heartbeat.version, &heartbeat.host, *run)
    });
    let remaining = alive.get(MAX_ROWS..).unwrap_or_default();
    let speed = remaining.iter().filter_map(|(_, run)| run.speed()).sum();
    let more = (!remaining.is_empty()).then(|| (remaining.len(), rate(speed)));
    let row = |(run, state): &(&String, &Run)| {
        let Heartbeat { host, version, loops, rngs, last_error, .. } = &state.heartbeat;
        let version = shorten(version, MAX_NAME_CHARS);
        let names = rngs.iter().take(MAX_RNGS).map(|rng| match rng.lanes {
            0 | 1 => shorten(&rng.name, MAX_NAME_CHARS),
            lanes => format!("{} ({lanes} lanes)", shorten(&rng.name, MAX_NAME_CHARS)),
        });
        let mut names: Vec<_> = names.collect();
        if rngs.len() > MAX_RNGS {
            names.push(format!("{} more", rngs.len() - MAX_RNGS));
        }
        let mut bands = chart.bands.iter().filter(|_| chart.bands.len() > 1);
        Row {
            run: shorten(run, MAX_NAME_CHARS),
            host: shorten(host, MAX_NAME_CHARS),
            band: bands.find(|band| band.name == version).map(|band| band.class),
            version,
            loops: *loops,
            speed: state.speed().map_or(NO_NUMBER.into(), rate),
            rngs: names.join(", "),
            error: last_error.as_deref().map(|error| shorten(error, MAX_SENTENCE_CHARS)),
        }
    };
    (alive.len(), alive.iter().take(MAX_ROWS).map(row).collect(), more)
}

/// Replaces the marker with the fragment; a file without the marker stays unchanged.
pub(crate) fn page(index_html: &str, fragment: &str) -> String {
    index_html.replacen(MARKER, fragment, 1)
}

/// Allows resources of our own host, and the inline styles and scripts of this page by their hash.
pub(crate) fn content_security_policy(html: &str) -> String {
    // Browsers normalise line ends to \n before they hash.
    let html = html.replace("\r\n", "\n").replace('\r', "\n");
    let (scripts, styles) = (hashes(&html, "script"), hashes(&html, "style"));
    format!(
        "default-src 'none'; script-src 'self'{scripts}; style-src 'self'{styles}; img-src 'self'; \
         connect-src 'self'; base-uri 'none'; form-action 'none'"
    )
}

/// The hash of the text in each tag of this name. A hash of a tag in a comment does no harm.
fn hashes(html: &str, name: &str) -> String {
    // ASCII lowercase keeps the length, so positions are valid in both.
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

/// Cuts a text from the store after this number of characters.
pub(crate) fn shorten(text: &str, max_chars: usize) -> String {
    match text.char_indices().nth(max_chars) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Seconds as milliseconds.
fn ms(seconds: f64) -> String {
    let ms = seconds * 1000.0;
    match ms {
        ..0.95 => format!("{ms:.2}"),
        ..9.95 => format!("{ms:.1}"),
        _ => group(ms.round() as u64),
    }
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
    use store::{RecentCoin, Snapshot, Stage, Totals};

    use super::*;
    use crate::{
        counters::Reading,
        workers::tests::{heartbeat, stage_times, status},
    };

    fn steady() -> Vec<Sample> {
        let sample = |second: u32| Sample {
            now: 1_700_000_000.0 + f64::from(second),
            hashes: 1_234_567 + 10 * u64::from(second),
            coins: 77_160,
            ..Sample::default()
        };
        (0..=60).map(sample).collect()
    }

    fn fragment(samples: &[Sample], now: f64, reason: Option<&str>) -> askama::Result<String> {
        let unavailable = reason.map(str::to_owned);
        super::fragment(
            &History { samples: samples.to_vec(), unavailable, ..Default::default() },
            now,
        )
    }

    #[test]
    fn a_recent_reading_shows_its_numbers() {
        let html = fragment(&steady(), 1_700_000_060.5, None).unwrap();
        assert!(html.contains(r#"<span id="speed">10.0</span> <small>"#), "{html}");
        assert!(html.contains(r#"<dd id="hashes">1,235,167</dd>"#), "{html}");
        assert!(html.contains(r#"<dd id="coins">77,160</dd>"#), "{html}");
        assert!(html.contains(r#"<p class="notice"></p>"#), "{html}");
        assert!(!html.contains("stale"), "{html}");
    }

    #[test]
    fn long_numbers_are_on_a_separate_line() {
        for (hashes, class) in [(99_000, "figures"), (100_000, "figures long")] {
            let sample = Sample { hashes, ..steady()[0].clone() };
            let html = fragment(&[sample], 1_700_000_000.5, None).unwrap();
            assert!(html.contains(&format!(r#"<dl class="{class}">"#)), "{html}");
        }
    }

    #[test]
    fn without_redis_the_last_numbers_are_marked_stale() {
        let reason = "redis:6379 refused the connection.";
        let html = fragment(&steady(), 1_700_000_072.0, Some(reason)).unwrap();
        assert!(html.contains(r#"<section class="stale">"#), "{html}");
        assert!(html.contains(
            "refused the connection.</strong> The last reading was <span>12 s ago</span>"
        ));
        assert!(html.contains(r#"<dd id="hashes">1,235,167</dd>"#), "{html}");
    }

    #[test]
    fn old_numbers_are_stale_even_without_a_reason() {
        let html = fragment(&steady(), 1_700_000_361.0, None).unwrap();
        assert!(html.contains(LATE) && html.contains("5 min ago"), "{html}");
        assert!(html.contains("No reading"), "{html}");
    }

    #[test]
    fn numbers_are_dashes_before_the_first_reading() {
        for reason in [None, Some("redis:6379 refused the connection")] {
            let html = fragment(&[], 1_700_000_000.0, reason).unwrap();
            for id in ["speed", "instant", "hashes", "coins"] {
                assert!(html.contains(&format!(r#"id="{id}">–<"#)), "{html}");
            }
            assert!(html.contains(r#"id="ceiling">unknown<"#), "{html}");
            assert_eq!(html.contains("Nothing has been read yet."), reason.is_some());
        }
    }

    #[test]
    fn the_reason_is_escaped() {
        let html = fragment(&[], 0.0, Some("<script>alert(1)</script>")).unwrap();
        assert!(!html.contains("<script"), "{html}");
    }

    #[test]
    fn the_marker_is_replaced_once_if_present() {
        let html = page("<main><!-- dashboard --></main>", "<p>3.3</p>");
        assert_eq!(html, "<main><p>3.3</p></main>");
        assert_eq!(page("<h1>mine</h1>", "<p>3.3</p>"), "<h1>mine</h1>");
    }

    #[test]
    fn index_html_contains_the_texts_that_the_course_edits() {
        let index = include_str!("../files/index.html");
        for word in [MARKER, "15px", "steelblue"] {
            assert_eq!(index.matches(word).count(), 1, "{word}");
        }
        assert!(!index.contains("style=") && !index.contains("://"));
        assert_eq!(content_security_policy(index).matches("sha256-").count(), 1);
    }

    #[test]
    fn the_policy_has_the_hash_of_each_inline_text() {
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
    fn the_policy_hashes_a_page_as_browsers_do() {
        let policy = content_security_policy("<style>\na{}\n</style>");
        let windows = content_security_policy("<style media='all'>\r\na{}\r\n</style>");
        assert_eq!(windows, policy);
        let (_, hash) = policy.split_once("sha256-").unwrap();
        let (hash, _) = hash.split_once('\'').unwrap();
        let commented = content_security_policy("<!-- é<style> --><style>\na{}\n</style>");
        assert!(commented.contains(hash), "{commented}");
        for html in ["<script", "<style>é", "<SCRIPT></SCRIPT>", "é</style><>"] {
            assert!(!content_security_policy(html).contains("sha256"));
        }
    }

    #[test]
    fn numbers_and_ages_are_formatted() {
        assert_eq!([0, 999, 1000, 1_234_567].map(group), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([0.0, 99.94, 99.96, 1234.5].map(rate), ["0.0", "99.9", "100", "1,235"]);
        assert_eq!(
            [0.0, 0.00003, 0.0012, 0.69, 1.5].map(ms),
            ["0.00", "0.03", "1.2", "690", "1,500"]
        );
        assert_eq!([0.4, 119.0, 120.0].map(ago), ["0 s ago", "119 s ago", "2 min ago"]);
    }

    /// Five minutes of this number of workers, whose heartbeats are changed.
    fn mining(workers: usize, change: impl Fn(usize, &mut Heartbeat)) -> History {
        let mut history = History::default();
        for second in 0..310 {
            let seconds = f64::from(second);
            let queue = (workers as f64 / 10.0 - 0.31).max(0.0);
            let now = 1_700_000_000.0 + seconds;
            let worker = |number: usize| {
                let mut heartbeat = heartbeat(seconds + number as f64 / 7.0, queue);
                change(number, &mut heartbeat);
                status(&format!("run-{number:04}"), seconds, heartbeat)
            };
            let workers: Vec<_> = (0..workers).map(worker).collect();
            let hashes = workers.iter().map(|worker| u128::from(worker.heartbeat.hashes));
            let hashes = hashes.sum::<u128>();
            let coin = |i: u8| RecentCoin { hash: format!("{i:064x}"), at: now };
            let snapshot = Snapshot {
                now,
                totals: Totals { coins: hashes as u64 / 16, hashes: Some(hashes.to_string()) },
                recent_coins: (0..10).map(coin).collect(),
                workers,
            };
            let Totals { coins, hashes } = snapshot.totals.clone();
            history.add(Ok(Reading { coins, hashes, now, snapshot: snapshot.into() }));
        }
        history
    }

    fn shown(history: &History) -> String {
        super::fragment(history, 1_700_000_309.5).unwrap()
    }

    #[test]
    fn the_bottleneck_is_explained() {
        let html = shown(&mining(1, |_, _| ()));
        assert!(html.contains("Workers do not wait for rng: another worker would help."), "{html}");
        assert!(html.contains(r#"id="ceiling">3.2<"#), "{html}");
        let html = shown(&mining(3, |_, _| ()));
        assert!(
            html.contains("rng is almost fully used: another worker would help little."),
            "{html}"
        );
        let html = shown(&mining(10, |_, _| ()));
        assert!(
            html.contains("Workers wait 69 % of their time for a lane of rng: another rng"),
            "{html}"
        );
        assert!(html.contains(r#"id="ceiling">10.0<"#), "{html}");
        assert!(html.contains("<dt>queue of rng</dt><dd>690 ms</dd>"), "{html}");
        let html = shown(&mining(2, |_, heartbeat| {
            let pause = heartbeat.stages[Stage::Pause];
            heartbeat.stages = stage_times(&[(Stage::Pause, pause), (Stage::Unknown, pause * 3.0)]);
        }));
        assert!(html.contains("75 % of the time is spent in responses without timings"), "{html}");
        assert!(html.contains(r#"id="ceiling">unknown<"#), "{html}");
        assert!(shown(&mining(0, |_, _| ())).contains("No worker reports where its time goes"));
    }

    #[test]
    fn texts_from_the_store_are_escaped_and_cut() {
        let evil = format!("<script>alert(1)</script>\"'&{}", "é".repeat(1000));
        let history = mining(2, |_, heartbeat| {
            heartbeat.host = evil.clone();
            heartbeat.version = evil.clone();
            heartbeat.rngs = vec![store::Rng { name: evil.clone(), lanes: u16::MAX }; 1000];
            heartbeat.last_error = Some(evil.clone());
        });
        let html = shown(&history);
        assert!(!html.contains("<script") && html.contains("alert(1)"), "{html}");
        assert!(html.contains("997 more") && html.len() < 16_000, "{}: {html}", html.len());
    }

    #[test]
    fn the_table_is_limited_and_failing_workers_come_first() {
        let html = shown(&mining(1000, |number, heartbeat| {
            heartbeat.host = format!("worker-{number:04}");
            let failing = number == 777;
            heartbeat.last_error = failing.then(|| "rng:80 refused the connection".to_owned());
        }));
        assert_eq!(html.matches("<tr ").count(), MAX_ROWS + 1);
        assert!(html.contains("and 980 more, together"), "{html}");
        assert!(html.find("worker-0777").unwrap() < html.find("worker-0000").unwrap());
        assert!(html.contains("Workers <b>1000</b>"), "{html}");
    }

    #[test]
    fn the_page_of_a_rollout_is_small() {
        let html = shown(&mining(20, |number, heartbeat| {
            heartbeat.host = format!("worker-6f7c9d8b5-{number:05}");
            heartbeat.version = ["v0.1", "v0.2"][number % 2].to_owned();
        }));
        assert!(html.contains("v0.2</td>") && html.matches("class=\"line ").count() == 2, "{html}");
        let size = |html: &str| html.lines().map(str::trim).map(str::len).sum::<usize>();
        assert!(size(&html) < 15_000, "{} bytes", size(&html));
        let html = shown(&mining(5, |_, _| ()));
        assert!(size(&html) < 10_000, "{} bytes", size(&html));
    }

    #[test]
    fn huge_numbers_are_shown_as_numbers() {
        let mut history = mining(3, |_, heartbeat| heartbeat.hashes *= 1 << 50);
        let html = shown(&history);
        for nonsense in ["NaN", "inf", "e+", "-1"] {
            assert!(!html.contains(&format!(">{nonsense}")), "{nonsense}: {html}");
        }
        let last = history.samples.last_mut().unwrap();
        (last.hashes, last.coins) = (u64::MAX, u64::MAX);
        assert!(shown(&history).contains("18,446,744,073,709,551,615"));
    }

    #[test]
    fn the_instant_speed_is_the_difference_of_the_last_two_readings() {
        let mut samples = steady();
        assert_eq!(instant(&samples), Some(10.0));
        samples[60].now += 1.0;
        samples[60].hashes += 2;
        assert_eq!(instant(&samples), Some(6.0));
        samples[60].hashes = 0;
        assert_eq!(instant(&samples), None);
        assert_eq!(instant(&samples[..1]), None);
        let twice = [samples[0].clone(), samples[0].clone()];
        assert_eq!(instant(&twice), None);
    }

    #[test]
    fn invalid_coins_are_not_shown() {
        let mut history = mining(1, |_, _| ());
        let html = shown(&history);
        assert_eq!(html.matches(r#"<a href="coins/0000"#).count(), 10, "{html}");
        let mut snapshot = (**history.snapshot.as_ref().unwrap()).clone();
        for coin in &mut snapshot.recent_coins {
            coin.hash = "../evil\" onclick=".to_owned();
        }
        history.snapshot = Some(snapshot.into());
        assert!(!shown(&history).contains("evil"));
    }
}
