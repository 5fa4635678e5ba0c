//! How much of the past the chart shows.

/// A window of the chart.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Window {
    One,
    Five,
    Thirty,
}

impl Window {
    /// From the shortest to the longest.
    pub(crate) const ALL: [Self; 3] = [Self::One, Self::Five, Self::Thirty];

    /// The window of a query; the default one if the query names none of them.
    pub(crate) fn of(query: Option<&str>) -> Self {
        let minutes = query.into_iter().flat_map(|query| query.split('&'));
        let mut minutes = minutes.filter_map(|pair| pair.strip_prefix("window="));
        let window = minutes.find_map(|minutes| {
            Self::ALL.into_iter().find(|window| window.minutes().to_string() == minutes)
        });
        window.unwrap_or(Self::Five)
    }

    pub(crate) fn minutes(self) -> u8 {
        match self {
            Self::One => 1,
            Self::Five => 5,
            Self::Thirty => 30,
        }
    }

    pub(crate) fn seconds(self) -> f64 {
        f64::from(self.minutes()) * 60.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_queries_give_the_default_window() {
        for (query, minutes) in [
            (None, 5),
            (Some(""), 5),
            (Some("window=1"), 1),
            (Some("present&window=30"), 30),
            (Some("window=2"), 5),
            (Some("window=30.0"), 5),
            (Some("window=&window=1"), 1),
            (Some("xwindow=1&%ff"), 5),
        ] {
            assert_eq!(Window::of(query).minutes(), minutes, "{query:?}");
        }
    }
}
