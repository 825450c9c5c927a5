//! The info overlay: the link's state, the figures of both directions in the words of [`Words`], and two minutes of them as plots.

use super::super::canvas::{Block, Canvas};
use super::sign::BelowSign;
use super::{BRIGHT, FIELD, Followed, Fonts, Overlays, PANEL, SOFT, Shown, set_visible, text};
use crate::ops::{CameraState, Figures, LinkState, Sample, Snapshot, View, Words};
use bevy::prelude::*;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Shows the figures while they are wanted, once a second.
pub struct InfoPlugin {
    /// What is shown.
    pub figures: Arc<Figures>,
}

const REFRESH: Duration = Duration::from_millis(950);

/// Height of all text but the headline, in hundredths of the window's smaller side.
const SMALL: f32 = 2.3;

/// From the top of the window, in the same.
const TOP: f32 = 3.0;

/// Bars of a plot: each stands for two samples.
const BARS: usize = 60;

#[derive(Resource)]
struct Source {
    figures: Arc<Figures>,
    history: Vec<Sample>,
    refreshed: Option<Instant>,
}

#[derive(Component)]
struct Root;

/// A line of text that is written again each second.
#[derive(Component, Clone, Copy, PartialEq, Eq)]
enum Line {
    State,
    Trouble,
    FromThere,
    ToThere,
    Link,
    Machine,
    Value(Plot),
}

/// What is plotted.
#[derive(Component, Clone, Copy, PartialEq, Eq, Debug)]
enum Plot {
    Latency,
    FpsIn,
    RateIn,
    FpsOut,
    RateOut,
}

#[derive(Component)]
struct Bar {
    plot: Plot,
    index: usize,
}

impl Plot {
    fn title(self) -> &'static str {
        match self {
            Self::Latency => "Age of their picture on this screen",
            Self::FpsIn => "Shown per second",
            Self::RateIn => "Received",
            Self::FpsOut => "Sent per second",
            Self::RateOut => "Sent",
        }
    }

    fn colour(self) -> Color {
        match self {
            Self::Latency => Color::srgb(0.96, 0.74, 0.36),
            Self::FpsIn | Self::RateIn => Color::srgb(0.33, 0.78, 0.75),
            Self::FpsOut | Self::RateOut => Color::srgb(0.50, 0.64, 0.96),
        }
    }

    fn value(self, sample: &Sample) -> f64 {
        match self {
            Self::Latency => sample.latency_ms,
            Self::FpsIn => sample.presented_fps,
            Self::RateIn => sample.received_bps,
            Self::FpsOut => sample.sent_fps,
            Self::RateOut => sample.sent_bps,
        }
    }

    /// The value that fills the plot: what is usual, or more if there is more.
    fn full(self, greatest: f64) -> f64 {
        let usual = match self {
            Self::Latency => 100.0,
            Self::FpsIn | Self::FpsOut => 30.0,
            Self::RateIn | Self::RateOut => 1e6,
        };
        greatest.max(usual)
    }

    fn words(self, value: f64) -> String {
        match self {
            Self::Latency if value <= 0.0 => "unknown".to_owned(),
            Self::Latency => format!("{value:.0} ms"),
            Self::FpsIn | Self::FpsOut => format!("{value:.1}"),
            Self::RateIn | Self::RateOut => format!("{:.2} Mb/s", value / 1e6),
        }
    }
}

impl Plugin for InfoPlugin {
    fn build(&self, app: &mut App) {
        let source =
            Source { figures: self.figures.clone(), history: Vec::with_capacity(crate::ops::HISTORY), refreshed: None };
        app.insert_resource(source).add_systems(Startup, spawn).add_systems(Update, refresh);
    }
}

