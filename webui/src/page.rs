//! The page: the fragment with the figures, its place in index.html, and the policy the page is served with.

use askama::Template;
use base64::{Engine, prelude::BASE64_STANDARD};
use sha2::{Digest, Sha256};

use store::Worker;

use crate::{
    coin::is_hash,
    curve::{Chart, GAP, versions},
    history::{History, Sample},
    workers::{Ceiling, Run, SLEEPING, STAGES, Seconds, UNKNOWN, WAITING, WORKING, Workers},
};

/// The place in index.html that the fragment takes.
const MARKER: &str = "<!-- dashboard -->";
/// What stands for a number nobody knows.
const NO_NUMBER: &str = "–";
/// What is said when readings stopped for no reason given.
const LATE: &str = "The counters are not being read";

/// The most workers that have a line of their own.
const MOST_ROWS: usize = 20;
/// The most rngs that are named for each worker.
const MOST_RNGS: usize = 3;
/// The most characters of a number beside others, as in `99,999`.
const SHORT: usize = 6;
/// The most characters of a name, and of a sentence, that somebody wrote into the store.
pub(crate) const NAME: usize = 64;
const SENTENCE: usize = 200;

#[derive(Template)]
#[template(path = "dashboard.html")]
struct Dashboard<'a> {
    now: f64,
    speed: String,
    instant: String,
    hashes: String,
    coins: String,
    ceiling: String,
    /// Whether one of these numbers is too long to stand beside the speed.
    long: bool,
    /// How much of the ceiling is reached.
    reached: String,
    /// Why there is no fresh reading.
    reason: Option<&'a str>,
    /// How long ago the last reading was.
    age: Option<String>,
    chart: Chart,
    /// The highest speed in the chart.
    highest: Option<String>,
    /// From the top of the chart to its bottom, if there is more than one band: class, version, speed.
    legend: Vec<(usize, String, String)>,
    bottleneck: String,
    stages: Vec<Stage>,
    /// How much of the time is spent in stages of one kind, in percent: class, name, percent.
    kinds: Vec<(&'static str, &'static str, f64)>,
    alive: usize,
    rows: Vec<Row>,
    /// How many more workers there are, and their speed.
    more: Option<(usize, String)>,
    /// The newest coins: hash, and how long ago.
    finds: Vec<(&'a str, String)>,
}

struct Stage {
    name: &'static str,
    kind: &'static str,
    ms: String,
    /// Where its part of the bar begins and how wide it is, in percent.
    left: f64,
    width: f64,
}

/// A worker.
struct Row {
    run: String,
    host: String,
    version: String,
    /// The band of its version, where the chart tells versions apart.
    band: Option<usize>,
    loops: u16,
    speed: String,
    rngs: String,
    trouble: Option<String>,
}

/// Renders what is known as of `now`.
pub(crate) fn fragment(history: &History, now: f64) -> askama::Result<String> {
    let History { samples, workers, snapshot, unavailable } = history;
    let last = samples.last();
    let age = last.map(|last| (now - last.now).max(0.0));
    let late = age.is_some_and(|age| age > GAP);
    let speeds = history.speeds();
    let latest = speeds.last().and_then(|run| run.last());
    let speed = latest.map(|speed| speed.total);
    let count = |of: fn(&Sample) -> u64| last.map_or(NO_NUMBER.into(), |last| group(of(last)));
    let unavailable = unavailable.as_deref().map(|reason| reason.trim_end_matches('.'));
    let stages = workers.unit().map(stages).unwrap_or_default();
    let kinds = kinds(&stages);
    let ceiling = history.ceiling(latest);
    let most = ceiling.map(|ceiling| ceiling.speed);
    let chart = Chart::new(&speeds, now, &versions(samples), most);
    let several = chart.bands.iter().rev().filter(|_| chart.bands.len() > 1);
    let legend = several.map(|band| (band.class, band.name.clone(), rate(band.speed)));
    let (alive, rows, more) = rows(workers, &chart);
    let finds = snapshot.iter().flat_map(|snapshot| {
        // Both times are by the clock of the store; the time since then is by ours.
        let ago = |at: f64| ago((snapshot.now - at + age.unwrap_or_default()).max(0.0));
        let finds = snapshot.finds.iter().filter(|find| is_hash(&find.hash));
        finds.map(move |find| (find.hash.as_str(), ago(find.at)))
    });
    let (hashes, coins) = (count(|sample| sample.hashes), count(|sample| sample.coins));
    let [speed_now, instant] =
        [speed, instant(samples)].map(|it| it.map_or(NO_NUMBER.into(), rate));
    let dashboard = Dashboard {
        now,
        long: [&speed_now, &instant, &hashes, &coins].iter().any(|number| number.len() > SHORT)
            || most.is_some_and(|most| rate(most).len() > SHORT),
        speed: speed_now,
        instant,
        hashes,
        coins,
        ceiling: most.map_or("unknown".into(), rate),
        reached: reached(speed, most),
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
        finds: finds.collect(),
    };
    dashboard.render()
}

