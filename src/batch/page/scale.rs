//! Where on the page a moment is: time from left to right, with the stretches in which no one watched the batch drawn
//! short. Pure.

use jiff::{SignedDuration, Timestamp};

use super::words;

/// A stretch of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stretch {
    pub(super) from: Timestamp,
    pub(super) to: Timestamp,
}

impl Stretch {
    /// How long it is.
    pub(super) fn length(self) -> SignedDuration {
        self.to.duration_since(self.from).max(SignedDuration::ZERO)
    }

    /// How much of it is in the other one too.
    pub(super) fn shared(self, other: Self) -> SignedDuration {
        Self { from: self.from.max(other.from), to: self.to.min(other.to) }.length()
    }
}

/// A point of the time axis.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tick {
    pub(super) at: f64,
    pub(super) label: String,
}

/// From moments to places, in percent of the whole.
#[derive(Debug)]
pub(super) struct Scale {
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone, Copy)]
struct Piece {
    stretch: Stretch,
    left: f64,
    width: f64,
    drawn: Drawn,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Drawn {
    AsLongAsItIs,
    Short,
}

/// What a stretch that is drawn short takes, in percent.
const SHORT: f64 = 3.0;
/// A stretch is drawn short if it is longer than this part of the time that was watched.
const LONG: f64 = 0.05;
/// About as many labels fit.
const TICKS: f64 = 9.0;
/// Labels stand at multiples of one of these, in seconds.
const STEPS: [i64; 21] = [
    1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400, 172_800,
    604_800, MONTH,
];
/// Or, where that is too often, at multiples of some of these.
const MONTH: i64 = 30 * 86_400;

impl Scale {
    /// The scale of the time from `whole.from` to `whole.to`, in which no one watched during `away`; these are in order.
    pub(super) fn new(whole: Stretch, away: &[Stretch]) -> Self {
        // Something that took no time is still drawn.
        let whole = Stretch { to: whole.to.max(later(whole.from, SignedDuration::from_secs(1))), ..whole };
        let is_long = |stretch: &Stretch| seconds(stretch.length()) > seconds(watched(whole, away)) * LONG;
        let mut breaks: Vec<Stretch> = away.iter().copied().filter(is_long).collect();
        // So many that nothing else would have room: then time is drawn as it is.
        breaks.truncate(if breaks.len() > 12 { 0 } else { breaks.len() });
        let shown = seconds(watched(whole, &breaks));
        let room = 100.0 - SHORT * breaks.len() as f64;
        let mut pieces = Vec::new();
        let mut left = 0.0;
        let mut from = whole.from;
        let mut push = |stretch: Stretch, drawn: Drawn| {
            let width = match drawn {
                Drawn::Short => SHORT,
                Drawn::AsLongAsItIs => room * seconds(stretch.length()) / shown.max(f64::EPSILON),
            };
            pieces.push(Piece { stretch, left, width, drawn });
            left += width;
        };
        for stretch in breaks {
            push(Stretch { from, to: stretch.from }, Drawn::AsLongAsItIs);
            push(stretch, Drawn::Short);
            from = stretch.to;
        }
        push(Stretch { from, to: whole.to }, Drawn::AsLongAsItIs);
        Self { pieces }
    }

    /// Where a moment is, from 0 to 100.
    pub(super) fn at(&self, moment: Timestamp) -> f64 {
        let piece = self.pieces.iter().find(|piece| moment <= piece.stretch.to).or(self.pieces.last());
        piece.map_or(0.0, |piece| {
            let whole = seconds(piece.stretch.length());
            let part = seconds(Stretch { from: piece.stretch.from, to: moment }.length());
            let share = if whole > 0.0 { (part / whole).clamp(0.0, 1.0) } else { 0.0 };
            piece.left + piece.width * share
        })
    }

    /// The stretches that are drawn short.
    pub(super) fn breaks(&self) -> impl Iterator<Item = Stretch> {
        self.pieces.iter().filter(|piece| piece.drawn == Drawn::Short).map(|piece| piece.stretch)
    }

