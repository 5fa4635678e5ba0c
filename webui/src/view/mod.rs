//! Everything on the page that is a string or a coordinate.

mod chart;
mod events;
mod health;
mod plot;
mod tables;
mod text;
mod window;

use std::ops::RangeInclusive;

use askama::Template;
use store::Part;

pub(crate) use self::window::Window;
use self::{
    chart::Chart,
    events::describe,
    health::{Health, health},
    tables::{Kind, RngRow, StageRow, WorkerRow},
    text::{
        NO_NUMBER, coarse_age, decimal, duration, or_dash, part_name, percent, plural, short_rate,
        thousands,
    },
};
use crate::{
    capacity::Bottleneck,
    coin::is_hash,
    history::{GAP, Sample},
    state::State,
};

/// The number of events in the list.
const MAX_EVENTS: usize = 4;
/// The factor of an event is shown this long after it, in seconds.
const SETTLED: f64 = 4.0;
/// Other factors are not shown.
const FACTORS: RangeInclusive<f64> = 0.05..=1e3;

#[derive(Template)]
#[template(path = "dashboard.html")]
struct Dashboard<'a> {
    window: Window,
    health: [Health; 4],
    /// Why there is no recent reading.
    reason: Option<&'a str>,
    /// The age of the last reading.
    age: Option<String>,
    /// Keys that cannot be read.
    problems: &'a [String],
    speed: String,
    /// Whether the speed was measured before the last change.
    is_measuring: bool,
    sample: Option<&'a Sample>,
    bottleneck: Bottleneck,
    worker_capacity: String,
    rng_capacity: String,
    rng_busy: String,
    cpu: String,
    raw_rate: String,
    hashes: String,
    coins: String,
    /// Events, newest first, with their age.
    events: Vec<(String, String)>,
    chart: Chart,
    stages: Vec<StageRow>,
    kinds: Vec<Kind>,
    rows: Vec<WorkerRow>,
    /// The number of workers that are not in the table, and their speed.
    more: Option<(usize, String)>,
    rngs: Vec<RngRow>,
    more_rngs: usize,
    /// Hash and age.
    recent_coins: Vec<(&'a str, String)>,
}

impl Dashboard<'_> {
    /// The labels of the time axis: percent from the left, label, class.
    fn times(&self) -> Vec<(f64, String, &'static str)> {
        let minutes = f64::from(self.window.minutes());
        let label = |fifth: u8| {
            let left = f64::from(fifth) * 20.0;
            let ago = minutes - f64::from(fifth) * minutes / 5.0;
            match fifth {
                0 => (left, format!("−{minutes} min"), ""),
                5 => (left, "now".to_owned(), "end"),
                1 | 3 => (left, format!("−{ago:.1}").replace(".0", ""), "middle minor"),
                _ => (left, format!("−{ago:.1}").replace(".0", ""), "middle"),
            }
        };
        (0..=5).map(label).collect()
    }

    /// The number of workers, what they could do, and what rng lets through.
    fn numbers(&self) -> (String, String, String) {
        let sample = self.sample.cloned().unwrap_or_default();
        let [could, through] = [sample.capacity.workers, sample.capacity.rng].map(short_rate);
        (plural(sample.workers, "worker"), could, through)
    }

    fn failing(&self, part: &Part) -> String {
        let (alive, ..) = self.numbers();
        let failing = self.sample.and_then(|sample| sample.failing.get(part).copied());
        let fails = if *part == Part::Redis { "does not accept results" } else { "is down" };
        let wait = if failing == Some(1) { "waits" } else { "wait" };
        format!("{} {fails}: {} of {alive} {wait}", part_name(*part), failing.unwrap_or_default())
    }

    fn minutes(&self) -> String {
        plural(self.window.minutes().into(), "minute")
    }

    fn rng_lets(&self) -> String {
        match self.rngs.len() + self.more_rngs {
            0 | 1 => "rng lets".to_owned(),
            number => format!("{number} rngs let"),
        }
    }

    /// The end of a sentence.
    fn rng_is_busy(&self) -> String {
        match self.rngs.len() + self.more_rngs {
            _ if self.rng_busy == NO_NUMBER => String::new(),
            0 | 1 => format!(": rng is {} busy", self.rng_busy),
            _ => format!(": the rngs are {} busy", self.rng_busy),
        }
    }

    /// The names of the versions in the chart, as JSON that cannot end a script element.
    fn versions(&self) -> String {
        let names: Vec<_> = self.chart.bands.iter().map(|band| &band.name).collect();
        serde_json::to_string(&names).unwrap_or_default().replace('<', "\\u003c")
    }
}