/// How the speed compares with the ceiling; a few percent are jitter.
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

/// What limits the speed, in a sentence.
fn bottleneck(kinds: &[(&str, &str, f64)], ceiling: Option<Ceiling>, alive: usize) -> String {
    let percent = |class| kinds.iter().find(|kind| kind.0 == class).map_or(0.0, |kind| kind.2);
    let waits = format!("Workers wait {:.0} % of their time for a lane of rng", percent(WAITING));
    match ceiling {
        _ if alive == 0 => {
            "No worker says where its time goes; those of the original never do.".to_owned()
        }
        _ if kinds.is_empty() => "No unit of work has been measured yet.".to_owned(),
        None if percent(UNKNOWN) >= 0.5 => format!(
            "{:.0} % of the time passes in answers that do not say where it went; those of the \
             original do not.",
            percent(UNKNOWN)
        ),
        Some(Ceiling { room: ..0.97, .. }) => {
            format!("{waits}: another rng would help, another worker would not.")
        }
        // Another worker would find less than a quarter of its share.
        Some(Ceiling { room, .. }) if room < 1.0 + 0.25 / alive as f64 => {
            "rng is as good as full: another worker would bring little.".to_owned()
        }
        None if percent(WAITING) >= 0.5 => {
            format!("{waits}; too little is known for a prediction.")
        }
        _ if percent(WAITING) >= 0.5 => format!("{waits}; another worker would still help."),
        _ => "Nobody waits for rng: another worker would help.".to_owned(),
    }
}

/// The stages of a unit of work, one after the other.
fn stages(unit: Seconds) -> Vec<Stage> {
    let (total, mut left) = (unit.iter().sum::<f64>(), 0.0);
    let stage = |((name, kind), seconds): ((&'static str, &'static str), f64)| {
        let width = seconds / total * 100.0;
        left += width;
        Stage { name, kind, ms: ms(seconds), left: left - width, width }
    };
    STAGES.into_iter().zip(unit).map(stage).collect()
}