fn spawn(mut commands: Commands, fonts: Res<Fonts>) {
    let panel = Node {
        display: Display::None,
        position_type: PositionType::Absolute,
        left: vmin(3),
        top: vmin(TOP),
        // Room for the longest line of `Words`.
        width: vmin(88),
        flex_direction: FlexDirection::Column,
        row_gap: vmin(0.8),
        padding: UiRect::axes(vmin(3), vmin(2.4)),
        border_radius: BorderRadius::all(vmin(1.6)),
        overflow: Overflow::clip(),
        ..default()
    };
    let root = commands.spawn((Root, BelowSign(TOP), Block, panel, BackgroundColor(PANEL), GlobalZIndex(1))).id();
    let mut add = |bundle| {
        let child = commands.spawn_empty().id();
        commands.entity(child).insert(bundle);
        commands.entity(root).add_child(child);
    };
    let line = |line, font: &Handle<Font>, size, colour| (line, text(font, size, colour, ""));
    add(line(Line::State, &fonts.semi_bold, 3.4, BRIGHT));
    add(line(Line::Trouble, &fonts.medium, SMALL, SOFT));
    for (title, kind, colour) in [
        ("From there", Line::FromThere, Plot::FpsIn.colour()),
        ("To there", Line::ToThere, Plot::FpsOut.colour()),
        ("Between", Line::Link, Plot::Latency.colour()),
    ] {
        let title_width = Node { width: vmin(14), flex_shrink: 0.0, ..default() };
        let group = commands
            .spawn((
                Node::default(),
                children![
                    (title_width, children![text(&fonts.semi_bold, SMALL, colour, title)]),
                    (kind, text(&fonts.medium, SMALL, BRIGHT, "")),
                ],
            ))
            .id();
        commands.entity(root).add_child(group);
    }
    let machine = commands.spawn((Line::Machine, text(&fonts.medium, SMALL, SOFT, ""))).id();
    commands.entity(root).add_child(machine);
    for plots in [&[Plot::Latency][..], &[Plot::FpsIn, Plot::FpsOut], &[Plot::RateIn, Plot::RateOut]] {
        let row = commands.spawn(Node { column_gap: vmin(2.4), ..default() }).id();
        for plot in plots {
            let plot = spawn_plot(&mut commands, &fonts, *plot);
            commands.entity(row).add_child(plot);
        }
        commands.entity(root).add_child(row);
    }
}

/// A plot with its title and its newest value; shares its row evenly with the others in it.
fn spawn_plot(commands: &mut Commands, fonts: &Fonts, plot: Plot) -> Entity {
    let column = Node { flex_direction: FlexDirection::Column, flex_grow: 1.0, flex_basis: px(0), ..default() };
    let column = commands.spawn(column).id();
    let head = commands
        .spawn((
            Node { justify_content: JustifyContent::SpaceBetween, margin: UiRect::top(vmin(0.6)), ..default() },
            children![
                text(&fonts.medium, SMALL, SOFT, plot.title()),
                (Line::Value(plot), text(&fonts.semi_bold, SMALL, plot.colour(), "")),
            ],
        ))
        .id();
    let field = Node {
        height: vmin(6.5),
        margin: UiRect::top(vmin(0.6)),
        align_items: AlignItems::End,
        column_gap: px(1),
        border_radius: BorderRadius::all(vmin(0.5)),
        ..default()
    };
    let field = commands.spawn((field, BackgroundColor(FIELD))).id();
    for index in 0..BARS {
        let bar = Node { flex_grow: 1.0, flex_basis: px(0), height: percent(0), ..default() };
        let bar = commands.spawn((Bar { plot, index }, bar, BackgroundColor(plot.colour()))).id();
        commands.entity(field).add_child(bar);
    }
    commands.entity(column).add_children(&[head, field]);
    column
}

fn refresh(
    overlays: Res<Overlays>,
    (shown, live): (Res<Shown>, Res<Followed>),
    mut source: ResMut<Source>,
    mut canvas: ResMut<Canvas>,
    mut roots: Query<&mut Node, (With<Root>, Without<Bar>)>,
    mut lines: Query<(&Line, &mut Text)>,
    mut bars: Query<(&Bar, &mut Node), Without<Root>>,
) {
    let Ok(mut root) = roots.single_mut() else { return };
    if overlays.is_changed() && set_visible(&mut canvas, &mut root, overlays.info) {
        source.refreshed = None;
    }
    let now = Instant::now();
    let due = source.refreshed.is_none_or(|at| now.saturating_duration_since(at) >= REFRESH);
    if !overlays.info || !(due || shown.is_changed()) {
        return;
    }
    source.refreshed = Some(now);
    let Source { figures, history, .. } = &mut *source;
    let snapshot = figures.snapshot(now);
    let words = Words::new(&snapshot, &shown.0);
    figures.history(history);
    for (line, mut text) in &mut lines {
        text.0 = match line {
            Line::State => headline(&live.0.site, &shown.0),
            Line::Trouble => trouble(&shown.0),
            Line::FromThere => words.from_there.join("\n"),
            Line::ToThere => words.to_there.join("\n"),
            Line::Link => words.link.join("\n"),
            Line::Machine => machine(&snapshot),
            Line::Value(plot) => plot.words(history.last().map_or(0.0, |sample| plot.value(sample))),
        };
    }
    for (bar, mut node) in &mut bars {
        let full = bar.plot.full(greatest(bar.plot, history));
        node.height = percent((100.0 * height(bar.plot, history, bar.index) / full) as f32);
    }
    canvas.touch();
}