    /// The labels of the axis: how much time has gone by, at round numbers.
    pub(super) fn ticks(&self) -> Vec<Tick> {
        let Some(first) = self.pieces.first() else { return Vec::new() };
        let begin = first.stretch.from;
        let shown = self.pieces.iter().filter(|piece| piece.drawn == Drawn::AsLongAsItIs);
        let total: f64 = shown.clone().map(|piece| seconds(piece.stretch.length())).sum();
        let enough = |step: &&i64| **step as f64 >= total / TICKS;
        let months = (total / TICKS / MONTH as f64).ceil().max(1.0) as i64;
        let step = STEPS.iter().find(enough).copied().unwrap_or(MONTH.saturating_mul(months));
        let mut ticks = Vec::new();
        for piece in shown {
            let from = piece.stretch.from.duration_since(begin).as_secs();
            let to = piece.stretch.to.duration_since(begin).as_secs();
            let mut second = from.div_euclid(step).saturating_mul(step);
            while second <= to {
                if second >= from {
                    let at = self.at(later(begin, SignedDuration::from_secs(second)));
                    ticks.push(Tick { at, label: elapsed(second) });
                }
                second = second.saturating_add(step);
            }
        }
        ticks.dedup_by(|next, before| next.at - before.at < 100.0 / TICKS / 3.0);
        ticks
    }
}

/// How long the stretch is without what of it is away.
pub(super) fn watched(stretch: Stretch, away: &[Stretch]) -> SignedDuration {
    let unwatched = away.iter().map(|gap| gap.shared(stretch));
    let unwatched = unwatched.fold(SignedDuration::ZERO, SignedDuration::saturating_add);
    stretch.length().saturating_sub(unwatched).max(SignedDuration::ZERO)
}

fn later(moment: Timestamp, by: SignedDuration) -> Timestamp {
    moment.checked_add(by).unwrap_or(Timestamp::MAX)
}

fn seconds(duration: SignedDuration) -> f64 {
    duration.as_secs_f64()
}

/// `5m`, not `5m00s`: the axis stands at round numbers.
fn elapsed(second: i64) -> String {
    let label = words::length(SignedDuration::from_secs(second));
    let short = label.strip_suffix("00s").or(label.strip_suffix("00m")).or(label.strip_suffix("00h"));
    short.unwrap_or(&label).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + second).unwrap()
    }

    fn stretch(from: i64, to: i64) -> Stretch {
        Stretch { from: at(from), to: at(to) }
    }

    fn labels(scale: &Scale) -> Vec<String> {
        scale.ticks().into_iter().map(|tick| tick.label).collect()
    }

    #[test]
    fn time_goes_from_left_to_right() {
        let scale = Scale::new(stretch(0, 200), &[]);
        assert_eq!([0, 50, 200].map(|second| scale.at(at(second))), [0.0, 25.0, 100.0]);
        assert_eq!(
            [-5, 300].map(|second| scale.at(at(second))),
            [0.0, 100.0],
            "what lies outside stays inside"
        );
    }

    #[test]
    fn a_night_without_anyone_takes_little_room() {
        let night = stretch(600, 50_600);
        let scale = Scale::new(stretch(0, 51_200), &[night]);
        assert_eq!(scale.breaks().collect::<Vec<_>>(), [night]);
        let [evening, morning] = [night.from, night.to].map(|moment| scale.at(moment));
        assert!((morning - evening - SHORT).abs() < 0.01, "{evening} {morning}");
        assert!((evening - (100.0 - SHORT) / 2.0).abs() < 0.01, "{evening}");
        let labels = labels(&scale);
        assert!(labels.contains(&"10m".to_owned()) && labels.contains(&"14h05m".to_owned()), "{labels:?}");
        assert!(labels.len() < 12, "{labels:?}");
    }

    #[test]
    fn a_moment_without_anyone_is_drawn_as_long_as_it_is() {
        let scale = Scale::new(stretch(0, 1000), &[stretch(500, 510)]);
        assert_eq!(scale.breaks().count(), 0);
        assert!((scale.at(at(510)) - 51.0).abs() < 0.01);
    }

    #[test]
    fn labels_stand_at_round_numbers_and_have_room() {
        let cases = [
            (1, "1s"),
            (8, "1s"),
            (100, "15s"),
            (3000, "10m"),
            (7200, "15m"),
            (100_000, "6h"),
            (10_000_000, "30d"),
            (1_000_000_000, "1290d"),
        ];
        for (long, second) in cases {
            let labels = labels(&Scale::new(stretch(0, long), &[]));
            assert_eq!(labels[0], "0s", "{long}");
            assert_eq!(labels[1], second, "{long}");
            assert!(labels.len() <= 11, "{long}: {labels:?}");
        }
    }

    #[test]
    fn a_batch_of_no_length_and_one_that_ends_before_it_begins_have_a_scale() {
        for to in [0, -100] {
            let scale = Scale::new(stretch(0, to), &[]);
            assert_eq!(scale.at(at(0)), 0.0);
            assert_eq!(labels(&scale), ["0s", "1s"]);
        }
    }

    #[test]
    fn time_is_watched_unless_it_is_away() {
        let away = [stretch(10, 20), stretch(30, 40)];
        assert_eq!(watched(stretch(0, 100), &away).as_secs(), 80);
        assert_eq!(watched(stretch(15, 35), &away).as_secs(), 10);
        assert_eq!(watched(stretch(12, 18), &away).as_secs(), 0);
    }
}