fn kinds(stages: &[Stage]) -> Vec<(&'static str, &'static str, f64)> {
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

/// How many workers there are, those that have a line, and the rest; those in trouble come first.
fn rows(workers: &Workers, chart: &Chart) -> (usize, Vec<Row>, Option<(usize, String)>) {
    let mut alive: Vec<_> = workers.alive().collect();
    alive.sort_by_key(|(run, Run { worker, .. })| {
        (worker.trouble.is_none(), &worker.version, &worker.host, *run)
    });
    let rest = alive.get(MOST_ROWS..).unwrap_or_default();
    let speed = rest.iter().filter_map(|(_, run)| run.speed()).sum();
    let more = (!rest.is_empty()).then(|| (rest.len(), rate(speed)));
    let row = |(run, state): &(&String, &Run)| {
        let Worker { host, version, loops, rngs, trouble, .. } = &state.worker;
        let version = short(version, NAME);
        let names = rngs.iter().take(MOST_RNGS).map(|rng| match rng.lanes {
            0 | 1 => short(&rng.name, NAME),
            lanes => format!("{} ({lanes} lanes)", short(&rng.name, NAME)),
        });
        let mut names: Vec<_> = names.collect();
        if rngs.len() > MOST_RNGS {
            names.push(format!("{} more", rngs.len() - MOST_RNGS));
        }
        let mut bands = chart.bands.iter().filter(|_| chart.bands.len() > 1);
        Row {
            run: short(run, NAME),
            host: short(host, NAME),
            band: bands.find(|band| band.name == version).map(|band| band.class),
            version,
            loops: *loops,
            speed: state.speed().map_or(NO_NUMBER.into(), rate),
            rngs: names.join(", "),
            trouble: trouble.as_deref().map(|trouble| short(trouble, SENTENCE)),
        }
    };
    (alive.len(), alive.iter().take(MOST_ROWS).map(row).collect(), more)
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

/// A text from the store, no longer than it should be.
pub(crate) fn short(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
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
    use store::{Find, Snapshot, StageTimes, Totals};

    use super::*;
    use crate::{
        counters::Reading,
        workers::tests::{lesson, sighting},
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
    fn a_fresh_reading_shows_its_numbers() {
        let html = fragment(&steady(), 1_700_000_060.5, None).unwrap();
        assert!(html.contains(r#"<span id="speed">10.0</span> <small>"#), "{html}");
        assert!(html.contains(r#"<dd id="hashes">1,235,167</dd>"#), "{html}");
        assert!(html.contains(r#"<dd id="coins">77,160</dd>"#), "{html}");
        assert!(html.contains(r#"<p class="notice"></p>"#), "{html}");
        assert!(!html.contains("stale"), "{html}");
    }

    #[test]
    fn long_numbers_have_a_line_of_their_own() {
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
    fn nothing_read_shows_no_number() {
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
        assert_eq!(
            [0.0, 0.00003, 0.0012, 0.69, 1.5].map(ms),
            ["0.00", "0.03", "1.2", "690", "1,500"]
        );
        assert_eq!([0.4, 119.0, 120.0].map(ago), ["0 s ago", "119 s ago", "2 min ago"]);
    }

    /// Five minutes of this many workers, each of which is then changed.
    fn mining(workers: usize, change: impl Fn(usize, &mut Worker)) -> History {
        let mut history = History::default();
        for second in 0..310 {
            let seconds = f64::from(second);
            let queue = (workers as f64 / 10.0 - 0.31).max(0.0);
            let said = |number: usize| {
                let mut worker = lesson(seconds + number as f64 / 7.0, queue);
                change(number, &mut worker);
                sighting(&format!("run-{number:04}"), seconds, worker)
            };
            let workers: Vec<_> = (0..workers).map(said).collect();
            let hashes = workers.iter().map(|said| u128::from(said.worker.hashes)).sum::<u128>();
            let find = |i: u8| Find { hash: format!("{i:064x}"), at: 1_700_000_000.0 + seconds };
            let snapshot = Snapshot {
                now: 1_700_000_000.0 + seconds,
                totals: Totals { coins: hashes as u64 / 16, hashes: Some(hashes.to_string()) },
                finds: (0..10).map(find).collect(),
                workers,
                asked: Vec::new(),
            };
            let Totals { coins, hashes } = snapshot.totals.clone();
            let now = 1_700_000_000.0 + seconds;
            history.add(Ok(Reading { coins, hashes, now, snapshot: snapshot.into() }));
        }
        history
    }

    fn shown(history: &History) -> String {
        super::fragment(history, 1_700_000_309.5).unwrap()
    }

    #[test]
    fn the_bottleneck_explains_itself() {
        let html = shown(&mining(1, |_, _| ()));
        assert!(html.contains("Nobody waits for rng: another worker would help."), "{html}");
        assert!(html.contains(r#"id="ceiling">3.2<"#), "{html}");
        let html = shown(&mining(3, |_, _| ()));
        assert!(
            html.contains("rng is as good as full: another worker would bring little."),
            "{html}"
        );
        let html = shown(&mining(10, |_, _| ()));
        assert!(
            html.contains("Workers wait 69 % of their time for a lane of rng: another rng"),
            "{html}"
        );
        assert!(html.contains(r#"id="ceiling">10.0<"#), "{html}");
        assert!(html.contains("<dt>queue of rng</dt><dd>690 ms</dd>"), "{html}");
        let html = shown(&mining(2, |_, worker| {
            worker.stages = StageTimes {
                pause: worker.stages.pause,
                unknown: worker.stages.pause * 3.0,
                ..Default::default()
            };
        }));
        assert!(html.contains("75 % of the time passes in answers that do not say"), "{html}");
        assert!(html.contains(r#"id="ceiling">unknown<"#), "{html}");
        assert!(shown(&mining(0, |_, _| ())).contains("No worker says where its time goes"));
    }

    #[test]
    fn names_from_the_store_are_text_and_not_long() {
        let evil = format!("<script>alert(1)</script>\"'&{}", "é".repeat(1000));
        let history = mining(2, |_, worker| {
            worker.host = evil.clone();
            worker.version = evil.clone();
            worker.rngs = vec![store::Rng { name: evil.clone(), lanes: u16::MAX }; 1000];
            worker.trouble = Some(evil.clone());
        });
        let html = shown(&history);
        assert!(!html.contains("<script") && html.contains("alert(1)"), "{html}");
        assert!(html.contains("997 more") && html.len() < 16_000, "{}: {html}", html.len());
    }

    #[test]
    fn many_workers_are_summed_up_and_those_in_trouble_come_first() {
        let html = shown(&mining(1000, |number, worker| {
            worker.host = format!("worker-{number:04}");
            worker.trouble = (number == 777).then(|| "rng:80 refused the connection".to_owned());
        }));
        assert_eq!(html.matches("<tr ").count(), MOST_ROWS + 1);
        assert!(html.contains("and 980 more, together"), "{html}");
        assert!(html.find("worker-0777").unwrap() < html.find("worker-0000").unwrap());
        assert!(html.contains("Workers <b>1000</b>"), "{html}");
    }

    #[test]
    fn five_minutes_of_a_rollout_are_small() {
        let html = shown(&mining(20, |number, worker| {
            worker.host = format!("worker-6f7c9d8b5-{number:05}");
            worker.version = ["v0.1", "v0.2"][number % 2].to_owned();
        }));
        assert!(html.contains("v0.2</td>") && html.matches("class=\"line ").count() == 2, "{html}");
        let size = |html: &str| html.lines().map(str::trim).map(str::len).sum::<usize>();
        assert!(size(&html) < 15_000, "{} bytes", size(&html));
        let html = shown(&mining(5, |_, _| ()));
        assert!(size(&html) < 10_000, "{} bytes", size(&html));
    }

    #[test]
    fn huge_numbers_are_only_numbers() {
        let mut history = mining(3, |_, worker| worker.hashes *= 1 << 50);
        let html = shown(&history);
        for nonsense in ["NaN", "inf", "e+", "-1"] {
            assert!(!html.contains(&format!(">{nonsense}")), "{nonsense}: {html}");
        }
        let last = history.samples.last_mut().unwrap();
        (last.hashes, last.coins) = (u64::MAX, u64::MAX);
        assert!(shown(&history).contains("18,446,744,073,709,551,615"));
    }

    #[test]
    fn the_instant_speed_is_that_of_the_last_two_readings() {
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
    fn coins_that_are_none_have_no_link() {
        let mut history = mining(1, |_, _| ());
        let html = shown(&history);
        assert_eq!(html.matches(r#"<a href="coins/0000"#).count(), 10, "{html}");
        let mut snapshot = (**history.snapshot.as_ref().unwrap()).clone();
        for find in &mut snapshot.finds {
            find.hash = "../evil\" onclick=".to_owned();
        }
        history.snapshot = Some(snapshot.into());
        assert!(!shown(&history).contains("evil"));
    }
}