/// Renders the dashboard, one element per line.
pub(crate) fn fragment(state: &State, window: Window) -> askama::Result<String> {
    let now = state.now();
    let snapshot = state.snapshot.as_ref().map(|(snapshot, _)| snapshot);
    let age = snapshot.map(|snapshot| now - snapshot.now);
    let sample = state.sample();
    let speed = sample.and_then(|sample| sample.speed());
    let last_second = state.history.last_second() as f64;
    let last_speed =
        state.history.since(last_second - GAP).filter_map(|sample| sample.speed()).next_back();
    let all_events = state.history.events(now - window.seconds());
    let (stages, kinds) = tables::stages(state.workers.unit());
    let (rows, more) = tables::workers(state);
    let (rngs, more_rngs) = tables::rngs(state);
    let coins = snapshot.iter().flat_map(|snapshot| &snapshot.recent_coins);
    let mut recent_coins: Vec<(&str, String)> = Vec::new();
    for coin in coins.filter(|coin| is_hash(&coin.hash)) {
        recent_coins.push((&coin.hash, coarse_age(now - coin.at)));
    }
    let events = all_events.iter().rev().take(MAX_EVENTS).enumerate();
    let events = events.map(|(number, event)| {
        let is_newest = number == 0;
        let speeds = last_speed.zip(event.before.speed());
        let factor = speeds.map(|(speed, before)| speed / before);
        let is_settled = now - event.after.at > SETTLED && !event.is_gap;
        let factor = factor.filter(|x| is_newest && is_settled && FACTORS.contains(x));
        let factor = factor.map_or(String::new(), |factor| format!(" (speed ×{factor:.1})"));
        let age = format!("{} ago", duration(now - event.after.at));
        (format!("{}{factor}", describe(event).text), age)
    });
    let capacity = sample.map(|sample| sample.capacity).unwrap_or_default();
    let dashboard = Dashboard {
        window,
        health: health(state, now),
        reason: state.unavailable.as_deref(),
        age: age.map(|age| format!("{} ago", duration(age))),
        problems: snapshot.map_or(&[], |snapshot| &snapshot.problems),
        speed: or_dash(last_speed, decimal),
        is_measuring: sample.is_some() && speed.is_none(),
        sample,
        bottleneck: state.bottleneck,
        worker_capacity: or_dash(capacity.workers, decimal),
        rng_capacity: or_dash(capacity.rng, decimal),
        rng_busy: percent(state.workers.rngs.utilisation(state.workers.since())),
        cpu: percent(state.workers.cpu),
        raw_rate: or_dash(state.raw_rate, decimal),
        hashes: or_dash(snapshot.and_then(|snapshot| snapshot.hashes()), thousands),
        coins: or_dash(snapshot.and_then(|snapshot| snapshot.totals.coins), thousands),
        events: events.collect(),
        chart: Chart::new(state, &all_events, window, now),
        stages,
        kinds,
        rows,
        more,
        rngs,
        more_rngs,
        recent_coins,
    };
    let html = dashboard.render()?;
    let lines = html.lines().map(str::trim).filter(|line| !line.is_empty());
    Ok(lines.collect::<Vec<_>>().join("\n"))
}

#[cfg(test)]
mod tests {
    use store::{Heartbeat, Part};