fn greatest(plot: Plot, history: &[Sample]) -> f64 {
    history.iter().map(|sample| plot.value(sample)).fold(0.0, f64::max)
}

/// The value of a bar: the greatest of the samples that it stands for; the newest are on the right.
fn height(plot: Plot, history: &[Sample], index: usize) -> f64 {
    let each = crate::ops::HISTORY / BARS;
    let end = history.len().saturating_sub((BARS - 1 - index) * each);
    greatest(plot, &history[end.saturating_sub(each)..end])
}

fn headline(site: &str, view: &View) -> String {
    let state = match view.link {
        LinkState::Idle => "idle",
        LinkState::Signalling => "looking",
        LinkState::Connecting => "connecting",
        LinkState::Live => "live",
        LinkState::Stalled => "stalled",
        LinkState::Closed => "closed",
    };
    let far = view.far_site.as_deref().unwrap_or("far end");
    let here = if site.is_empty() { "here" } else { site };
    cut(&format!("{here} → {far}   {state}"), 40)
}

fn trouble(view: &View) -> String {
    let camera = match &view.camera {
        CameraState::Starting => "camera: starting".to_owned(),
        CameraState::Running { description } => format!("camera: {description}"),
        CameraState::Covered { description } => format!("camera covered: {description}"),
        CameraState::Missing { reason } => format!("no camera: {reason}"),
        CameraState::Private => "camera: off on purpose".to_owned(),
    };
    match &view.trouble {
        Some(trouble) => format!("{}\n{}", cut(&camera, LINE), cut(trouble, LINE)),
        None => cut(&camera, LINE),
    }
}

/// Characters that fit into a line of the panel.
const LINE: usize = 66;

/// As much of a text as fits.
fn cut(text: &str, fits: usize) -> String {
    if text.chars().count() <= fits { text.to_owned() } else { text.chars().take(fits - 1).chain(['…']).collect() }
}

fn machine(snapshot: &Snapshot) -> String {
    format!(
        "{:.2} cores   {} MB   decode {:.1}   upload {:.2}   present {:.1} ms",
        snapshot.now.cpu_cores,
        snapshot.resident_bytes / 1_000_000,
        snapshot.decode_time.p50_ms,
        snapshot.upload_time.p50_ms,
        snapshot.present_time.p50_ms,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_sample_is_the_last_bar_and_none_is_left_out() {
        let history: Vec<Sample> =
            (1..=5).map(|n| Sample { presented_fps: f64::from(n), ..Sample::default() }).collect();
        let bar = |index| height(Plot::FpsIn, &history, index);
        assert_eq!((bar(BARS - 1), bar(BARS - 2), bar(BARS - 3), bar(BARS - 4)), (5.0, 3.0, 1.0, 0.0));
        assert_eq!(bar(0), 0.0);
    }

    #[test]
    fn a_plot_is_never_fuller_than_full() {
        for plot in [Plot::Latency, Plot::FpsIn, Plot::RateIn, Plot::FpsOut, Plot::RateOut] {
            assert!(plot.full(1e9) >= 1e9);
            assert!(plot.full(0.0) > 0.0);
        }
    }

    #[test]
    fn untrusted_words_do_not_grow_the_panel() {
        let view = View { trouble: Some("x".repeat(500)), ..View::default() };
        assert!(trouble(&view).lines().all(|line| line.chars().count() <= LINE));
    }
}