    use super::*;
    use crate::state::tests::{World, after};

    fn shown(world: &World) -> String {
        fragment(&world.state, Window::Five).unwrap()
    }

    /// The text of the element with this id, without its tags.
    fn text(html: &str, id: &str) -> String {
        let (_, rest) = html.split_once(&format!("id=\"{id}\"")).unwrap();
        let (_, rest) = rest.split_once('>').unwrap();
        let mut text = String::new();
        let mut is_tag = false;
        for line in rest.lines().take_while(|line| !line.starts_with("</")).take(1) {
            for character in line.chars() {
                is_tag |= character == '<';
                if !is_tag {
                    text.push(character);
                }
                is_tag &= character != '>';
            }
        }
        text.replace('\u{a0}', " ")
    }

    #[test]
    fn a_recent_reading_shows_its_numbers() {
        let world = after(60, 3);
        let html = shown(&world);
        assert!(html.contains(r#"<span id="speed">9.9</span>"#), "{html}");
        assert_eq!(text(&html, "worker-capacity"), "10.0");
        assert_eq!(text(&html, "rng-capacity"), "10.0");
        assert_eq!(text(&html, "rng-busy"), "99 %");
        let hashes: u64 = text(&html, "hashes").replace(',', "").parse().unwrap();
        assert!((1500..1700).contains(&hashes), "{hashes}");
        assert_eq!(text(&html, "coins"), (hashes / 16).to_string());
        assert!(
            !html.contains("stale") && html.contains("<div class=\"notice\">\n</div>"),
            "{html}"
        );
    }

    #[test]
    fn nothing_is_claimed_before_the_first_reading() {
        let mut state = State::new();
        for reason in [None, Some("The counters cannot be read: redis is unreachable")] {
            state.unavailable = reason.map(str::to_owned);
            let html = fragment(&state, Window::Five).unwrap();
            for id in
                ["worker-capacity", "rng-capacity", "rng-busy", "cpu", "raw", "hashes", "coins"]
            {
                assert_eq!(text(&html, id), "–", "{id}");
            }
            assert!(html.contains(r#"<span id="speed">–</span>"#), "{html}");
            assert!(html.contains("<h2>Workers <b>–</b></h2>"), "{html}");
            assert!(!html.contains("never do") && html.contains("Not known yet."), "{html}");
            assert_eq!(html.contains("Nothing has been read yet.</p>\n</div>"), reason.is_some());
        }
    }

    #[test]
    fn the_lesson_has_both_capacities_and_what_is_busy() {
        for (workers, expected) in [
            (0, "No worker is running. Start one."),
            (
                1,
                "1 worker can do 3.3 /s; rng could let 10 through: rng is 33 % busy. Another worker would help.",
            ),
            (
                3,
                "3 workers could do 10 /s; rng lets 10 through: rng is 99 % busy. Another worker would help little.",
            ),
            (
                10,
                "10 workers could do 33 /s; rng lets 10 through: rng is 99 % busy. Another rng would help, another worker would not.",
            ),
        ] {
            assert_eq!(text(&shown(&after(30, workers)), "lesson"), expected);
        }
        let mut world = World::new(30);
        world.rngs.push("rng-b");
        world.scale(30);
        world.run(30);
        let expected = "30 workers could do 100 /s; 2 rngs let 20 through: the rngs are 99 % busy.";
        assert!(
            text(&shown(&world), "lesson").starts_with(expected),
            "{}",
            text(&shown(&world), "lesson")
        );
    }

    #[test]
    fn text_and_numbers_never_contradict_each_other_after_scaling() {
        let mut world = after(60, 10);
        for workers in [1, 10, 2, 1] {
            world.scale(workers);
            for second in 0..15 {
                world.run(1);
                let html = shown(&world);
                let lesson = text(&html, "lesson");
                assert!(lesson.starts_with(&format!("{workers} worker")), "{lesson}");
                let limit = world.capacity().total().unwrap();
                let speed: f64 = text(&html, "speed").split(' ').next().unwrap().parse().unwrap();
                let is_old = html.contains("before the last change");
                assert!(is_old || speed < 1.25 * limit, "{speed} after {second} s: {lesson}");
                assert!(!is_old || second < 4, "{second}");
            }
        }
    }

    #[test]
    fn a_service_that_is_down_is_the_lesson_and_stands_on_top_with_its_time() {
        let mut world = after(60, 3);
        for worker in &mut world.workers {
            (worker.rate, worker.change) = (0.0, |heartbeat: &mut Heartbeat| {
                heartbeat.failing_part = Some(Part::Rng);
                heartbeat.last_error = Some("rng:80 refused the connection".to_owned());
            });
        }
        world.run(7);
        let html = shown(&world).replace('\u{a0}', " ");
        assert_eq!(
            text(&html, "lesson"),
            "rng is down: 3 of 3 workers wait. They resume when it responds again."
        );
        let health = html.split_once("</ul>").unwrap().0;
        for line in [
            r#"<li class="down"><i></i><b>rng</b> down <span>for 6 s</span></li>"#,
            r#"<li class="unknown"><i></i><b>hasher</b> unknown</li>"#,
            r#"<li class="ok"><i></i><b>redis</b> ok <span>for 66 s</span></li>"#,
            r#"<li class="down"><i></i><b>workers</b> 0 of 3 work <span>for 6 s</span></li>"#,
        ] {
            assert!(health.contains(line), "{line}: {health}");
        }
        assert!(html.contains(">rng down</text>") && html.contains("rng went down"), "{html}");
        assert!(!html.contains("has been measured yet"), "{html}");
        world.scale(3);
        world.workers[0].change = |heartbeat| heartbeat.failing_part = Some(Part::Hasher);
        world.workers[1].change = |_| ();
        world.workers[2].change = |_| ();
        world.run(3);
        let html = shown(&world);
        assert!(
            html.contains("<b>hasher</b> fails for 1 worker <span>")
                && html.contains("2 of 3 work"),
            "{html}"
        );
    }

    #[test]
    fn without_redis_the_numbers_are_old_and_the_other_parts_unknown() {
        let mut world = after(60, 3);
        let hashes = text(&shown(&world), "hashes");
        world.add(Err("The counters cannot be read: <b>redis</b> is unreachable".to_owned()));
        let html = shown(&world);
        assert!(html.starts_with(r#"<section class="stale">"#), "{html}");
        assert!(html.contains("&#60;b&#62;redis") && !html.contains("<b>redis</b> is"), "{html}");
        assert!(html.contains("The last reading was <span>0\u{a0}s ago</span>"), "{html}");
        assert_eq!(text(&html, "hashes"), hashes);
        assert!(html.contains(r#"<span id="speed">9.9</span>"#), "{html}");
        assert!(html.contains(r#"<li class="unknown"><i></i><b>rng</b> unknown</li>"#), "{html}");
        assert!(html.contains("<b>redis</b> unreachable <span>for"), "{html}");
    }

    #[test]
    fn values_that_cannot_be_read_are_named() {
        let mut world = after(20, 1);
        let mut snapshot = world.snapshot();
        snapshot.totals.hashes = Some("abc".to_owned());
        snapshot.problems = vec!["hashes is not a number".to_owned()];
        world.add(Ok(snapshot));
        let html = shown(&world);
        assert!(html.contains("<strong>hashes is not a number.</strong>"), "{html}");
        assert_eq!(text(&html, "hashes"), "–");
        assert!(html.contains("<b>redis</b> has values that cannot be read"), "{html}");
        assert!(html.contains(r#"<span id="speed">3.3</span>"#), "{html}");
    }

    #[test]
    fn events_are_marks_with_the_factor_since() {
        let mut world = after(60, 1);
        world.scale(10);
        world.run(2);
        assert!(shown(&world).contains("<li>workers 1 → 10 <span>"), "{}", shown(&world));
        world.run(20);
        let html = shown(&world);
        assert!(html.contains("<li>workers 1 → 10 (speed ×3.0) <span>"), "{html}");
        assert!(
            html.contains(">10 workers</text>") && html.contains(r#"class="mark" d="M"#),
            "{html}"
        );
        world.add_worker("v0.2");
        world.run(20);
        let html = shown(&world);
        assert!(html.contains("<li>version v0.2 joined, workers 10 → 11"), "{html}");
        assert!(html.contains("<li>workers 1 → 10 <span>"), "{html}");
        world.rngs.push("rng-b");
        world.scale(11);
        world.run(20);
        let html = shown(&world);
        assert!(
            html.contains("<li>rngs 1 → 2 (speed ×") && html.contains(">2 rngs</text>"),
            "{html}"
        );
    }

    fn hosts(html: &str) -> Vec<&str> {
        let rows = html.split(r#"<th scope="row">"#).skip(1);
        rows.filter_map(|row| row.split(['<', ' ']).next()).collect()
    }

    #[test]
    fn failing_and_slow_workers_come_first_and_then_names_in_their_natural_order() {
        let mut world = after(1, 12);
        world.workers[10].rate = 0.1;
        world.workers[4].rate = 0.3;
        world.workers[7].change = |heartbeat| heartbeat.failing_part = Some(Part::Hasher);
        world.run(60);
        let html = shown(&world);
        let expected =
            [8, 11, 5, 1, 2, 3, 4, 6, 7, 9, 10, 12].map(|number| format!("worker_{number}"));
        assert_eq!(hosts(&html)[..12], expected);
    }

    #[test]
    fn a_single_row_is_never_hidden() {
        let html = shown(&after(20, 21));
        assert_eq!(html.matches("<tr data-key=\"run-").count(), 21);
        assert!(!html.contains("more, together"), "{html}");
        let html = shown(&after(20, 22));
        assert_eq!(html.matches("<tr data-key=\"run-").count(), 20);
        assert!(html.contains("and 2 more, together 0.9 hashes"), "{html}");
    }

    #[test]
    fn texts_from_the_store_are_escaped_and_cut() {
        fn evil(heartbeat: &mut Heartbeat) {
            let evil = format!("</script><script>alert(1)</script>\"'&\r{}", "é".repeat(1000));
            heartbeat.host = evil.clone();
            heartbeat.version = evil.clone();
            heartbeat.last_error = Some(evil.clone());
            heartbeat.rngs[0].name = evil;
        }
        let mut world = World::new(2);
        world.workers.iter_mut().for_each(|worker| worker.change = evil);
        world.run(30);
        world.scale(3);
        world.run(30);
        let html = shown(&world);
        assert_eq!(html.matches("<script").count(), 1, "{html}");
        assert!(html.contains("alert(1)") && html.len() < 30_000, "{}: {html}", html.len());
    }

    #[test]
    fn invalid_coins_are_not_shown() {
        let mut world = after(20, 1);
        let html = shown(&world);
        assert_eq!(html.matches(r#"<a href="coins/0000"#).count(), 10, "{html}");
        let mut snapshot = world.snapshot();
        for coin in &mut snapshot.recent_coins {
            coin.hash = "../evil\" onclick=".to_owned();
        }
        world.add(Ok(snapshot));
        assert!(!shown(&world).contains("evil"));
    }

    #[test]
    fn an_event_is_small() {
        let mut world = after(400, 20);
        let mut sizes = Vec::new();
        let mut page = crate::sse::Fragment::default();
        for _ in 0..60 {
            world.run(1);
            page = page.next(shown(&world));
            sizes.push(page.patch().len());
        }
        let mean = sizes[1..].iter().sum::<usize>() / (sizes.len() - 1);
        assert!(mean < 4000, "{mean} bytes, {sizes:?}");
    }
}
